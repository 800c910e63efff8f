//! Tables that another program made where ours are to be: they are put aside under another name, and their rows are read
//! from there. Rows go out as texts; what they mean is known to the caller.

use staging::{ColumnType, READ_AT, RUN_ID};

use crate::dialect::{Dialect, TableName, quote_identifier};
use crate::error::{Error, Kind, Result};
use crate::table::TableColumn;

/// Maker of what has a table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// A load: it has a column that every load writes.
    Load,
    /// Another program.
    Another,
    /// Another program, or a person, and it is no plain table: a view, or a foreign table.
    AnotherView,
}

/// Rows to be read of a table that is aside, in pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    /// The table that is aside.
    pub table: String,
    /// The table of ours: rows whose key it holds are left out.
    pub held_by: String,
    /// The columns of the key, as they are called in the table that is aside, and in ours.
    pub key: Vec<(String, String)>,
    /// Further columns, as they are called in the table that is aside.
    pub columns: Vec<String>,
    /// The page begins behind this text in the first column of the key.
    pub after: Option<String>,
    pub most: u64,
}

impl Maker {
    /// `None` columns: there is no plain table.
    pub(crate) fn of(dialect: &Dialect, columns: Option<&[TableColumn]>, is_view: bool) -> Option<Maker> {
        match columns {
            Some(columns) if is_ours(dialect, columns) => Some(Maker::Load),
            _ if is_view => Some(Maker::AnotherView),
            Some(_) => Some(Maker::Another),
            None => None,
        }
    }
}

/// `true`: a load made the table.
pub(crate) fn is_ours(dialect: &Dialect, columns: &[TableColumn]) -> bool {
    [READ_AT, RUN_ID].iter().any(|name| dialect.find(columns, name).is_some())
}

/// Returns the statement that renames a table, where the new name has no schema.
pub(crate) fn rename(table: &TableName, to: &TableName) -> String {
    format!("ALTER TABLE {} RENAME TO {}", table.qualified, to.alone)
}

/// Decides about a table that is to be put aside, and what has the name that it is to get. `false`: it is there already.
pub(crate) fn is_to_be_renamed(names: [&str; 2], makers: &[Option<Maker>]) -> Result<bool> {
    let [table, to] = names;
    let refuse = |why: String| Err(Error::new(Kind::Unsupported, why));
    match makers {
        [Some(Maker::Another), None] => Ok(true),
        [None | Some(Maker::Load), Some(Maker::Another)] => Ok(false),
        [Some(Maker::Another), Some(_)] => {
            refuse(format!("{table} can't be put aside, since there is a {to}: rename or drop one of them"))
        }
        [Some(Maker::AnotherView), _] => {
            refuse(format!("{table} is a view, where a table is to be: rename or drop it"))
        }
        _ => refuse(format!("there is no table {table} that another program made")),
    }
}

/// Something may depend on the table: whoever knows what can rename it.
pub(crate) fn renamed_by_hand(error: Error, table: &str, to: &str) -> Error {
    if error.kind() == Kind::Locked {
        return error;
    }
    let message = format!(
        "{table} can't be renamed: rename it to {to} by hand, and the same command goes on from there"
    );
    Error::new(error.kind(), message).because(error)
}

