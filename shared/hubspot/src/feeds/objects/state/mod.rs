//! State of a feed of records: in a run, and between two of them.

pub(super) mod histories;
pub(super) mod live_count;
pub(super) mod merge;
pub(super) mod owners;
pub(super) mod pairs;
pub(super) mod read_ranges;
pub(super) mod seen;
pub(super) mod slice;

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use self::histories::{Histories, HistoryRuns};
use self::live_count::LiveCount;
use self::merge::Merge;
use self::owners::ColumnOwners;
use self::pairs::{PairMemory, PairRuns};
use self::read_ranges::ReadRange;
use self::seen::{ArchivedIds, Hashes};
use self::slice::Slice;
use crate::error::Result;
use crate::feeds::cursor::Cursor;
use crate::feeds::full_refresh::Known;
use crate::feeds::open_feed::{CursorOf, Planned, RunOf};
use crate::feeds::own::{FeedState, Taken};

/// Progress of a run beside its slices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct RecordRun {
    /// Slices that must not begin before the others are done.
    pub(super) then: Vec<Slice>,
    /// The archived records that their list has shown so far.
    pub(super) archived: ArchivedIds,
    /// The live records of the moment when the run was planned.
    pub(super) live_count: Option<LiveCount>,
    /// The records that left the list of archived ones are known, and among the slices.
    pub(super) is_archive_compared: bool,
    /// Records that one of several sources did not show: to be read again when the slice is done.
    pub(in crate::feeds) again: Vec<u64>,
    /// Records that are named as merged, and not yet asked for.
    pub(in crate::feeds) merges: Vec<Merge>,
    /// Stretches of ids that were read and not yet counted.
    #[serde(rename = "stretches")]
    pub(super) read_ranges: Vec<ReadRange>,
    /// The names of the properties that are read, as hashes.
    pub(super) properties: Option<Hashes>,
    /// The number of them that answers name: see [`RecordMemory::named_properties`].
    pub(super) named_properties: Option<usize>,
    /// Objects whose associations with the records are read.
    #[serde(skip_serializing_if = "PairRuns::is_empty")]
    pub(super) pairs: PairRuns,
    /// The definitions of properties whose rows the run has written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) definitions: Option<Known>,
    /// Properties whose past is read.
    #[serde(skip_serializing_if = "HistoryRuns::is_empty")]
    pub(super) histories: HistoryRuns,
}

/// Knowledge that one run leaves to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct RecordMemory {
    pub(super) archived: ArchivedIds,
    /// The live records of the last run: as long as they are as many, a long list of archived ones need not be read.
    pub(super) live_count: Option<LiveCount>,
    /// The list endpoint does not take ids as positions on this account.
    pub(super) is_sequential: bool,
    /// Nor does its list of archived records.
    pub(super) is_archive_sequential: bool,
    /// The names of the properties whose values are read, as hashes: one that is new has values of before. `None` until a
    /// run has read any.
    pub(super) properties: Option<Hashes>,
    /// Those that were read before and are defined no more, as hashes: one that is made again has a column with values of
    /// before, until all records are read once more.
    pub(super) gone_properties: Hashes,
    /// The number of these properties that HubSpot's answers name, if only as `null`: a record that names fewer is shown
    /// in part. `None` where no answer has named an empty one.
    pub(super) named_properties: Option<usize>,
    /// The column of each property that was ever read.
    pub(super) columns: ColumnOwners,
    /// Classes of sensitive properties that the credential may see; `None` before anybody asked. Each backfill asks
    /// again.
    pub(super) sensitive: Option<Vec<String>>,
    /// Those of them without a property, and when that was seen.
    pub(super) empty_classes: BTreeMap<String, i64>,
    /// By the collection at the other end, what is known of the associations with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) pairs: BTreeMap<String, PairMemory>,
    /// The definitions of properties that are in their tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) definitions: Option<Known>,
    /// By property, what is known of its past.
    #[serde(skip_serializing_if = "Histories::is_empty")]
    pub(super) histories: Histories,
}

impl FeedState for RecordRun {
    fn width(&self) -> u64 {
        self.then.iter().map(Slice::width).fold(0, u64::saturating_add)
    }
}

