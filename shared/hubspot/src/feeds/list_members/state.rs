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
    /// What readings before this one have found that did not fit HubSpot's number.
    #[serde(default)]
    pub(super) vain: Vec<Counted>,
}

/// Members of a list, as the pages of one reading show them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) members: u64,
    /// The sum of their ids.
    pub(super) ids: u64,
    /// The least and the greatest of HubSpot's numbers.
    pub(super) told: Option<(u64, u64)>,
}

impl Counted {
    /// `true`: as many as HubSpot says. A number that moved meanwhile explains as much of a difference.
    pub(super) fn is_whole(&self) -> bool {
        self.told.is_none_or(|(least, most)| {
            let moved = most - least;
            self.members + moved >= least && self.members <= most + moved
        })
    }

    pub(super) fn are_told(&mut self, told: u64) {
        let (least, most) = self.told.unwrap_or((told, told));
        self.told = Some((least.min(told), most.max(told)));
    }

    fn are_same(&self, other: &Counted) -> bool {
        (self.members, self.ids) == (other.members, other.ids)
    }
}

/// Readings of a list that are made when what they find does not fit HubSpot's number.
const MAX_READINGS: usize = 3;

/// The end of a reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// Two readings agree with each other and not with HubSpot's number: it is the number that is taken for wrong.
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
        if self.vain.last().is_some_and(|before| before.are_same(&self.counted)) {
            return End::Miscounted;
        }
        self.again()
    }

    /// Begins anew, unless that was tried often enough.
    pub(super) fn again(&mut self) -> End {
        if self.vain.len() + 1 >= MAX_READINGS {
            return End::InVain;
        }
        self.vain.push(std::mem::take(&mut self.counted));
        self.before_ms = self.version_ms.take().unwrap_or(self.before_ms);
        self.after = None;
        End::Again
    }

    /// The version of the rows of a page that was read at this time.
    pub(super) fn version(&mut self, read_ms: i64) -> i64 {
        *self.version_ms.get_or_insert(read_ms.max(self.before_ms.saturating_add(1)))
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        format!("list {} of {}", self.list, self.object)
    }
}

/// What a list was like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// See [`super::ObjectLists`]; 0 where its members could not be read since.
    pub(super) stamp: i64,
    /// The version of its rows: when they were read.
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
        let mut counted = Counted { members, ids: members, told: None };
        told.iter().for_each(|told| counted.are_told(*told));
        counted
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
    fn a_reading_that_does_not_fit_is_made_again_and_twice_the_same_outweighs_the_number() {
        let mut reading = Reading { before_ms: 90, ..Reading::default() };
        assert_eq!((reading.version(80), reading.version(85)), (91, 91));
        reading.counted = counted(4, &[5]);
        assert_eq!(reading.end(), End::Again);
        assert_eq!(reading.version(80), 92);
        let mut same = reading.clone();
        same.counted = counted(4, &[5]);
        assert_eq!(same.end(), End::Miscounted);
        reading.counted = counted(3, &[5]);
        assert_eq!(reading.end(), End::Again);
        reading.counted = counted(4, &[5]);
        assert_eq!(reading.end(), End::InVain);
    }
}
