//! Other sessions during a merge: readers, a report that holds the table open, VACUUM, new indexes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use staging::ColumnType;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::{Postgres, PostgresBench, client};
use crate::conformance::{Bench, Cell, File, contact, contacts, merge_as, read, stage};
use crate::transactional::Transactional;
use crate::{Kind, LocatedFile, TableMode, Warehouse};

const WITH_HISTORY: TableMode = TableMode { hard_delete: false, history: true };

fn narrow(key: &str, ids: std::ops::Range<i64>) -> File {
    let row = |id| contact(id, 10, 11, &[Cell::BigInt(id)]);
    contacts(key, &[("amount", ColumnType::BigInt)], ids.map(row).collect())
}

/// The same rows in a newer version, with a wider amount and a new column.
fn wide(key: &str, ids: std::ops::Range<i64>) -> File {
    let row = |id| contact(id, 20, 21, &[Cell::Double(id as f64 + 0.5), Cell::text("Ulm")]);
    let columns = [("amount", ColumnType::Double), ("city", ColumnType::Text)];
    contacts(key, &columns, ids.map(row).collect()).of_run("run-2")
}

/// Merges in the background.
async fn merging(
    bench: &PostgresBench,
    files: Vec<LocatedFile>,
) -> JoinHandle<crate::error::Result<crate::Merged>> {
    let warehouse = bench.warehouse().await;
    tokio::spawn(async move { warehouse.merge_as(&files, WITH_HISTORY).await })
}

