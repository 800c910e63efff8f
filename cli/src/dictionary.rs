//! `dictionary`: every collection and column, from the code that fills them, for people who query the tables.
//! `docs/dictionary.md` is its output, written by `make generate`.

use std::fmt::Write;

use hubspot::families::{self, CRM_OBJECTS, Family, Fill, Role};
use hubspot::feeds::{CollectionEntry, FEEDS, crm_objects, further, shared};
use staging::ColumnType;

const INTRODUCTION: &str = "\
# Dictionary

Every collection and column: its type, and where its value comes from today, or why it is NULL. Made by
`hubspot-source dictionary` from the code that fills them; `make generate` writes this file.

Types are those of the staged files: text, bigint, double, boolean, date, timestamp (an instant, UTC, milliseconds) and
json (text that holds JSON). Names with dots are keys on the way to a field of HubSpot's answer. The calls are those of a
run in which nothing has changed, besides one for the account's details at the start of each run.
";

const METADATA: &str = "
## Metadata

Tables that give ids their meaning: named with `--collections`, all of them as `metadata`, or read by `--collections all`.
Each run reads them whole and stages a table's rows where anything in them is another than at the last run. What HubSpot
does not show any more keeps its row, marked as deleted: a deal that was won three years ago still finds the name of its
stage. A table whose list HubSpot refuses, or fails on, stays as it was, and the run is
incomplete.

Ids have the type of the columns that hold them: text where a property does, such as `deals.dealstage` and
`hubspot_owner_id`. Each table also has the columns that all tables with deletes have, `is_deleted` to `_unparsed`
[below](#further-crm-objects), and `_extra` for what HubSpot sends beside its columns.

| collection | scopes |
|---|---|
";

const MARKETING: &str = "
## Marketing

Marketing e-mails with their statistics, and what else HubSpot's marketing tools have: named with `--collections`, or read by
`--collections all`. They are read whole by each run and staged like [metadata](#metadata). A marketing e-mail is not an
e-mail campaign: one e-mail may own several campaigns. `email_campaigns` come from the marketing e-mails where HubSpot's
campaigns v1 does not answer any more (404): without `app_id`, `sub_type` and other columns that v1 alone fills, and with
counters where an e-mail has one campaign; rows that v1 has filled keep their values, and the report says so.

| collection | scopes |
|---|---|
";

const OBJECTS: &str = "
## Further CRM objects

Named with `--collections`, or read by `--collections all` as far as the account has them. A custom object has a table of
its name in lower case, with `custom_` before it where HubSpot has an object of that name; its scopes are
`crm.objects.custom.read` and `crm.schemas.custom.read`.

All of them have the columns below, and one for each property of the account, named like the property. Their primary key
is `id`, HubSpot's record id.

| collection | contents | HubSpot's name | scopes |
|---|---|---|---|
";

/// Returns the whole dictionary, as Markdown.
pub(crate) fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    for collection in FEEDS.iter().flat_map(|feed| feed.dictionary()) {
        // Writing to a string does not fail.
        let _ = write_collection(&mut text, &collection, "##");
    }
    let _ = write_full_refresh(&mut text, "metadata", METADATA);
    let _ = write_full_refresh(&mut text, "marketing", MARKETING);
    let _ = write_objects(&mut text);
    for collection in shared() {
        let _ = write_collection(&mut text, &collection, "##");
    }
    text
}

/// Writes the tables of a feed that reads lists whole.
fn write_full_refresh(text: &mut String, feed: &str, about: &str) -> std::fmt::Result {
    let Some(feed) = further().find(|known| known.name() == feed) else { return Ok(()) };
    text.push_str(about);
    for name in feed.collections() {
        let is_needed = |fill: &Fill| fill.collection == *name && fill.role == Role::Needed;
        let family = families::all().find(|family| family.fills.iter().any(is_needed));
        writeln!(text, "| `{name}` | {} |", family.map(Family::scopes_text).unwrap_or_default())?;
    }
    for mut collection in feed.dictionary() {
        let own = collection.columns.iter().position(|column| column.name == staging::IS_DELETED);
        collection.columns.truncate(own.unwrap_or(collection.columns.len()));
        write_collection(text, &collection, "###")?;
    }
    Ok(())
}

/// Further objects have the same columns, but for the account's properties.
fn write_objects(text: &mut String) -> std::fmt::Result {
    let Some(entry) = crm_objects().flat_map(|feed| feed.dictionary()).next() else { return Ok(()) };
    text.push_str(OBJECTS);
    for object in CRM_OBJECTS {
        let scopes = object.families[0].scopes_text();
        writeln!(text, "| `{}` | {} | {} | {scopes} |", object.collection, object.about, object.path)?;
    }
    writeln!(text, "\n* Calls of each: {}.", entry.calls)?;
    write_columns(text, &entry)
}

fn write_collection(text: &mut String, collection: &CollectionEntry, level: &str) -> std::fmt::Result {
    writeln!(text, "\n{level} {}\n\n{}\n", collection.name, collection.about)?;
    let key: Vec<String> = collection.primary_key.iter().map(|column| format!("`{column}`")).collect();
    writeln!(text, "* Primary key: {}. {}.", key.join(", "), sentence(collection.key_reason))?;
    writeln!(text, "* Calls: {}.", collection.calls)?;
    if let Some(columns) = collection.properties {
        writeln!(
            text,
            "* Every property of the account, custom ones too, is a column {columns} of the type that HubSpot defines: \
             `number` is double, `bool` boolean, `date` date, `datetime` timestamp, `json` json, all else text."
        )?;
    }
    write_columns(text, collection)
}

fn write_columns(text: &mut String, collection: &CollectionEntry) -> std::fmt::Result {
    writeln!(text, "\n| column | type | from |\n|---|---|---|")?;
    for column in &collection.columns {
        writeln!(text, "| `{}` | {} | {} |", column.name, type_name(column.column_type), column.origin)?;
    }
    Ok(())
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "text",
        ColumnType::BigInt => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hubspot::feeds::{known, shared};

    #[test]
    fn every_column_is_named_once_and_says_where_it_comes_from() {
        for collection in known().flat_map(|feed| feed.dictionary()).chain(shared()) {
            let mut names = BTreeSet::new();
            for column in &collection.columns {
                assert!(names.insert(&column.name), "{}.{} twice", collection.name, column.name);
                assert!(!column.origin.is_empty(), "{}.{}", collection.name, column.name);
            }
            assert!(collection.primary_key.iter().all(|key| names.contains(&(*key).to_owned())));
        }
    }
}
