//! Associations of records: all pages of them. For a column of ids, each id once, the primary one first; for the table of
//! associations, each with its types.
//!
//! A list call brings ids along, at no call of its own, but only the first page of each record's; where there is
//! more, where records come by batch read, and for the types, the associations endpoint is asked.

use std::collections::HashSet;

use super::answers::association_calls::{AssociationCalls, NOBODY, batch_read, source};
use super::answers::associations::{Collected, Inline, Input, LinkSets, Said, collect, inline};
use super::answers::unknown::Unknown;
use super::object_feed::ObjectFeed;
use super::tables::beside::Associated;
use crate::error::{ErrorKind, Result};
use crate::feeds::batches;
use crate::json::Body;
use crate::paging::Next;

/// Rounds of calls for the pages of one batch's records.
const MAX_ROUNDS: usize = 10_000;

impl ObjectFeed {
    /// Associated ids in the answer of a list call; where it shows only some of them, all are asked for.
    /// Besides, the records that are linked with others of the same object, where the call has asked for them.
    pub(super) async fn inline_associated(
        &self,
        body: &Body,
        unknown: &mut Unknown,
    ) -> Result<(Associated, Option<HashSet<u64>>)> {
        let mut associated = Associated::new();
        if self.associations.is_empty() && !self.asks_own() {
            return Ok((associated, None));
        }
        let mut by_object = inline(body)?;
        let own = by_object.remove(self.object.path).unwrap_or_default();
        let with_own = self.asks_own().then(|| own.by_record.into_keys().chain(own.again).collect());
        for calls in self.association_calls.iter().filter(|calls| calls.is_column) {
            let Inline { by_record, again } = by_object.remove(calls.other).unwrap_or_default();
            let mut collected = Collected { by_record, ..Collected::default() };
            // A position within the list call's answer means nothing to the associations endpoint.
            again.iter().for_each(|id| _ = collected.by_record.remove(id));
            self.read_associations(calls, &again, &mut collected).await?;
            put(&mut associated, unknown, calls.other, collected);
        }
        Ok((associated, with_own))
    }

    /// Lists tell which records are linked with others of the same object. A custom one may have another name there.
    pub(super) fn asks_own(&self) -> bool {
        let name = self.object.name;
        let is_own = |calls: &AssociationCalls| calls.is_table && calls.other == name && calls.path == name;
        self.association_calls.iter().any(is_own)
    }

    /// The associated ids of these records, from the associations endpoint. The types that come with them are kept in
    /// `sets`.
    pub(super) async fn associated(
        &self,
        ids: &[u64],
        unknown: &mut Unknown,
        sets: &mut Vec<LinkSets>,
    ) -> Result<Associated> {
        let mut associated = Associated::new();
        for calls in self.association_calls.iter().filter(|calls| calls.is_column) {
            let mut collected = Collected::default();
            self.read_associations(calls, ids, &mut collected).await?;
            if calls.is_table {
                sets.push(collected.sets(calls.other));
            }
            put(&mut associated, unknown, calls.other, collected);
        }
        Ok(associated)
    }

    /// The associations of these records with one object, with their types.
    pub(super) async fn link_sets(&self, calls: &AssociationCalls, ids: &[u64]) -> Result<LinkSets> {
        let mut collected = Collected::default();
        self.read_associations(calls, ids, &mut collected).await?;
        Ok(collected.sets(calls.other))
    }

