//! The statements that add staged reads to a history. Narrow scratch tables of keys, times and hashes come first; whole
//! rows are read only of what is added.
//!
//! All reads of a key are put in order: those that are staged, and of each run that the history holds its first and
//! its last one. The runs of equal reads among them are what the history holds afterwards. So what is known already
//! writes nothing, and what arrives late finds its place.

use staging::ColumnType;

use super::{History, VersionColumns};
use crate::columns::{GroupColumns, or_first};
use crate::dialect::quote_identifier;
use crate::hard_delete::HardDelete;
use crate::statement::Statement;
use crate::table::{TableColumn, folded};

/// Kinds of what is put in order: a row of the history, the end of its run, and a staged row.
const ROW: u8 = 0;
const END: u8 = 1;
const STAGED: u8 = 2;

/// Alias of the staged rows.
const STAGED_ROWS: &str = "s";

/// The staged rows of a group, as an engine reads them.
#[derive(Debug)]
pub(crate) struct StagedRows<'a> {
    /// Reads all their columns, as `s`.
    pub(crate) all: &'a str,
    /// Reads at least these expressions, which are their primary key.
    pub(crate) keys: (&'a str, &'a [String]),
    pub(crate) place: Place,
    /// Scratch tables for the history.
    pub(crate) scratch: [String; 2],
}

/// The place of a staged row, by which it is found again.
#[derive(Debug)]
pub(crate) struct Place {
    /// Expressions and their types: `p0`, `p1`, ... in scratch tables.
    pub(crate) columns: Vec<(String, ColumnType)>,
    /// Compares a staged row with the place in a row `n` of a scratch table.
    pub(crate) same: String,
}

impl Place {
    fn list(&self, item: impl Fn(usize, &str) -> String) -> String {
        self.columns.iter().enumerate().map(|(n, (column, _))| item(n, column) + ", ").collect()
    }
}

impl History {
    /// Returns the columns of the scratch tables: of the staged reads, and of the changes that follow from them.
    pub(crate) fn scratch(&self, columns: &GroupColumns, place: &Place) -> [Vec<(String, ColumnType)>; 2] {
        let named = |(name, column_type): (&str, ColumnType)| (name.to_owned(), column_type);
        let places = place.columns.iter().enumerate().map(|(n, (_, is))| (format!("p{n}"), *is));
        let keys = columns.keys.iter().enumerate().map(|(n, key)| (format!("k{n}"), self.kept_type(key)));
        let (time, text) = (ColumnType::Timestamp, ColumnType::Text);
        let version = [("updated_at", time), ("read_at", time), ("run_id", text), ("content", text)];
        let of_read: Vec<_> = places.chain(keys).chain(version.map(named)).collect();
        let more = [("of_read", time), ("held_from", time), ("held_to", time), ("last_read_at", time)];
        let [kind, is_new] = ["kind", "is_new"].map(|name| (name.to_owned(), ColumnType::BigInt));
        let reads = of_read.iter().cloned().chain([is_new]).collect();
        [reads, [kind].into_iter().chain(of_read).chain(more.map(named)).collect()]
    }

    /// Returns the statements that add a group's reads. `table` are the columns of the table, which does not hold the
    /// group's rows yet. With hard deletes, records that are deleted and stay so get no version.
    ///
    /// After each of them, those before find what is left, where an engine can't roll back: the end of a run is a row, or
    /// the time of its row's last read, before that time is changed, and before a staged row stands behind it.
    pub(crate) fn add(
        &self,
        columns: &GroupColumns,
        staged: &StagedRows<'_>,
        table: &[TableColumn],
        hard_delete: Option<&HardDelete>,
    ) -> Vec<Statement> {
        let [reads, changes] = &staged.scratch;
        vec![
            Statement::scratch(self.find_reads(columns, staged, reads, hard_delete)),
            Statement::scratch(self.find_changes(columns, &staged.place, reads, changes)),
            Statement::write(self.insert_ends(columns, table, changes)),
            Statement::write(self.set_times(columns, changes)),
            Statement::write(self.insert_staged(columns, staged, changes)),
        ]
    }

