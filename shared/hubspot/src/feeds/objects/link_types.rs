//! The table of association types: what a `type_id` of the table of associations means, in both directions of a pair.
//!
//! HubSpot has a list of them for each pair of objects and direction. They are asked for where a link was seen: once a day,
//! and at once when a link has a type, or a label, that the list did not have. A list that can't be read is asked for again
//! the next day.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use staging::Rows;
use xxhash_rust::xxh3::xxh3_64;

use super::object_feed::ObjectFeed;
use super::page::Page;
use super::state::RunOfRecords;
use super::state::pairs::{KnownTypes, PairRun};
use super::state::seen::Hashes;
use super::state::slice::{Advance, Slice};
use super::tables::links::hash_of;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::document::Written;
use crate::feeds::full_refresh::Known;
use crate::feeds::lineage::Reading;
use crate::feeds::unfinished::Mode;
use crate::json::Body;
use crate::version;

/// Time after which the types of a pair are asked for again.
const KNOWN_MS: i64 = 24 * 3_600_000;
/// So many types of a pair may be gone at a time, whatever share of all they are.
const FEW_REMOVED: usize = 10;

/// A type as HubSpot shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct LinkType {
    category: String,
    #[serde(rename = "typeId")]
    type_id: u64,
    label: Option<String>,
}

#[derive(Deserialize)]
struct Labels {
    results: Vec<Value>,
}

impl LinkType {
    /// The types of an answer.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when something in it is no type.
    fn all(body: &Body) -> Result<Vec<LinkType>> {
        let malformed = |source: serde_json::Error| {
            Error::new(ErrorKind::Malformed, "the types of associations can't be read").caused_by(source)
        };
        let labels: Labels = serde_json::from_str(body).map_err(malformed)?;
        let types = labels.results.into_iter().map(serde_json::from_value);
        let mut types = types.collect::<Result<Vec<LinkType>, _>>().map_err(malformed)?;
        types.sort_unstable();
        types.dedup_by(|one, other| (&one.category, one.type_id) == (&other.category, other.type_id));
        Ok(types)
    }
}

impl ObjectFeed {
    /// Slices of pairs whose types are to be asked for, at the end of a run.
    pub(super) fn due_types(&self, run: &mut RunOfRecords<'_>) -> Vec<Slice> {
        let Some(table) = self.links.as_ref().filter(|table| table.types.is_some()) else {
            return Vec::new();
        };
        if self.mode.is_snapshot() {
            return Vec::new();
        }
        let now_ms = self.client.now().timestamp_millis();
        let mut due = Vec::new();
        for (other, pair) in &mut run.own.pairs {
            if self.association_calls.iter().all(|calls| calls.other != other) {
                continue;
            }
            let known = table.known.get(other);
            let is_used = pair.is_used || known.is_some_and(|known| known.is_used);
            let is_old = |asked_ms: i64| now_ms >= asked_ms.saturating_add(KNOWN_MS);
            let types = known.and_then(|known| known.types.as_ref());
            let failed_ms = known.and_then(|known| known.types_failed_ms);
            let is_unknown = pair.has_new_type || types.is_none_or(|types| is_old(types.asked_ms));
            let is_due = (is_unknown && failed_ms.is_none_or(is_old)) || self.mode == Mode::Backfill;
            if is_used && is_due && pair.refused.is_none() && !pair.has_asked_types {
                pair.has_asked_types = true;
                due.push(Slice::LinkTypes { to: other.clone() });
            }
        }
        due
    }

    /// The types of a pair, in both directions: an answer for each.
    pub(super) async fn types_page(&self, to: &str) -> Result<Page> {
        let page = Page { next: Some(Advance::Nothing), ..Page::default() };
        // The pair may not be wanted any more.
        let Some(calls) = self.pair(to) else { return Ok(page) };
        let mut directions = vec![(self.object.path, calls.path)];
        if calls.path != self.object.path {
            directions.push((calls.path, self.object.path));
        }
        let mut bodies = Vec::new();
        for (from, to) in directions {
            let path = format!("/crm/associations/{}/{from}/{to}/labels", version::ASSOCIATIONS);
            match self.client.send_for_list(&Call::get(path), "results").await {
                Ok(body) => bodies.push(body),
                Err(failed) if failed.may_be_useless() => {
                    return Ok(Page { refused: Some(failed.to_string()), ..page });
                }
                Err(failed) => return Err(failed),
            }
        }
        Ok(Page { bodies, ..page })
    }

