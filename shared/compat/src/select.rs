//! A view's SQL in one dialect, over the tables that are there.

use staging::ColumnType;

use crate::dialect::{Dialect, literal};
use crate::tables::{Table, Tables};
use crate::view::{Column, Only, Part, Value, View, Way};

/// A view as it can be made.
#[derive(Debug)]
pub struct Selected {
    pub view: &'static View,
    pub sql: String,
    /// In the order of the query.
    pub columns: Vec<Described>,
    /// Collections that are not there. Rows that would come from them are missing.
    pub lacking: Vec<&'static str>,
    /// None of its collections is there: the view is empty.
    pub is_empty: bool,
}

/// A column of a view, for people.
#[derive(Debug)]
pub struct Described {
    pub name: String,
    pub description: String,
}

/// Descriptions of columns, for people.
pub trait Words {
    /// Describes a property of a collection.
    fn property(&self, collection: &str, property: &str) -> String;

    /// Describes a column of a collection's table.
    fn column(&self, collection: &str, column: &str) -> String;
}

/// Nobody reads them.
impl Words for () {
    fn property(&self, _: &str, _: &str) -> String {
        String::new()
    }

    fn column(&self, _: &str, _: &str) -> String {
        String::new()
    }
}

/// Makes the SQL of a view. `relation` tells what stands for a collection's table behind `FROM`.
pub fn select(
    view: &'static View,
    tables: &Tables,
    words: &dyn Words,
    dialect: &Dialect,
    relation: &dyn Fn(&str) -> String,
) -> Selected {
    let is_there = |part: &&Part| tables.get(part.table).is_some();
    let way = view.ways.iter().find(|way| way.parts.iter().any(|part| is_there(&part)));
    let wanted = way.or(view.ways.first());
    let parts = wanted.map_or(&[][..], |way| way.parts);
    let lacking = parts.iter().filter(|part| !is_there(part)).map(|part| part.table).collect();
    let mut columns = Vec::new();
    let selects: Vec<String> = parts
        .iter()
        .filter_map(|part| Some((part, tables.get(part.table)?)))
        .map(|(part, table)| {
            let source = Source { words, dialect, part, table };
            let selected = source.columns(view, wanted.map_or(&[], |way| way.columns));
            let from = dialect.from(&relation(part.table), part.list.map(|list| table.spelled(list)));
            let sql = query(dialect, &selected, &from, &source.conditions());
            if columns.is_empty() {
                columns = selected.into_iter().map(|(_, column)| column).collect();
            }
            sql
        })
        .collect();
    let is_empty = selects.is_empty();
    let (sql, columns) = match wanted.filter(|_| is_empty) {
        Some(way) => empty(dialect, way),
        None => (selects.join("\nUNION ALL\n"), columns),
    };
    Selected { view, sql, columns, lacking, is_empty }
}

/// A query with the columns of a view and no row.
fn empty(dialect: &Dialect, way: &Way) -> (String, Vec<Described>) {
    let selected: Vec<(String, Described)> = way
        .columns
        .iter()
        .map(|Column { name, column_type, .. }| {
            let description = "NULL: the collection that it comes from is not there".to_owned();
            let described = Described { name: (*name).to_owned(), description };
            (dialect.null(*column_type), described)
        })
        .collect();
    // BigQuery takes no condition without a relation.
    let sql = query(dialect, &selected, "(SELECT 1 AS x) AS t", &["1 = 0".to_owned()]);
    (sql, selected.into_iter().map(|(_, column)| column).collect())
}

fn query(dialect: &Dialect, columns: &[(String, Described)], from: &str, conditions: &[String]) -> String {
    let column =
        |(value, column): &(String, Described)| format!("    {value} AS {}", dialect.quoted(&column.name));
    let columns: Vec<String> = columns.iter().map(column).collect();
    let sql = format!("SELECT\n{}\nFROM {from}", columns.join(",\n"));
    if conditions.is_empty() { sql } else { format!("{sql}\nWHERE {}", conditions.join("\n    AND ")) }
}

/// One table that a view reads.
struct Source<'a> {
    words: &'a dyn Words,
    dialect: &'a Dialect,
    part: &'a Part,
    table: &'a Table,
}

