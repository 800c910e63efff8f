//! Measures merges into PostgreSQL against bare `COPY` of the same rows, 60 columns wide: a first load; changed rows
//! into a full table, those that were added last, then some of each page, twice; and the same files again. Prints
//! seconds, how many times a bare `COPY` just before that is, and CPU seconds and peak memory of this program.
//!
//!     cargo run --release --workspace --example measure_postgres -- postgres://me@localhost/test 5000000 1000000
//!
//! A fourth argument, `history`, keeps a history of the table.
//!
//! Makes the schema `hubspot_measure` anew, and drops it at the end.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use staging::{
    Column, ColumnType, Description, FileWriter, IS_DELETED, READ_AT, RUN_ID, Rows, SOURCE_UPDATED_AT, Table,
};
use tokio_postgres::{Client, NoTls};
use warehouse::{LocatedFile, Location, TableMode, Warehouse, connect};

const SCHEMA: &str = "hubspot_measure";
const ROWS_PER_FILE: u64 = 50_000;
const FILES_PER_MERGE: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("name a server: postgres://USER@HOST/DATABASE")?;
    let mut numbers = arguments.by_ref().take(2).map(|argument| argument.parse::<u64>());
    let total = numbers.next().transpose()?.unwrap_or(500_000);
    let changed = numbers.next().transpose()?.unwrap_or(100_000);
    let history = arguments.next().is_some_and(|argument| argument == "history");
    let mode = TableMode { history, ..TableMode::default() };
    let folder = tempfile::tempdir()?;
    let client = plain_client(&url).await?;
    client.batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")).await?;

    // Four fifths of the changed rows replace one, a fifth is new.
    let (replaced, new) = (changed * 4 / 5, changed - changed * 4 / 5);
    let step = total / replaced.max(1);
    let ids = |version: i64, replaced_id: &dyn Fn(u64) -> u64| -> Vec<u64> {
        let first_new = total + (version as u64 - 2) * new;
        (0..replaced).map(replaced_id).chain(first_new..first_new + new).collect()
    };
    let adjacent = ids(2, &|n| total - replaced + n);
    let scattered = ids(3, &|n| n * step);
    let again = ids(4, &|n| n * step + step / 2);

    let warehouse = connect(&url, SCHEMA, None, None).await?;
    let started = Instant::now();
    reset_peak_memory();
    let chunk = ROWS_PER_FILE * FILES_PER_MERGE as u64;
    for start in (0..total).step_by(usize::try_from(chunk)?) {
        let ids: Vec<u64> = Range { start, end: total.min(start + chunk) }.collect();
        let files = stage(folder.path(), "contacts", 1, &ids)?;
        let part = Instant::now();
        warehouse.merge_as(&files, mode).await?;
        println!("first load up to {}: {:.1} s", start + ids.len() as u64, part.elapsed().as_secs_f64());
        files.iter().try_for_each(|file| std::fs::remove_file(path(file)))?;
    }
    println!(
        "first load, {total} rows: {:.1} s with staging, {} MiB at most",
        started.elapsed().as_secs_f64(),
        peak_memory_mib()
    );
    settle(&client).await?;

    let apart = stage(folder.path(), "apart", 2, &adjacent)?;
    let merge = async |what: &str, files: &[LocatedFile], copy: Option<f64>| {
        merge(&*warehouse, what, files, mode, copy).await
    };
    merge("merge into a new table", &apart, None).await?;
    let file = folder.path().join("rows.binary");
    copy_out(&client, &file).await?;
    for (what, version, ids) in [
        ("merge of the rows added last", 2, adjacent),
        ("merge of rows of each page", 3, scattered),
        ("merge of others of each page", 4, again),
    ] {
        let files = stage(folder.path(), "contacts", version, &ids)?;
        settle(&client).await?;
        let copy = bare_copy(&client, &file).await?;
        settle(&client).await?;
        merge(what, &files, Some(copy)).await?;
        merge("the same files again", &files, None).await?;
        files.iter().try_for_each(|file| std::fs::remove_file(path(file)))?;
    }
    client.batch_execute(&format!("DROP SCHEMA {SCHEMA} CASCADE")).await?;
    Ok(())
}

/// `copy` is how many seconds a bare one took.
async fn merge(
    warehouse: &dyn Warehouse,
    what: &str,
    files: &[LocatedFile],
    mode: TableMode,
    copy: Option<f64>,
) -> Result<(), Box<dyn Error>> {
    reset_peak_memory();
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let rows: u64 = files.iter().map(|file| file.description.rows).sum();
    let merged = warehouse.merge_as(files, mode).await?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let times = copy.map(|copy| format!(", {:.1} times the COPY", seconds / copy)).unwrap_or_default();
    println!(
        "{what}, {rows} rows: {seconds:.2} s{times}, {cpu:.2} s CPU here, {} MiB at most",
        peak_memory_mib()
    );
    println!("{merged:?}");
    Ok(())
}

