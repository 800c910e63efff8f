//! Identity profiles and identities: who a contact was before it was one. A merged contact shows a profile for each
//! record it came from, under the id that record had, so a merge moves a profile and doubles nobody.
//!
//! The identities of one type of one profile are read together, as a set: what a newer read does not show is gone.

use std::collections::HashSet;

use staging::ColumnType::{BigInt, Boolean, Json, Text, Timestamp};
use staging::Rows;

use super::v1::V1Contact;
use crate::error::Result;
use crate::feeds::collection::{Collection, field, made};
use crate::feeds::document::{Document, Writer};
use crate::feeds::lineage::{DeletedReason, Reading};
use crate::feeds::objects::Record;
use crate::json::{Malformed, Scanner};

const EMAIL: &str = "EMAIL";
/// Types that a profile is known to have: a set of one of them that is empty is said to be.
const TYPES: [&str; 2] = [EMAIL, "LEAD_GUID"];
/// Columns of `contact_identities` that nothing but contacts v1 fills.
pub(super) const OF_V1: [&str; 2] = ["timestamp", "source"];

const CANONICAL_VID: &str = "the contact that shows it today";

pub(super) static PROFILES: Collection = Collection {
    name: "contact_identity_profiles",
    about: "What a contact was known as: one row for each contact, and for each one that was merged into it.",
    primary_key: &["contact_id"],
    key_reason: "the id that the contact had: a profile keeps it when its contact is merged away",
    set_key: &[],
    is_deletable: true,
    calls: "none of its own: read with `contacts`",
    columns: &[
        field("contact_id", BigInt, "vid"),
        made("canonical_vid", BigInt, CANONICAL_VID),
        field("identities", Json, "identities"),
        field("saved_at_timestamp", Timestamp, "saved-at-timestamp"),
        field("deleted_changed_timestamp", BigInt, "deleted-changed-timestamp"),
        field("is_contact", Boolean, "is-contact"),
        field("pointer_vid", BigInt, "pointer-vid"),
        field("previous_vid", BigInt, "previous-vid"),
        field("linked_vids", Json, "linked-vids"),
    ],
};

pub(super) static IDENTITIES: Collection = Collection {
    name: "contact_identities",
    about: "An e-mail address or another identity of a contact.",
    primary_key: &["contact_id", "type", "value"],
    key_reason: "HubSpot gives identities no id: this is all that tells one from another. A row with an empty `value`, \
                 deleted, says that the contact has no identity of this type",
    set_key: &["contact_id", "type"],
    is_deletable: true,
    calls: "none of its own: read with `contacts`",
    columns: &[
        made("contact_id", BigInt, "`vid` of its profile: the id that the contact had"),
        made("canonical_vid", BigInt, CANONICAL_VID),
        field("type", Text, "type"),
        field("value", Text, "value"),
        field("timestamp", Timestamp, "timestamp"),
        field("is_primary", Boolean, "is-primary"),
        field("is_secondary", Boolean, "is-secondary"),
        field("source", Text, "source"),
    ],
};

/// Writes the profiles and identities of the contacts of one page.
pub(super) struct People<'a> {
    pub(super) profiles: Writer<'a>,
    pub(super) identities: Writer<'a>,
}

/// One contact, as contacts v1 shows it.
pub(super) struct Shown {
    /// Ids of its profiles.
    pub(super) vids: HashSet<u64>,
    /// The record tells of all merges that the profiles tell of.
    pub(super) agree: bool,
}

/// One profile as contacts v1 shows it.
struct Profile<'a> {
    vid: u64,
    whole: &'a str,
    identities: Option<&'a str>,
}

