//! State of the feed: the lists that are left to read, and what each was like when its members were last read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::troubles::Troubles;
use crate::error::Error;
use crate::feeds::open_feed;
use crate::feeds::own::FeedState;

/// An object, by its collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) collection: String,
    /// HubSpot's `objectTypeId`.
    pub(super) type_id: String,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Slice {
    /// The lists of an object, in one go.
    Lists(Object),
    /// The members of a list.
    Members(Reading),
}

impl FeedState for Slice {}

/// A list whose members are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reading {
    /// The collection of its object.
    pub(super) object: String,
    pub(super) list: u64,
    /// What it was like before they were read.
    pub(super) stamp: i64,
    /// The version of rows of before.
    pub(super) before_ms: i64,
    /// The version of the rows, once there are some: one for all pages.
    #[serde(default)]
    pub(super) version_ms: Option<i64>,
    /// HubSpot's page token of the next page.
    #[serde(default)]
    pub(super) after: Option<String>,
    #[serde(default)]
    pub(super) counted: Counted,
    /// What readings before this one have found to their ends, and did not fit HubSpot's number.
    #[serde(default)]
    pub(super) vain: Vec<Counted>,
    /// Readings before this one that broke off.
    #[serde(default)]
    pub(super) broken: usize,
}

/// Members of a list, as the pages of one reading show them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    /// Members that the pages show, each once in a page.
    shown: u64,
    /// Those of them that are not behind all of the pages before.
    again: u64,
    /// The greatest of their ids.
    highest: u64,
    /// A page does not ascend by ids, as HubSpot documents: no order tells who is shown again.
    is_mixed: bool,
    /// The sum of their ids.
    ids: u64,
    /// Entries without a readable id.
    pub(super) odd: u64,
    /// The least and the greatest of HubSpot's numbers.
    pub(super) told: Option<(u64, u64)>,
}

impl Counted {
    pub(super) fn add_page(&mut self, mut ids: Vec<u64>) {
        self.is_mixed |= !ids.is_sorted();
        ids.sort_unstable();
        ids.dedup();
        let before = self.highest;
        for id in ids {
            self.shown += 1;
            self.again += u64::from(id <= before);
            self.highest = self.highest.max(id);
            self.ids = self.ids.wrapping_add(id);
        }
    }

    /// Members; one that two pages show is one, as far as their order tells.
    pub(super) fn members(&self) -> u64 {
        if self.is_mixed { self.shown } else { self.shown - self.again }
    }

    /// `true`: all are readable, and as many as HubSpot says. A number that moved meanwhile explains as much of a
    /// difference.
    pub(super) fn is_whole(&self) -> bool {
        let is_enough = |(least, most): (u64, u64)| self.members() + (most - least) >= least;
        self.odd == 0 && self.told.is_none_or(is_enough) && !self.are_more() && !self.has_moved()
    }

    /// `true`: a member is shown again, and no number says that nobody is left out. HubSpot documents that members come by
    /// their ids, and of its page token nothing: if that is a place in the list, a member who joins meanwhile is
    /// followed by one that is shown again, and one who leaves by one that is not shown.
    fn has_moved(&self) -> bool {
        self.told.is_none() && self.again > 0 && !self.is_mixed
    }

    /// `true`: more than HubSpot says.
    fn are_more(&self) -> bool {
        self.told.is_some_and(|(least, most)| self.members() > most + (most - least))
    }

    /// The difference to HubSpot's number, for people.
    pub(super) fn mismatch(&self) -> String {
        let (members, odd, told) = (self.members(), self.odd, self.told.map_or(0, |(_, most)| most));
        match odd {
            0 if self.has_moved() => {
                format!("HubSpot shows {} members again, and not how many there are", self.again)
            }
            0 => format!("HubSpot says that it has {told} members, and shows {members}"),
            _ => format!("HubSpot shows {odd} of its members without an id"),
        }
    }

    pub(super) fn are_told(&mut self, told: u64) {
        let (least, most) = self.told.unwrap_or((told, told));
        self.told = Some((least.min(told), most.max(told)));
    }

    fn are_same(&self, other: &Counted) -> bool {
        (self.members(), self.ids) == (other.members(), other.ids)
    }
}

/// Readings of a list that are made when what they find does not fit HubSpot's number.
const MAX_READINGS: usize = 3;

/// The end of a reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// Two readings show the same members, more than HubSpot says, or the same ones again: it is the number, or the cut of
    /// the pages, that is taken for wrong.
    Miscounted,
    /// The list is read again, from the start.
    Again,
    InVain,
}

impl Reading {
    /// Ends a reading whose last page is read.
    pub(super) fn end(&mut self) -> End {
        if self.counted.is_whole() {
            return End::Whole;
        }
        let is_same = self.vain.last().is_some_and(|before| before.are_same(&self.counted));
        let is_odd = self.counted.are_more() || self.counted.has_moved();
        if is_same && self.counted.odd == 0 && is_odd {
            return End::Miscounted;
        }
        self.vain.push(self.counted);
        self.again()
    }

    /// Ends a reading that can't go on.
    pub(super) fn break_off(&mut self) -> End {
        self.broken += 1;
        self.again()
    }

    /// Begins anew, unless that was tried often enough.
    fn again(&mut self) -> End {
        if self.vain.len() + self.broken >= MAX_READINGS {
            return End::InVain;
        }
        self.counted = Counted::default();
        self.before_ms = self.version_ms.take().unwrap_or(self.before_ms);
        self.after = None;
        End::Again
    }

    /// The version of the rows of a page that was asked for at this time.
    pub(super) fn version(&mut self, read_ms: i64) -> i64 {
        *self.version_ms.get_or_insert(read_ms.max(self.before_ms.saturating_add(1)))
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        format!("list {} of {}", self.list, self.object)
    }
}