impl FeedState for RecordMemory {}

impl RecordMemory {
    /// Takes in what a run has learnt that has ended.
    pub(in crate::feeds) fn keep(&mut self, run: &mut RunOfRecords<'_>) {
        let is_other = run.own.properties.is_some() && run.own.properties != self.properties;
        self.named_properties = run.own.named_properties.or(self.named_properties.filter(|_| !is_other));
        if let Some(read) = &run.own.properties {
            let gone = self.properties.iter().flat_map(|known| known.0.difference(&read.0));
            self.gone_properties.0.extend(gone);
            self.gone_properties.0.retain(|property| !run.is_whole || !read.0.contains(property));
        }
        self.keep_pairs(run);
        let histories = std::mem::take(&mut run.own.histories);
        histories::keep(&mut self.histories, run, histories);
        self.definitions = run.own.definitions.take().or(self.definitions.take());
        self.properties = run.own.properties.take().or(self.properties.take());
        self.archived = std::mem::take(&mut run.own.archived);
        self.live_count = run.own.live_count.take().or(self.live_count.take());
    }

    /// Takes in which links another cursor of the feed has seen, and its runs under way.
    pub(in crate::feeds) fn learn(&mut self, other: &RecordMemory, under_way: &[PairRuns]) {
        for other in pairs::used(&other.pairs, under_way) {
            self.pairs.entry(other.clone()).or_default().is_used = true;
        }
    }

    /// Keeps the pairs in which a snapshot has seen links.
    pub(in crate::feeds) fn keep_of_snapshot(&mut self, run: &mut RunOfRecords<'_>) {
        self.keep_pairs(run);
    }

    fn keep_pairs(&mut self, run: &mut RunOfRecords<'_>) {
        let pairs = std::mem::take(&mut run.own.pairs);
        pairs::keep(&mut self.pairs, run, pairs);
    }

    /// Takes over what the feed's own cursor knows of the account, for that of its snapshots.
    pub(in crate::feeds) fn share(&mut self, of_feed: &RecordMemory, under_way: &[PairRuns]) {
        self.sensitive.clone_from(&of_feed.sensitive);
        self.empty_classes.clone_from(&of_feed.empty_classes);
        self.columns.clone_from(&of_feed.columns);
        self.is_sequential |= of_feed.is_sequential;
        for (other, of_feed) in &of_feed.pairs {
            let known = self.pairs.entry(other.clone()).or_default();
            let (is_used, has_begun) = (known.is_used, known.has_begun);
            *known = PairMemory { is_used, has_begun, ..of_feed.clone() };
        }
        self.learn(of_feed, under_way);
    }
}

/// A cursor of a feed of records, and its runs: one that is planned, and one under way.
pub(in crate::feeds) type RecordCursor<'a> = CursorOf<'a, RecordMemory>;
pub(super) type PlannedRecords = Planned<Slice, RecordRun>;
pub(in crate::feeds) type RunOfRecords<'a> = RunOf<'a, RecordRun>;

impl Slice {
    /// Begins anew, from the top.
    pub(super) fn restart(&mut self, run: &mut RunOfRecords<'_>) {
        let is_range = self.is_range();
        if let Slice::Listed { after, .. } | Slice::Reread { after, .. } = self {
            *after = None;
        }
        match self {
            Slice::Reread { rows, .. } => *rows = 0,
            // A list that does not go by id is counted as one.
            Slice::Listed { archived: false, .. } if !is_range => {
                run.own.read_ranges.retain(|range| range.below.is_some());
            }
            _ => {}
        }
    }

