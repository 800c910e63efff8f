//! The statements of a merge into PostgreSQL, as plain functions of their arguments. A row is known by its `ctid`, its
//! place in the table, which is its own as long as this transaction runs: no vacuum gives it away. A row that somebody
//! else changes meanwhile is not found there again, and the counts tell. So this is a path of
//! PostgreSQL's own: `examples/measure_postgres.rs` measures it against a bare `COPY`, and the numbers are in
//! docs/warehouses/postgresql.md.
//!
//! Columns of scratch tables are called `c0`, `c1`, ... in the order of the table's columns, whatever their names are.

use staging::{Column, IS_DELETED};

use super::dialect::{OVERFLOW, POSTGRES};
use super::layout::{Layout, is_too_wide};
use crate::columns::{ColumnSql, GroupColumns, or_first};
use crate::dialect::{quote_identifier, quote_literal};
use crate::plan::{Field, Group, Plan};
use crate::table::Widening;

/// The newest staged rows: keys, versions and places, whatever the table's width, and the row of the table that has the
/// key. Those that are to be written have `is_changed`.
pub(super) const NEWEST: &str = "pg_temp.newest_rows";

/// A merge knows better than the planner, which has no statistics of scratch tables: what is looked up by its key or
/// its place is looked up row by row, so that the cost grows with the change and not with the table.
pub(super) const LOOK_UP: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";
pub(super) const AS_PLANNED: &str = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on";

/// Counts the keys that are staged; their newest rows, which are more when versions are equal; and how many of
/// these have the version that the table has.
pub(super) fn count_newest() -> String {
    format!(
        "SELECT count(*) FILTER (WHERE place = 1), count(*), count(*) FILTER (WHERE is_tie) FROM {NEWEST}"
    )
}

/// Per file: its number, how many of its rows are to be written, and how many of those replace a row.
pub(super) fn count_changed() -> String {
    format!(
        "SELECT CAST(file AS bigint), count(*), count(old_row) FROM {NEWEST} WHERE is_changed GROUP BY file"
    )
}

pub(super) fn drop_scratch() -> String {
    format!("DROP TABLE {NEWEST}")
}

/// The part of a page that is filled with new rows, in percent. The rest takes later versions of these rows: one that
/// is in the page of the version before it needs no entry in an index, and no other page is read and logged for it.
const FILLFACTOR: u64 = 85;
const PAGE_BYTES: u64 = 8_192;

/// `staged` are a number of rows and their bytes. Room is left in pages where another row of that size fits in, and where
/// rows change at all: those that are never deleted tell of what happened, and that stays.
pub(super) fn create_table(table: &str, columns: &[Column], staged: (u64, u64)) -> String {
    let (rows, bytes) = staged;
    let rows_change = columns.iter().any(|column| column.name == IS_DELETED);
    // Rows that are all in one page do not tell how large the next ones will be.
    let has_room = bytes <= PAGE_BYTES || bytes / rows.max(1) <= PAGE_BYTES * (100 - FILLFACTOR) / 100;
    let options =
        if rows_change && has_room { format!(" WITH (fillfactor = {FILLFACTOR})") } else { String::new() };
    POSTGRES.create_table(table, columns) + &options
}

pub(super) fn add_overflow() -> String {
    format!("ADD COLUMN {} jsonb", quote_identifier(OVERFLOW))
}

/// Columns in this order make an index that finds keys, and sets if the set key comes first.
pub(super) fn add_primary_key(table: &str, key: &[String]) -> String {
    format!("ALTER TABLE {table} ADD PRIMARY KEY ({})", names(key))
}

pub(super) fn create_unique_index(table: &str, key: &[String]) -> String {
    format!("CREATE UNIQUE INDEX ON {table} ({})", names(key))
}

/// Names are quoted, here and below.
pub(super) fn add_primary_key_of(table: &str, key: &[String]) -> String {
    format!("ALTER TABLE {table} ADD PRIMARY KEY ({})", key.join(", "))
}

pub(super) fn create_index(table: &str, key: &[String]) -> String {
    format!("CREATE INDEX ON {table} ({})", key.join(", "))
}

pub(super) fn create_index_of_deleted(name: &str, table: &str, key: &[String]) -> String {
    let is_deleted = quote_identifier(IS_DELETED);
    format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({}) WHERE {is_deleted}", key.join(", "))
}

/// Counts the indexes of this name.
pub(super) fn count_indexes(schema: &str, name: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('i', 'I')",
        quote_literal(schema),
        quote_literal(name)
    )
}

/// The lock that writing takes anyhow, so that the table's comes before those of its companions. Only changes of
/// columns, indexes that are not made concurrently, and the like wait for it.
pub(super) fn lock_table(table: &str) -> String {
    format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
}

