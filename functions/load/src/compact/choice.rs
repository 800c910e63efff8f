//! The choice of files that become one.
//!
//! Neighbours in the order in which they are merged, of the same columns. A file joins newer ones as long as it is not
//! much larger than all of those together: so a row is written again once each time that the files behind it have grown
//! to the size of its own, and the number of files grows with the logarithm of what was staged.

use chrono::TimeDelta;
use staging::{StagedFile, Table};

/// Files from which on some are worth to become one.
const ENOUGH: usize = 16;
/// Files of more bytes stay as they are.
const LARGE_BYTES: u64 = 64 << 20;
/// Most bytes of files that become one: what a function has room for twice in its temporary folder.
const MOST_BYTES: u64 = 160 << 20;
/// A file joins newer ones of so many times less, and a little.
const RATIO: u64 = 2;
const LITTLE_BYTES: u64 = 256 << 10;

#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) is_whole: bool,
    /// Longest time between the oldest and the newest rows of a file.
    pub(super) most_span: Option<TimeDelta>,
}

/// Neighbours with the same columns.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) files: &'a [StagedFile],
    /// `true`: the next staged file may belong to it.
    pub(super) is_last: bool,
}

impl Choice {
    fn enough(&self) -> usize {
        if self.is_whole { 2 } else { ENOUGH }
    }

    /// `true`: some of a feed's files may become one.
    pub(super) fn is_due(&self, files: &[StagedFile]) -> bool {
        files.iter().filter(|file| self.is_candidate(file)).count() >= self.enough()
    }

    fn is_candidate(&self, file: &StagedFile) -> bool {
        !file.is_expired && (self.is_whole || file.bytes < LARGE_BYTES)
    }

    /// Cuts files, oldest first, where one stands between them that stays: a large one, or one that waits for a load.
    pub(super) fn runs(
        &self,
        files: Vec<StagedFile>,
        is_pending: impl Fn(&StagedFile) -> bool,
    ) -> Vec<Vec<StagedFile>> {
        let mut runs = vec![Vec::new()];
        for file in files {
            match (self.is_candidate(&file) && !is_pending(&file), runs.last_mut()) {
                (true, Some(run)) => run.push(file),
                _ => runs.push(Vec::new()),
            }
        }
        runs.retain(|run| run.len() > 1);
        runs
    }

    /// Chooses the files that become one each, of neighbours with the same columns.
    pub(super) fn groups<'a>(&self, files: &'a [StagedFile], is_last: bool) -> Vec<&'a [StagedFile]> {
        let mut groups = Vec::new();
        let mut end = files.len();
        while end > 0 {
            let start = self.start_of_group(&files[..end]);
            // What a change of columns has closed does not grow to be enough.
            if end - start >= if is_last { self.enough() } else { 2 } {
                groups.push(&files[start..end]);
            }
            end = start;
        }
        groups
    }

    /// Returns the place of the oldest file that joins the newest one.
    fn start_of_group(&self, files: &[StagedFile]) -> usize {
        let Some(newest) = files.last() else { return 0 };
        let mut start = files.len() - 1;
        let mut bytes = newest.bytes;
        while let Some(file) = start.checked_sub(1).and_then(|place| files.get(place)) {
            let is_much_larger = file.bytes > RATIO * bytes + LITTLE_BYTES && !self.is_whole;
            let oldest = file.oldest_staged_at.unwrap_or(file.staged_at);
            let is_too_old = self.most_span.is_some_and(|span| newest.staged_at - oldest > span);
            if is_much_larger || is_too_old || bytes + file.bytes > MOST_BYTES {
                break;
            }
            bytes += file.bytes;
            start -= 1;
        }
        start
    }
}