impl Source<'_> {
    /// Returns expressions and columns: those of the view, and the account's properties.
    fn columns(&self, view: &View, columns: &[Column]) -> Vec<(String, Described)> {
        let mut selected: Vec<(String, Described)> = columns
            .iter()
            .map(|column| {
                let (value, description) = self.value(column);
                (value, Described { name: column.name.to_owned(), description })
            })
            .collect();
        if !view.has_properties {
            return selected;
        }
        for (property, column) in self.table.properties() {
            let name = format!("property_{}", property.to_lowercase());
            let quoted = self.dialect.quoted(&name);
            if selected.iter().any(|(_, other)| self.dialect.quoted(&other.name) == quoted) {
                continue;
            }
            let description = self.words.property(self.part.table, &property);
            selected.push((self.of(&column.name), Described { name, description }));
        }
        selected
    }

    /// Returns an expression for a column of a view, and its description.
    fn value(&self, column: &Column) -> (String, String) {
        let Column { column_type, value, .. } = column;
        let collection = self.part.table;
        let (expression, words) = match value {
            Value::Of(name) => (self.typed(name, *column_type), self.described(name)),
            Value::Property(name) => {
                let own = self.table.column_of(name);
                (self.typed(&own, *column_type), self.words.property(collection, name))
            }
            Value::PropertyOrKind(name) => {
                let (own, kind) = (self.table.column_of(name), literal(self.part.kind));
                let value = match self.table.has(&own) {
                    true => format!("coalesce({}, {kind})", self.of(&own)),
                    false => kind,
                };
                (Some(value), format!("kind of the activity; of e-mails, the property `{name}`"))
            }
            Value::Kind => (Some(literal(self.part.kind)), "kind of the activity".to_owned()),
            Value::Deleted => {
                (Some(self.flag("is_deleted")), "true for what is deleted in HubSpot".to_owned())
            }
            Value::Active => (
                Some(format!("NOT {} AND NOT {}", self.flag("archived"), self.flag("is_deleted"))),
                "false for what is archived or deleted in HubSpot".to_owned(),
            ),
            Value::Not(name) => (
                self.there(name).map(|it| format!("NOT {it}")),
                format!("the opposite of `{collection}.{name}`"),
            ),
            Value::IsNull(name) => (
                self.there(name).map(|it| format!("{it} IS NULL")),
                format!("true where `{collection}.{name}` is NULL"),
            ),
            Value::Won => (
                self.there("probability")
                    .map(|it| format!("{} AND coalesce({it}, 0) >= 1", self.flag("is_closed"))),
                "true for a closed stage with the probability 1: won".to_owned(),
            ),
            Value::Object(fields) => {
                (self.object(fields), "a JSON object of the columns of this name".to_owned())
            }
            Value::ObjectName(name) => (
                self.there(name).map(|it| object_name(&it)),
                "the object, as HubSpot names one of its records".to_owned(),
            ),
            Value::Path(names) => {
                let texts: Vec<String> = names.iter().map(|name| self.of(name)).collect();
                (
                    Some(texts.join(" || '/' || ")),
                    format!("the columns {} of `{collection}`, with a slash between", names.join(", ")),
                )
            }
            Value::Item(field) => {
                let list = self.part.list.unwrap_or_default();
                let field_of = field.map_or_else(String::new, |field| format!("`{field}` in "));
                (
                    Some(self.dialect.item(*field, *column_type)),
                    format!("{field_of}an item of `{collection}.{list}`"),
                )
            }
            Value::Null => (None, "NULL: HubSpot's API does not tell it".to_owned()),
        };
        (expression.unwrap_or_else(|| self.dialect.null(*column_type)), words)
    }

    /// A column, in the view's type; `None` if the table lacks it.
    fn typed(&self, name: &str, as_type: ColumnType) -> Option<String> {
        let own = self.there(name)?;
        Some(self.dialect.converted(&own, self.table.type_of(name), as_type))
    }

    fn there(&self, name: &str) -> Option<String> {
        self.table.has(name).then(|| self.of(name))
    }

    /// The column that holds the values of this one.
    fn of(&self, name: &str) -> String {
        format!("t.{}", self.dialect.quoted(self.table.spelled(name)))
    }

    fn flag(&self, name: &str) -> String {
        self.there(name).map_or_else(|| "FALSE".to_owned(), |it| format!("coalesce({it}, FALSE)"))
    }

    fn object(&self, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let there: Vec<(&str, String)> =
            fields.iter().filter_map(|(key, name)| Some((*key, self.there(name)?))).collect();
        if there.is_empty() {
            return None;
        }
        let any: Vec<String> = there.iter().map(|(_, value)| format!("{value} IS NOT NULL")).collect();
        Some(format!("CASE WHEN {} THEN {} END", any.join(" OR "), self.dialect.object(&there)))
    }

    fn described(&self, name: &str) -> String {
        let about = self.words.column(self.part.table, name);
        format!("`{}.{name}`: {about}", self.part.table)
    }

    fn conditions(&self) -> Vec<String> {
        self.part.only.iter().filter_map(|only| self.condition(only)).collect()
    }

    /// `None`: it holds for all rows.
    fn condition(&self, only: &Only) -> Option<String> {
        let nothing = || Some("1 = 0".to_owned());
        match only {
            Only::Live => self.table.has("is_deleted").then(|| format!("NOT {}", self.flag("is_deleted"))),
            Only::Is(name, text) => match self.there(name) {
                Some(column) => Some(format!("{column} = {}", literal(text))),
                None => nothing(),
            },
            Only::In(name, texts) => match self.there(name) {
                Some(column) => {
                    let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
                    Some(format!("{column} IN ({})", texts.join(", ")))
                }
                None => nothing(),
            },
            Only::Filled(name) => self.there(name).map(|column| format!("{column} <> ''")),
            Only::NotZero(name) => self.there(name).map(|column| format!("{column} <> 0")),
            Only::Merged => match self.there("deleted_reason") {
                Some(column) => Some(format!("{column} = 'merged'")),
                None => nothing(),
            },
            Only::NotMerged => {
                self.there("deleted_reason").map(|column| format!("coalesce({column}, '') <> 'merged'"))
            }
            Only::Lasting => {
                let (until, since) = (self.there("valid_to")?, self.there("changed_at")?);
                Some(format!("({until} IS NULL OR {until} > {since})"))
            }
        }
    }
}

