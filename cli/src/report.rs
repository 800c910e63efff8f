//! The report of a sync, as one JSON object or as text.

mod metrics;
mod text;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use extract::{ApiUsage, End, Outcome, Quarantined};
use hubspot::Budget;
use hubspot::feeds::Mode;
use load::{ForgetReport, Loaded, Reconciled};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::adopt::Adopted;
use crate::print::WIDTH;
use crate::usage::Usage;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) run_id: String,
    pub(crate) collections: BTreeMap<String, CollectionReport>,
    /// Collections that nobody named, and that the account or the credential does not have, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unavailable: BTreeMap<&'static str, String>,
    /// Tables of Segment's in the schema, if they are adopted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) adopted: BTreeMap<String, Adopted>,
    /// Contacts that HubSpot shows nowhere any more, and who are forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forgotten: Option<ForgetReport>,
    /// Why they are not; the next sync goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_forgotten: Option<String>,
    pub(crate) api: BTreeMap<&'static str, ApiUsage>,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_memory_bytes: u64,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct CollectionReport {
    /// The run's mode; `null` when it ended before it chose one.
    pub(crate) mode: Option<&'static str>,
    #[serde(flatten, serialize_with = "end_and_reason")]
    pub(crate) outcome: Outcome,
    /// Columns that are missing or filled from another source, with the reason. A collection may be complete and
    /// degraded.
    pub(crate) degraded: Vec<String>,
    /// Rows staged, tombstones included.
    pub(crate) rows: u64,
    /// Tombstones among the staged rows.
    pub(crate) deleted: u64,
    /// Rows inserted or updated in the warehouse; also those staged by earlier runs that were not merged yet.
    pub(crate) merged_rows: u64,
    /// Costs of the merge: files, their bytes, statements that changed the warehouse, seconds.
    pub(crate) merged_files: u64,
    pub(crate) merged_bytes: u64,
    pub(crate) statements: u64,
    pub(crate) merge_seconds: f64,
    pub(crate) unparsed_values: u64,
    /// Rows of forgotten persons, which were not staged.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) forgotten: u64,
    /// Records in ranges where HubSpot's own count is no higher than the number read.
    pub(crate) counted: u64,
    /// Comparisons of the table with HubSpot's records, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reconciled: Vec<Reconciled>,
    /// Files and bytes staged.
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Quarantined things: the table lacks them, or holds their old rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) quarantined_count: u64,
}

impl CollectionReport {
    /// Makes the report of a collection that was read before, and that the account does not show any more.
    pub(crate) fn of_missed(name: &str) -> CollectionReport {
        let reason = extract::missed_text(&format!("--without {name}"));
        CollectionReport { outcome: Outcome::Skipped(reason), ..CollectionReport::default() }
    }

    pub(crate) fn new(
        mode: Option<Mode>,
        staged: &extract::CollectionReport,
        loaded: anyhow::Result<Loaded>,
        merging: Duration,
    ) -> CollectionReport {
        let outcome = match &loaded {
            Ok(_) => staged.outcome.clone(),
            Err(error) => also_failed(&staged.outcome, &format!("{error:#}")),
        };
        let loaded = loaded.unwrap_or_default();
        CollectionReport {
            mode: mode.map(Mode::name),
            outcome,
            degraded: [staged.degraded.as_slice(), &loaded.degraded].concat(),
            rows: staged.rows,
            deleted: staged.deleted,
            merged_rows: loaded.merged_rows,
            merged_files: loaded.files,
            merged_bytes: loaded.bytes,
            statements: loaded.statements_that_write,
            merge_seconds: merging.as_secs_f64(),
            unparsed_values: staged.unparsed_values,
            forgotten: staged.forgotten,
            counted: staged.counted,
            reconciled: Vec::new(),
            files: staged.files,
            bytes: staged.bytes,
            quarantined: staged.quarantined.clone(),
            quarantined_count: staged.quarantined_count,
        }
    }
}