/// Counts the unique indexes of a table on just these columns.
pub(super) fn find_keys(table: &str, key: &[String]) -> String {
    let mut key: Vec<String> = key.to_vec();
    key.sort();
    let key: Vec<String> = key.iter().map(|name| quote_literal(name)).collect();
    format!(
        "SELECT count(*) FROM pg_catalog.pg_index AS i WHERE i.indrelid = {table} AND i.indisunique AND i.indisvalid \
         AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnatts = i.indnkeyatts \
         AND ARRAY(SELECT CAST(a.attname AS text) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indrelid \
         AND a.attnum = ANY (i.indkey) ORDER BY CAST(a.attname AS text) COLLATE \"C\") = CAST(ARRAY[{}] AS text[])",
        key.join(", ")
    )
}

fn names(columns: &[String]) -> String {
    columns.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", ")
}

/// Takes the values of columns that are to be widened out of the rows that would not fit then. `measure` is
/// [`super::layout::measure`].
pub(super) fn make_room(table: &str, widen: &[&Widening], measure: &str, growth: usize) -> String {
    let keys: Vec<String> = widen.iter().map(|widening| quote_literal(&widening.column)).collect();
    let text = |widening: &&Widening| {
        (POSTGRES.text_of)(&format!("t.{}", quote_identifier(&widening.column)), widening.from)
    };
    let texts: Vec<String> = widen.iter().map(text).collect();
    let nulls: Vec<String> =
        widen.iter().map(|widening| format!("{} = NULL", quote_identifier(&widening.column))).collect();
    let overflow = quote_identifier(OVERFLOW);
    format!(
        "UPDATE {table} AS t SET {overflow} = coalesce(t.{overflow}, '{{}}') || \
         jsonb_strip_nulls(jsonb_object(ARRAY[{}], ARRAY[{}])), {} WHERE {}",
        keys.join(", "),
        texts.join(", "),
        nulls.join(", "),
        is_too_wide(measure, growth)
    )
}

/// One scratch table of staged rows.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) number: usize,
}

impl Staging {
    pub(super) fn table(&self) -> String {
        format!("pg_temp.staged_rows_{}", self.number)
    }

    pub(super) fn create(&self, layout: &Layout) -> String {
        let column = |(n, field): (usize, &Field)| format!(", c{n} {}", (POSTGRES.type_name)(field.from));
        let columns: String = layout.fields.iter().enumerate().map(column).collect();
        let overflow = if layout.overflow.is_some() { ", overflow jsonb" } else { "" };
        format!(
            "CREATE TEMP TABLE staged_rows_{} (file integer{columns}{overflow}) ON COMMIT DROP",
            self.number
        )
    }

    pub(super) fn copy(&self) -> String {
        format!("COPY {} FROM STDIN (FORMAT binary)", self.table())
    }

    /// Without what texts take elsewhere.
    pub(super) fn bytes(&self) -> String {
        format!("SELECT pg_relation_size('{}')", self.table())
    }

    pub(super) fn drop(&self) -> String {
        format!("DROP TABLE {}", self.table())
    }
}

/// One group's merge into one table.
#[derive(Debug)]
pub(super) struct GroupMerge {
    table: String,
    staged: String,
    pub(super) columns: GroupColumns,
    /// Names that a row's overflow holds no more when it is replaced, as an array; `None` if nothing overflows.
    replaced_overflow: Option<String>,
}

impl GroupMerge {
    /// `table` is quoted and qualified. A column of the group that the layout lacks is the error.
    pub(super) fn new(
        table: &str,
        plan: &Plan<'_>,
        group: &Group<'_>,
        layout: &Layout,
        staging: &Staging,
    ) -> Result<GroupMerge, String> {
        let position = |field: &Field| layout.fields.iter().position(|other| other.target == field.target);
        let staged = |field: &Field| position(field).map(|position| format!("s.c{position}"));
        let replaced_overflow = layout.overflow.as_ref().map(|overflow| {
            let fields = layout.fields.iter().chain(&overflow.fields);
            let names: Vec<String> = fields.map(|field| quote_literal(&field.target)).collect();
            format!("CAST(ARRAY[{}] AS text[])", names.join(", "))
        });
        Ok(GroupMerge {
            table: table.to_owned(),
            staged: staging.table(),
            columns: GroupColumns::new(&POSTGRES, plan, group, staged)?,
            replaced_overflow,
        })
    }

