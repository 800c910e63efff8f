//! Measures a first load that is too large for one invocation. `stage` makes files as a backfill leaves them; each
//! `load` is one invocation of the function: it merges until its deadline, and its exit code is 3 while files are left.
//!
//!     cargo run --release --workspace --example first_load -- stage FOLDER 20000000
//!     cargo run --release --workspace --example first_load -- load FOLDER duckdb:FOLDER/hubspot.duckdb 60
//!
//! The third argument of `load` is the function's timeout in seconds; a fourth, `history`, keeps a history.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::Utc;
use load::{Options, load};
use staging::{
    Bucket, Column, ColumnType, FileWriter, IS_DELETED, READ_AT, RUN_ID, Rows, SOURCE_UPDATED_AT, State,
    Table,
};
use warehouse::TableMode;

const SCHEMA: &str = "hubspot_first_load";
const COLLECTION: &str = "contacts";
const ROWS_PER_FILE: i64 = 100_000;
/// Those of a page of HubSpot's.
const ROWS_PER_PAGE: i64 = 100;
/// The part of an invocation that is kept to save what is done, as in the function.
const KEPT_SHARE: f64 = 0.15;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["stage", folder, rows] => stage(Path::new(folder), rows.parse()?).await,
        ["load", folder, url, seconds, mode @ ..] => {
            let timeout = Duration::from_secs(seconds.parse()?);
            let mode = TableMode { history: mode == ["history"], ..TableMode::default() };
            invoke(Path::new(folder), url, timeout, mode).await
        }
        _ => bail!("stage FOLDER ROWS, or load FOLDER URL SECONDS [history]"),
    }
}

fn open(folder: &Path) -> anyhow::Result<(State, Bucket)> {
    let state = State::open_folder(&folder.join("state"))?;
    Ok((state, Bucket::open_folder(&folder.join("files"), SCHEMA)?))
}

async fn invoke(folder: &Path, url: &str, timeout: Duration, mode: TableMode) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let (state, bucket) = open(folder)?;
    let warehouse = warehouse::connect(url, SCHEMA, None, None).await?;
    let options =
        Options { mode, deadline: Some(started + timeout.mul_f64(1.0 - KEPT_SHARE)), ..Options::default() };
    let loaded = load(COLLECTION, &state, &bucket, &*warehouse, &options).await?;
    println!("{:.1} s: {loaded:?}", started.elapsed().as_secs_f64());
    if loaded.files_left > 0 {
        return Ok(ExitCode::from(3));
    }
    println!("{} rows", warehouse.live_rows(COLLECTION).await?);
    Ok(ExitCode::SUCCESS)
}

async fn stage(folder: &Path, rows: i64) -> anyhow::Result<ExitCode> {
    let (state, bucket) = open(folder)?;
    let table = Table::new(COLLECTION, &["id"], columns())?;
    let lease = state.lease(COLLECTION).await?;
    for start in (0..rows).step_by(usize::try_from(ROWS_PER_FILE)?) {
        let (name, now) = (format!("run-1-{start:010}"), Utc::now());
        let key = bucket.key(COLLECTION, &name, now);
        let scratch = bucket.scratch("first-load")?.join(&name);
        let mut writer = FileWriter::create(&scratch, &key, 1, "run-1", &table)?;
        for id in start..rows.min(start + ROWS_PER_FILE) {
            row(writer.rows(), id).context("the table has other columns")?;
            if id % ROWS_PER_PAGE == ROWS_PER_PAGE - 1 {
                writer.page_done()?;
            }
        }
        let file = bucket.put(writer.finish()?, now).await?;
        state.checkpoint(&lease, &start, &[file]).await?;
    }
    state.release(lease).await;
    Ok(ExitCode::SUCCESS)
}

fn columns() -> Vec<Column> {
    use ColumnType::{BigInt, Boolean, Double, Text, Timestamp};
    [
        ("id", BigInt),
        (SOURCE_UPDATED_AT, Timestamp),
        (READ_AT, Timestamp),
        (RUN_ID, Text),
        (IS_DELETED, Boolean),
        ("email", Text),
        ("lifecyclestage", Text),
        ("amount", Double),
        ("createdate", Timestamp),
        ("num_notes", BigInt),
    ]
    .map(|(name, column_type)| Column::new(name, column_type))
    .into()
}

fn row(rows: &mut Rows, id: i64) -> Option<()> {
    const MS: i64 = 1_735_689_600_000;
    let mixed = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    rows.cell(0)?.bigint(id);
    rows.cell(1)?.timestamp(MS + (mixed % 100_000_000) as i64);
    rows.cell(2)?.timestamp(MS + 100_000_000);
    rows.cell(3)?.text("run-1");
    rows.cell(4)?.boolean(false);
    rows.cell(5)?.text(&format!("user{id}@example.com"));
    rows.cell(6)?.text(["lead", "customer", "opportunity", "subscriber"][(mixed % 4) as usize]);
    rows.cell(7)?.double((mixed % 1_000_000) as f64 / 100.0);
    rows.cell(8)?.timestamp(MS - (mixed % 10_000_000_000) as i64);
    if !mixed.is_multiple_of(3) {
        rows.cell(9)?.bigint((mixed % 50) as i64);
    }
    rows.finish_row();
    Some(())
}