impl<'a> People<'a> {
    pub(super) fn new(
        profiles: &'a Document,
        profile_rows: &'a mut Rows,
        identities: &'a Document,
        identity_rows: &'a mut Rows,
        reading: Reading<'a>,
    ) -> People<'a> {
        let identities = identities.writer(identity_rows, reading);
        People { profiles: profiles.writer(profile_rows, reading), identities }
    }

    /// A contact that contacts v1 shows. A profile of somebody whose merge the record does not tell of yet would be
    /// written under a version from before the merge, and nothing would take it back if the contact were gone by its
    /// next read. It is left for a second read (`is_again`), which takes all there is.
    pub(super) fn live(&mut self, record: &Record, contact: &V1Contact<'_>, is_again: bool) -> Result<Shown> {
        let mut profiles = profiles(contact.profiles.unwrap_or("[]"), record.id)?;
        let count = profiles.len();
        if !is_again {
            profiles.retain(|profile| profile.vid == record.id || record.merged.contains(&profile.vid));
        }
        let agree = profiles.len() == count;
        let mut shown = HashSet::new();
        for profile in &profiles {
            // One vid twice would be one row; its identities are kept all the same.
            if shown.insert(profile.vid) {
                self.profiles.set("contact_id", |cell| cell.bigint(profile.vid as i64));
                self.profiles.set("canonical_vid", |cell| cell.bigint(record.id as i64));
                self.profiles.fill(&mut Scanner::new(profile.whole))?;
                self.profiles.finish(record.updated_ms);
            }
        }
        for &vid in &shown {
            let of_vid = profiles.iter().filter(|profile| profile.vid == vid);
            self.identities_of(vid, record, of_vid.filter_map(|profile| profile.identities))?;
        }
        if !shown.contains(&record.id) {
            self.gone(record.id, record, DeletedReason::Removed);
        }
        Ok(Shown { vids: shown, agree })
    }

    /// A contact without contacts v1: the addresses that its properties hold.
    pub(super) fn by_properties(&mut self, record: &Record) {
        let mut seen = HashSet::new();
        let primary = record.emails.primary.iter().map(|email| (email, "is_primary"));
        let additional = record.emails.additional.iter().map(|email| (email, "is_secondary"));
        for (email, column) in primary.chain(additional) {
            if !seen.insert(email) {
                continue;
            }
            self.identity_head(record.id, record.id, EMAIL, email);
            self.identities.set(column, |cell| cell.boolean(true));
            self.identities.finish(record.updated_ms);
        }
        if seen.is_empty() {
            self.empty_set(record.id, EMAIL, record, DeletedReason::Removed);
        }
    }

    /// A contact in the recycle bin. `has_profiles`: somebody could bring its profile back, should it be restored.
    pub(super) fn archived(&mut self, record: &Record, has_profiles: bool) {
        self.absent(record, DeletedReason::Archived, has_profiles);
    }

    /// A contact that was merged away, and is not shown as a part of the survivor: whose its addresses are now. It comes
    /// from the page that showed the survivor; a later one may have shown the profile.
    pub(super) fn merged_away(&mut self, record: &Record, read_ms: i64, has_profiles: bool) {
        let reason = match record.archived_ms {
            // With all that was merged into it.
            Some(_) => DeletedReason::Archived,
            None => DeletedReason::Merged,
        };
        let now_ms = self.profiles.read_at(read_ms);
        self.identities.read_at(read_ms);
        self.absent(record, reason, has_profiles);
        self.profiles.read_at(now_ms);
        self.identities.read_at(now_ms);
    }

    /// A contact that HubSpot does not show any more. What was merged into it is gone already.
    pub(super) fn removed(&mut self, record: &Record, has_profiles: bool) {
        self.absent(record, DeletedReason::Removed, has_profiles);
    }

    fn absent(&mut self, record: &Record, reason: DeletedReason, has_profiles: bool) {
        if has_profiles {
            self.gone(record.id, record, reason);
        } else {
            self.empty_set(record.id, EMAIL, record, reason);
        }
    }

    fn gone(&mut self, vid: u64, record: &Record, reason: DeletedReason) {
        self.profiles.set("contact_id", |cell| cell.bigint(vid as i64));
        self.profiles.finish_gone(record.updated_ms, reason, record.archived_ms);
        for identity_type in TYPES {
            self.empty_set(vid, identity_type, record, reason);
        }
    }

    fn empty_set(&mut self, vid: u64, identity_type: &str, record: &Record, reason: DeletedReason) {
        self.identities.set("contact_id", |cell| cell.bigint(vid as i64));
        self.identities.set("type", |cell| cell.text(identity_type));
        self.identities.set("value", |cell| cell.text(""));
        self.identities.finish_gone(record.updated_ms, reason, record.archived_ms);
    }

    fn identity_head(&mut self, vid: u64, contact: u64, identity_type: &str, value: &str) {
        self.identities.set("contact_id", |cell| cell.bigint(vid as i64));
        self.identities.set("canonical_vid", |cell| cell.bigint(contact as i64));
        self.identities.set("type", |cell| cell.text(identity_type));
        self.identities.set("value", |cell| cell.text(value));
    }

    fn identities_of<'b>(
        &mut self,
        vid: u64,
        record: &Record,
        lists: impl Iterator<Item = &'b str>,
    ) -> Result<()> {
        // The first of two that are equal counts.
        let mut seen: HashSet<(String, String)> = HashSet::new();
        for list in lists {
            Scanner::new(list).each_item(|identity| {
                let whole = identity.raw()?;
                let (identity_type, value) = type_and_value(whole)?;
                if value.is_empty() || !seen.insert((identity_type.clone(), value.clone())) {
                    return Ok::<_, Malformed>(());
                }
                self.identity_head(vid, record.id, &identity_type, &value);
                self.identities.fill(&mut Scanner::new(whole))?;
                self.identities.finish(record.updated_ms);
                Ok(())
            })?;
        }
        for identity_type in TYPES {
            if !seen.iter().any(|(seen, _)| seen == identity_type) {
                self.empty_set(vid, identity_type, record, DeletedReason::Removed);
            }
        }
        Ok(())
    }
}

/// A profile without a vid is the contact's own.
fn profiles(list: &str, contact: u64) -> Result<Vec<Profile<'_>>> {
    let mut profiles = Vec::new();
    Scanner::new(list).each_item(|profile| {
        let whole = profile.raw()?;
        let mut parsed = Profile { vid: contact, whole, identities: None };
        Scanner::new(whole).each_field(|key, value| {
            match key.raw() {
                "vid" => parsed.vid = value.id()?,
                "identities" if value.is_nested() => parsed.identities = Some(value.raw()?),
                _ => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        profiles.push(parsed);
        Ok::<_, Malformed>(())
    })?;
    Ok(profiles)
}

fn type_and_value(identity: &str) -> Result<(String, String), Malformed> {
    let (mut identity_type, mut its_value) = (String::new(), String::new());
    Scanner::new(identity).each_field(|key, value| {
        let text = match key.raw() {
            "type" if !value.is_nested() => &mut identity_type,
            "value" if !value.is_nested() => &mut its_value,
            _ => return value.skip(),
        };
        *text = value.scalar()?.map(|text| text.text().into_owned()).unwrap_or_default();
        Ok::<_, Malformed>(())
    })?;
    Ok((identity_type, its_value))
}
