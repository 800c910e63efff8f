//! Measures what stays of many small runs: files, the state's size, and the cost of a run without changes. `run` makes
//! so many runs, each with a staged file of nine rows for each of some collections, and a load and a compaction for every
//! fourth; `idle` makes one that finds nothing new.
//!
//!     cargo run --release --workspace --example many_runs -- run FOLDER 35000 contacts,deals
//!     time cargo run --release --workspace --example many_runs -- idle FOLDER contacts,deals

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use chrono::{TimeDelta, Utc};
use load::{CompactOptions, Options, Scope, compact, load};
use staging::{
    Bucket, Column, ColumnType, FILE, FileWriter, READ_AT, RUN_ID, SOURCE_UPDATED_AT, State, Table,
};
use warehouse::Warehouse;

const SCHEMA: &str = "hubspot";
const ROWS_PER_FILE: i64 = 9;
const RECORDS: u64 = 10_000;
/// A run every 15 minutes, a load every hour.
const RUNS_PER_LOAD: i64 = 4;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", folder, runs, collections] => run(Path::new(folder), runs.parse()?, collections).await,
        ["idle", folder, collections] => idle(Path::new(folder), collections).await,
        _ => bail!("run FOLDER RUNS COLLECTIONS, or idle FOLDER COLLECTIONS"),
    }
}

async fn open(folder: &Path) -> anyhow::Result<(State, Bucket, Box<dyn Warehouse>)> {
    let state = State::open_folder(&folder.join("state"))?;
    let bucket = Bucket::open_folder(&folder.join("state/files"), SCHEMA)?;
    let url = format!("duckdb:{}", folder.join("warehouse.duckdb").display());
    Ok((state, bucket, warehouse::connect(&url, SCHEMA, None, None).await?))
}

async fn run(folder: &Path, runs: i64, collections: &str) -> anyhow::Result<()> {
    let (state, bucket, warehouse) = open(folder).await?;
    let started = Instant::now();
    for run in 0..runs {
        for collection in collections.split(',') {
            stage(&state, &bucket, collection, run).await?;
            if run % RUNS_PER_LOAD != 0 && run + 1 < runs {
                continue;
            }
            step(&state, &bucket, &*warehouse, collection).await?;
        }
        if (run + 1) % 1_000 == 0 || run + 1 == runs {
            let (files, bytes) = size(&folder.join("state/files"))?;
            let (_, with_files) = size(&folder.join("state"))?;
            println!(
                "{} runs, {:.0} s: {files} staged files, {bytes} bytes; state {} bytes",
                run + 1,
                started.elapsed().as_secs_f64(),
                with_files - bytes
            );
        }
    }
    Ok(())
}

async fn idle(folder: &Path, collections: &str) -> anyhow::Result<()> {
    let (state, bucket, warehouse) = open(folder).await?;
    for collection in collections.split(',') {
        let cursor: Option<i64> = state.cursor(collection).await?;
        cursor.context("no run was made")?;
        step(&state, &bucket, &*warehouse, collection).await?;
    }
    Ok(())
}

/// Loads and compacts, as a sync does.
async fn step(
    state: &State,
    bucket: &Bucket,
    warehouse: &dyn Warehouse,
    collection: &str,
) -> anyhow::Result<()> {
    let options = Options { scope: Scope::Everything, ..Options::default() };
    load(collection, state, bucket, warehouse, &options).await?;
    // An hour is over before the next run but three.
    let options = CompactOptions { grace: TimeDelta::zero(), ..CompactOptions::default() };
    compact(collection, state, bucket, warehouse, &options).await.map(drop)
}

async fn stage(state: &State, bucket: &Bucket, collection: &str, run: i64) -> anyhow::Result<()> {
    let columns = [
        ("id", ColumnType::BigInt),
        (SOURCE_UPDATED_AT, ColumnType::Timestamp),
        (READ_AT, ColumnType::Timestamp),
        (RUN_ID, ColumnType::Text),
        (FILE, ColumnType::Text),
        ("email", ColumnType::Text),
        ("amount", ColumnType::Double),
    ];
    let columns = columns.map(|(name, column_type)| Column::new(name, column_type)).into();
    let table = Table::new(collection, &["id"], columns)?;
    let (now, id) = (Utc::now(), uuid::Uuid::now_v7().to_string());
    let key = bucket.key(collection, &id, now);
    let scratch = bucket.scratch("many-runs")?.join(&id);
    let mut writer = FileWriter::create(&scratch, &key, 1, &id, &table)?;
    for n in 0..ROWS_PER_FILE {
        let mixed = ((run * ROWS_PER_FILE + n) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let record = mixed % RECORDS;
        let rows = writer.rows();
        const ONCE: &str = "a cell is set once";
        rows.cell(0).context(ONCE)?.bigint(record as i64);
        rows.cell(1).context(ONCE)?.timestamp(now.timestamp_millis());
        rows.cell(2).context(ONCE)?.timestamp(now.timestamp_millis());
        rows.cell(3).context(ONCE)?.text(&id);
        rows.cell(5).context(ONCE)?.text(&format!("user{record}@example.com"));
        rows.cell(6).context(ONCE)?.double((mixed % 1_000_000) as f64 / 100.0);
        rows.finish_row();
    }
    let file = bucket.put(writer.finish()?, now).await?;
    let lease = state.lease(collection).await?;
    state.checkpoint(&lease, &run, &[file]).await?;
    state.release(lease).await;
    Ok(())
}

/// Returns the number of files in a folder, and their bytes.
fn size(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (more, of_these) = match entry.file_type()?.is_dir() {
            true => size(&entry.path())?,
            false => (1, entry.metadata()?.len()),
        };
        files += more;
        bytes += of_these;
    }
    Ok((files, bytes))
}
