//! The statements of a merge, as plain functions of their arguments, in the SQL that the engines have in common: no
//! row ids, no `FILTER`, `QUALIFY` or lateral names, and `MERGE` in its plainest form, from a table and without an
//! alias for the target.
//!
//! Columns of scratch tables are called `c0`, `c1`, ... whatever their names are, so that statements stay short.

use staging::ColumnType;

use super::engine::Limits;
use crate::LocatedFile;
use crate::columns::{ColumnSql, GroupColumns, or_first, wins_by};
use crate::companion_tables::CompanionTables;
use crate::dialect::{Dialect, TableName};
use crate::history::{Place, StagedRows};
use crate::in_parts::InParts;
use crate::plan::{Field, Group, Plan};
use crate::statement::{Statement, check};

/// The scratch tables of one group.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Every staged row, in the files' types.
    pub(super) staged: String,
    /// For the engine's own use while it stages.
    pub(super) helper: String,
    /// Key, version and place of every staged row, and a text of its values where they decide.
    pub(super) keys: String,
    /// Per key the newest staged row: key, version and place, and whether it `is_changed` and `is_new`.
    pub(super) newest: String,
    /// The rows to write, whole, in the table's types.
    pub(super) changed: String,
    /// For the history: [`StagedRows::scratch`].
    pub(super) past: [String; 2],
}

/// Which rows can't be told apart by their version and their run, so that their values have to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ties {
    pub(super) in_files: bool,
    pub(super) with_table: bool,
}

/// One group's merge into one table.
#[derive(Debug)]
pub(super) struct GroupMerge<'a> {
    dialect: &'static Dialect,
    table: &'a TableName,
    scratch: &'a Scratch,
    pub(super) columns: GroupColumns,
    files: Vec<&'a LocatedFile>,
    /// Number of columns of the table that the files lack.
    kept: usize,
}

