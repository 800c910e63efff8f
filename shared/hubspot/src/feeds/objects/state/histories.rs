//! The past of properties, in a run and between two: which of it is read, and whether there may be rows of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::feeds::unfinished::Unfinished;

/// What is known of the past of one property.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct HistoryMemory {
    /// That of all records is read, but for what changes after the last run.
    pub(in crate::feeds::objects) is_read: bool,
    /// A value was seen.
    pub(in crate::feeds::objects) is_seen: bool,
    /// A run began, and has not ended.
    pub(in crate::feeds::objects) has_begun: bool,
    /// Records with a value and without a past were met, since everything was read the last time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::feeds::objects) is_lacking: bool,
}

/// What a run has found out about the past of one property.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct HistoryRun {
    /// Rows of earlier runs may be there.
    pub(in crate::feeds::objects) had_rows: bool,
    pub(in crate::feeds::objects) is_seen: bool,
    /// It came on the list, or went, when the run was under way.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::feeds::objects) is_late: bool,
    /// Two answers have shown a value of a record, and no past.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::feeds::objects) is_lacking: bool,
}

/// By property.
pub(in crate::feeds) type Histories = BTreeMap<String, HistoryMemory>;
pub(in crate::feeds) type HistoryRuns = BTreeMap<String, HistoryRun>;

/// Remembers that a run begins. Should it be given up, nobody knows what it has seen.
pub(in crate::feeds::objects) fn begin(known: &mut Histories, read: &[String]) -> HistoryRuns {
    let begin = |property: &String| {
        let known = known.entry(property.clone()).or_default();
        known.is_seen |= known.has_begun;
        known.has_begun = true;
        (property.clone(), HistoryRun { had_rows: known.is_seen, ..HistoryRun::default() })
    };
    read.iter().map(begin).collect()
}

/// Keeps what a run that has ended knows of the properties that it has read from its beginning on. Of the others, the
/// past of what it has read is not read.
pub(in crate::feeds::objects) fn keep(known: &mut Histories, run: &Unfinished, read: HistoryRuns) {
    // No later run meets its records again.
    let is_last = run.moves_watermark || run.answers.is_some();
    for (property, known) in known.iter_mut().filter(|_| is_last) {
        known.is_read &= read.get(property).is_some_and(|read| !read.is_late);
    }
    for (property, read) in read {
        let known = known.entry(property).or_default();
        known.is_seen |= read.is_seen;
        known.has_begun = false;
        let is_whole = run.moves_watermark && run.is_whole && !read.is_late;
        known.is_read |= is_whole;
        known.is_lacking = read.is_lacking || (known.is_lacking && !is_whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::unfinished::Mode;

    #[test]
    fn what_was_seen_is_remembered_and_a_run_that_was_given_up_may_have_seen_it() {
        let mut known = Histories::new();
        let listed = ["amount".to_owned()];
        let end = |known: &mut Histories, runs: HistoryRuns, is_whole: bool| {
            let mut run = Unfinished::new(Mode::Incremental, 7_000, 0);
            (run.is_whole, run.moves_watermark) = (is_whole, true);
            keep(known, &run, runs);
        };
        let runs = begin(&mut known, &listed);
        assert_eq!(runs["amount"], HistoryRun::default());
        end(&mut known, runs, true);
        assert_eq!(known["amount"], HistoryMemory { is_read: true, ..HistoryMemory::default() });
        let mut runs = begin(&mut known, &listed);
        assert!(!runs["amount"].had_rows);
        runs.get_mut("amount").unwrap().is_seen = true;
        end(&mut known, runs, false);
        assert!(begin(&mut known, &listed)["amount"].had_rows);

        let mut known = Histories::new();
        begin(&mut known, &listed);
        assert!(begin(&mut known, &listed)["amount"].had_rows, "the first run was given up");
        let mut runs = begin(&mut known, &listed);
        runs.get_mut("amount").unwrap().is_lacking = true;
        end(&mut known, runs, true);
        let runs = begin(&mut known, &listed);
        end(&mut known, runs, false);
        assert!(known["amount"].is_lacking, "the later run has not met its records");
        let runs = begin(&mut known, &listed);
        end(&mut known, runs, true);
        assert!(!known["amount"].is_lacking);
        known.get_mut("amount").unwrap().is_read = false;
        // Of a run over changes alone nothing is known of older records.
        let runs = begin(&mut known, &listed);
        end(&mut known, runs, false);
        assert!(!known["amount"].is_read);
    }
}
