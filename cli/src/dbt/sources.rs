//! `sources.yml`: every table and column with its description, tests of keys and relationships, and freshness.

use std::fmt::Write;

use compat::{Dialect, Table, Words};
use hubspot::feeds::CollectionEntry;
use staging::Column;

use super::known::Known;
use super::relations::{RELATIONS, Relation};
use super::yaml::scalar;

/// The name of the source, as in `source('hubspot', 'deals')`.
pub(crate) const SOURCE: &str = "hubspot";

const HEAD: &str = "\
# Written by hubspot-source dbt, which writes it anew. Descriptions are HubSpot's own, and the dictionary's.
version: 2
sources:
";

/// Returns the file. `schema` is where the tables are.
pub(crate) fn sources(known: &Known, dialect: &Dialect, schema: &str) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "  - name: {SOURCE}\n    description: {}\n    schema: {}\n    tables:",
        scalar("HubSpot, as hubspot-source keeps it in the warehouse. Deleted rows stay, with is_deleted."),
        scalar(schema),
    );
    for (name, table) in &known.tables.0 {
        let _ = write_table(&mut text, known, dialect, name, table);
    }
    text
}

fn write_table(
    text: &mut String,
    known: &Known,
    dialect: &Dialect,
    name: &str,
    table: &Table,
) -> std::fmt::Result {
    let entry = known.entry(name);
    let about = entry.map_or("Records of a custom object of the account.", |entry| entry.about);
    writeln!(text, "      - name: {}\n        description: {}", scalar(name), scalar(about))?;
    write_freshness(text, entry, table)?;
    let key = entry.map_or(&["id"][..], |entry| entry.primary_key);
    if key.len() > 1 {
        let columns: Vec<String> =
            key.iter().map(|column| scalar(&dialect.quoted(table.spelled(column)))).collect();
        writeln!(
            text,
            "        data_tests:\n          - unique_together:\n              arguments:\n                columns: [{}]",
            columns.join(", ")
        )?;
    }
    writeln!(text, "        columns:")?;
    table.columns.iter().try_for_each(|column| write_column(text, known, name, table, key, column))
}

/// Tables whose rows come with every change in HubSpot tell that nothing came for a day. The others change rarely.
fn write_freshness(text: &mut String, entry: Option<&CollectionEntry>, table: &Table) -> std::fmt::Result {
    let is_busy = ["contacts", "deals", "email_events"];
    let is_busy = entry.is_some_and(|entry| is_busy.contains(&entry.name));
    if !is_busy || !table.has("_read_at") {
        return Ok(());
    }
    writeln!(
        text,
        "        config:\n          loaded_at_field: _read_at\n          freshness:\n            \
         warn_after: {{count: 1, period: day}}\n            error_after: {{count: 3, period: day}}"
    )
}

fn write_column(
    text: &mut String,
    known: &Known,
    name: &str,
    table: &Table,
    key: &[&str],
    column: &Column,
) -> std::fmt::Result {
    let description = known.column(name, &column.name);
    let folded = column.name.to_lowercase();
    writeln!(
        text,
        "          - name: {}\n            description: {}",
        scalar(&column.name),
        scalar(&description)
    )?;
    let is_key = key.iter().any(|key| folded == *key);
    let relations: Vec<&Relation> = RELATIONS
        .iter()
        .filter(|relation| relation.table == name && relation.column == folded)
        .filter(|relation| known.table(relation.to).is_some_and(|to| to.has(relation.key)))
        .collect();
    if !is_key && relations.is_empty() {
        return Ok(());
    }
    writeln!(text, "            data_tests:")?;
    if is_key {
        writeln!(text, "              - not_null")?;
        if key.len() == 1 {
            writeln!(text, "              - unique")?;
        }
    }
    relations.iter().try_for_each(|relation| write_relation(text, table, relation))
}

fn write_relation(text: &mut String, table: &Table, relation: &Relation) -> std::fmt::Result {
    let Relation { to, key, is_strict, only, .. } = relation;
    writeln!(
        text,
        "              - relationships:\n                  arguments:\n                    to: source('{SOURCE}', '{to}')\n                    \
         field: {key}\n                  config:\n                    severity: {}",
        if *is_strict { "error" } else { "warn" }
    )?;
    let is_there = table.has("is_deleted").then_some("coalesce(is_deleted, false) = false");
    let conditions: Vec<&str> = is_there.into_iter().chain(*only).collect();
    if !conditions.is_empty() {
        writeln!(text, "                    where: \"{}\"", conditions.join(" and "))?;
    }
    Ok(())
}