    /// Remembers what a page of a list has read, until it is counted. The page began at the id `begins_at`; `unlisted`
    /// records are there and not shown.
    pub(super) fn count_rows(
        &mut self,
        begins_at: u64,
        ids: &HashSet<u64>,
        unlisted: u64,
        is_last: bool,
        run: &mut RunOfRecords<'_>,
    ) {
        let (is_range, position) = (self.is_range(), self.position());
        let rows = ids.len() as u64 + unlisted;
        match self {
            Slice::Listed { archived: false, below, .. } => {
                let behind_last = ids.iter().max().map(|last| last + 1);
                let reached = match (is_range, is_last) {
                    (false, _) => None,
                    (true, false) => Some(position),
                    // The list ended: of an open range, behind the last id.
                    (true, true) => below.or(behind_last).or(Some(begins_at)),
                };
                if reached != Some(begins_at) {
                    read_ranges::extend(&mut run.own.read_ranges, begins_at, reached, rows);
                }
            }
            Slice::Reread { from, below, rows: before, .. } => {
                *before += rows;
                if is_last {
                    let (from, below, rows) = (*from, *below, *before);
                    run.own.then.push(Slice::Count { from, below, rows, is_second: true });
                }
            }
            _ => {}
        }
    }
}

/// What the runs under way of a cursor have found out about associations.
pub(in crate::feeds) fn under_way<R: FeedState + Default>(
    cursor: &mut Cursor,
    records: impl Fn(&R) -> &RecordRun,
) -> Result<Vec<PairRuns>> {
    let runs = cursor.run.iter_mut().chain(cursor.paused.as_deref_mut());
    runs.map(|run| Ok(records(Taken::of(run)?.with().own).pairs.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::unfinished::{Mode, Unfinished};

    /// As the version before formats wrote them: every kind of slice, and every field.
    const RUN: &str = r#"{
        "then": [
            {"kind":"listed","archived":true,"from":9,"below":null,"after":"12","top":20},
            {"kind":"changed","since_ms":1,"until_ms":2,"from":3,"below":4,
             "walk":{"told":5,"shown":6,"before":1,"odd":{"last":[7,8],"range":[9,null]}}},
            {"kind":"found","ids":[9]},
            {"kind":"having","property":"tier","from":4},
            {"kind":"named","ids":[7]},
            {"kind":"left","ids":[8]},
            {"kind":"wanted","records":"BxA"},
            {"kind":"merged","merges":[{"id":3,"survivor":4,"updated_ms":5,"archived_ms":null,"read_ms":6,
             "is_shown":true,"is_second":false}]},
            {"kind":"again","from":1,"below":null,"after":null,"rows":2},
            {"kind":"counted","from":1,"below":9,"rows":2,"is_second":true},
            {"kind":"recounted","window":[1,2],"from":1,"below":null},
            {"kind":"halved","halves":[[[1,2],[3,4]]]}
        ],
        "archived":"////////////AQ",
        "live_count":{"at_ms":1,"settled":2,"young":3,"halves":{"made_before_ms":4,"counts":[[[[1,2]],5]]},
         "archive_read_ms":6,"used_ms":7},
        "is_archive_compared":true,"again":[4],"merges":[],"stretches":[{"from":1,"below":9,"rows":3}],
        "properties":"AQAAAAAAAAA","named_properties":5}"#;

    #[test]
    fn what_was_written_before_formats_is_read_and_written_as_it_was() {
        let before: serde_json::Value = serde_json::from_str(RUN).unwrap();
        let run: RecordRun = serde_json::from_str(RUN).unwrap();
        assert_eq!((run.then.len(), run.read_ranges.len(), run.again.len()), (12, 1, 1));
        assert_eq!(serde_json::to_value(run).unwrap(), before);
    }

    #[test]
    fn a_property_that_went_is_remembered_until_all_is_read_with_it() {
        let mut memory = RecordMemory::default();
        let mut gone = |mode, properties: &[u64]| {
            let mut run = Unfinished::new(mode, 1_000, 0);
            run.is_whole = mode == Mode::Backfill;
            let properties = Some(Hashes(properties.iter().copied().collect()));
            let mut own = RecordRun { properties, ..RecordRun::default() };
            memory.keep(&mut RunOfRecords::new(&mut run, &mut own));
            memory.gone_properties.0.contains(&2)
        };
        assert!(!gone(Mode::Backfill, &[1, 2]));
        assert!(gone(Mode::Incremental, &[1]));
        assert!(gone(Mode::Incremental, &[1, 2]));
        assert!(!gone(Mode::Backfill, &[1, 2]));
    }
}