/// Waits until a statement in the bench's schema that begins like this waits for a lock.
async fn is_waiting(bench: &PostgresBench, begins: &str) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND starts_with(query, $1) \
               AND strpos(query, $2) > 0";
    let (started, schema) = (Instant::now(), crate::quote_identifier(&bench.schema));
    while bench.client.query_one(sql, &[&begins, &schema]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "nobody waits to {begins:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Makes a session that fails where it would have to wait this long for a lock.
async fn impatient(bench: &PostgresBench, milliseconds: u32) -> Client {
    let client = client(&bench.url).await;
    client.batch_execute(&format!("SET lock_timeout = {milliseconds}")).await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_vacuum_and_new_indexes_go_on_while_a_merge_writes() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge_as(&bench, &[narrow("a", 0..50)], WITH_HISTORY).await;
    let (table, history) = (bench.quoted("contacts"), bench.quoted("contacts_history"));

    // The merge has written its rows, and can't write the ledger.
    let mut other = client(&bench.url).await;
    let holding = other.transaction().await.unwrap();
    let lock = format!("LOCK TABLE {} IN SHARE MODE", bench.quoted("_loaded_files"));
    holding.batch_execute(&lock).await.unwrap();
    let merging = merging(&bench, stage(&bench, &[wide("b", 0..60)])).await;
    is_waiting(&bench, "INSERT INTO").await;

    let reader = impatient(&bench, 200).await;
    for sql in [
        format!("SELECT sum(amount) FROM {table}"),
        format!("SELECT count(*) FROM {history} AS h JOIN {table} AS t ON t.id = h.id"),
        format!("VACUUM {table}"),
        format!("VACUUM ANALYZE {history}"),
    ] {
        reader.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    // An index that is made meanwhile waits for older transactions, and nobody for it.
    let index = format!("CREATE INDEX CONCURRENTLY ON {table} (amount)");
    let indexer = client(&bench.url).await;
    let indexing = tokio::spawn(async move { indexer.batch_execute(&index).await });
    is_waiting(&bench, "CREATE INDEX CONCURRENTLY").await;
    reader.batch_execute(&format!("SELECT sum(amount) FROM {table}")).await.unwrap();

    holding.rollback().await.unwrap();
    assert_eq!(merging.await.unwrap().unwrap().updated, 50);
    indexing.await.unwrap().unwrap();
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_holds_the_table_open_holds_up_no_reader() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge_as(&bench, &[narrow("a", 0..50)], WITH_HISTORY).await;
    let (table, history) = (bench.quoted("contacts"), bench.quoted("contacts_history"));
    let mut other = client(&bench.url).await;
    let report = other.transaction().await.unwrap();
    report.query(&format!("SELECT * FROM {history} JOIN {table} USING (id)"), &[]).await.unwrap();

    let merging = merging(&bench, stage(&bench, &[wide("b", 0..60)])).await;
    is_waiting(&bench, "").await;
    let reader = impatient(&bench, 2_000).await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        for table in [&table, &history] {
            reader.batch_execute(&format!("SELECT count(*) FROM {table}")).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!merging.is_finished());
    report.commit().await.unwrap();
    assert_eq!(merging.await.unwrap().unwrap().updated, 50);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_outlasts_the_load_is_named_and_nothing_is_lost() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge_as(&bench, &[narrow("a", 0..5)], WITH_HISTORY).await;
    let mut other = client(&bench.url).await;
    other.batch_execute("SET application_name = 'the report'").await.unwrap();
    let report = other.transaction().await.unwrap();
    report.query(&format!("SELECT * FROM {}", bench.quoted("contacts")), &[]).await.unwrap();
    let files = stage(&bench, &[wide("b", 0..6)]);
    let it = Postgres::connect(&bench.url, &bench.schema, None).await.unwrap();
    let hasty = Transactional(Postgres { patience_with_readers: Duration::from_millis(300), ..it });
    let error = hasty.merge_as(&files, WITH_HISTORY).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Locked, "{error:?}");
    assert!(error.to_string().contains("the report"), "{error}");
    report.commit().await.unwrap();
    let merged = hasty.merge_as(&files, WITH_HISTORY).await.unwrap();
    assert_eq!((merged.updated, merged.inserted), (5, 1));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_a_deadlock_ends_is_done_again() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge_as(&bench, &[narrow("a", 0..5)], WITH_HISTORY).await;
    let mut other = client(&bench.url).await;
    let holding = other.transaction().await.unwrap();
    let ledger = bench.quoted("_loaded_files");
    let sql = format!("SET LOCAL deadlock_timeout = '1min'; LOCK TABLE {ledger} IN SHARE MODE");
    holding.batch_execute(&sql).await.unwrap();
    let merging = merging(&bench, stage(&bench, &[wide("b", 0..5)])).await;
    is_waiting(&bench, "INSERT INTO").await;
    let update = format!("UPDATE {} SET city = 'Rom'", bench.quoted("contacts"));
    holding.batch_execute(&update).await.unwrap();
    holding.commit().await.unwrap();
    assert_eq!(merging.await.unwrap().unwrap().updated, 5);
    bench.close().await;
}

/// A program that changes rows under a merge makes it begin again.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_under_a_merge_are_merged_again() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge_as(&bench, &[wide("a", 0..5)], TableMode::default()).await;
    let mut other = client(&bench.url).await;
    let holding = other.transaction().await.unwrap();
    let update = format!("UPDATE {} SET city = 'Rom' WHERE id = 3", bench.quoted("contacts"));
    holding.batch_execute(&update).await.unwrap();
    let row = |id| contact(id, 30, 31, &[Cell::text("Bonn")]);
    let newer = contacts("b", &[("city", ColumnType::Text)], (0..5).map(row).collect());
    let merging = merging(&bench, stage(&bench, &[newer])).await;
    is_waiting(&bench, "UPDATE").await;
    holding.commit().await.unwrap();
    assert_eq!(merging.await.unwrap().unwrap().updated, 5);
    let cities = read(&bench, "contacts", &["city"]).await;
    assert_eq!(cities, vec![vec![Cell::text("Bonn")]; 5]);
    bench.close().await;
}