impl<'a> GroupMerge<'a> {
    /// A column of the group that its files lack is the error. No content of rows is longer than `content_bytes`.
    pub(super) fn new(
        dialect: &'static Dialect,
        table: &'a TableName,
        plan: &Plan<'_>,
        group: &Group<'a>,
        scratch: &'a Scratch,
        content_bytes: usize,
    ) -> Result<GroupMerge<'a>, String> {
        let in_file = |field: &Field| {
            let columns = &group.files.first()?.description.table.columns;
            columns.iter().position(|column| column.name == field.source)
        };
        let staged = |field: &Field| in_file(field).map(|position| format!("s.c{position}"));
        let mut columns = GroupColumns::new(dialect, plan, group, staged)?;
        columns.compare_within(content_bytes);
        Ok(GroupMerge {
            dialect,
            table,
            scratch,
            columns,
            files: group.files.clone(),
            kept: group.kept.len(),
        })
    }

    /// Per file: its number, its rows, and how many lack a primary key or a time of reading.
    pub(super) fn count_staged(&self) -> String {
        let missing = self.columns.keys("", |_, key| format!("{} IS NULL OR ", key.staged));
        format!(
            "SELECT s.file_no, count(*), sum(CASE WHEN {missing}{} IS NULL THEN 1 ELSE 0 END) FROM {} AS s \
             GROUP BY s.file_no",
            self.columns.read_at.staged, self.scratch.staged
        )
    }

    /// Counts the keys that are staged, and the rows that are of one version and one run at most.
    pub(super) fn count_keys(&self) -> String {
        let keys = self.columns.keys(", ", |n, key| format!("{} AS k{n}", key.staged));
        let list = self.columns.keys(", ", |n, _| format!("k{n}"));
        let (updated_at, read_at) = self.columns.version_staged();
        format!(
            "SELECT coalesce(sum(CASE WHEN place = 1 THEN 1 ELSE 0 END), 0), coalesce(max(alike), 0) FROM \
             (SELECT row_number() OVER (PARTITION BY {list} ORDER BY updated_at, read_at, run_id) AS place, \
             count(*) OVER (PARTITION BY {list}, updated_at, read_at, run_id) AS alike FROM \
             (SELECT {keys}, {updated_at} AS updated_at, {read_at} AS read_at, {} AS run_id FROM {} AS s) AS v) AS v",
            or_first(&self.columns.run_id.staged),
            self.scratch.staged
        )
    }

    /// Counts the rows of the table that hold staged keys, those that hold one and the same at most, and those that
    /// have a version that is staged for their key. `present` is a key column of the table, in the type that it will
    /// have.
    pub(super) fn count_present(&self, present: impl Fn(&ColumnSql) -> String) -> String {
        let keys = self.columns.keys(", ", |n, key| format!("{} AS k{n}", key.staged));
        let list = self.columns.keys(", ", |n, _| format!("n.k{n}"));
        let same = self.columns.keys(" AND ", |n, key| format!("{} = n.k{n}", present(key)));
        let (updated_at, read_at) = self.columns.version_staged();
        let (updated_now, read_now) = self.columns.version_in_table();
        format!(
            "SELECT count(*), coalesce(max(holders), 0), coalesce(sum(ties), 0) FROM \
             (SELECT max(CASE WHEN n.updated_at = {updated_now} AND n.read_at = {read_now} THEN 1 ELSE 0 END) AS ties, \
             count(*) AS holders FROM (SELECT DISTINCT {keys}, {updated_at} AS updated_at, {read_at} AS read_at \
             FROM {} AS s) AS n JOIN {} AS t ON {same} GROUP BY {list}, n.updated_at, n.read_at) AS h",
            self.scratch.staged, self.table.qualified
        )
    }

    /// Reads the staged rows.
    fn staged(&self) -> String {
        format!("{} AS s", self.scratch.staged)
    }

    fn place() -> Place {
        let columns = ["file_no", "row_no"].map(|column| (format!("s.{column}"), ColumnType::BigInt));
        Place { columns: columns.to_vec(), same: "s.file_no = n.p0 AND s.row_no = n.p1".to_owned() }
    }

    /// Returns the statements for the companion tables, which come before the table is changed.
    pub(super) fn keep_past(&self, companions: &CompanionTables) -> Vec<Statement> {
        let (all, scratch) = (self.staged(), self.scratch.past.clone());
        let key: Vec<String> = self.columns.keys.iter().map(|key| key.staged.clone()).collect();
        let rows = StagedRows { all: &all, keys: (&all, &key), place: GroupMerge::place(), scratch };
        companions.staged(&self.columns, &rows)
    }

    /// Returns the scratch tables for [`Self::keep_past`], with their columns.
    pub(super) fn past_scratch(
        &self,
        companions: &CompanionTables,
    ) -> Vec<(&str, Vec<(String, ColumnType)>)> {
        let columns = companions.scratch(&self.columns, &GroupMerge::place()).into_iter().flatten();
        self.scratch.past.iter().map(String::as_str).zip(columns).collect()
    }

    pub(super) fn newest_columns(&self) -> Vec<(String, ColumnType)> {
        let named = |(name, column_type): (&str, ColumnType)| (name.to_owned(), column_type);
        let first = [("file_no", ColumnType::BigInt), ("row_no", ColumnType::BigInt)].map(named);
        let keys = self.columns.keys.iter().enumerate().map(|(n, key)| (format!("k{n}"), key.column_type));
        let last = [
            ("updated_at", ColumnType::Timestamp),
            ("read_at", ColumnType::Timestamp),
            ("is_changed", ColumnType::Boolean),
            ("is_new", ColumnType::Boolean),
        ];
        first.into_iter().chain(keys).chain(last.map(named)).collect()
    }

    pub(super) fn key_columns(&self) -> Vec<(String, ColumnType)> {
        let decides_by = |(name, _): &(String, ColumnType)| !name.starts_with("is_");
        let more = ["run_id", "content"].map(|name| (name.to_owned(), ColumnType::Text));
        self.newest_columns().into_iter().filter(decides_by).chain(more).collect()
    }

    pub(super) fn changed_columns(&self) -> Vec<(String, ColumnType)> {
        let column = |(n, column): (usize, &ColumnSql)| (format!("c{n}"), column.column_type);
        let columns = self.columns.columns.iter().enumerate().map(column);
        columns.chain([("is_new".to_owned(), ColumnType::Boolean)]).collect()
    }

    /// Reads what decides which row is the newest, and nothing else: Redshift sorts no wide rows.
    pub(super) fn find_keys(&self, ties: Ties) -> String {
        let keys = self.columns.keys(", ", |_, key| key.staged.clone());
        let (updated_at, read_at) = self.columns.version_staged();
        let content = match ties.in_files {
            true => self.columns.content_in_parts("s", "content", |column| column.staged.clone()),
            false => InParts::whole("''".to_owned()),
        };
        format!(
            "INSERT INTO {} SELECT s.file_no, s.row_no, {keys}, {updated_at}, {read_at}, {}, {} FROM {}",
            self.scratch.keys,
            or_first(&self.columns.run_id.staged),
            content.text,
            content.rows(&self.staged(), "s")
        )
    }

    /// Finds per key the newest staged row. Changed are those that the table lacks or has in an older version.
    pub(super) fn find_newest(&self) -> String {
        let list = self.columns.keys(", ", |n, _| format!("n.k{n}"));
        let partition = self.columns.keys(", ", |n, _| format!("k{n}"));
        let (updated_now, read_now) = self.columns.version_in_table();
        let now = self.first_key_in_table();
        format!(
            "INSERT INTO {} SELECT n.file_no, n.row_no, {list}, n.updated_at, n.read_at, CASE WHEN {now} IS NULL \
             OR n.updated_at > {updated_now} OR (n.updated_at = {updated_now} AND n.read_at > {read_now}) THEN true \
             ELSE false END, CASE WHEN {now} IS NULL THEN true ELSE false END FROM (SELECT v.*, \
             row_number() OVER (PARTITION BY {partition} ORDER BY updated_at DESC, read_at DESC, run_id DESC, \
             content DESC, file_no, row_no) AS place FROM {} AS v) AS n LEFT JOIN {} AS t ON {} WHERE n.place = 1",
            self.scratch.newest,
            self.scratch.keys,
            self.table.qualified,
            self.columns.same_key()
        )
    }

    /// Finds those that win over a row of the same version in the table, by their run or by their values.
    pub(super) fn break_ties(&self) -> String {
        let Scratch { newest, staged, .. } = self.scratch;
        let (updated_now, read_now) = self.columns.version_in_table();
        let of_one_version = format!(
            "{newest} AS n JOIN {staged} AS s ON s.file_no = n.file_no AND s.row_no = n.row_no JOIN {} AS t ON {} \
             WHERE n.updated_at = {updated_now} AND n.read_at = {read_now}",
            self.table.qualified,
            self.columns.same_key()
        );
        let [new, now] = [
            self.columns.content_in_parts("v", "new", |column| column.staged.clone()),
            self.columns.content_in_parts("v", "now", ColumnSql::in_table),
        ];
        let contents = [new.text.as_str(), now.text.as_str()];
        let winners = match new.is_whole() {
            true => format!(
                "SELECT n.file_no AS f, n.row_no AS r FROM {of_one_version} AND {}",
                self.columns.wins_tie(or_first, contents)
            ),
            false => format!(
                "SELECT v.f, v.r FROM (SELECT n.file_no AS f, n.row_no AS r, {} AS run_new, {} AS run_now, {}, {} \
                 FROM {of_one_version}) AS v WHERE {}",
                or_first(&self.columns.run_id.staged),
                or_first(&self.columns.run_id.in_table()),
                new.columns(),
                now.columns(),
                wins_by(["v.run_new", "v.run_now"], contents)
            ),
        };
        match self.dialect.is_transactional {
            true => format!(
                "UPDATE {newest} SET is_changed = true FROM ({winners}) AS w WHERE file_no = w.f AND row_no = w.r"
            ),
            // Athena updates from no other table.
            false => format!(
                "MERGE INTO {newest} USING ({winners}) AS w ON file_no = w.f AND row_no = w.r \
                 WHEN MATCHED THEN UPDATE SET is_changed = true"
            ),
        }
    }

    pub(super) fn find_changed(&self) -> String {
        let values: Vec<&str> = self.columns.columns.iter().map(|column| column.staged.as_str()).collect();
        format!(
            "INSERT INTO {} SELECT {}, n.is_new FROM {} AS s JOIN {} AS n ON n.file_no = s.file_no \
             AND n.row_no = s.row_no WHERE n.is_changed",
            self.scratch.changed,
            values.join(", "),
            self.scratch.staged,
            self.scratch.newest
        )
    }

    /// One `MERGE`. Where that has more columns than it can have with two clauses, one with one clause, and the rows
    /// that are missing then. Where it is longer than a statement may be, the new rows' keys and then values by and by,
    /// which only a transaction makes one again.
    pub(super) fn write_changed(&self, limits: Limits) -> Vec<Statement> {
        if self.columns.columns.len() + self.kept > limits.merged_columns {
            return [self.update_changed(), self.insert_missing()].map(Statement::write).to_vec();
        }
        let (merge, statement_bytes) = (self.merge(), limits.statement_bytes);
        if merge.len() <= statement_bytes || !self.dialect.is_transactional {
            return vec![Statement::write(merge)];
        }
        let names = self.columns.keys(", ", |_, key| key.name.clone());
        let values = self.columns.keys(", ", |_, key| self.changed(key));
        let insert = format!(
            "INSERT INTO {} ({names}) SELECT {values} FROM {} AS s WHERE s.is_new",
            self.table.qualified, self.scratch.changed
        );
        let (head, tail) = (
            format!("UPDATE {} SET ", self.table.qualified),
            format!(" FROM {} AS s WHERE {}", self.scratch.changed, self.same_key_in_changed()),
        );
        let mut updates = Vec::new();
        let mut values = String::new();
        for value in self.new_values() {
            if !values.is_empty()
                && head.len() + values.len() + 2 + value.len() + tail.len() > statement_bytes
            {
                updates.push(format!("{head}{values}{tail}"));
                values.clear();
            }
            if !values.is_empty() {
                values.push_str(", ");
            }
            values.push_str(&value);
        }
        updates.push(format!("{head}{values}{tail}"));
        [insert].into_iter().chain(updates).map(Statement::write).collect()
    }

    fn merge(&self) -> String {
        let (names, values) = self.inserted();
        format!("{} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})", self.update_changed())
    }

    fn update_changed(&self) -> String {
        format!(
            "MERGE INTO {} USING {} AS s ON {} WHEN MATCHED{} THEN UPDATE SET {}",
            self.table.qualified,
            self.scratch.changed,
            self.same_key_in_changed(),
            if self.dialect.is_transactional { String::new() } else { self.and_not_newer() },
            self.new_values().join(", ")
        )
    }

    /// Rows that another merge has brought meanwhile stay.
    fn insert_missing(&self) -> String {
        let (names, values) = self.inserted();
        let same_key =
            self.columns.keys(" AND ", |_, key| format!("{} = {}", key.in_table(), self.changed(key)));
        format!(
            "INSERT INTO {table} ({names}) SELECT {values} FROM {} AS s WHERE s.is_new \
             AND NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {same_key})",
            self.scratch.changed,
            table = self.table.qualified
        )
    }

    /// Returns the names of all columns, and their values in [`Scratch::changed`].
    fn inserted(&self) -> (String, String) {
        let names: Vec<&str> = self.columns.columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> = (0..names.len()).map(|n| format!("s.c{n}")).collect();
        (names.join(", "), values.join(", "))
    }

    /// Another merge may have brought a newer version since the rows were compared.
    fn and_not_newer(&self) -> String {
        let GroupColumns { updated_at, read_at, .. } = &self.columns;
        let now =
            |column: &ColumnSql| self.dialect.or_lowest(&format!("{}.{}", self.table.alone, column.name));
        let new = |column: &ColumnSql| self.dialect.or_lowest(&self.changed(column));
        format!(
            " AND ({} < {} OR ({} = {} AND {} <= {}))",
            now(updated_at),
            new(updated_at),
            now(updated_at),
            new(updated_at),
            now(read_at),
            new(read_at)
        )
    }

    fn new_values(&self) -> Vec<String> {
        let is_key = |column: &ColumnSql| self.columns.keys.iter().any(|key| key.name == column.name);
        let columns = self.columns.columns.iter().enumerate().filter(|(_, column)| !is_key(column));
        columns.map(|(n, column)| format!("{} = s.c{n}", column.name)).collect()
    }

    fn same_key_in_changed(&self) -> String {
        self.columns
            .keys(" AND ", |_, key| format!("{}.{} = {}", self.table.alone, key.name, self.changed(key)))
    }

    /// A column of [`Scratch::changed`].
    fn changed(&self, column: &ColumnSql) -> String {
        let position = self.columns.columns.iter().position(|other| other.name == column.name);
        format!("s.c{}", position.unwrap_or_default())
    }

    /// Fails unless each staged key is in the table once, in the staged version or a newer one.
    pub(super) fn check_arrived(&self) -> String {
        let newest = &self.scratch.newest;
        let arrived = self.columns.count_arrived(newest, &self.table.qualified);
        check(self.dialect, &format!("({arrived}) = (SELECT count(*) FROM {newest})"), "rows are missing")
    }

    /// One row per file, with what [`Self::find_newest`] found.
    pub(super) fn write_ledger(&self, ledger: &str, now: &str) -> String {
        let literal = self.dialect.literal;
        let file = |(n, file): (usize, &&LocatedFile)| {
            let description = &file.description;
            format!(
                "SELECT {n} AS file_no, {} AS collection, {} AS file_key, {} AS run_id, {} AS staged",
                literal(&description.table.collection),
                literal(&file.key),
                literal(&description.run_id),
                description.rows
            )
        };
        let files: Vec<String> = self.files.iter().enumerate().map(file).collect();
        format!(
            "INSERT INTO {ledger} SELECT f.collection, f.file_key, f.run_id, f.staged, coalesce(c.changed, 0), {now} \
             FROM ({}) AS f LEFT JOIN (SELECT file_no, count(*) AS changed FROM {} WHERE is_changed \
             GROUP BY file_no) AS c ON c.file_no = f.file_no",
            files.join(" UNION ALL "),
            self.scratch.newest
        )
    }

    /// Per file: its number, how many of its rows were written, and how many of those are new.
    pub(super) fn count_changed(&self) -> String {
        format!(
            "SELECT file_no, count(*), sum(CASE WHEN is_new THEN 1 ELSE 0 END) FROM {} WHERE is_changed \
             GROUP BY file_no",
            self.scratch.newest
        )
    }

    /// NULL where the table has no row.
    fn first_key_in_table(&self) -> String {
        self.columns.keys.first().map(ColumnSql::in_table).unwrap_or_default()
    }
}