    fn find_reads(
        &self,
        columns: &GroupColumns,
        staged: &StagedRows<'_>,
        reads: &str,
        hard_delete: Option<&HardDelete>,
    ) -> String {
        let (updated_at, read_at) = columns.version_staged();
        let same_key = columns.keys(" AND ", |n, _| format!("r.k{n} = o.k{n}"));
        let of_table =
            columns.keys(" AND ", |_, key| format!("{} = h.{}", self.kept(key, &key.in_table()), key.name));
        let in_history = columns.keys(", ", |n, key| format!("h.{} AS k{n}", key.name));
        let VersionColumns { updated_at: updated, read_at: read, content, to, .. } = &self.version;
        let (updated, (updated_now, _)) =
            (self.dialect.or_lowest(&format!("h.{updated}")), columns.version_in_table());
        let staged_columns = columns.keys(", ", |n, key| format!("{} AS k{n}", self.kept(key, &key.staged)));
        let hash = self.content(STAGED_ROWS, &columns.columns);
        // Most reads show the present state once more: of records with such reads alone, nothing is put in order.
        format!(
            "INSERT INTO {reads} SELECT {}{}, r.updated_at, r.read_at, r.run_id, r.content, \
             CASE WHEN o.read_at IS NULL THEN 1 ELSE 0 END FROM (SELECT {}{staged_columns}, {updated_at} AS updated_at, \
             {read_at} AS read_at, {} AS run_id, {} AS content FROM {}{}) AS r LEFT JOIN (SELECT {in_history}, \
             {updated} AS updated_at, h.{read} AS read_at, h.{content} AS content FROM {} AS h JOIN {} AS t ON {of_table} \
             WHERE h.{to} IS NULL AND {updated_now} = {updated}) AS o ON {same_key} AND r.updated_at = o.updated_at \
             AND r.content = o.content AND r.read_at >= o.read_at",
            staged.place.list(|n, _| format!("r.p{n}")),
            columns.keys(", ", |n, _| format!("r.k{n}")),
            staged.place.list(|n, column| format!("{column} AS p{n}")),
            or_first(&columns.run_id.staged),
            hash.text,
            hash.rows(staged.all, STAGED_ROWS),
            hard_delete.map(|it| self.but_deleted(columns, it)).unwrap_or_default(),
            self.history.qualified,
            self.table.qualified
        )
    }

    /// Leaves reads out that show a deleted record as deleted once more, or are older than its deletion: what deletes
    /// the record's past at the end of the merge would delete them, too.
    fn but_deleted(&self, columns: &GroupColumns, hard_delete: &HardDelete) -> String {
        let of_table = columns.keys(" AND ", |_, key| {
            format!("{} = {}", self.kept(key, &key.in_table()), self.kept(key, &key.staged))
        });
        let is_deleted = hard_delete.is_deleted();
        let no_row = columns.keys(" OR ", |_, key| format!("{} IS NULL", key.in_table()));
        let ((updated, read), (updated_now, read_now)) =
            (columns.version_staged(), columns.version_in_table());
        let shown = columns.columns.iter().find(|column| column.name == is_deleted);
        let shown = shown.map(|column| format!("coalesce({}, false) OR ", column.staged));
        format!(
            " LEFT JOIN {} AS t ON {of_table} AND t.{is_deleted} WHERE {no_row} OR NOT ({}{updated} < {updated_now} \
             OR ({updated} = {updated_now} AND {read} < {read_now}))",
            self.table.qualified,
            shown.unwrap_or_default()
        )
    }