/// Cuts candidates where their columns change. `tables` are theirs, in their order.
pub(super) fn with_same_columns<'a>(candidates: &'a [StagedFile], tables: &[Table]) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for end in 1..=candidates.len() {
        let is_last = end == candidates.len();
        if is_last || tables.get(end) != tables.get(start) {
            runs.push(Run { files: &candidates[start..end], is_last });
            start = end;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use staging::{Column, ColumnType};

    use super::*;

    const OF_SIZES: Choice = Choice { is_whole: false, most_span: None };

    /// Files of these sizes, a minute apart.
    fn files(bytes: &[u64]) -> Vec<StagedFile> {
        let file = |(n, bytes): (usize, &u64)| StagedFile {
            key: format!("k{n}"),
            collection: "deals".into(),
            run_id: "run".into(),
            rows: 1,
            bytes: *bytes,
            staged_at: DateTime::UNIX_EPOCH + TimeDelta::minutes(n as i64),
            snapshot: None,
            oldest_staged_at: None,
            is_expired: false,
        };
        bytes.iter().enumerate().map(file).collect()
    }

    fn sizes(groups: &[&[StagedFile]]) -> Vec<usize> {
        groups.iter().map(|group| group.len()).collect()
    }

    #[test]
    fn the_number_of_files_stays_small_and_so_does_what_is_written_again() {
        const RUN_BYTES: u64 = 13 << 10;
        let (mut bytes, mut written, mut most) = (Vec::new(), 0, 0);
        for _ in 0..35_000 {
            bytes.push(RUN_BYTES);
            let files = files(&bytes);
            if OF_SIZES.is_due(&files) {
                for group in OF_SIZES.groups(&files, true) {
                    let start = files.iter().position(|file| file == &group[0]).unwrap();
                    let sum = group.iter().map(|file| file.bytes).sum();
                    bytes.splice(start..start + group.len(), [sum]);
                    written += sum;
                }
            }
            most = most.max(bytes.len());
        }
        assert!(most < 40, "{most} files");
        let all: u64 = bytes.iter().sum();
        assert_eq!(all, 35_000 * RUN_BYTES);
        assert!(written < 40 * all, "each row is written {} times", written / all);
    }

    #[test]
    fn a_large_file_waits_until_newer_ones_have_grown() {
        let small = [100_u64 << 10; 20];
        let large = [&[50 << 20][..], &small].concat();
        assert_eq!(sizes(&OF_SIZES.groups(&files(&large), true)), [20]);
        let enough = [&[50 << 20][..], &[26 << 20], &small].concat();
        assert_eq!(sizes(&OF_SIZES.groups(&files(&enough), true)), [20]);
        assert_eq!(sizes(&OF_SIZES.groups(&files(&small[..15]), true)), Vec::<usize>::new());
        // Those of older columns get no more.
        assert_eq!(sizes(&OF_SIZES.groups(&files(&small[..3]), false)), [3]);
        let whole = Choice { is_whole: true, ..OF_SIZES };
        assert_eq!(sizes(&whole.groups(&files(&[100 << 20, 50 << 20, 20 << 20, 1]), true)), [3]);
    }

    #[test]
    fn a_file_that_stays_divides_its_neighbours() {
        let mut all = files(&[1, 1, 1, 80 << 20, 1, 1, 1]);
        let runs = |files: &[StagedFile], pending: &str| {
            let runs = OF_SIZES.runs(files.to_vec(), |file| file.key == pending);
            runs.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(runs(&all, "none"), [3, 3]);
        assert_eq!(runs(&all, "k2"), [2, 3]);
        all[1].is_expired = true;
        assert_eq!(runs(&all, "none"), [3]);
    }

    #[test]
    fn rows_that_are_far_apart_in_time_stay_apart() {
        let day = Choice { is_whole: true, most_span: Some(TimeDelta::minutes(4)) };
        let mut all = files(&[1; 10]);
        assert_eq!(sizes(&day.groups(&all, true)), [5, 5]);
        all[7].oldest_staged_at = Some(DateTime::UNIX_EPOCH);
        assert_eq!(sizes(&day.groups(&all, true)), [2, 5, 3]);
    }

    #[test]
    fn columns_that_change_divide_neighbours() {
        let table = |name: &str| {
            Table::new(
                "deals",
                &["id"],
                vec![Column::new("id", ColumnType::BigInt), Column::new(name, ColumnType::Text)],
            )
            .unwrap()
        };
        let all = files(&[1; 5]);
        let tables = ["a", "a", "b", "a", "a"].map(table);
        let runs = with_same_columns(&all, &tables);
        let lengths: Vec<(usize, bool)> = runs.iter().map(|run| (run.files.len(), run.is_last)).collect();
        assert_eq!(lengths, [(2, false), (1, false), (2, true)]);
    }
}
