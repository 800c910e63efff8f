//! Identities of contacts, which only v1 shows. A merged contact has a profile for each record that it came from, with
//! the id which that record had.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::guid::Guid;
use super::record::Record;
use super::{Account, Objects, State, TruthSubmission};
use crate::ObjectType;
use crate::dice::{Dice, mix};

/// Facts about identities that the records themselves don't hold.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// Times at which e-mail addresses were set, where that was after the contact's creation.
    email_since: HashMap<u64, i64>,
    /// The merges behind each survivor, with the ids that they took away.
    merges: HashMap<u64, Vec<Merge>>,
    /// Ids that a merge created.
    minted: HashSet<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) gone: u64,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthProfile {
    /// The id that the contact had.
    pub vid: u64,
    /// Milliseconds since 1970, as all the times here.
    pub saved_at_timestamp: i64,
    pub deleted_changed_timestamp: i64,
    pub identities: Vec<TruthIdentity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthIdentity {
    /// `EMAIL` or `LEAD_GUID`.
    pub r#type: &'static str,
    pub value: String,
    pub timestamp: i64,
    /// `Some` on the primary e-mail address only.
    pub is_primary: Option<bool>,
}

/// A live contact as v1 shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthV1Contact {
    pub vid: u64,
    /// Time at which the contact was added, which only the list of all contacts shows.
    pub added_at: i64,
    pub merged_vids: Vec<u64>,
    pub profiles: Vec<TruthProfile>,
    /// Newest first.
    pub form_submissions: Vec<TruthSubmission>,
}

impl Identities {
    pub(super) fn note_email(&mut self, contact: u64, at: DateTime<Utc>) {
        self.email_since.insert(contact, at.timestamp_millis());
    }

    /// Notes a merge, from which on the survivor has the e-mail address of `heir`.
    pub(super) fn note_merge(&mut self, survivor: u64, gone: &[u64], heir: &Record, at: DateTime<Utc>) {
        let since = self.email_since(heir);
        self.email_since.insert(survivor, since);
        if heir.id != survivor {
            self.minted.insert(survivor);
        }
        self.merges.entry(survivor).or_default().extend(gone.iter().map(|gone| Merge { gone: *gone, at }));
    }

    /// Notes that a merge was undone: contacts v1 shows the contact by itself again.
    pub(super) fn forget_merge(&mut self, gone: u64) {
        for merges in self.merges.values_mut() {
            merges.retain(|merge| merge.gone != gone);
        }
    }

    fn email_since(&self, contact: &Record) -> i64 {
        let at_creation = || contact.created_at.timestamp_millis() + (mix(contact.id) % 150) as i64;
        self.email_since.get(&contact.id).copied().unwrap_or_else(at_creation)
    }

    /// Returns the merges whose survivor has this id, oldest first.
    pub(crate) fn merges(&self, contact: u64) -> &[Merge] {
        self.merges.get(&contact).map_or(&[], Vec::as_slice)
    }

    /// Returns all ids that were merged into this one, through several merges too.
    pub(crate) fn merged_into(&self, contact: u64) -> Vec<u64> {
        let mut all = Vec::new();
        let mut open = vec![contact];
        while let Some(id) = open.pop() {
            let gone = self.merges(id).iter().map(|merge| merge.gone);
            open.extend(gone.clone());
            all.extend(gone);
        }
        all.sort_unstable();
        all
    }
}

impl State {
    /// Returns the contact's profiles, its own first.
    pub(crate) fn profiles(&self, contact: &Record, seed: u64) -> Vec<TruthProfile> {
        let contacts = &self.objects[ObjectType::Contacts];
        let email = contacts.catalog.find("email").and_then(|(property, _)| contact.values.get(property));
        let own = self.own_profile(contacts, contact, seed, None);
        let merged = self.identities.merged_into(contact.id);
        let merged = merged.iter().filter_map(|id| contacts.merged.get(id));
        [own]
            .into_iter()
            .chain(merged.map(|gone| self.own_profile(contacts, &gone.record, seed, email)))
            .collect()
    }

    /// Makes the profile of one record. `taken` is the address that the survivor has today, if this record was merged.
    fn own_profile(
        &self,
        contacts: &Objects,
        contact: &Record,
        seed: u64,
        taken: Option<&str>,
    ) -> TruthProfile {
        let value = |name| contacts.catalog.find(name).and_then(|(property, _)| contact.values.get(property));
        let since = self.identities.email_since(contact);
        let identity = |r#type, value: &str| TruthIdentity {
            r#type,
            value: value.to_owned(),
            timestamp: since,
            is_primary: None,
        };
        let is_current = contacts.live.contains_key(&contact.id);
        let email = value("email").filter(|email| !email.is_empty() && Some(*email) != taken);
        let email = email.map(|email| TruthIdentity {
            is_primary: is_current.then_some(true),
            ..identity("EMAIL", email)
        });
        let more = value("hs_additional_emails").unwrap_or_default().split(';');
        let more = more.filter(|email| email.contains('@')).map(|email| identity("EMAIL", email));
        // The outcome of a merge was never a visitor itself.
        let is_original = !self.identities.minted.contains(&contact.id);
        let lead = is_original.then(|| TruthIdentity {
            timestamp: contact.created_at.timestamp_millis() + (mix(contact.id ^ 1) % 150) as i64,
            ..identity("LEAD_GUID", &Guid::draw(&mut Dice::nth(seed ^ LEADS, contact.id)).to_string())
        });
        let identities: Vec<_> = email.into_iter().chain(more).chain(lead).collect();
        TruthProfile {
            vid: contact.id,
            saved_at_timestamp: since.max(identities.iter().map(|one| one.timestamp).max().unwrap_or(since)),
            deleted_changed_timestamp: 0,
            identities,
        }
    }
}

impl Account {
    /// Returns the live contacts, ascending by id. Each is read when the iterator reaches it; those that are deleted
    /// by then are left out.
    pub fn truth_v1_contacts(&self) -> impl Iterator<Item = TruthV1Contact> + use<'_> {
        let ids = self.live_ids(ObjectType::Contacts);
        ids.into_iter().filter_map(|id| {
            let state = self.read();
            let contact = state.objects[ObjectType::Contacts].live.get(&id)?;
            let submissions = state.submissions_of(id);
            Some(TruthV1Contact {
                vid: id,
                added_at: contact.created_at.timestamp_millis(),
                merged_vids: state.identities.merged_into(id),
                profiles: state.profiles(contact, self.settings.seed),
                form_submissions: submissions.iter().map(|one| state.truth_of_submission(one)).collect(),
            })
        })
    }
}

const LEADS: u64 = 0x6c65_6164_7321;