    /// Finds the staged reads that begin a run, the ends of runs that now begin one, since something else came in
    /// between, and the rows of the history whose times are others now.
    fn find_changes(&self, columns: &GroupColumns, place: &Place, reads: &str, changes: &str) -> String {
        let dialect = self.dialect;
        let (places, keys) = (place.list(|n, _| format!("p{n}")), columns.keys(", ", |n, _| format!("k{n}")));
        let order = format!("read_at, run_id, content, kind, {}", place.list(|n, _| format!("p{n}")));
        let order = order.trim_end_matches(", ");
        let of_key = format!("PARTITION BY {keys} ORDER BY updated_at, {order}");
        // HubSpot's time of a version holds for the first read of it, and no read is before it.
        let ordered = format!(
            "SELECT v.*, CASE WHEN content = lag(content) OVER ({of_key}) THEN 1 ELSE 0 END AS is_repeat, \
             CASE WHEN updated_at = lag(updated_at) OVER ({of_key}) THEN 0 ELSE 1 END AS is_update FROM ({}) AS v",
            self.points(columns, place, reads)
        );
        let seen = format!(
            "SELECT v.*, CASE WHEN is_repeat = 1 AND is_update = 0 THEN 0 ELSE 1 END AS is_first, \
             CASE WHEN updated_at > {} AND (is_update = 1 OR read_at < updated_at) THEN updated_at ELSE read_at END \
             AS seen_from FROM ({ordered}) AS v",
            dialect.lowest_time
        );
        // What is newer in HubSpot's own time began no earlier than it says.
        let begun = format!(
            "SELECT v.*, sum(is_first) OVER ({of_key} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run, \
             min(seen_from) OVER ({of_key} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS held_from \
             FROM ({seen}) AS v"
        );
        let ended = format!(
            "SELECT v.*, max(run) OVER (PARTITION BY {keys}) AS last_run, \
             max(read_at) OVER (PARTITION BY {keys}, run) AS last_of_run, \
             CASE WHEN is_repeat = 1 THEN held_from ELSE min(CASE WHEN is_repeat = 0 THEN held_from END) \
             OVER ({of_key} ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) END AS held_to FROM ({begun}) AS v"
        );
        let known = format!(
            "SELECT v.*, CASE WHEN is_first = 0 THEN last_read_at WHEN run < last_run AND last_of_run > read_at \
             THEN last_of_run END AS last_now FROM ({ended}) AS v"
        );
        let differs =
            |[was, is]: [&str; 2]| format!("{} <> {}", dialect.or_lowest(was), dialect.or_lowest(is));
        let differ = [["valid_from", "held_from"], ["valid_to", "held_to"], ["last_read_at", "last_now"]];
        format!(
            "INSERT INTO {changes} SELECT kind, {places}{keys}, updated_at, read_at, run_id, content, of_read, held_from, \
             held_to, last_now FROM ({known}) AS v WHERE (kind <> {ROW} AND is_first = 1) OR (kind = {ROW} AND ({}))",
            differ.map(differs).join(" OR ")
        )
    }

    /// Selects the reads that are put in order.
    fn points(&self, columns: &GroupColumns, place: &Place, reads: &str) -> String {
        let VersionColumns { updated_at, read_at, run_id, content, from, to, last_read_at } = &self.version;
        let dialect = self.dialect;
        let keys = columns.keys(", ", |n, _| format!("k{n}"));
        let in_history = columns.keys(", ", |n, key| format!("h.{} AS k{n}", key.name));
        let same_key = columns.keys(" AND ", |n, key| format!("h.{} = n.k{n}", key.name));
        let in_table =
            columns.keys(" AND ", |n, key| format!("{} = n.k{n}", self.kept(key, &key.in_table())));
        let updated = dialect.or_lowest(&format!("h.{updated_at}"));
        let (updated_now, _) = columns.version_in_table();
        let loud = format!("SELECT DISTINCT {keys} FROM {reads} WHERE is_new = 1");
        let is_loud = columns.keys(" AND ", |n, _| format!("n.k{n} = s.k{n}"));
        let read_now = columns.read_at.in_table();
        // The table's row has the last read of the newest run, which is that of the last row of its time in HubSpot.
        let of_version = format!(
            "PARTITION BY {}, {updated} ORDER BY h.{read_at} DESC, {} DESC, h.{content} DESC",
            columns.keys(", ", |_, key| format!("h.{}", key.name)),
            or_first(&format!("h.{run_id}"))
        );
        let mut rows = format!(
            "SELECT {in_history}, {updated} AS updated_at, h.{read_at} AS read_at, {} AS run_id, h.{content} AS content, \
             h.{from} AS valid_from, h.{to} AS valid_to, h.{last_read_at} AS last_read_at, \
             CASE WHEN row_number() OVER ({of_version}) = 1 AND {updated_now} = {updated} AND {read_now} > coalesce(h.{last_read_at}, h.{read_at}) \
             THEN {read_now} ELSE h.{last_read_at} END AS ends_at FROM {} AS h \
             JOIN ({loud}) AS n ON {same_key} LEFT JOIN {} AS t ON {in_table}",
            or_first(&format!("h.{run_id}")),
            self.history.qualified,
            self.table.qualified
        );
        if !dialect.is_transactional {
            // A version that is there twice is one.
            let times = ["valid_from", "valid_to", "last_read_at", "ends_at"];
            let times = times.map(|time| format!("min({time}) AS {time}")).join(", ");
            let version = format!("{keys}, updated_at, read_at, run_id, content");
            rows = format!("SELECT {version}, {times} FROM ({rows}) AS h GROUP BY {version}");
        }
        let no_place: String = (place.columns.iter().enumerate())
            .map(|(n, (_, is))| format!("CAST(NULL AS {}) AS p{n}, ", (dialect.type_name)(*is)))
            .collect();
        let (places, no_time) = (place.list(|n, _| format!("s.p{n}")), self.no_time());
        let staged_keys = columns.keys(", ", |n, _| format!("s.k{n}"));
        format!(
            "SELECT e.kind, {no_place}{keys}, updated_at, CASE WHEN e.kind = {ROW} THEN read_at ELSE ends_at END AS read_at, \
             run_id, content, read_at AS of_read, valid_from, valid_to, last_read_at FROM ({rows}) AS h \
             CROSS JOIN (SELECT {ROW} AS kind UNION ALL SELECT {END} AS kind) AS e \
             WHERE e.kind = {ROW} OR ends_at > read_at \
             UNION ALL SELECT {STAGED}, {places}{staged_keys}, s.updated_at, s.read_at, s.run_id, s.content, s.read_at, \
             {no_time}, {no_time}, {no_time} FROM {reads} AS s JOIN ({loud}) AS n ON {is_loud}"
        )
    }

