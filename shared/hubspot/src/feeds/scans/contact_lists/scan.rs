//! The state of a reading of all lists, which ends when it has shown as many as HubSpot says. Lists come and go while
//! they are read, and move others from page to page of the search: a scan that does not have as many is made again.
//!
//! Nothing of it is saved: a run that goes on begins the scan anew, and reads no list twice.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{self, CONTACT_TYPE};
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;

/// Scans that are made when lists come and go meanwhile.
const MAX_SCANS: usize = 3;

#[derive(Debug, Clone)]
pub(super) struct Scan {
    /// HubSpot's `objectTypeId` of the lists' object.
    pub(super) object_type: String,
    pub(super) at: At,
    /// Lists that this run has read, in this scan or another one.
    pub(super) read: BTreeSet<u64>,
    /// HubSpot has shown lists by their ids.
    pub(super) has_told: bool,
    ids: BTreeSet<u64>,
    others: BTreeSet<u64>,
    odd: u64,
    refused: BTreeSet<String>,
    /// The number of all lists, as HubSpot says.
    pub(super) told: Option<u64>,
    before: Vec<(BTreeSet<u64>, Option<u64>)>,
}

impl Default for Scan {
    fn default() -> Scan {
        Scan {
            object_type: CONTACT_TYPE.to_owned(),
            at: At::All { after: None },
            read: BTreeSet::new(),
            has_told: false,
            ids: BTreeSet::new(),
            others: BTreeSet::new(),
            odd: 0,
            refused: BTreeSet::new(),
            told: None,
            before: Vec::new(),
        }
    }
}

/// The place where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// By `/all`, from HubSpot's own word on.
    All { after: Option<String> },
    /// By the search, from this position on.
    Searched { offset: usize },
    /// By the search, from this id on.
    Ids { from: u64, empty_blocks: usize },
}

/// One page of lists.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) answers: Vec<Body>,
    /// Lists that HubSpot can't show, by their position or id, and why.
    pub(super) refused: BTreeMap<String, String>,
    /// The number of all lists, as HubSpot says.
    pub(super) told: Option<u64>,
    /// The place where the next page begins; `None`: this is the last one.
    pub(super) next: Option<At>,
}

impl Listing {
    /// Adds an answer. Returns the entries that it shows, and whether more are behind it.
    pub(super) fn add(&mut self, scan: &Scan, answer: Body, count: usize) -> Result<(usize, bool)> {
        let page = answer::found_of(&scan.object_type, &answer)?;
        let shown = page.lists.len() + page.others.len() + page.odd;
        let has_more = answer.next(count) != Next::End;
        self.told = page.total.or(self.told);
        self.answers.push(answer);
        Ok((shown, has_more))
    }
}

/// The step after a page that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Another page.
    On,
    /// All lists are read.
    Done,
    /// The same, and two scans agree with each other and not with HubSpot's number: it is the number that is taken for
    /// wrong.
    Miscounted { shown: u64, told: u64 },
}

impl Scan {
    /// A scan of the lists of another object than contacts.
    pub(super) fn of(object_type: &str) -> Scan {
        Scan { object_type: object_type.to_owned(), ..Scan::default() }
    }

    pub(super) fn shown(&self) -> u64 {
        (self.ids.len() + self.others.len() + self.refused.len()) as u64 + self.odd
    }

    /// Entries that are no lists with an id, or that HubSpot can't show.
    pub(super) fn not_shown(&self) -> u64 {
        self.odd + self.refused.len() as u64
    }

    pub(super) fn odd(&self) -> u64 {
        self.odd
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shown() == 0
    }

    /// The first id behind all that were shown.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.last().map_or(1, |last| last.saturating_add(1))
    }

    /// A page is read whole.
    pub(super) fn add(&mut self, listing: &Listing) -> Result<Step> {
        for answer in &listing.answers {
            let found = answer::found_of(&self.object_type, answer)?;
            self.ids.extend(found.lists.iter().map(|(id, _)| *id));
            self.others.extend(found.others);
            self.odd += found.odd as u64;
        }
        self.told = listing.told.or(self.told);
        self.refused.extend(listing.refused.keys().cloned());
        match &listing.next {
            Some(next) => self.at = next.clone(),
            None => return self.end(),
        }
        Ok(Step::On)
    }

    fn end(&mut self) -> Result<Step> {
        let shown = self.shown();
        let Some(told) = self.told.filter(|told| *told != shown) else { return Ok(Step::Done) };
        let scan = (std::mem::take(&mut self.ids), Some(told));
        if self.before.last() == Some(&scan) {
            return Ok(Step::Miscounted { shown, told });
        }
        self.before.push(scan);
        if self.before.len() == MAX_SCANS {
            let message =
                "lists come and go so fast that no scan has as many as HubSpot says: run again later";
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        tracing::warn!("a scan of all lists does not have as many as HubSpot says: it is made again");
        let at = match self.at {
            At::All { .. } => At::All { after: None },
            At::Searched { .. } | At::Ids { .. } => At::Searched { offset: 0 },
        };
        *self = Scan {
            object_type: std::mem::take(&mut self.object_type),
            at,
            read: std::mem::take(&mut self.read),
            has_told: self.has_told,
            before: std::mem::take(&mut self.before),
            ..Scan::default()
        };
        Ok(Step::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[u64], total: u64, next: Option<At>) -> Listing {
        let lists: Vec<String> = ids.iter().map(|id| format!(r#"{{"listId":"{id}"}}"#)).collect();
        let answer = format!(r#"{{"total":{total},"lists":[{}]}}"#, lists.join(","));
        let answers = vec![Body::new(answer.into()).unwrap()];
        Listing { answers, told: Some(total), next, ..Listing::default() }
    }

    fn searched(offset: usize) -> Option<At> {
        Some(At::Searched { offset })
    }

    #[test]
    fn a_list_that_moves_from_page_to_page_is_counted_once() {
        let mut scan = Scan::default();
        assert_eq!(scan.add(&page(&[1, 2], 3, searched(2))).unwrap(), Step::On);
        assert_eq!(scan.add(&page(&[2], 3, None)).unwrap(), Step::On);
        assert_eq!((scan.at.clone(), scan.shown()), (At::Searched { offset: 0 }, 0));
        assert_eq!(scan.add(&page(&[1, 2, 3], 3, None)).unwrap(), Step::Done);
    }

    #[test]
    fn two_scans_that_agree_outweigh_the_number() {
        let mut scan = Scan::default();
        assert_eq!(scan.add(&page(&[1], 2, None)).unwrap(), Step::On);
        assert_eq!(scan.add(&page(&[1], 2, None)).unwrap(), Step::Miscounted { shown: 1, told: 2 });
    }

    #[test]
    fn lists_that_come_and_go_for_ever_end_the_scan() {
        let mut scan = Scan::default();
        scan.add(&page(&[1], 9, None)).unwrap();
        scan.add(&page(&[2], 9, None)).unwrap();
        assert!(scan.add(&page(&[3], 9, None)).is_err());
    }
}