/// Collections, and the name that one of their records has. Others keep the name of the collection.
const OBJECTS: [(&str, &str); 7] = [
    ("contacts", "contact"),
    ("companies", "company"),
    ("deals", "deal"),
    ("tickets", "ticket"),
    ("products", "product"),
    ("line_items", "line_item"),
    ("quotes", "quote"),
];

fn object_name(column: &str) -> String {
    let cases: Vec<String> =
        OBJECTS.iter().map(|(many, one)| format!(" WHEN {} THEN {}", literal(many), literal(one))).collect();
    format!("CASE {column}{} ELSE {column} END", cases.concat())
}

#[cfg(test)]
mod tests {
    use warehouse::Shape;

    use super::*;
    use crate::dialect::{DIALECTS, dialect};
    use crate::fivetran::views;
    use crate::tables::Naming;

    /// The tables of these names, with these columns, all texts but for flags.
    fn with(tables: &[(&str, &[&str])]) -> Tables {
        let mut found = Tables::default();
        for (name, columns) in tables {
            let column = |name: &&str| {
                let is_flag = name.starts_with("is_");
                staging::Column::new(*name, if is_flag { ColumnType::Boolean } else { ColumnType::Text })
            };
            let shape = Shape { columns: columns.iter().map(column).collect(), beside: Vec::new() };
            found.0.insert((*name).to_owned(), Table::new(Naming::of(name), shape));
        }
        found
    }

    fn selected(name: &str, tables: &Tables, of: &str) -> Selected {
        let view = views().find(|view| view.name == name).unwrap();
        select(view, tables, &(), dialect(of).unwrap(), &|table| table.to_owned())
    }

    #[test]
    fn a_view_without_its_table_has_its_columns_and_no_row() {
        for dialect in DIALECTS {
            let it = selected("role", &with(&[("deals", &["id"])]), dialect.name);
            assert!(it.is_empty && it.lacking == ["roles"], "{it:?}");
            assert!(it.sql.ends_with("\nFROM (SELECT 1 AS x) AS t\nWHERE 1 = 0"), "{}", it.sql);
            assert_eq!(it.sql.matches(" AS ").count(), it.columns.len() * 2 + 2, "{}", it.sql);
        }
    }

    #[test]
    fn the_first_way_is_taken_whose_tables_are_there() {
        let deals: (&str, &[&str]) = ("deals", &["id", "associated_vids", "_read_at"]);
        let old = selected("deal_contact", &with(&[deals]), "bigquery");
        assert!(
            old.sql.contains("CROSS JOIN UNNEST(JSON_QUERY_ARRAY(t.`associated_vids`)) AS item"),
            "{}",
            old.sql
        );
        let new = selected("deal_contact", &with(&[deals, ("associations", &["from_id"])]), "bigquery");
        assert!(new.sql.contains("FROM associations AS t") && new.lacking.is_empty(), "{}", new.sql);
    }

    #[test]
    fn rows_of_all_tables_that_are_there_are_put_together() {
        let some = selected("engagement", &with(&[("calls", &["id"]), ("emails", &["id"])]), "postgres");
        assert_eq!(some.sql.matches("UNION ALL").count(), 1, "{}", some.sql);
        assert!(
            !some.is_empty && some.lacking == ["communications", "meetings", "notes", "tasks"],
            "{some:?}"
        );
    }

    #[test]
    fn properties_are_columns_once_and_others_are_none() {
        let columns = &["id", "portal_id", "is_deleted", "_run_id", "email", "dealname", "größe", "{{ x }}"];
        let it = selected("deal", &with(&[("deals", columns)]), "duckdb");
        let names: Vec<&str> = it.columns.iter().map(|column| column.name.as_str()).collect();
        let properties: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("property_")).collect();
        let fixed = ["dealname", "description", "amount", "closedate", "createdate", "hubspot_owner_id"];
        assert_eq!(properties, [&fixed[..], &["email", "größe"]].concat());
        assert!(it.sql.contains("CAST(NULL AS DOUBLE) AS \"property_amount\""), "{}", it.sql);
    }

    #[test]
    fn values_that_stand_beside_their_column_are_found_there() {
        let mut tables = with(&[]);
        let columns =
            ["id", "name", "name$text"].map(|name| staging::Column::new(name, ColumnType::Text)).to_vec();
        let shape = Shape { columns, beside: vec![("name".to_owned(), "name$text".to_owned())] };
        tables.0.insert("companies".to_owned(), Table::new(Naming::of("companies"), shape));
        let it = selected("company", &tables, "postgres");
        assert!(it.sql.contains("t.\"name$text\" AS \"property_name\""), "{}", it.sql);
        assert!(!it.columns.iter().any(|column| column.name.contains('$')), "{it:?}");
    }
}
