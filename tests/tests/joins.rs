//! The queries of `docs/joins.md`, each against the tables of a synced account.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is test code")]

use std::path::Path;

use fake_hubspot::{Behaviour, Further, ObjectType, PerType, Settings};
use tests::Sandbox;

const OBJECTS: [ObjectType; 7] = [
    ObjectType::Tickets,
    ObjectType::LineItems,
    ObjectType::Calls,
    ObjectType::Emails,
    ObjectType::Meetings,
    ObjectType::Notes,
    ObjectType::Tasks,
];

/// The title and the text of each query.
fn queries(page: &str) -> Vec<(&str, &str)> {
    let mut title = "";
    let mut queries = Vec::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("```sql\n") {
        title = before.lines().rev().find_map(|line| line.strip_prefix("## ")).unwrap_or(title);
        let (query, after) = after.split_once("```").unwrap();
        queries.push((title, query));
        rest = after;
    }
    queries
}

/// Returns the collections in the command at the top of the page.
fn collections(page: &str) -> &str {
    let (_, after) = page.split_once("--collections ").unwrap();
    after.lines().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_page_has_rows_and_fills_its_columns() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/joins.md");
    let page = std::fs::read_to_string(page).unwrap();
    let records = PerType { contacts: 200, companies: 40, deals: 120 };
    let settings = Settings { records, ..Settings::default() };
    let further = Further { records: 60, custom_properties: 0 };
    let settings = OBJECTS.into_iter().fold(settings, |settings, object| settings.with(object, further));
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.account().give_past(ObjectType::Deals, &["dealstage"], 3).unwrap();
    sandbox.sync(&["--collections", collections(&page)]).await.complete();
    let database = sandbox.database();
    let queries = queries(&page);
    assert!(queries.len() >= 7, "{queries:?}");
    for (title, query) in queries {
        let mut statement = database.prepare(query).unwrap_or_else(|error| panic!("{title}: {error}"));
        let mut rows = statement.query([]).unwrap();
        let mut filled: Vec<bool> = Vec::new();
        let mut count = 0;
        while let Some(row) = rows.next().unwrap() {
            let columns = row.as_ref().column_count();
            filled.resize(columns, false);
            for (place, is_filled) in filled.iter_mut().enumerate() {
                *is_filled |= !matches!(row.get_ref(place).unwrap(), duckdb::types::ValueRef::Null);
            }
            count += 1;
        }
        assert!(count > 0, "{title} has no rows");
        let names = rows.as_ref().unwrap().column_names();
        let empty: Vec<&String> =
            names.iter().zip(&filled).filter(|(_, filled)| !**filled).map(|(n, _)| n).collect();
        assert!(empty.is_empty(), "{title}: {empty:?} are NULL in all {count} rows");
    }
}
