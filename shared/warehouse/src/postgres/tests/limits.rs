//! Limits of PostgreSQL: rows wider than a page, more columns than it allows, names that are too long.

use std::collections::BTreeMap;

use staging::ColumnType;

use super::{PostgresBench, SMALL_BYTES};
use crate::conformance::{Bench, Cell, Row, contact, contacts, merge};

use ColumnType::{BigInt, Boolean, Date, Double, Json, Text, Timestamp};

type Columns = Vec<(String, ColumnType)>;

fn columns(count: usize, types: &[ColumnType]) -> Columns {
    (0..count).map(|n| (format!("property_{n}"), types[n % types.len()])).collect()
}

fn named(columns: &Columns) -> Vec<(&str, ColumnType)> {
    columns.iter().map(|(name, column_type)| (name.as_str(), *column_type)).collect()
}

fn value(column_type: ColumnType, n: i64, text_bytes: usize) -> Cell {
    match column_type {
        Text | Json => Cell::text(format!("{n:0>text_bytes$}")),
        BigInt => Cell::BigInt(n),
        Double => Cell::Double(n as f64 + 0.5),
        Boolean => Cell::Boolean(n % 2 == 0),
        Date => Cell::Date(n as i32),
        Timestamp => Cell::Timestamp(n * 1000 + 1),
    }
}

/// Returns cells as texts, as the bench reads overflowed values.
fn texts(cells: impl IntoIterator<Item = Cell>) -> Vec<String> {
    let text = |cell| match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text,
        Cell::BigInt(number) => number.to_string(),
        Cell::Double(number) => number.to_string(),
        Cell::Boolean(is_it) => is_it.to_string(),
        Cell::Date(days) => chrono::NaiveDate::from_epoch_days(days).unwrap().to_string(),
        Cell::Timestamp(ms) => {
            let time = chrono::DateTime::from_timestamp_millis(ms).unwrap();
            time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
        }
    };
    cells.into_iter().map(text).collect()
}

/// Returns rows as texts, by id. A value without a column that is in no overflow is NULL.
async fn read_texts(bench: &PostgresBench, columns: &Columns) -> Vec<Vec<String>> {
    let mut rows = bench.rows("contacts").await;
    rows.sort_by(|a, b| a["id"].partial_cmp(&b["id"]).unwrap());
    let cell = |row: &Row, name: &str| row.get(&bench.column(name)).cloned().unwrap_or(Cell::Null);
    rows.iter().map(|row| texts(columns.iter().map(|(name, _)| cell(row, name)))).collect()
}