/// State of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// See [`super::ObjectLists`]; 0 where its members could not be read since.
    pub(super) stamp: i64,
    /// The version of its rows: the time at which they were asked for.
    pub(super) read_ms: i64,
}

/// The lists of each object, by its collection.
pub(super) type ListsOfObjects = BTreeMap<String, BTreeMap<u64, Known>>;

/// Lists whose members were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Lists {
    pub(super) lists: ListsOfObjects,
}

impl FeedState for Lists {}

/// A run under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    /// Lists as this run has read them; those that it could not read with a stamp that no list has.
    pub(super) lists: ListsOfObjects,
    /// Lists that are deleted, with the version of the row that says so.
    pub(super) gone: ListsOfObjects,
    /// Lists whose readings are still to be planned.
    pub(super) due: Vec<Reading>,
    #[serde(flatten)]
    pub(super) troubles: Troubles,
}

impl FeedState for Run {}

pub(super) type RunOfLists<'a> = open_feed::RunOf<'a, Run>;

/// The reason that is told of an error.
pub(super) fn reason(error: &Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(members: u64, told: &[u64]) -> Counted {
        let mut counted = Counted::default();
        counted.add_page((1..=members).collect());
        told.iter().for_each(|told| counted.are_told(*told));
        counted
    }

    /// Readings whose last pages are read, one after the other.
    fn ends(readings: &[Counted]) -> Vec<End> {
        let mut reading = Reading::default();
        let end = |counted: &Counted| {
            reading.counted = *counted;
            reading.end()
        };
        readings.iter().map(end).collect()
    }

    #[test]
    fn a_difference_is_explained_by_as_much_change_and_no_more() {
        assert!(counted(5, &[]).is_whole());
        assert!(counted(5, &[5, 5]).is_whole());
        assert!(!counted(4, &[5, 5]).is_whole());
        assert!(counted(4, &[5, 6]).is_whole() && counted(7, &[5, 6]).is_whole());
        assert!(!counted(3, &[5, 6]).is_whole() && !counted(8, &[6, 5]).is_whole());
    }

    #[test]
    fn more_members_than_the_number_twice_the_same_outweigh_it() {
        assert_eq!(ends(&[counted(6, &[5]), counted(6, &[5])]), [End::Again, End::Miscounted]);
        let others = [counted(6, &[5]), counted(7, &[5]), counted(6, &[5])];
        assert_eq!(ends(&others), [End::Again, End::Again, End::InVain]);
    }

    #[test]
    fn fewer_members_than_the_number_are_never_the_list() {
        assert_eq!(ends(&[counted(4, &[5]); 3]), [End::Again, End::Again, End::InVain]);
    }

    #[test]
    fn a_member_without_an_id_leaves_the_list_open() {
        for told in [&[5][..], &[4], &[3], &[]] {
            let odd = Counted { odd: 1, ..counted(4, told) };
            assert_eq!(ends(&[odd; 3]), [End::Again, End::Again, End::InVain], "{told:?}");
        }
    }

    #[test]
    fn a_reading_that_broke_off_confirms_nothing() {
        let mut reading = Reading { before_ms: 90, ..Reading::default() };
        assert_eq!((reading.version(80), reading.version(85)), (91, 91));
        (reading.counted, reading.after) = (counted(6, &[5]), Some("600".to_owned()));
        assert_eq!(reading.break_off(), End::Again);
        assert_eq!((reading.counted, reading.after.as_deref()), (Counted::default(), None));
        assert_eq!(reading.version(80), 92);
        reading.counted = counted(6, &[5]);
        assert_eq!(reading.end(), End::Again);
        assert_eq!(reading.break_off(), End::InVain, "three were made");
    }

    fn paged(pages: &[&[u64]]) -> Counted {
        let mut counted = Counted::default();
        pages.iter().for_each(|page| counted.add_page(page.to_vec()));
        counted
    }

    #[test]
    fn without_a_number_a_member_that_is_shown_again_leaves_the_list_open() {
        let moved = paged(&[&[1, 2, 3], &[3, 5]]);
        assert!(!moved.is_whole(), "pages moved: 4 may be left out");
        assert_eq!(ends(&[moved, paged(&[&[1, 2, 3], &[4, 5]])]), [End::Again, End::Whole]);
        let others = [moved, paged(&[&[1, 2, 3], &[3, 4, 5]]), moved];
        assert_eq!(ends(&others), [End::Again, End::Again, End::InVain]);
        assert!(moved.mismatch().contains("shows 1 members again"), "{}", moved.mismatch());
        // So are its pages cut.
        assert_eq!(ends(&[moved, moved]), [End::Again, End::Miscounted]);
        // Without an order, nothing tells who is shown again.
        assert!(paged(&[&[9, 2, 3], &[1, 4]]).is_whole());
    }

    #[test]
    fn a_member_that_two_pages_show_is_one() {
        let pages = |pages: &[&[u64]], told| {
            let mut counted = Counted::default();
            pages.iter().for_each(|page| counted.add_page(page.to_vec()));
            counted.are_told(told);
            counted
        };
        let doubled = pages(&[&[1, 2, 3], &[3, 5]], 5);
        assert!(doubled.members() == 4 && !doubled.is_whole(), "4 is left out");
        assert!(!pages(&[&[1, 2, 2, 4]], 4).is_whole());
        assert!(pages(&[&[1, 2, 3], &[3, 4]], 4).is_whole());
        // Without an order, only a page tells.
        assert!(pages(&[&[9, 2, 3], &[1, 4]], 5).is_whole());
    }
}