    /// All newest rows of a key: several of them, in `place` 1, 2, ..., if their versions are equal. Changed are those
    /// that the table lacks, has in an older version, or has in the same version (`is_tie`).
    pub(super) fn find_newest(&self) -> String {
        let keys = self.columns.keys(", ", |n, key| format!("{} AS k{n}", key.staged));
        let partition = self.columns.keys(", ", |_, key| key.staged.clone());
        let (updated_at, read_at) = self.columns.version_staged();
        let (updated_now, read_now) = self.columns.version_in_table();
        let is_tie = format!("n.updated_at = {updated_now} AND n.read_at = {read_now}");
        format!(
            "CREATE TEMP TABLE newest_rows ON COMMIT DROP AS SELECT n.*, t.ctid AS old_row, \
             t.ctid IS NOT NULL AND {is_tie} AS is_tie, t.ctid IS NULL OR n.updated_at > {updated_now} \
             OR (n.updated_at = {updated_now} AND n.read_at >= {read_now}) AS is_changed \
             FROM (SELECT * FROM (SELECT s.ctid AS staged_row, s.file, {keys}, {updated_at} AS updated_at, \
             {read_at} AS read_at, rank() OVER version AS rank, row_number() OVER version AS place FROM {} AS s \
             WINDOW version AS (PARTITION BY {partition} ORDER BY {updated_at} DESC, {read_at} DESC)) AS s \
             WHERE rank = 1) AS n LEFT JOIN {} AS t ON {}",
            self.staged,
            self.table,
            self.columns.same_key()
        )
    }

    /// Leaves one row per key where [`Self::find_newest`] left several.
    pub(super) fn break_ties_in_files(&self) -> String {
        let keys = self.columns.keys(", ", |n, _| format!("n.k{n}"));
        let tied = self.columns.keys(" AND ", |n, _| format!("other.k{n} = n.k{n}"));
        format!(
            "DELETE FROM {NEWEST} AS n USING (SELECT n.ctid AS loser, row_number() OVER (PARTITION BY {keys} \
             ORDER BY {} DESC, {} DESC, n.staged_row) AS place FROM {NEWEST} AS n \
             JOIN {} AS s ON s.ctid = n.staged_row \
             WHERE EXISTS (SELECT FROM {NEWEST} AS other WHERE {tied} AND other.place = 2)) AS ranked \
             WHERE n.ctid = ranked.loser AND ranked.place > 1",
            run_id(&self.columns.run_id.staged),
            self.content("s.overflow", |column| column.staged.clone()),
            self.staged
        )
    }

    /// Leaves of the ties those that win over the table's row. A row that is in the table already does not.
    pub(super) fn break_ties_with_table(&self) -> String {
        let contents = [
            self.content(&self.overflow_after(), |column| column.staged.clone()),
            self.content(&overflow_now(), ColumnSql::in_table),
        ];
        format!(
            "UPDATE {NEWEST} AS n SET is_changed = false FROM {} AS s, {} AS t WHERE n.is_tie \
             AND s.ctid = n.staged_row AND t.ctid = n.old_row AND NOT {}",
            self.staged,
            self.table,
            self.columns.wins_tie(run_id, contents.each_ref().map(String::as_str))
        )
    }

    /// The greatest `measure` of a replaced row.
    pub(super) fn widest_kept(&self, measure: &str) -> String {
        format!(
            "SELECT CAST(coalesce(max({measure}), 0) AS bigint) FROM {NEWEST} AS n \
             JOIN {} AS t ON t.ctid = n.old_row WHERE n.is_changed",
            self.table
        )
    }

    pub(super) fn update_replaced(&self) -> String {
        let is_key = |column: &ColumnSql| self.columns.keys.iter().any(|key| key.name == column.name);
        let mut values: Vec<String> = self
            .columns
            .columns
            .iter()
            .filter(|column| !is_key(column))
            .map(|column| format!("{} = {}", column.name, column.staged))
            .collect();
        if self.replaced_overflow.is_some() {
            values.push(format!("{} = {}", quote_identifier(OVERFLOW), self.overflow_after()));
        }
        format!(
            "UPDATE {} AS t SET {} FROM {NEWEST} AS n JOIN {} AS s ON s.ctid = n.staged_row \
             WHERE t.ctid = n.old_row AND n.is_changed",
            self.table,
            values.join(", "),
            self.staged
        )
    }

    /// Every staged row; for when all of them are new.
    pub(super) fn insert_all(&self) -> String {
        self.insert("")
    }

    /// The changed rows that replace none: columns that the files lack get their default.
    pub(super) fn insert_new(&self) -> String {
        self.insert(&format!(" JOIN {NEWEST} AS n ON s.ctid = n.staged_row WHERE n.old_row IS NULL"))
    }