/// Does the work that a server does by itself some time after a load.
async fn settle(client: &Client) -> Result<(), Box<dyn Error>> {
    client.batch_execute(&format!("VACUUM ANALYZE {SCHEMA}.contacts")).await?;
    Ok(client.batch_execute("CHECKPOINT").await?)
}

async fn copy_out(client: &Client, file: &Path) -> Result<(), Box<dyn Error>> {
    let copy = format!("COPY {SCHEMA}.apart TO STDOUT (FORMAT binary)");
    let mut rows = pin!(client.copy_out(&copy).await?);
    let mut file = std::io::BufWriter::new(std::fs::File::create(file)?);
    while let Some(chunk) = rows.next().await {
        std::io::Write::write_all(&mut file, &chunk?)?;
    }
    Ok(())
}

/// The rows as PostgreSQL wrote them itself, into a table without an index.
async fn bare_copy(client: &Client, file: &Path) -> Result<f64, Box<dyn Error>> {
    let bare = format!("{SCHEMA}.bare");
    client.batch_execute(&format!("CREATE TABLE {bare} (LIKE {SCHEMA}.apart)")).await?;
    client.batch_execute("CHECKPOINT").await?;
    let (started, mut file) = (Instant::now(), std::fs::File::open(file)?);
    let mut sink = pin!(client.copy_in(&format!("COPY {bare} FROM STDIN (FORMAT binary)")).await?);
    loop {
        let mut chunk = vec![0; 256 << 10];
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        chunk.truncate(length);
        sink.send(Bytes::from(chunk)).await?;
    }
    let rows = sink.finish().await?;
    let seconds = started.elapsed().as_secs_f64();
    println!("bare COPY, {rows} rows: {seconds:.2} s");
    client.batch_execute(&format!("DROP TABLE {bare}")).await?;
    Ok(seconds)
}

/// Without the password and the TLS that [`connect`] knows of: a server of one's own is meant.
async fn plain_client(url: &str) -> Result<Client, Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn stage(
    folder: &Path,
    collection: &str,
    version: i64,
    ids: &[u64],
) -> Result<Vec<LocatedFile>, Box<dyn Error>> {
    let (columns, run) = (columns(), format!("run-{version}"));
    let table = Table::new(collection, &["id"], columns)?;
    let mut files = Vec::new();
    for ids in ids.chunks(usize::try_from(ROWS_PER_FILE)?) {
        let key = format!("{collection}-{version}-{}", ids[0]);
        let path = folder.join(format!("{key}.parquet"));
        let mut writer = FileWriter::create(&path, &run, 1, &run, &table)?;
        for (n, &id) in ids.iter().enumerate() {
            row(writer.rows(), &table, id, version, &run);
            if n % 100 == 99 {
                writer.page_done()?;
            }
        }
        let description: Description = writer.finish()?.description;
        files.push(LocatedFile { key, location: Location::Local(path), description });
    }
    Ok(files)
}

/// 60 columns of every type, half of the values NULL.
fn columns() -> Vec<Column> {
    use ColumnType::{BigInt, Boolean, Date, Double, Text, Timestamp};
    let mut columns = vec![
        Column::new("id", BigInt),
        Column::new(SOURCE_UPDATED_AT, Timestamp),
        Column::new(READ_AT, Timestamp),
        Column::new(RUN_ID, Text),
        Column::new("email", Text),
    ];
    let types = [Double, BigInt, Boolean, Date, Timestamp, Text, Text, Text, Text];
    columns.push(Column::new(IS_DELETED, Boolean));
    columns.extend((0..54).map(|n| Column::new(format!("property_{n}"), types[n % types.len()])));
    columns
}

fn row(rows: &mut Rows, table: &Table, id: u64, version: i64, run: &str) {
    const DAY_MS: i64 = 86_400_000;
    let time = 1_735_689_600_000 + version * DAY_MS;
    for (n, column) in table.columns.iter().enumerate() {
        let random = random(id * 64 + n as u64 + version as u64);
        let Some(cell) = rows.cell(n) else { continue };
        match (n, column.column_type) {
            (0, _) => cell.bigint(id as i64),
            (1, _) => cell.timestamp(time + (id % 10_000) as i64 * 1000),
            (2, _) => cell.timestamp(time + DAY_MS),
            (3, _) => cell.text(run),
            (4, _) => cell.text(&format!("user{id}@example.com")),
            (5, _) => cell.boolean(false),
            _ if random.is_multiple_of(2) => {}
            (_, ColumnType::Double) => cell.double((random % 100_000) as f64 / 7.0),
            (_, ColumnType::BigInt) => cell.bigint((random % 1000) as i64),
            (_, ColumnType::Boolean) => cell.boolean(random % 8 < 4),
            (_, ColumnType::Date) => cell.date(18_262 + (random % 1500) as i32),
            (_, ColumnType::Timestamp) => cell.timestamp(time + (random % 1_000_000) as i64 * 1000),
            (n, _) if n % 9 == 2 => cell.text(&format!("value {}", random % 1_000_000)),
            _ => cell.text(&format!("choice {}", random % 20)),
        }
    }
    rows.finish_row();
}

/// The same number for the same argument, and no pattern to be seen.
fn random(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53) >> 7
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
