//! Sweep of sets: a row that a newer read of its set does not show becomes deleted. This is decided by the table
//! alone, when all rows of a merge are in it, so files may come in any order. The statements are the same for every
//! engine, except for the one that deletes.

use staging::{ColumnType, REMOVED};

use crate::dialect::{Dialect, TableName, quote_identifier, quote_literal};
use crate::plan::{Plan, Sets};

/// Deletes rows that are gone from their sets, over all groups of a merge.
#[derive(Debug)]
pub(crate) struct Sweep<'a> {
    dialect: &'static Dialect,
    table: &'a TableName,
    sets: &'a Sets,
    /// Columns of the primary key: name in scratch tables, quoted name in the table, type, and `true` for those of the
    /// set key.
    key: Vec<(String, String, ColumnType, bool)>,
    /// Type of the column with the time of a deletion.
    deleted_at: ColumnType,
    touched: String,
    gone: String,
}

impl<'a> Sweep<'a> {
    /// Makes the sweep; `None` if no file has a set key. `touched` and `gone` are scratch tables' names.
    pub(crate) fn new(
        dialect: &'static Dialect,
        table: &'a TableName,
        plan: &'a Plan<'_>,
        [touched, gone]: [String; 2],
    ) -> Option<Sweep<'a>> {
        let sets = plan.sets.as_ref()?;
        let type_of = |name: &String| {
            let mut fields = plan.groups.iter().flat_map(|group| &group.fields);
            fields.find(|field| field.target == *name).map_or(ColumnType::Text, |field| field.to)
        };
        let key = |(n, name): (usize, &String)| {
            (format!("k{n}"), quote_identifier(name), type_of(name), sets.key.contains(name))
        };
        let key = plan.primary_key.iter().enumerate().map(key).collect();
        let deleted_at = sets.deleted_at.as_ref().map_or(ColumnType::Timestamp, &type_of);
        Some(Sweep { dialect, table, sets, key, deleted_at, touched, gone })
    }

    /// The scratch tables, and their columns: keys of the sets that the files have rows of, and keys and versions of
    /// the rows that are gone. Made before the first group is merged.
    pub(crate) fn scratch(&self) -> [(&str, Vec<(String, ColumnType)>); 2] {
        let columns = |is_wanted: &dyn Fn(bool) -> bool| -> Vec<(String, ColumnType)> {
            let wanted = self.key.iter().filter(|(_, _, _, is_in_set_key)| is_wanted(*is_in_set_key));
            wanted.map(|(staged, _, column_type, _)| (staged.clone(), *column_type)).collect()
        };
        let version = ["updated_at", "read_at"].map(|name| (name.to_owned(), ColumnType::Timestamp));
        let gone = columns(&|_| true).into_iter().chain(version).collect();
        [(&self.touched, columns(&|is_in_set_key| is_in_set_key)), (&self.gone, gone)]
    }

    /// Remembers the sets of a group; `staged` is a scratch table that has the keys of its rows.
    pub(crate) fn touch(&self, staged: &str) -> String {
        let columns = self.of_set(", ", |staged, _| staged.to_owned());
        format!("INSERT INTO {} SELECT DISTINCT {columns} FROM {staged}", self.touched)
    }

    /// Finds, after the last group, all rows of the touched sets but those of the newest version and tombstones. Where
    /// sets are closed by a row, the newest version is that of the newest such row.
    pub(crate) fn find_gone(&self) -> String {
        let [updated_at, read_at] = self.version("t");
        let in_table = |name: &str| format!("t.{}", quote_identifier(name));
        let columns = self.of_set(", ", |staged, _| staged.to_owned());
        let ranked = format!(
            "SELECT {}, {updated_at} AS updated_at, \
             {read_at} AS read_at, NOT coalesce({}, false) AS is_live, \
             rank() OVER (PARTITION BY {} ORDER BY {updated_at} DESC, {read_at} DESC) AS place \
             FROM (SELECT DISTINCT {columns} FROM {}) AS s JOIN {} AS t ON {}",
            self.list(", ", |staged, name| format!("t.{name} AS {staged}")),
            in_table(&self.sets.is_deleted),
            self.of_set(", ", |_, name| format!("t.{name}")),
            self.touched,
            self.table.qualified,
            self.of_set(" AND ", |staged, name| format!("t.{name} = s.{staged}")),
        );
        let (ranked, newest) = match self.closes() {
            Some(closes) => {
                let closed = format!("min(CASE WHEN {closes} THEN place END) OVER (PARTITION BY {columns})");
                (format!("SELECT *, {closed} AS closed FROM ({ranked}) AS t"), "closed")
            }
            None => (ranked, "1"),
        };
        format!(
            "INSERT INTO {} SELECT {}, updated_at, read_at FROM ({ranked}) AS t WHERE place > {newest} AND is_live",
            self.gone,
            self.list(", ", |staged, _| staged.to_owned()),
        )
    }

    /// Returns the condition of a row that closes its set, by its keys in scratch tables.
    fn closes(&self) -> Option<String> {
        let quoted = quote_identifier(self.sets.closed_by.as_deref()?);
        let (staged, _, column_type, _) = self.key.iter().find(|(_, name, ..)| *name == quoted)?;
        let zero = if *column_type == ColumnType::Text { "'0'" } else { "0" };
        Some(format!("{staged} = {zero}"))
    }

    pub(crate) fn count_gone(&self) -> String {
        format!("SELECT count(*) FROM {}", self.gone)
    }

    /// Marks the rows as deleted: the version, all other values and the run id stay. A row that has another version by
    /// now has been read again.
    pub(crate) fn delete_gone(&self) -> String {
        let Sets { is_deleted, deleted_reason, deleted_at, .. } = self.sets;
        let null = format!("CAST(NULL AS {})", (self.dialect.type_name)(self.deleted_at));
        let deleted_at = deleted_at.iter().map(|name| format!(", {} = {null}", quote_identifier(name)));
        let [updated_at, read_at] = self.version(&self.table.alone);
        let values = format!(
            "{} = true, {} = {}{}",
            quote_identifier(is_deleted),
            quote_identifier(deleted_reason),
            quote_literal(REMOVED),
            deleted_at.collect::<String>()
        );
        let TableName { qualified, alone } = self.table;
        let same_key = self.list(" AND ", |staged, name| format!("{alone}.{name} = s.{staged}"));
        let same_version = format!("{updated_at} = s.updated_at AND {read_at} = s.read_at");
        match self.dialect.is_transactional {
            true => format!(
                "UPDATE {qualified} SET {values} FROM {} AS s WHERE {same_key} AND {same_version}",
                self.gone
            ),
            // Athena updates from no other table.
            false => format!(
                "MERGE INTO {qualified} USING {} AS s ON {same_key} WHEN MATCHED AND {same_version} \
                 THEN UPDATE SET {values}",
                self.gone
            ),
        }
    }

    /// Returns the version of a row of the table, by the row's alias.
    fn version(&self, row: &str) -> [String; 2] {
        let Sets { source_updated_at, read_at, .. } = self.sets;
        [source_updated_at, read_at]
            .map(|name| self.dialect.or_lowest(&format!("{row}.{}", quote_identifier(name))))
    }

    /// Counts the rows that are gone and not deleted.
    pub(crate) fn count_left(&self) -> String {
        let [updated_at, read_at] = self.version("t");
        format!(
            "SELECT count(*) FROM {} AS s JOIN {} AS t ON {} WHERE NOT coalesce(t.{}, false) \
             AND {updated_at} = s.updated_at AND {read_at} = s.read_at",
            self.gone,
            self.table.qualified,
            self.list(" AND ", |staged, name| format!("t.{name} = s.{staged}")),
            quote_identifier(&self.sets.is_deleted)
        )
    }

    fn list(&self, separator: &str, item: impl Fn(&str, &str) -> String) -> String {
        self.key.iter().map(|(staged, name, ..)| item(staged, name)).collect::<Vec<_>>().join(separator)
    }

    fn of_set(&self, separator: &str, item: impl Fn(&str, &str) -> String) -> String {
        let in_set_key = self.key.iter().filter(|(_, _, _, is_in_set_key)| *is_in_set_key);
        in_set_key.map(|(staged, name, ..)| item(staged, name)).collect::<Vec<_>>().join(separator)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use staging::{
        Column, ColumnType, DELETED_REASON, Description, IS_DELETED, READ_AT, RUN_ID, SOURCE_UPDATED_AT,
        Table,
    };

    use super::*;
    use crate::athena::ATHENA;
    use crate::columns::{ColumnSql, GroupColumns};
    use crate::plan::{Field, plan};
    use crate::postgres::POSTGRES;
    use crate::table::TableColumn;
    use crate::{LocatedFile, Location};

    #[test]
    fn sweep_of_a_torture_table() {
        insta::assert_snapshot!(sql(&["a\"key\"", "vid"], None));
    }

    #[test]
    fn sweep_of_sets_that_are_closed() {
        insta::assert_snapshot!(sql(&["a\"key\"", "it's"], Some("vid")));
    }

    fn sql(set_key: &[&str], closed_by: Option<&str>) -> String {
        use ColumnType::{BigInt, Boolean, Text, Timestamp};
        let columns = [
            ("vid", BigInt),
            ("a\"key\"", Text),
            ("it's", Text),
            (IS_DELETED, Boolean),
            (DELETED_REASON, Text),
            (SOURCE_UPDATED_AT, Timestamp),
            (READ_AT, Timestamp),
            (RUN_ID, Text),
        ];
        let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).to_vec();
        let table = Table::new("con\"tacts", &["vid", "it's", "a\"key\""], columns).unwrap();
        let mut table = table.with_set_key(set_key).unwrap();
        if let Some(closed_by) = closed_by {
            table = table.with_sets_closed_by(closed_by).unwrap();
        }
        let description = Description::new(42, "run-1", &table, 3);
        let file = LocatedFile {
            key: "key".to_owned(),
            location: Location::Local(PathBuf::from("/x.parquet")),
            description,
        };
        // Another spelling, and a column that the file lacks.
        let present = [
            ("vid", "bigint"),
            ("Is_Deleted", "boolean"),
            ("Deleted_At", "date"),
            ("A\"Key\"", "text"),
            ("it's", "text"),
        ];
        let present =
            present.map(|(name, type_name)| TableColumn { name: name.into(), type_name: type_name.into() });
        let plan = plan(&POSTGRES, Some(&present), vec![&file]).unwrap();
        let staged = |field: &Field| Some(format!("s.{}", field.source.len()));
        let columns = GroupColumns::new(&POSTGRES, &plan, &plan.groups[0], staged).unwrap();
        let table = TableName {
            qualified: "\"hub\"\"spot\".\"con\"\"tacts\"".to_owned(),
            alone: "\"con\"\"tacts\"".to_owned(),
        };
        let of = |dialect| {
            let sweep = Sweep::new(dialect, &table, &plan, ["touched", "gone"].map(str::to_owned)).unwrap();
            let delete = sweep.delete_gone();
            [sweep.touch("staged"), sweep.find_gone(), sweep.count_gone(), delete, sweep.count_left()]
                .join(";\n\n")
        };
        let content = columns.content(ColumnSql::in_table);
        [content, of(&POSTGRES), of(&ATHENA)].join(";\n\n")
    }
}
