//! Putting tables of other programs aside while others use them.

use std::time::{Duration, Instant};

use super::PostgresBench;
use crate::conformance::{Bench, Cell, Row, contact, contacts, merge};
use crate::{Kind, Maker};

const ASIDE: &str = "contacts_of_another";

async fn make(bench: &PostgresBench) {
    let table = bench.quoted("contacts");
    let schema = table.split_once(".\"contacts\"").unwrap().0.to_owned();
    bench.execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await;
    bench.execute(&format!("CREATE TABLE {table} (id text PRIMARY KEY, email text)")).await;
    bench.execute(&format!("INSERT INTO {table} VALUES ('7', 'a')")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_waited_for_only_for_a_moment() {
    let Some(bench) = PostgresBench::new().await else { return };
    make(&bench).await;
    let before: Vec<Row> = bench.rows("contacts").await;
    bench.execute(&format!("BEGIN; SELECT * FROM {}", bench.quoted("contacts"))).await;
    let (warehouse, started) = (bench.warehouse().await, Instant::now());
    let refused = warehouse.put_aside("contacts", ASIDE).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Locked, "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    bench.execute("COMMIT").await;
    assert_eq!(bench.rows("contacts").await, before);
    // The same command goes on.
    warehouse.put_aside("contacts", ASIDE).await.unwrap();
    assert_eq!(bench.rows(ASIDE).await, before);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_renames_and_a_load_takes_its_turn() {
    let Some(bench) = PostgresBench::new().await else { return };
    make(&bench).await;
    let (one, another) = (bench.warehouse().await, bench.warehouse().await);
    let both = futures::join!(one.put_aside("contacts", ASIDE), another.put_aside("contacts", ASIDE));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    // The index of the table that is aside has the name that ours would have.
    let row = contact(1, 10, 11, &[Cell::text("new")]);
    merge(&bench, &[contacts("a", &[("email", staging::ColumnType::Text)], vec![row])]).await;
    let makers = one.makers(&["contacts", ASIDE]).await.unwrap();
    assert_eq!(makers, [Some(Maker::Load), Some(Maker::Another)]);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_another_case_are_other_tables_and_materialised_views_are_views() {
    let Some(bench) = PostgresBench::new().await else { return };
    make(&bench).await;
    let [capital, view, table] = ["Contacts", "deals", "contacts"].map(|name| bench.quoted(name));
    let capital = capital.replace("\"contacts\"", "\"Contacts\"");
    bench.execute(&format!("CREATE TABLE {capital} (id text)")).await;
    bench.execute(&format!("CREATE MATERIALIZED VIEW {view} AS SELECT * FROM {table}")).await;
    let warehouse = bench.warehouse().await;
    let makers = warehouse.makers(&["contacts", "deals", "companies"]).await.unwrap();
    assert_eq!(makers, [Some(Maker::Another), Some(Maker::AnotherView), None]);
    warehouse.put_aside("contacts", ASIDE).await.unwrap();
    assert_eq!(warehouse.makers(&["contacts"]).await.unwrap(), [None]);
    bench.close().await;
}