    /// Reads all pages of these records. What an answer leaves out is asked for once more, by itself.
    async fn read_associations(
        &self,
        calls: &AssociationCalls,
        ids: &[u64],
        collected: &mut Collected,
    ) -> Result<()> {
        let first = |&id: &u64| Input { id, after: None, is_second: false };
        let mut waiting: Vec<Input> = ids.iter().map(first).collect();
        let mut left_out: Vec<Input> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let inputs = std::mem::take(if waiting.is_empty() { &mut left_out } else { &mut waiting });
            if inputs.is_empty() {
                return Ok(());
            }
            let read = self.ask_associations(calls, &inputs).await?;
            for (input, refused) in read.refused {
                collected.give_up(input.id, refused.to_string());
            }
            for (inputs, body) in read.answers {
                for (input, said) in collect(&inputs, &body, collected)? {
                    self.follow(calls, input, said, collected, &mut waiting, &mut left_out).await?;
                }
            }
        }
        waiting.extend(left_out);
        waiting.iter().for_each(|input| collected.give_up(input.id, "its pages have no end"));
        Ok(())
    }

    async fn follow(
        &self,
        calls: &AssociationCalls,
        input: Input,
        said: Said,
        collected: &mut Collected,
        waiting: &mut Vec<Input>,
        left_out: &mut Vec<Input>,
    ) -> Result<()> {
        let reason = match said {
            Said::None | Said::Shown(Next::End | Next::Full) => return Ok(()),
            Said::Shown(Next::At(after)) if input.after.as_ref() == Some(&after) => {
                collected.give_up(input.id, "its pages repeat");
                return Ok(());
            }
            Said::Shown(Next::At(after)) => {
                waiting.push(Input { id: input.id, after: Some(after), is_second: false });
                return Ok(());
            }
            Said::Shown(Next::Unsaid) => "the answer does not say where its next page begins".to_owned(),
            Said::LeftOut(reason) => reason,
            Said::Nothing if input.is_second && input.after.is_none() => {
                if self.is_silence_none(calls).await? {
                    return Ok(());
                }
                "two answers leave it out and do not say why".to_owned()
            }
            Said::Nothing => "the answer leaves it out and does not say why".to_owned(),
        };
        if input.is_second {
            collected.give_up(input.id, reason);
        } else {
            left_out.push(Input { is_second: true, ..input });
        }
        Ok(())
    }

    async fn ask_associations(
        &self,
        calls: &AssociationCalls,
        inputs: &[Input],
    ) -> Result<batches::Read<Input>> {
        let call = |inputs: &[Input]| batch_read(self.object, calls.path, inputs);
        let read = calls.batches.read(&self.client, inputs, call).await;
        let is_all_refused = match &read {
            Ok(read) => read.answers.is_empty(),
            Err(refused) => refused.may_be_useless(),
        };
        // Is it for these records, or would it refuse any?
        if is_all_refused && let Err(refused) = self.ask_for_nobody(calls).await {
            return Err(refused.lost_if_useless(&source(calls.other)));
        }
        read.map_err(|error| error.lost_if_refused(&source(calls.other)))
    }

    async fn ask_for_nobody(&self, calls: &AssociationCalls) -> Result<Body> {
        let nobody = Input { id: NOBODY, after: None, is_second: false };
        self.client.send(&batch_read(self.object, calls.path, &[nobody])).await
    }

    /// Of a record that has no associations HubSpot says so, by an error of its own; what it does not mention at all
    /// it has left out. An endpoint that is silent about a record that does not exist, too, says so by its silence.
    async fn is_silence_none(&self, calls: &AssociationCalls) -> Result<bool> {
        let ask = || async {
            match self.ask_for_nobody(calls).await {
                Ok(body) => Ok(!body.is_in_part() && body.has_list("results")),
                Err(refused) if refused.kind() == ErrorKind::BadRequest => Ok(false),
                Err(refused) => Err(refused.lost_if_refused(&source(calls.other))),
            }
        };
        calls.is_silence_none.get_or_try_init(ask).await.copied()
    }
}

fn put(associated: &mut Associated, unknown: &mut Unknown, other: &'static str, collected: Collected) {
    for (id, ends) in collected.by_record {
        associated.entry(id).or_default().insert(other, ends.ids());
    }
    for (id, reason) in collected.unknown {
        unknown.add(id, &source(other), reason);
    }
}
