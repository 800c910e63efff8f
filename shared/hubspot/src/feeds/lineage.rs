//! The columns that every row has, whatever its collection: where it comes from, whether it is deleted, and what of it
//! did not fit.

use staging::{
    Cell, ColumnType, DELETED_AT, DELETED_REASON, FILE, IS_DELETED, READ_AT, RECEIVED_AT, REMOVED, RUN_ID,
    Rows, SOURCE_UPDATED_AT, UNPARSED,
};

/// JSON object of what HubSpot sent beside what the columns are for.
pub(super) const EXTRA: &str = "_extra";

/// Name, type, and what the dictionary says of it.
pub(super) type Line = (&'static str, ColumnType, &'static str);

pub(super) const LINEAGE: [Line; 6] = [
    (
        SOURCE_UPDATED_AT,
        ColumnType::Timestamp,
        "when HubSpot changed it; the first half of the row's version",
    ),
    (READ_AT, ColumnType::Timestamp, "when we asked HubSpot for it; the second half of the row's version"),
    (RECEIVED_AT, ColumnType::Timestamp, "the same, under the name Segment gave it"),
    (RUN_ID, ColumnType::Text, "the run that read it; run ids sort by time"),
    (FILE, ColumnType::Text, "the staged file it came with: `file_key` in `_loaded_files`"),
    (
        UNPARSED,
        ColumnType::Json,
        "values that their column can't hold, as HubSpot sent them: a JSON object by column; NULL where there are none",
    ),
];

pub(super) const DELETES: [Line; 3] = [
    (IS_DELETED, ColumnType::Boolean, "true for what is gone from HubSpot"),
    (DELETED_AT, ColumnType::Timestamp, "when it was deleted, where HubSpot tells"),
    (
        DELETED_REASON,
        ColumnType::Text,
        "`archived` (in the recycle bin), `merged` (into another record), `removed` (HubSpot does not show it any more)",
    ),
];

pub(super) const REST: Line = (
    EXTRA,
    ColumnType::Json,
    "what HubSpot sends beside these columns: a JSON object; NULL where there is nothing",
);

/// Why a row is a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeletedReason {
    /// In HubSpot's recycle bin; can be restored for 90 days.
    Archived,
    /// Merged into another record.
    Merged,
    /// HubSpot does not show it any more, and says no more than that.
    Removed,
}

impl DeletedReason {
    fn name(self) -> &'static str {
        match self {
            DeletedReason::Archived => "archived",
            DeletedReason::Merged => "merged",
            DeletedReason::Removed => REMOVED,
        }
    }
}

/// Changes that are further ahead of HubSpot's clock were not made at that time.
const MAX_AHEAD_MS: i64 = 24 * 3_600_000;

/// Values that the rows of one page have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) account_id: u64,
    pub(super) run_id: &'a str,
    /// When the page was asked for, by our clock: it only orders reads of the same version, and all reads are ours.
    pub(super) read_ms: i64,
    /// The same by HubSpot's clock.
    pub(super) theirs_ms: i64,
}

impl Reading<'_> {
    /// The time of a change that HubSpot tells; of one that is yet to come, the time at which it was read: else it would
    /// outlast every later change.
    pub(super) fn no_later(&self, told_ms: i64) -> i64 {
        match told_ms > self.theirs_ms.saturating_add(MAX_AHEAD_MS) {
            true => self.theirs_ms,
            false => told_ms,
        }
    }
}

/// The places of these columns in a table.
#[derive(Debug)]
pub(super) struct Lineage {
    source_updated_at: usize,
    read_at: usize,
    received_at: usize,
    run_id: usize,
    unparsed: usize,
}

impl Lineage {
    /// `add` puts a column into the table and says where.
    pub(super) fn new(mut add: impl FnMut(&'static str, ColumnType) -> usize) -> Lineage {
        // The writer fills the file's column.
        let [source_updated_at, read_at, received_at, run_id, _, unparsed] =
            LINEAGE.map(|(name, column_type, _)| add(name, column_type));
        Lineage { source_updated_at, read_at, received_at, run_id, unparsed }
    }

    /// Fills them in the open row and ends it. `updated_ms` is NULL where HubSpot does not tell.
    pub(super) fn finish(
        &self,
        rows: &mut Rows,
        reading: &Reading<'_>,
        updated_ms: Option<i64>,
        unparsed: &mut JsonFields,
    ) {
        if let Some(updated_ms) = updated_ms {
            set(rows.cell(self.source_updated_at), |cell| cell.timestamp(updated_ms));
        }
        set(rows.cell(self.read_at), |cell| cell.timestamp(reading.read_ms));
        set(rows.cell(self.received_at), |cell| cell.timestamp(reading.read_ms));
        set(rows.cell(self.run_id), |cell| cell.text(reading.run_id));
        unparsed.put(rows, self.unparsed);
        rows.finish_row();
    }
}

/// The places of the columns of a tombstone.
#[derive(Debug)]
pub(super) struct Deletes {
    is_deleted: usize,
    deleted_at: usize,
    deleted_reason: usize,
}

impl Deletes {
    pub(super) fn new(mut add: impl FnMut(&'static str, ColumnType) -> usize) -> Deletes {
        let [is_deleted, deleted_at, deleted_reason] =
            DELETES.map(|(name, column_type, _)| add(name, column_type));
        Deletes { is_deleted, deleted_at, deleted_reason }
    }

    pub(super) fn is_live(&self, rows: &mut Rows) {
        set(rows.cell(self.is_deleted), |cell| cell.boolean(false));
    }

    pub(super) fn is_gone(&self, rows: &mut Rows, reason: DeletedReason, at_ms: Option<i64>) {
        set(rows.cell(self.is_deleted), |cell| cell.boolean(true));
        set(rows.cell(self.deleted_reason), |cell| cell.text(reason.name()));
        if let Some(at_ms) = at_ms {
            set(rows.cell(self.deleted_at), |cell| cell.timestamp(at_ms));
        }
    }
}

/// A JSON object in the making, for one cell; NULL where it has no field.
#[derive(Debug, Default)]
pub(super) struct JsonFields(String);

impl JsonFields {
    /// `name` is quoted already.
    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        self.add_raw(name, &serde_json::Value::from(text).to_string());
    }

    /// `name` is quoted already, `json` is a JSON value.
    pub(super) fn add_raw(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(name);
        self.0.push(':');
        self.0.push_str(json);
    }

    /// Puts the object into the column's cell of the open row, and starts again.
    pub(super) fn put(&mut self, rows: &mut Rows, column: usize) {
        if !self.0.is_empty() {
            self.0.push('}');
            set(rows.cell(column), |cell| cell.text(&self.0));
            self.0.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Sets a cell unless it has a value: the first of a repeated key wins.
pub(super) fn set(cell: Option<Cell<'_>>, value: impl FnOnce(Cell<'_>)) {
    if let Some(cell) = cell {
        value(cell);
    }
}