/// Leftovers of a load that was cut off while it filled a new column.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_being_filled_is_filled_again() {
    for before in ["double precision", "text"] {
        let Some(bench) = PostgresBench::new().await else { return };
        let bench = PostgresBench { small_bytes: 0, ..bench };
        merge_as(&bench, &[narrow("a", 0..5)], WITH_HISTORY).await;
        for table in ["contacts", "contacts_history"].map(|table| bench.quoted(table)) {
            let leftover =
                format!("ALTER TABLE {table} ADD COLUMN \"_widening:amount\" {before} DEFAULT '3'");
            bench.execute(&leftover).await;
        }
        // One that needs no change sees no such column.
        merge_as(&bench, &[narrow("b", 5..6)], WITH_HISTORY).await;
        merge_as(&bench, &[wide("c", 6..7)], WITH_HISTORY).await;
        for table in ["contacts", "contacts_history"] {
            let rows = bench.rows(table).await;
            assert!(rows.iter().all(|row| !row.keys().any(|name| name.contains(':'))), "{rows:?}");
            let mut amounts = read(&bench, table, &["amount"]).await.concat();
            assert_eq!(amounts.pop(), Some(Cell::Double(6.5)));
            let expected: Vec<Cell> = (0..6).map(|n| Cell::Double(f64::from(n))).collect();
            assert_eq!(amounts, expected, "{table}");
        }
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_with_an_index_and_a_default_keeps_them() {
    let Some(bench) = PostgresBench::new().await else { return };
    let bench = PostgresBench { small_bytes: 0, ..bench };
    merge_as(&bench, &[narrow("a", 0..5)], TableMode::default()).await;
    let table = bench.quoted("contacts");
    let index =
        format!("CREATE INDEX ON {table} (amount); ALTER TABLE {table} ALTER COLUMN amount SET DEFAULT 1");
    bench.execute(&index).await;
    merge_as(&bench, &[wide("b", 0..6)], TableMode::default()).await;
    let sql = "SELECT count(*) FROM pg_indexes AS i JOIN information_schema.columns AS c \
               ON c.table_schema = i.schemaname WHERE i.schemaname = $1 AND i.indexdef LIKE '%(amount)' AND c.column_name = 'amount' \
               AND c.table_name = 'contacts' AND c.column_default IS NOT NULL AND c.data_type = 'double precision'";
    assert_eq!(bench.client.query_one(sql, &[&bench.schema]).await.unwrap().get::<_, i64>(0), 1);
    bench.close().await;
}

/// Users join a table and its history in either order.
#[tokio::test(flavor = "multi_thread")]
async fn joins_in_either_order_meet_no_deadlock() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge_as(&bench, &[narrow("a", 0..2_000)], WITH_HISTORY).await;
    let (table, history) = (bench.quoted("contacts"), bench.quoted("contacts_history"));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for (one, other) in [(table.clone(), history.clone()), (history, table)] {
        let (client, is_over) = (client(&bench.url).await, Arc::clone(&is_over));
        readers.push(tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                let join = format!("BEGIN; SELECT count(*) FROM {one}; SELECT count(*) FROM {other}; COMMIT");
                client.batch_execute(&join).await?;
            }
            Ok::<(), tokio_postgres::Error>(())
        }));
    }
    for n in 0..5_i64 {
        let row = |id| contact(id, 20 + n, 21 + n, &[Cell::text("new")]);
        let columns = [(format!("column_{n}"), ColumnType::Text)];
        let columns: Vec<(&str, ColumnType)> =
            columns.iter().map(|(name, of)| (name.as_str(), *of)).collect();
        let file = contacts(&format!("b{n}"), &columns, (0..2_000).map(row).collect());
        merge_as(&bench, &[file], WITH_HISTORY).await;
    }
    is_over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    bench.close().await;
}

/// Checks that the server ends a statement of a program that is gone, and rolls it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_noticed_in_the_middle_of_a_statement() {
    let Some(server) = super::server::Server::shared() else { return };
    let bench = PostgresBench::on(server.socket_url()).await;
    let sql = "SELECT count(*) FROM pg_settings WHERE name = 'client_connection_check_interval'";
    if bench.client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        eprintln!("SKIPPED: servers before version 14 do not notice");
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut postgres = tokio::net::UnixStream::connect(server.socket()).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut postgres).await
    });
    let client = client(&format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")).await;
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(60)").await });
    let is_there = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%'";
    let count = async || bench.client.query_one(is_there, &[&pid]).await.unwrap().get::<_, i64>(0);
    while count().await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.abort();
    let started = Instant::now();
    while count().await > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "the statement goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bench.close().await;
}