    fn insert(&self, joins: &str) -> String {
        let columns = &self.columns.columns;
        let mut names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let mut values: Vec<&str> = columns.iter().map(|column| column.staged.as_str()).collect();
        if self.replaced_overflow.is_some() {
            names.push(quote_identifier(OVERFLOW));
            values.push("s.overflow");
        }
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s{joins}",
            self.table,
            names.join(", "),
            values.join(", "),
            self.staged
        )
    }

    /// A text by which two rows of one version and one run are told apart.
    fn content(&self, overflow: &str, side: impl Fn(&ColumnSql) -> String) -> String {
        let columns = self.columns.content(side);
        let content = match &self.replaced_overflow {
            Some(_) => format!("{} || {columns}", (POSTGRES.md5_of)(&[format!("CAST({overflow} AS text)")])),
            None => columns,
        };
        format!("({content}) COLLATE \"C\"")
    }

    /// A replaced row's overflow: what it was, without the columns of the files, and with their values.
    fn overflow_after(&self) -> String {
        let Some(replaced) = &self.replaced_overflow else { return "NULL".to_owned() };
        let now = overflow_now();
        format!("nullif(coalesce({now}, '{{}}') - {replaced} || coalesce(s.overflow, '{{}}'), '{{}}')")
    }
}

fn overflow_now() -> String {
    format!("t.{}", quote_identifier(OVERFLOW))
}

fn run_id(text: &str) -> String {
    format!("{} COLLATE \"C\"", or_first(text))
}

#[cfg(test)]
mod tests {
    use staging::ColumnType;

    use super::*;
    use crate::conformance::torture_file;
    use crate::dialect::{ACCOUNT, LEDGER};
    use crate::plan::{TableChange, plan, plan_within};
    use crate::postgres::layout::measure;
    use crate::table::TableColumn;

    #[test]
    fn merge_of_a_torture_table() {
        let (file, table) = (torture_file(), "\"hub\"\"spot\".\"con\"\"tacts\"");
        let present =
            |name: &str, type_name: &str| TableColumn { name: name.into(), type_name: type_name.into() };
        // Another spelling, narrower types, and a column that the file lacks.
        let present = [
            present("VID", "bigint"),
            present("a\"key\"", "integer"),
            present("it's", "bigint"),
            present("file_index", "date"),
            present("my \"note\"", "character varying"),
        ];
        let mut statements = POSTGRES.create_bookkeeping(ACCOUNT, LEDGER).to_vec();
        if let TableChange::Create(columns) = plan(&POSTGRES, None, vec![&file]).unwrap().change {
            statements.push(create_table(table, &columns, (1, PAGE_BYTES)));
        }
        // Two columns are too many.
        let plan = plan_within(&POSTGRES, 11, Some(&present), vec![&file]).unwrap();
        statements.push(add_primary_key(table, &plan.primary_key));
        statements.push(lock_table(table));
        if let TableChange::Alter { add, widen } = &plan.change {
            let measure = measure(&present).unwrap();
            statements.push(make_room(table, &widen.iter().collect::<Vec<_>>(), &measure, 42));
            let added = add.iter().map(|column| POSTGRES.add_column(column));
            let widened = widen.iter().map(|widening| POSTGRES.widen(widening));
            let actions: Vec<String> = [add_overflow()].into_iter().chain(added).chain(widened).collect();
            statements.extend(POSTGRES.alter_table(table, &actions));
        }
        let group = &plan.groups[0];
        for is_wide in [false, true] {
            let staging = Staging { number: usize::from(is_wide) };
            let layout = Layout::new(&plan, group, is_wide, 0).unwrap();
            let merge = GroupMerge::new(table, &plan, group, &layout, &staging).unwrap();
            statements.extend([
                staging.create(&layout),
                staging.copy(),
                merge.find_newest(),
                count_newest(),
                merge.break_ties_in_files(),
                merge.break_ties_with_table(),
                count_changed(),
                merge.update_replaced(),
                merge.insert_all(),
                merge.insert_new(),
                staging.drop(),
                drop_scratch(),
            ]);
        }
        insta::assert_snapshot!(statements.join(";\n\n"));
    }

    #[test]
    fn pages_have_room_where_rows_change_and_another_fits_in() {
        let columns = [Column::new("id", ColumnType::BigInt), Column::new(IS_DELETED, ColumnType::Boolean)];
        let has_room =
            |columns: &[Column], staged| create_table("t", columns, staged).ends_with("(fillfactor = 85)");
        assert!(has_room(&columns, (0, 0)));
        assert!(has_room(&columns, (1, PAGE_BYTES)));
        assert!(has_room(&columns, (14, 2 * PAGE_BYTES)));
        assert!(!has_room(&columns, (13, 2 * PAGE_BYTES)));
        assert!(!has_room(&columns[..1], (14, 2 * PAGE_BYTES)));
    }
}
