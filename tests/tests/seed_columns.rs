//! Segment's tables and columns, under their exact names, and with values wherever HubSpot still has them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use duckdb::Connection;
use fake_hubspot::{Behaviour, Settings};
use tests::{COLLECTIONS, Sandbox};

/// The seed's columns. Each line names a collection and one of its columns; `*` stands for all columns with that
/// prefix. Segment names no columns of `email_events`.
const SEED: &str = include_str!("../seed-columns.txt");

/// Columns that are NULL in every row, with the reason.
const NULL_COLUMNS: [(&str, &str, &str); 8] = [
    ("contacts", "profile_token", "no answer of HubSpot holds it any more"),
    ("contacts", "profile_url", "no answer of HubSpot holds it any more"),
    (
        "contact_identities",
        "is_secondary",
        "no recorded answer of v1 holds it; filled from properties without v1",
    ),
    ("deals", "vid", "no answer of HubSpot ever held it"),
    ("contact_lists", "deleteable", "was told by the lists of v1 only, which are gone"),
    (
        "contact_lists",
        "filters_0_0_filter_family",
        "today's filters are a tree without families: filter_branch",
    ),
    ("contact_lists", "internal_list_id", "HubSpot dropped it before the lists of v1 ended"),
    (
        "contact_lists",
        "meta_data_last_processing_state_change_at",
        "was told by the lists of v1 only, which are gone",
    ),
];

/// Returns the seed's columns by collection.
fn seed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut seed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in SEED.lines() {
        let mut words = line.split_whitespace();
        seed.entry(words.next().unwrap()).or_default().extend(words);
    }
    seed
}

/// Returns the table's columns; `true` for those in which a row has a value.
fn columns(database: &Connection, table: &str) -> BTreeMap<String, bool> {
    let mut names = database
        .prepare("SELECT column_name FROM information_schema.columns WHERE table_schema = 'hubspot' AND table_name = ?")
        .unwrap();
    let names: Vec<String> =
        names.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let is_filled = |name: String| {
        let query = format!("SELECT count(\"{name}\") > 0 FROM hubspot.{table}");
        let is_filled = database.query_row(&query, [], |row| row.get(0)).unwrap();
        (name, is_filled)
    };
    names.into_iter().map(is_filled).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_the_seed_is_there_and_filled() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let database = sandbox.database();
    let mut wrong = Vec::new();
    for (collection, names) in seed() {
        let columns = columns(&database, collection);
        if columns.is_empty() {
            wrong.push(format!("{collection}: no such table"));
            continue;
        }
        for name in names {
            let is_match = |column: &str| match name.strip_suffix('*') {
                Some(prefix) => column.starts_with(prefix),
                None => column == name,
            };
            let filled: Vec<bool> =
                columns.iter().filter(|(column, _)| is_match(column)).map(|(_, filled)| *filled).collect();
            let is_null = NULL_COLUMNS.iter().any(|(of, null, _)| (*of, *null) == (collection, name));
            match (filled.is_empty(), filled.contains(&true)) {
                (true, _) => wrong.push(format!("{collection}: no column {name}")),
                (_, true) if is_null => {
                    wrong.push(format!("{collection}: {name} has values, though it is said to be NULL"))
                }
                (_, false) if !is_null => wrong.push(format!("{collection}: {name} is NULL in every row")),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_seed_names_all_collections_and_each_column_once() {
    let named: BTreeSet<&str> = seed().into_keys().collect();
    assert_eq!(named, BTreeSet::from(COLLECTIONS));
    let lines: BTreeSet<&str> = SEED.lines().collect();
    assert_eq!(lines.len(), SEED.lines().count());
    for (collection, column, reason) in NULL_COLUMNS {
        assert!(lines.contains(format!("{collection} {column}").as_str()), "{collection} {column}: {reason}");
    }
}