    fn insert_staged(&self, columns: &GroupColumns, staged: &StagedRows<'_>, changes: &str) -> String {
        let VersionColumns { content, from, to, last_read_at, .. } = &self.version;
        let names: Vec<&str> = columns.columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> =
            columns.columns.iter().map(|column| self.kept(column, &column.staged)).collect();
        format!(
            "INSERT INTO {} ({}, {content}, {from}, {to}, {last_read_at}) SELECT {}, n.content, n.held_from, n.held_to, \
             n.last_read_at FROM {} JOIN {changes} AS n ON {} WHERE n.kind = {STAGED}",
            self.history.qualified,
            names.join(", "),
            values.join(", "),
            staged.all,
            staged.place.same
        )
    }

    /// A run that was divided goes on as a copy of its first row, with the time of its last read.
    fn insert_ends(&self, columns: &GroupColumns, table: &[TableColumn], changes: &str) -> String {
        let VersionColumns { read_at, content, from, to, last_read_at, .. } = &self.version;
        let own = self.own_columns().map(|column| folded(&column.name));
        let mut names: Vec<&str> = Vec::new();
        for column in self.present.iter().chain(table) {
            if !own.contains(&folded(&column.name))
                && names.iter().all(|name| folded(name) != folded(&column.name))
            {
                names.push(&column.name);
            }
        }
        let names: Vec<String> = names.into_iter().map(quote_identifier).collect();
        let value = |name: &String| match name == read_at {
            true => "n.read_at".to_owned(),
            false => format!("h.{name}"),
        };
        format!(
            "INSERT INTO {history} ({}, {content}, {from}, {to}, {last_read_at}) SELECT {}, n.content, n.held_from, \
             n.held_to, n.last_read_at FROM {history} AS h JOIN {changes} AS n ON {} WHERE n.kind = {END}",
            names.join(", "),
            names.iter().map(value).collect::<Vec<_>>().join(", "),
            self.same_version(columns, "h"),
            history = self.history.qualified
        )
    }

    fn set_times(&self, columns: &GroupColumns, changes: &str) -> String {
        let VersionColumns { from, to, last_read_at, .. } = &self.version;
        let (history, same) = (&self.history.qualified, self.same_version(columns, &self.history.alone));
        let values = format!("{from} = n.held_from, {to} = n.held_to, {last_read_at} = n.last_read_at");
        match self.dialect.is_transactional {
            true => {
                format!("UPDATE {history} SET {values} FROM {changes} AS n WHERE n.kind = {ROW} AND {same}")
            }
            // Athena updates from no other table.
            false => format!(
                "MERGE INTO {history} USING (SELECT * FROM {changes} WHERE kind = {ROW}) AS n ON {same} \
                 WHEN MATCHED THEN UPDATE SET {values}"
            ),
        }
    }

    /// Compares a row of the history with the version in a row `n` of the changes.
    fn same_version(&self, columns: &GroupColumns, row: &str) -> String {
        let VersionColumns { updated_at, read_at, run_id, content, .. } = &self.version;
        let keys = columns.keys(" AND ", |n, key| format!("{row}.{} = n.k{n}", key.name));
        format!(
            "{keys} AND {row}.{read_at} = n.of_read AND {} = n.updated_at AND {} = n.run_id AND {row}.{content} = n.content",
            self.dialect.or_lowest(&format!("{row}.{updated_at}")),
            or_first(&format!("{row}.{run_id}"))
        )
    }
}