    /// Appends the types of a pair where they are others than those that are known.
    pub(super) fn append_types(
        &self,
        page: &Page,
        to: &str,
        run: &mut RunOfRecords<'_>,
        rows: Option<&mut Rows>,
        reading: Reading<'_>,
    ) -> Written {
        let Some(table) = &self.links else { return Written::default() };
        let (Some(document), Some(rows), Some(pair)) = (&table.types, rows, run.own.pairs.get_mut(to)) else {
            return Written::default();
        };
        let (sets, types) = match self.types_of(page, to, pair, reading) {
            Ok(types) => types,
            Err(reason) => {
                tracing::warn!(feed.name = self.object.name, "types of associations with {to}: {reason}");
                table.types_failed().insert(to.to_owned(), reason.clone());
                (pair.types_failed, pair.types_failed_ms) = (Some(reason), Some(reading.theirs_ms));
                return Written::default();
            }
        };
        let version = types.list.read_ms;
        pair.types = Some(types);
        let mut writer = document.writer(rows, Reading { read_ms: version, ..reading });
        let account_id = writer.account_id();
        let ends = [(self.object.name, to), (to, self.object.name)];
        for ((from, to), types) in ends.into_iter().zip(&sets) {
            for LinkType { category, type_id, label } in types {
                writer.set("from_object", |cell| cell.text(from));
                writer.set("to_object", |cell| cell.text(to));
                writer.set("category", |cell| cell.text(category));
                writer.set("type_id", |cell| cell.bigint(*type_id as i64));
                if let Some(label) = label {
                    writer.set("label", |cell| cell.text(label));
                }
                writer.set("portal_id", |cell| cell.bigint(account_id as i64));
                writer.finish(None);
            }
        }
        writer.written
    }

    /// The types that are to be written, one set for each direction, none where they are known; and what is to be
    /// remembered of them. An error is the reason why they stay as they were.
    fn types_of(
        &self,
        page: &Page,
        to: &str,
        pair: &PairRun,
        reading: Reading<'_>,
    ) -> std::result::Result<(Vec<Vec<LinkType>>, KnownTypes), String> {
        if let Some(refused) = &page.refused {
            return Err(refused.clone());
        }
        let sets: Result<Vec<Vec<LinkType>>> = page.bodies.iter().map(LinkType::all).collect();
        let sets = sets.map_err(|odd| odd.to_string())?;
        if sets.iter().any(Vec::is_empty) {
            return Err("HubSpot shows none, although there are associations".to_owned());
        }
        let before = self.links.as_ref().and_then(|table| table.known_types(to, pair));
        let hashes = |types: &Vec<LinkType>| -> HashSet<u64> {
            let hash = |of: &LinkType| hash_of(&of.category, of.type_id, of.label.as_deref());
            types.iter().map(hash).collect()
        };
        let mut all: Vec<u64> = Vec::new();
        for set in &sets {
            let mut of_set: Vec<u64> = hashes(set).into_iter().collect();
            of_set.sort_unstable();
            all.extend(of_set);
            all.push(0);
        }
        let bytes: Vec<u8> = all.into_iter().flat_map(u64::to_le_bytes).collect();
        let mut list = Known { hash: xxh3_64(&bytes), rows: sets.iter().map(Vec::len).collect(), read_ms: 0 };
        let known = before.map(|before| &before.list);
        for (&before, &now) in known.into_iter().flat_map(|known| known.rows.iter().zip(&list.rows)) {
            let what = format!("types of associations with {to}");
            let gone = before.saturating_sub(now);
            let refused = self.session.check_removals_beyond(FEW_REMOVED, &what, before, gone);
            refused.map_err(|refused| refused.to_string())?;
        }
        let is_known = self.mode != Mode::Backfill && known.is_some_and(|known| known.is_same(&list));
        list.read_ms = match known {
            Some(known) if is_known => known.read_ms,
            _ => Known::version_behind(known, reading.read_ms),
        };
        let seen = Hashes(sets.first().map(hashes).unwrap_or_default());
        let types = KnownTypes { list, seen, asked_ms: reading.theirs_ms };
        Ok((if is_known { Vec::new() } else { sets }, types))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(json: &str) -> Result<Vec<LinkType>> {
        LinkType::all(&Body::new(json.to_owned().into()).unwrap())
    }

    #[test]
    fn an_entry_that_is_no_type_makes_the_answer_unreadable() {
        let two = r#"{"results":[{"category":"USER_DEFINED","typeId":7,"label":"Chef"},
            {"category":"HUBSPOT_DEFINED","typeId":7,"label":null},{"category":"HUBSPOT_DEFINED","typeId":7}]}"#;
        let shown: Vec<_> = types(two).unwrap().into_iter().map(|of| (of.category, of.label)).collect();
        assert_eq!(
            shown,
            [("HUBSPOT_DEFINED".to_owned(), None), ("USER_DEFINED".to_owned(), Some("Chef".to_owned()))]
        );
        for odd in [r#"{"typeId":7}"#, "null", r#"{"category":"X","typeId":"?"}"#] {
            assert!(types(&format!(r#"{{"results":[{odd}]}}"#)).is_err(), "{odd}");
        }
    }
}