impl CollectionReport {
    /// Adds the report of a later run in the same sync.
    pub(crate) fn absorb(&mut self, later: CollectionReport) {
        // A later run asks again for what was set aside: it knows best.
        if later.outcome.end() > self.outcome.end() || self.outcome.end() == End::Incomplete {
            self.outcome = later.outcome;
        }
        for text in later.degraded {
            if !self.degraded.contains(&text) {
                self.degraded.push(text);
            }
        }
        self.rows += later.rows;
        self.deleted += later.deleted;
        self.merged_rows += later.merged_rows;
        self.merged_files += later.merged_files;
        self.merged_bytes += later.merged_bytes;
        self.statements += later.statements;
        self.merge_seconds += later.merge_seconds;
        self.unparsed_values += later.unparsed_values;
        self.forgotten += later.forgotten;
        self.counted += later.counted;
        self.reconciled.extend(later.reconciled);
        self.files += later.files;
        self.bytes += later.bytes;
        // The later run knows best.
        (self.quarantined, self.quarantined_count) = (later.quarantined, later.quarantined_count);
    }

    /// Adds the report of another feed that fills the same collection.
    pub(crate) fn join(&mut self, mut other: CollectionReport) {
        let is_worse = other.outcome.end() > self.outcome.end();
        let outcome = if is_worse { other.outcome.clone() } else { self.outcome.clone() };
        let mode = self.mode.or(other.mode);
        other.quarantined.splice(0..0, std::mem::take(&mut self.quarantined));
        other.quarantined_count += self.quarantined_count;
        self.absorb(other);
        (self.mode, self.outcome) = (mode, outcome);
    }

    /// Adds the costs and the outcome of a merge.
    pub(crate) fn add_merge(&mut self, loaded: anyhow::Result<Loaded>, merging: Duration) {
        if let Err(error) = &loaded {
            self.outcome = also_failed(&self.outcome, &format!("{error:#}"));
        }
        let loaded = loaded.unwrap_or_default();
        self.degraded.extend(loaded.degraded);
        self.merged_rows += loaded.merged_rows;
        self.merged_files += loaded.files;
        self.merged_bytes += loaded.bytes;
        self.statements += loaded.statements_that_write;
        self.merge_seconds += merging.as_secs_f64();
    }

    /// Notes that the table's snapshot, or its comparison, did not finish.
    pub(crate) fn is_not_reconciled(&mut self, outcome: &Outcome) {
        if outcome.end() > self.outcome.end() {
            self.outcome = outcome.clone();
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Writes the outcome as two fields of the report.
fn end_and_reason<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_map(Some(2))?;
    fields.serialize_entry("outcome", &outcome.end())?;
    fields.serialize_entry("reason", &outcome.reason())?;
    fields.end()
}

fn also_failed(outcome: &Outcome, reason: &str) -> Outcome {
    match outcome.reason() {
        Some(before) => Outcome::Failed(format!("{before}; {reason}")),
        None => Outcome::Failed(reason.to_owned()),
    }
}

impl Report {
    pub(crate) fn new(
        run_id: String,
        collections: BTreeMap<String, CollectionReport>,
        unavailable: BTreeMap<&'static str, String>,
        budget: &Budget,
        elapsed: Duration,
    ) -> Report {
        let usage = Usage::of_process();
        Report {
            run_id,
            collections,
            unavailable,
            adopted: BTreeMap::new(),
            forgotten: None,
            not_forgotten: None,
            api: ApiUsage::of(budget),
            seconds: elapsed.as_secs_f64(),
            cpu_seconds: usage.cpu_seconds,
            peak_memory_bytes: usage.peak_memory_bytes,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.collections.values().all(|collection| collection.outcome == Outcome::Complete)
    }

    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Style of all tables: a rule below the header, and no other one.
const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Makes a table in the style of all commands: as wide as the terminal, and in a pipe as the narrowest one.
pub(crate) fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    if !std::io::stdout().is_terminal() {
        table.set_width(WIDTH as u16);
    }
    table.load_style(PLAIN);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}

pub(crate) fn number(number: u64) -> Cell {
    Cell::new(indicatif::HumanCount(number)).set_alignment(CellAlignment::Right)
}
