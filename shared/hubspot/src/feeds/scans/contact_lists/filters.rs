//! Lists by their ids, with their filters: as many a call as fit a URL, and around one that HubSpot can't show, in smaller
//! parts.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::answer;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::json::Body;
use crate::retry::Patience;
use crate::version;

/// Ids in a URL, some 20 characters each.
const IDS_IN_A_URL: usize = 100;
/// Calls under way at once: filters may be long.
const AT_ONCE: usize = 2;
/// Bytes of answers that are held at once, by and large.
const MOST_BYTES: usize = 4 << 20;
/// Lists that are refused one after the other before it is not they that are at fault.
const MOST_IN_VAIN: usize = 3;

/// Lists as they are shown by their ids.
#[derive(Debug, Default)]
pub(super) struct Filtered {
    pub(super) answers: Vec<Body>,
    /// Lists that HubSpot can't show, and why.
    pub(super) refused: BTreeMap<u64, String>,
    /// The first refusal, as long as nothing was answered.
    pub(super) only: Option<Error>,
}

/// The lists to ask for, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FilterRequest<'a> {
    pub(super) ids: &'a [u64],
    /// Those of them that were refused before: each is asked for alone, once.
    pub(super) held: Option<&'a BTreeSet<u64>>,
    /// A list that is none of them.
    pub(super) another: Option<u64>,
    /// HubSpot has answered such a call.
    pub(super) has_told: bool,
}

impl Filtered {
    /// The ids of the lists that are shown.
    pub(super) fn ids(&self) -> Result<BTreeSet<u64>> {
        let mut ids = BTreeSet::new();
        for answer in &self.answers {
            ids.extend(answer::found(answer)?.lists.iter().map(|(id, _)| *id));
        }
        Ok(ids)
    }

    pub(super) fn add(&mut self, other: Filtered) {
        self.answers.extend(other.answers);
        self.refused.extend(other.refused);
        self.only = self.only.take().or(other.only);
    }

    fn size_bytes(&self) -> usize {
        self.answers.iter().map(|answer| answer.len()).sum()
    }
}

/// The first of these lists with their filters, as many as fit the memory, and the last id that was asked for; `None` if
/// that was all of them. What is not shown is not there.
///
/// # Errors
/// Also when none is answered, and neither is another list that nobody asked for.
pub(super) async fn with_filters(
    client: &Client,
    wanted: FilterRequest<'_>,
) -> Result<(Filtered, Option<u64>)> {
    let chunks: Vec<&[u64]> = chunks(wanted).collect();
    let calls: Vec<_> = chunks.iter().map(|ids| of_chunk(client, ids, wanted, true)).collect();
    let mut answers = stream::iter(calls).buffered(AT_ONCE);
    let (mut all, mut done) = (Filtered::default(), 0);
    while let Some(part) = answers.try_next().await? {
        all.add(part);
        done += 1;
        if all.size_bytes() > MOST_BYTES {
            break;
        }
    }
    drop(answers);
    check(client, &mut all, wanted).await?;
    let is_all = done == chunks.len();
    let last = done.checked_sub(1).and_then(|last| chunks.get(last)?.last().copied());
    Ok((all, last.filter(|_| !is_all)))
}

/// Those of these lists that are there, and those that are refused.
pub(super) async fn there(
    client: &Client,
    wanted: FilterRequest<'_>,
) -> Result<(BTreeSet<u64>, BTreeMap<u64, String>)> {
    let chunks: Vec<&[u64]> = chunks(wanted).collect();
    let calls: Vec<_> = chunks.iter().map(|ids| of_chunk(client, ids, wanted, false)).collect();
    let mut answers = stream::iter(calls).buffered(AT_ONCE);
    let (mut all, mut ids) = (Filtered::default(), BTreeSet::new());
    while let Some(part) = answers.try_next().await? {
        for answer in &part.answers {
            for (id, json) in answer::found(answer)?.lists {
                if !answer::is_deleted(json)? {
                    ids.insert(id);
                }
            }
        }
        // One answer tells that there are answers.
        let answers = part.answers.into_iter().take(usize::from(all.answers.is_empty())).collect();
        all.add(Filtered { answers, ..part });
    }
    drop(answers);
    check(client, &mut all, wanted).await?;
    Ok((ids, all.refused))
}

/// The lists as they are asked for together, in the order of their ids.
fn chunks(wanted: FilterRequest<'_>) -> impl Iterator<Item = &[u64]> {
    let is_held = move |id: &u64| wanted.held.is_some_and(|held| held.contains(id));
    wanted
        .ids
        .chunk_by(move |one, next| !is_held(one) && !is_held(next))
        .flat_map(|ids| ids.chunks(IDS_IN_A_URL))
}

/// Tells lists that are refused from a family that is.
async fn check(client: &Client, all: &mut Filtered, wanted: FilterRequest<'_>) -> Result<()> {
    let Some(refused) = all.only.take().filter(|_| all.answers.is_empty() && !wanted.has_told) else {
        return Ok(());
    };
    match wanted.another {
        Some(another) => {
            client.send(&by_ids(&[another], Patience::Full, true)).await.map_err(|_| refused)?;
            Ok(())
        }
        None if refused.may_be_of_a_part() => Ok(()),
        None => Err(refused),
    }
}

fn by_ids(ids: &[u64], patience: Patience, with_filters: bool) -> Call {
    let ids: String = ids.iter().map(|id| format!("listIds={id}&")).collect();
    Call::get(format!("/crm/lists/{}?{ids}includeFilters={with_filters}", version::LISTS)).with(patience)
}

/// As many as fit a URL; around one that is refused, in smaller parts.
async fn of_chunk(
    client: &Client,
    ids: &[u64],
    wanted: FilterRequest<'_>,
    with_filters: bool,
) -> Result<Filtered> {
    let is_held = wanted.held.is_some_and(|held| ids.iter().all(|id| held.contains(id)));
    let mut found = Filtered::default();
    let mut parts = vec![ids];
    while let Some(part) = parts.pop() {
        let patience = if is_held { Patience::Once } else { Patience::of_part(part.len(), ids.len()) };
        match client.send_for_list(&by_ids(part, patience, with_filters), answer::LISTS).await {
            Ok(answer) => found.answers.push(answer),
            Err(failed) if !failed.may_be_of_one_thing() => return Err(failed),
            Err(_) if part.len() > 1 => {
                let (first, rest) = part.split_at(part.len() / 2);
                parts.extend([rest, first]);
            }
            Err(refused) => {
                found.refused.extend(part.iter().map(|&id| (id, refused.reason().to_owned())));
                found.only = found.only.or(Some(refused));
            }
        }
        let in_vain = found.refused.len();
        if in_vain > MOST_IN_VAIN
            && found.answers.is_empty()
            && let Some(refused) = found.only.take()
        {
            return Err(refused);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_were_refused_before_are_asked_for_alone() {
        let held = BTreeSet::from([3, 4, 9]);
        let wanted =
            FilterRequest { ids: &[1, 2, 3, 4, 5, 9], held: Some(&held), ..FilterRequest::default() };
        let chunks: Vec<&[u64]> = chunks(wanted).collect();
        assert_eq!(chunks, [&[1, 2][..], &[3], &[4], &[5], &[9]]);
        let many: Vec<u64> = (0..250).collect();
        let lengths: Vec<usize> = super::chunks(FilterRequest { ids: &many, ..FilterRequest::default() })
            .map(<[u64]>::len)
            .collect();
        assert_eq!(lengths, [100, 100, 50]);
    }
}
