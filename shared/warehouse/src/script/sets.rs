//! Sets: a row that a newer read of its set does not show becomes deleted. The table alone decides that, once a script's
//! rows are all in it, so files may come in any order.

use staging::{ColumnType, REMOVED};

use super::engine::{Purpose, Statement};
use super::sql::check;
use crate::dialect::{Dialect, TableName, quote_identifier, quote_literal};
use crate::plan::{Plan, Sets};

/// Deletes what is gone from its set, over all groups of a script.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    dialect: &'static Dialect,
    table: &'a TableName,
    sets: &'a Sets,
    /// The primary key: scratch tables' names, the table's, quoted, their types, and whether the set key has them.
    key: Vec<(String, String, ColumnType, bool)>,
    touched: String,
    gone: String,
    /// No other merge can come in between.
    is_alone: bool,
}

impl<'a> Sweep<'a> {
    /// `None` if no file has a set key. `touched` and `gone` are scratch tables' names; `type_of` finds the type that a
    /// column of the table has after the merge.
    pub(super) fn new(
        dialect: &'static Dialect,
        table: &'a TableName,
        plan: &'a Plan<'_>,
        [touched, gone]: [String; 2],
        is_alone: bool,
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
        Some(Sweep { dialect, table, sets, key, touched, gone, is_alone })
    }

    /// The scratch tables, and their columns.
    pub(super) fn scratch(&self) -> [(&str, Vec<(String, ColumnType)>); 2] {
        let columns = |is_wanted: &dyn Fn(bool) -> bool| -> Vec<(String, ColumnType)> {
            let wanted = self.key.iter().filter(|(_, _, _, is_in_set_key)| is_wanted(*is_in_set_key));
            wanted.map(|(staged, _, column_type, _)| (staged.clone(), *column_type)).collect()
        };
        let version = ["updated_at", "read_at"].map(|name| (name.to_owned(), ColumnType::Timestamp));
        let gone = columns(&|_| true).into_iter().chain(version).collect();
        [(&self.touched, columns(&|is_in_set_key| is_in_set_key)), (&self.gone, gone)]
    }

    /// To be run while the newest rows of a group are there.
    pub(super) fn touch(&self, newest: &str) -> Statement {
        let columns = self.of_set(", ", |staged, _| staged.to_owned());
        Statement::scratch(format!("INSERT INTO {} SELECT DISTINCT {columns} FROM {newest}", self.touched))
    }

    /// To be run after the last group. The one statement that counts has the number of rows that became deleted.
    pub(super) fn end(&self) -> [Statement; 4] {
        [
            Statement::scratch(self.find_gone()),
            Statement::write(self.delete_gone()),
            Statement::new(Purpose::Swept, self.check_deleted()),
            Statement::count(format!("SELECT count(*) FROM {}", self.gone)),
        ]
    }

    /// All rows of the touched sets but those of the newest version and tombstones.
    fn find_gone(&self) -> String {
        let [updated_at, read_at] = self.version("t");
        let in_table = |name: &str| format!("t.{}", quote_identifier(name));
        let columns = self.of_set(", ", |staged, _| staged.to_owned());
        format!(
            "INSERT INTO {} SELECT {}, updated_at, read_at FROM (SELECT {}, {updated_at} AS updated_at, \
             {read_at} AS read_at, NOT coalesce({}, false) AS is_live, \
             rank() OVER (PARTITION BY {} ORDER BY {updated_at} DESC, {read_at} DESC) AS place \
             FROM (SELECT DISTINCT {columns} FROM {}) AS s JOIN {} AS t ON {}) AS t WHERE place > 1 AND is_live",
            self.gone,
            self.list(", ", |staged, _| staged.to_owned()),
            self.list(", ", |staged, name| format!("t.{name} AS {staged}")),
            in_table(&self.sets.is_deleted),
            self.of_set(", ", |_, name| format!("t.{name}")),
            self.touched,
            self.table.qualified,
            self.of_set(" AND ", |staged, name| format!("t.{name} = s.{staged}")),
        )
    }

    /// In place: the version and all other values stay, and so does the row's place in the tie-break.
    fn delete_gone(&self) -> String {
        let Sets { is_deleted, deleted_reason, deleted_at, .. } = self.sets;
        let deleted_at = deleted_at.iter().map(|name| format!(", {} = NULL", quote_identifier(name)));
        let [updated_at, read_at] = self.version(&self.table.alone);
        let (condition, otherwise) = match self.is_alone {
            // Redshift wants both clauses; there is no row that does not match.
            true => {
                let names = self.list(", ", |_, name| name.to_owned());
                let values = self.list(", ", |staged, _| format!("s.{staged}"));
                (String::new(), format!(" WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"))
            }
            // A row of another version has been read anew.
            false => (format!(" AND {updated_at} = s.updated_at AND {read_at} = s.read_at"), String::new()),
        };
        format!(
            "MERGE INTO {} USING {} AS s ON {} WHEN MATCHED{condition} THEN UPDATE SET {} = true, {} = {}{}{otherwise}",
            self.table.qualified,
            self.gone,
            self.list(" AND ", |staged, name| format!("{}.{name} = s.{staged}", self.table.alone)),
            quote_identifier(is_deleted),
            quote_identifier(deleted_reason),
            quote_literal(REMOVED),
            deleted_at.collect::<String>(),
        )
    }

    /// Of a row of the table, which is called so.
    fn version(&self, row: &str) -> [String; 2] {
        let Sets { source_updated_at, read_at, .. } = self.sets;
        [source_updated_at, read_at]
            .map(|name| self.dialect.or_lowest(&format!("{row}.{}", quote_identifier(name))))
    }

    fn check_deleted(&self) -> String {
        let [updated_at, read_at] = self.version("t");
        let left = format!(
            "SELECT count(*) FROM {} AS s JOIN {} AS t ON {} WHERE NOT coalesce(t.{}, false) \
             AND {updated_at} = s.updated_at AND {read_at} = s.read_at",
            self.gone,
            self.table.qualified,
            self.list(" AND ", |staged, name| format!("t.{name} = s.{staged}")),
            quote_identifier(&self.sets.is_deleted)
        );
        check(self.dialect, &format!("({left}) = 0"), "rows are left")
    }

    fn list(&self, separator: &str, item: impl Fn(&str, &str) -> String) -> String {
        self.key.iter().map(|(staged, name, ..)| item(staged, name)).collect::<Vec<_>>().join(separator)
    }

    fn of_set(&self, separator: &str, item: impl Fn(&str, &str) -> String) -> String {
        let in_set_key = self.key.iter().filter(|(_, _, _, is_in_set_key)| *is_in_set_key);
        in_set_key.map(|(staged, name, ..)| item(staged, name)).collect::<Vec<_>>().join(separator)
    }
}