/// Selects a page: texts of the key, then of the further columns, ordered by the key. `None`: a column is missing. Both
/// names are quoted. Rows without a whole key are in no page.
///
/// A value of a row stands in the statement, the place where the page begins: far enough from its beginning, which errors
/// show.
pub(crate) fn select(
    dialect: &Dialect,
    [table, held_by]: [&str; 2],
    [present, held]: [&[TableColumn]; 2],
    wanted: &LeftOver,
) -> Option<String> {
    let exact = |name: &str| present.iter().find(|column| column.name == name);
    let names = wanted.key.iter().map(|(name, _)| name).chain(&wanted.columns);
    let texts: Vec<String> = names
        .enumerate()
        .map(|(n, name)| Some(format!("{} AS c{n}", text(dialect, exact(name)?))))
        .collect::<Option<_>>()?;
    let keys: Vec<String> = wanted
        .key
        .iter()
        .enumerate()
        .map(|(n, (_, name))| Some(format!("{} AS k{n}", text(dialect, dialect.find(held, name)?))))
        .collect::<Option<_>>()?;
    let of_key = |each: fn(usize) -> String, by: &str| (0..keys.len()).map(each).collect::<Vec<_>>().join(by);
    let after = wanted.after.iter().map(|after| format!(" AND p.c0 > {}", (dialect.literal)(after)));
    Some(format!(
        "SELECT p.* FROM (SELECT {} FROM {table}) AS p WHERE {} AND NOT EXISTS \
         (SELECT 1 FROM (SELECT {} FROM {held_by}) AS h WHERE {}){} ORDER BY {} LIMIT {}",
        texts.join(", "),
        of_key(|n| format!("p.c{n} IS NOT NULL"), " AND "),
        keys.join(", "),
        of_key(|n| format!("h.k{n} = p.c{n}"), " AND "),
        after.collect::<String>(),
        of_key(|n| format!("p.c{n}"), ", "),
        wanted.most
    ))
}

/// Counts the rows without a whole key. `table` is quoted. `None`: a column is missing.
pub(crate) fn count_keyless(table: &str, present: &[TableColumn], key: &[&str]) -> Option<String> {
    let is_null = |name: &&str| {
        let column = present.iter().find(|column| column.name == **name)?;
        Some(format!("{} IS NULL", quote_identifier(&column.name)))
    };
    let conditions: Vec<String> = key.iter().map(is_null).collect::<Option<_>>()?;
    Some(format!("SELECT count(*) AS n FROM {table} WHERE {}", conditions.join(" OR ")))
}

/// A column's text. What is no type of ours may be of any type that has a text.
fn text(dialect: &Dialect, column: &TableColumn) -> String {
    let name = quote_identifier(&column.name);
    match (dialect.column_type)(&column.type_name) {
        ColumnType::Text | ColumnType::Json => {
            format!("CAST({name} AS {})", (dialect.type_name)(ColumnType::Text))
        }
        other => (dialect.text_of)(&name, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::dialect::POSTGRES;

    fn column(name: &str, type_name: &str) -> TableColumn {
        TableColumn { name: name.to_owned(), type_name: type_name.to_owned() }
    }

    #[test]
    fn an_error_does_not_show_where_a_page_begins() {
        let wanted = LeftOver {
            table: "t_of_segment".to_owned(),
            held_by: "t".to_owned(),
            key: vec![("id".to_owned(), "id".to_owned())],
            columns: Vec::new(),
            after: Some("ada@example.com".to_owned()),
            most: 10,
        };
        let (present, held) = ([column("id", "text")], [column("id", "bigint")]);
        let sql = select(&POSTGRES, ["\"s\".\"t\"", "\"s\".\"t\""], [&present, &held], &wanted).unwrap();
        assert!(sql.find("ada@example.com").unwrap() > 160, "{sql}");
        assert!(select(&POSTGRES, ["t", "h"], [&[], &held], &wanted).is_none());
    }

    #[test]
    fn only_a_table_of_another_program_with_a_free_name_is_renamed() {
        let decide = |table, to| is_to_be_renamed(["deals", "deals_of_segment"], &[table, to]);
        assert!(decide(Some(Maker::Another), None).unwrap());
        assert!(!decide(None, Some(Maker::Another)).unwrap());
        assert!(!decide(Some(Maker::Load), Some(Maker::Another)).unwrap());
        for (table, to, words) in [
            (Some(Maker::Another), Some(Maker::Another), "there is a deals_of_segment"),
            (Some(Maker::Another), Some(Maker::AnotherView), "there is a deals_of_segment"),
            (Some(Maker::AnotherView), None, "deals is a view"),
            (Some(Maker::Load), None, "no table deals"),
            (None, None, "no table deals"),
        ] {
            let refused = decide(table, to).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