/// Returns the number of rows in which a value overflowed.
async fn overflowing(bench: &PostgresBench) -> i64 {
    let sql = format!("SELECT count(_overflow) FROM {}", bench.quoted("contacts"));
    bench.client.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_wider_than_a_page_keep_their_values() {
    let all = [Text, BigInt, Double, Boolean, Date, Timestamp, Json];
    for (types, text_bytes) in [
        (&[Text][..], 23),
        (&[Text], 24),
        (&[Text], 40),
        (&[Text], 2000),
        (&[Double], 0),
        (&[Boolean, BigInt], 0),
        (&all, 5),
        (&all, 126),
    ] {
        let Some(bench) = PostgresBench::new().await else { return };
        let columns = columns(1500, types);
        let row = |id: i64, version: i64| {
            let cell = |(n, (_, column_type)): (usize, &(String, ColumnType))| {
                value(*column_type, id * 10_000 + n as i64 + version, text_bytes)
            };
            columns.iter().enumerate().map(cell).collect::<Vec<_>>()
        };
        let file = |key: &str, ids: std::ops::Range<i64>, version: i64| {
            let rows = ids.map(|id| contact(id, version, version, &row(id, version))).collect();
            contacts(key, &named(&columns), rows)
        };
        merge(&bench, &[file("a", 0..3, 1)]).await;
        assert_eq!(overflowing(&bench).await, 3, "{types:?} {text_bytes}");
        assert_eq!(merge(&bench, &[file("b", 1..4, 2)]).await.updated, 2);
        let expected: Vec<_> =
            [(0, 1), (1, 2), (2, 2), (3, 2)].map(|(id, version)| texts(row(id, version))).to_vec();
        assert_eq!(read_texts(&bench, &columns).await, expected, "{types:?} {text_bytes}");
        // The same rows in another file are the same rows.
        assert_eq!(merge(&bench, &[file("c", 1..4, 2)]).await.merged_rows, 0);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fit_do_not_overflow() {
    let Some(bench) = PostgresBench::new().await else { return };
    let columns = columns(1500, &[Text]);
    let row = |filled: usize| {
        let cell =
            |n: usize| if n.is_multiple_of(1500 / filled) { Cell::text("x".repeat(300)) } else { Cell::Null };
        (0..1500).map(cell).collect::<Vec<_>>()
    };
    let rows = [100, 250].map(|filled| contact(filled as i64, 1, 1, &row(filled)));
    merge(&bench, &[contacts("a", &named(&columns), rows.to_vec())]).await;
    assert_eq!(overflowing(&bench).await, 0);
    assert_eq!(read_texts(&bench, &columns).await, [100, 250].map(|filled| texts(row(filled))));

    // A table that no row can be too wide for has no such column.
    merge(&bench, &[contacts("b", &[("x", Text)], vec![]).of_collection("narrow")]).await;
    let sql = format!("SELECT * FROM {}", bench.quoted("narrow"));
    let statement = bench.client.prepare(&sql).await.unwrap();
    assert!(statement.columns().iter().all(|column| column.name() != "_overflow"));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_past_the_limit_overflow() {
    let Some(bench) = PostgresBench::new().await else { return };
    let columns = columns(1700, &[Boolean, Text]);
    let row = |version: i64, bools: bool| {
        let cell = |n: usize| match n % 2 {
            0 => Cell::Boolean(bools),
            _ if n > 1600 => Cell::text(format!("{n} {version}")),
            _ => Cell::Null,
        };
        (0..1700).map(cell).collect::<Vec<_>>()
    };
    let file = |key: &str, version: i64, columns: &Columns, cells: &[Cell]| {
        contacts(key, &named(columns), vec![contact(1, version, version, cells)])
    };
    merge(&bench, &[file("a", 1, &columns, &row(1, true))]).await;
    assert_eq!(read_texts(&bench, &columns).await, [texts(row(1, true))]);

    // What a newer file has replaces what it had, and what it lacks stays.
    let (fewer, cells) = (columns[..1651].to_vec(), &row(2, false)[..1651]);
    merge(&bench, &[file("b", 2, &fewer, cells)]).await;
    let expected = texts([cells, &row(1, true)[1651..]].concat());
    assert_eq!(read_texts(&bench, &columns).await, [expected]);

    let nothing = vec![Cell::Null; 1700];
    merge(&bench, &[file("c", 3, &columns, &nothing)]).await;
    assert_eq!(overflowing(&bench).await, 0, "an overflow with nothing in it is NULL");
    bench.close().await;
}

/// Checks a page that has room for the file's values, or for those that rows keep, but not for both.
#[tokio::test(flavor = "multi_thread")]
async fn kept_values_and_new_ones_share_a_page() {
    let Some(bench) = PostgresBench::new().await else { return };
    let all = columns(600, &[Text]);
    let (first, second) = (all[..300].to_vec(), all[300..].to_vec());
    let cells = |text: &str| vec![Cell::text(text); 300];
    let file = |key: &str, version: i64, columns: &Columns, text: &str| {
        let rows = (1..3).map(|id| contact(id, version, version, &cells(text))).collect();
        contacts(key, &named(columns), rows)
    };
    merge(&bench, &[file("a", 1, &first, "a text of twenty bytes")]).await;
    merge(&bench, &[file("b", 2, &second, "another of twenty bytes")]).await;
    let expected = texts([cells("a text of twenty bytes"), cells("another of twenty bytes")].concat());
    assert_eq!(read_texts(&bench, &all).await, [expected.clone(), expected]);
    assert_eq!(overflowing(&bench).await, 2);
    bench.close().await;
}

/// Checks numbers that become texts and then exceed the page.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_row_can_be_widened() {
    for small_bytes in [SMALL_BYTES, 0] {
        let Some(bench) = PostgresBench::new().await else { return };
        let bench = PostgresBench { small_bytes, ..bench };
        let columns = columns(970, &[BigInt]);
        let long = i64::MAX - 1000;
        let cells: Vec<Cell> = (0..970).map(|n| Cell::BigInt(long + n)).collect();
        let half: Vec<Cell> = (0..970).map(|n| if n < 400 { Cell::BigInt(n) } else { Cell::Null }).collect();
        let rows = vec![contact(1, 1, 1, &cells), contact(2, 1, 1, &half)];
        merge(&bench, &[contacts("a", &named(&columns), rows)]).await;

        let widened: Columns = columns[..500].iter().map(|(name, _)| (name.clone(), Text)).collect();
        let words = vec![Cell::text("w"); 500];
        merge(&bench, &[contacts("b", &named(&widened), vec![contact(3, 1, 1, &words)])]).await;
        let mut third = words;
        third.resize(970, Cell::Null);
        assert_eq!(read_texts(&bench, &columns).await, [texts(cells), texts(half), texts(third)]);
        bench.close().await;
    }
}

/// Checks numbers that become texts in a table without an overflow, since every row had fitted.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_becomes_wide_by_widening() {
    for small_bytes in [SMALL_BYTES, 0] {
        let Some(bench) = PostgresBench::new().await else { return };
        let bench = PostgresBench { small_bytes, ..bench };
        let columns = columns(500, &[BigInt]);
        let cells: Vec<Cell> = (0..500).map(|n| Cell::BigInt(i64::MIN + n)).collect();
        merge(&bench, &[contacts("a", &named(&columns), vec![contact(1, 1, 1, &cells)])]).await;
        let widened: Columns = columns.iter().map(|(name, _)| (name.clone(), Text)).collect();
        let words = vec![Cell::text("a word"); 500];
        merge(&bench, &[contacts("b", &named(&widened), vec![contact(2, 1, 1, &words)])]).await;
        assert_eq!(read_texts(&bench, &columns).await, [texts(cells), texts(words)]);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overflow_is_read_as_the_readme_says() {
    let Some(bench) = PostgresBench::new().await else { return };
    let columns = columns(1000, &[Text]);
    let cells = vec![Cell::text("twenty bytes of text"); 1000];
    merge(&bench, &[contacts("a", &named(&columns), vec![contact(1, 1, 1, &cells)])]).await;
    let sql = format!(
        "SELECT property_999 IS NULL, coalesce(property_999, _overflow->>'property_999') FROM {}",
        bench.quoted("contacts")
    );
    let row = bench.client.query_one(&sql, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (true, "twenty bytes of text"));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_postgres_keeps_for_itself_or_that_are_too_long() {
    let Some(bench) = PostgresBench::new().await else { return };
    let long = "ü".repeat(40);
    let longer = format!("{long}x");
    let names = ["ctid", "XMIN", "_overflow", "tableoid", "oid", long.as_str(), longer.as_str()];
    let columns: Columns = names.iter().map(|name| ((*name).to_owned(), Text)).collect();
    let cells: Vec<Cell> = names.iter().map(|name| Cell::text(*name)).collect();
    merge(&bench, &[contacts("a", &named(&columns), vec![contact(1, 1, 1, &cells)])]).await;
    // Spelled otherwise: the same columns.
    let shouted: Columns = columns.iter().map(|(name, kind)| (name.to_uppercase(), *kind)).collect();
    merge(&bench, &[contacts("b", &named(&shouted), vec![contact(2, 1, 1, &cells)])]).await;
    let expected: BTreeMap<_, _> = names.iter().zip(texts(cells)).collect();
    for row in read_texts(&bench, &columns).await {
        assert_eq!(names.iter().zip(row).collect::<BTreeMap<_, _>>(), expected);
    }
    assert_eq!(bench.rows("contacts").await[0].len(), 4 + names.len());
    bench.close().await;
}