/// Contacts of 134 columns, by version.
fn many(key: &str, version: i64, ids: std::ops::Range<i64>) -> File {
    let types = [
        ColumnType::Text,
        ColumnType::BigInt,
        ColumnType::Double,
        ColumnType::Boolean,
        ColumnType::Timestamp,
    ];
    let mut columns: Vec<(String, ColumnType)> =
        (0..129).map(|n| (format!("property_{n}"), types[n % types.len()])).collect();
    columns.push(("amount".to_owned(), if version > 1 { ColumnType::Double } else { ColumnType::BigInt }));
    if version > 1 {
        columns.push(("new_property".to_owned(), ColumnType::Text));
    }
    let columns: Vec<(&str, ColumnType)> = columns.iter().map(|(name, of)| (name.as_str(), *of)).collect();
    let row = |id: i64| {
        let cell = |&(name, of): &(&str, ColumnType)| match of {
            ColumnType::Text => Cell::text(format!("{name} of {id}")),
            ColumnType::Double => Cell::Double(id as f64 + 0.5),
            ColumnType::Boolean => Cell::Boolean(id % 2 == 0),
            ColumnType::Timestamp => Cell::Timestamp(id * 1000),
            _ => Cell::BigInt(id),
        };
        contact(id, 10 * version, 10 * version, &columns.iter().map(cell).collect::<Vec<_>>())
    };
    contacts(key, &columns, ids.map(row).collect()).of_run(&format!("run-{version}"))
}

/// Runs a statement over and over, and returns how often, and how long the longest took.
fn again_and_again(client: Client, sql: String, is_over: Arc<AtomicBool>) -> JoinHandle<(u32, Duration)> {
    tokio::spawn(async move {
        let (mut times, mut longest) = (0, Duration::ZERO);
        while !is_over.load(Ordering::SeqCst) {
            let started = Instant::now();
            client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            times += 1;
            longest = longest.max(started.elapsed());
        }
        (times, longest)
    })
}

/// Measures what readers, VACUUM and a new index feel of a merge of 30,000 contacts with a new column and a wider one,
/// and of one more while a report is open for a minute.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for two minutes"]
async fn readers_of_30_000_contacts() {
    let rows = 30_000;
    for seconds_of_report in [0, 60] {
        let Some(bench) = PostgresBench::new().await else { return };
        let files: Vec<File> =
            (0..3).map(|n| many(&format!("a{n}"), 1, n * rows / 3..(n + 1) * rows / 3)).collect();
        merge_as(&bench, &files, WITH_HISTORY).await;
        let (table, history) = (bench.quoted("contacts"), bench.quoted("contacts_history"));
        bench.execute(&format!("VACUUM ANALYZE {table}")).await;
        bench.execute(&format!("VACUUM ANALYZE {history}")).await;
        let files: Vec<File> =
            (0..3).map(|n| many(&format!("b{n}"), 2, n * rows / 3..(n + 1) * rows / 3)).collect();
        let files = stage(&bench, &files);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut others = Vec::new();
        for sql in [
            format!("SELECT * FROM {table} WHERE id = 77"),
            format!(
                "SELECT count(t.property_3) FROM {table} AS t JOIN {history} AS h USING (id) WHERE t.id < 2000"
            ),
            format!(
                "SELECT count(t.property_3) FROM {history} AS h JOIN {table} AS t USING (id) WHERE t.id < 2000"
            ),
        ] {
            others.push((sql.clone(), again_and_again(client(&bench.url).await, sql, Arc::clone(&is_over))));
        }
        if seconds_of_report == 0 {
            for sql in
                [format!("VACUUM {table}"), format!("CREATE INDEX CONCURRENTLY ON {table} (property_1)")]
            {
                let client = client(&bench.url).await;
                others.push((
                    sql.clone(),
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(2)).await;
                        let started = Instant::now();
                        client.batch_execute(&sql).await.unwrap();
                        (1, started.elapsed())
                    }),
                ));
            }
        }
        let mut reporter = client(&bench.url).await;
        let report = reporter.transaction().await.unwrap();
        if seconds_of_report > 0 {
            report
                .query(&format!("SELECT count(*) FROM {table} JOIN {history} USING (id)"), &[])
                .await
                .unwrap();
        }
        let started = Instant::now();
        let merging = merging(&bench, files).await;
        tokio::time::sleep(Duration::from_secs(seconds_of_report)).await;
        report.commit().await.unwrap();
        let merged = merging.await.unwrap().unwrap();
        eprintln!(
            "report open for {seconds_of_report} s: merged in {:.1} s, {merged:?}",
            started.elapsed().as_secs_f64()
        );
        is_over.store(true, Ordering::SeqCst);
        for (sql, other) in others {
            let (times, longest) = other.await.unwrap();
            eprintln!("{times} times, longest {} ms: {sql}", longest.as_millis());
        }
        bench.close().await;
    }
}
