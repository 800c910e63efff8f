//! Measures merges against DuckDB's own `CREATE TABLE AS SELECT` of the same files, 60 columns wide: a first load, and
//! changed rows into a full table. Prints seconds, CPU seconds and peak memory.
//!
//!     cargo run --release -p warehouse --features duckdb --example measure -- 5000000 1000000
//!
//! A third argument, `history`, keeps a history of the table.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use duckdb::Connection;
use staging::{Column, ColumnType, Description, READ_AT, RUN_ID, SOURCE_UPDATED_AT, Table};
use warehouse::{LocatedFile, Location, TableMode, connect};

const ROWS_PER_FILE: u64 = 100_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let history = std::env::args().nth(3).is_some_and(|argument| argument == "history");
    let mode = TableMode { history, ..TableMode::default() };
    let mut arguments = std::env::args().skip(1).take(2).map(|argument| argument.parse::<u64>());
    let total = arguments.next().transpose()?.unwrap_or(1_000_000);
    let changed = arguments.next().transpose()?.unwrap_or(200_000);
    let folder = tempfile::tempdir()?;
    let folder = folder.path();

    let first = stage(folder, "first", 1, 0..total)?;
    // Four fifths of the changed rows replace one, a fifth is new.
    let again = stage(folder, "again", 2, total - changed * 4 / 5..total + changed / 5)?;

    measured(&format!("create table as select, {total} rows"), || copy(&folder.join("a.duckdb"), &first))?;
    measured(&format!("create table as select, {changed} rows"), || copy(&folder.join("b.duckdb"), &again))?;
    let warehouse =
        connect(&format!("duckdb:{}", folder.join("merged.duckdb").display()), "hubspot", None, None).await?;
    let unchanged: Vec<LocatedFile> =
        first.iter().map(|file| LocatedFile { key: format!("{}-again", file.key), ..file.clone() }).collect();
    for (what, files) in
        [("first load", &first), ("merge", &again), ("replay", &again), ("unchanged", &unchanged)]
    {
        let rows: u64 = files.iter().map(|file| file.description.rows).sum();
        let runtime = tokio::runtime::Handle::current();
        let merge = || tokio::task::block_in_place(|| runtime.block_on(warehouse.merge_as(files, mode)));
        println!("{:?}", measured(&format!("{what}, {rows} rows"), merge)?);
    }
    Ok(())
}

fn measured<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    reset_peak_memory();
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let outcome = work()?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    println!("{what}: {seconds:.2} s, {cpu:.2} s CPU, {} MiB at most", peak_memory_mib());
    Ok(outcome)
}

fn copy(database: &Path, files: &[LocatedFile]) -> Result<(), duckdb::Error> {
    let connection = Connection::open(database)?;
    connection.execute_batch("SET preserve_insertion_order = false; SET memory_limit = '256MiB'")?;
    let paths: Vec<String> = files.iter().map(|file| format!("'{}'", path(file).display())).collect();
    connection.execute_batch(&format!("CREATE TABLE t AS SELECT * FROM read_parquet([{}])", paths.join(", ")))
}

fn stage(
    folder: &Path,
    name: &str,
    version: u32,
    ids: Range<u64>,
) -> Result<Vec<LocatedFile>, Box<dyn Error>> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("SET TimeZone = 'UTC'")?;
    let columns = columns(version);
    let select: Vec<String> =
        columns.iter().map(|(column, sql)| format!("{sql} AS {}", column.name)).collect();
    let table = Table::new("contacts", &["id"], columns.into_iter().map(|(column, _)| column).collect())?;
    let mut files = Vec::new();
    for start in ids.clone().step_by(usize::try_from(ROWS_PER_FILE)?) {
        let end = ids.end.min(start + ROWS_PER_FILE);
        let key = format!("{name}-{start}");
        let path = folder.join(format!("{key}.parquet"));
        connection.execute_batch(&format!(
            "COPY (SELECT {} FROM range({start}, {end}) AS ids(i)) TO '{}' (FORMAT parquet, COMPRESSION zstd)",
            select.join(", "),
            path.display()
        ))?;
        let description = Description::new(1, &format!("run-{version}"), &table, end - start);
        files.push(LocatedFile { key, location: Location::Local(path), description });
    }
    Ok(files)
}

/// 60 columns and how to make them up from the row number `i`: texts of few and of many values, half of them NULL.
fn columns(version: u32) -> Vec<(Column, String)> {
    use ColumnType::{BigInt, Boolean, Date, Double, Text, Timestamp};
    let time = format!("TIMESTAMPTZ '2025-01-01 00:00:00+00' + to_days({version})");
    let mut columns = vec![
        (Column::new("id", BigInt), "i".to_owned()),
        (Column::new(SOURCE_UPDATED_AT, Timestamp), format!("{time} + to_seconds(i % 10000)")),
        (Column::new(READ_AT, Timestamp), format!("{time} + to_days(1)")),
        (Column::new(RUN_ID, Text), format!("'run-{version}'")),
        (Column::new("email", Text), "'user' || i || '@example.com'".to_owned()),
    ];
    for n in 0..55 {
        let random = format!("hash(i * 60 + {n})");
        let (column_type, value) = match n % 9 {
            0 => (Double, format!("({random} % 100000) / 7.0")),
            1 => (BigInt, format!("CAST({random} % 1000 AS BIGINT)")),
            2 => (Boolean, format!("{random} % 4 < 2")),
            3 => (Date, format!("CAST(DATE '2020-01-01' + CAST({random} % 1500 AS INTEGER) AS DATE)")),
            4 => (Timestamp, format!("{time} + to_seconds(CAST({random} % 1000000 AS BIGINT))")),
            5 => (Text, format!("'value ' || ({random} % 1000000)")),
            _ => (Text, format!("'choice ' || ({random} % 20)")),
        };
        columns.push((
            Column::new(format!("property_{n}"), column_type),
            format!("CASE WHEN hash(i + {n}) % 2 = 0 THEN {value} END"),
        ));
    }
    columns
}

fn reset_peak_memory() {
    // Elsewhere than on Linux the peak is that of the whole program.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.unwrap_or(0) / 1024
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn path(file: &LocatedFile) -> &std::path::Path {
    match &file.location {
        Location::Local(path) => path,
        Location::S3 { .. } => unreachable!("files are staged in a folder"),
    }
}
