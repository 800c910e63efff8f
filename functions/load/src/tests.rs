//! Loads that are cut off at any of their steps, on a warehouse that somebody else changes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use async_trait::async_trait;
use chrono::TimeDelta;
use staging::{Bucket, Column, ColumnType, FileWriter, Person, StagedFile, State, Table};
use warehouse::{
    Compare, Comparison, Erase, Erased, Extent, Ledger, LocatedFile, Merged, Presence, RecordedReport,
    Result, RunRow, Shape, TableMode, Warehouse,
};

use crate::{CompactOptions, Compacted, Loaded, Options, Scope, compact, load};

#[derive(Debug, Clone, Default, PartialEq)]
struct Base {
    /// Merged files, each with whether its row has a value in column `x`.
    table: Option<BTreeMap<String, bool>>,
    has_x: bool,
    ledger: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Fake(Mutex<Base>);

impl Fake {
    async fn around<T>(&self, work: impl FnOnce(&mut Base) -> T) -> T {
        tokio::task::yield_now().await;
        let done = work(&mut self.0.lock().unwrap());
        tokio::task::yield_now().await;
        done
    }
}

#[async_trait]
impl Warehouse for Fake {
    async fn merge_as(&self, files: &[LocatedFile], _: TableMode) -> Result<Merged> {
        let keys: Vec<String> = files.iter().map(|file| file.key.clone()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "a file comes twice");
        Ok(self
            .around(move |base| {
                if base.table.is_none() {
                    base.ledger.clear();
                    base.table = Some(BTreeMap::new());
                }
                let mut merged = Merged::default();
                for key in keys {
                    if base.ledger.insert(key.clone()) {
                        base.has_x = true;
                        base.table.as_mut().unwrap().insert(key, true);
                        merged.files += 1;
                    }
                }
                merged
            })
            .await)
    }
    async fn account(&self) -> Result<Option<u64>> {
        Ok(None)
    }
    async fn loaded(&self, _: &str) -> Result<HashSet<String>> {
        Ok(self
            .around(|base| {
                base.table.as_ref().map(|_| base.ledger.iter().cloned().collect()).unwrap_or_default()
            })
            .await)
    }
    async fn ledger(&self, _: &str, keys: &[&str]) -> Result<Ledger> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        Ok(self
            .around(move |base| match base.table {
                None => Ledger::default(),
                Some(_) => Ledger {
                    files: base.ledger.len() as u64,
                    held: keys.into_iter().filter(|key| base.ledger.contains(key)).collect(),
                },
            })
            .await)
    }
    async fn shapes(&self, _: &[&str]) -> Result<Vec<Option<Shape>>> {
        unreachable!()
    }

    async fn texts(&self, _: &str, _: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
        unreachable!()
    }

    async fn extent(&self, _: &str) -> Result<Option<Extent>> {
        Ok(self
            .around(|base| {
                let mut columns = vec!["id".to_owned()];
                columns.extend(base.has_x.then(|| "x".to_owned()));
                base.table.as_ref().map(|table| Extent {
                    types: columns.iter().map(|_| "TEXT".to_owned()).collect(),
                    columns,
                    rows: table.len() as u64,
                    beside: Vec::new(),
                })
            })
            .await)
    }
    async fn live_rows(&self, _: &str) -> Result<u64> {
        unreachable!()
    }
    async fn forget(&self, _: &str) -> Result<()> {
        self.around(|base| base.ledger.clear()).await;
        Ok(())
    }
    async fn presence(&self, _: &Presence) -> Result<BTreeSet<u64>> {
        unreachable!()
    }
    async fn identify(&self, _: &Erase) -> Result<Person> {
        unreachable!()
    }
    async fn erase(&self, _: &Erase) -> Result<Vec<Erased>> {
        unreachable!()
    }
    async fn scrub(&self, _: &[&str], _: bool) -> Result<String> {
        unreachable!()
    }
    async fn replace_in_ledger(&self, _: &str, old: &[&str], new: Option<&StagedFile>) -> Result<bool> {
        let old: Vec<String> = old.iter().map(|&key| key.to_owned()).collect();
        let new = new.map(|file| file.key.clone());
        Ok(self
            .around(move |base| {
                let is_held = old.iter().all(|key| base.ledger.contains(key));
                if is_held {
                    base.ledger.retain(|key| !old.contains(key));
                    base.ledger.extend(new);
                }
                is_held
            })
            .await)
    }
    async fn compare(&self, _: &Compare) -> Result<Comparison> {
        unreachable!()
    }
    async fn record_runs(&self, _: &[RunRow]) -> Result<u64> {
        unreachable!()
    }
    async fn reports(&self, _: &str) -> Result<Vec<RecordedReport>> {
        unreachable!()
    }
}

async fn stage(state: &State, bucket: &Bucket, names: Vec<String>) {
    stage_of(state, bucket, names, 100 << 20).await;
}

/// Stages files without rows, and registers them as ones of so many bytes.
async fn stage_of(state: &State, bucket: &Bucket, names: Vec<String>, bytes: u64) {
    let table = Table::new("deals", &["id"], vec![Column::new("id", ColumnType::BigInt)]).unwrap();
    let now = chrono::Utc::now();
    let mut staged = Vec::new();
    for name in names {
        let key = bucket.key("deals", &name, now);
        let scratch = bucket.scratch("writing").unwrap().join(&name);
        let writer = FileWriter::create(&scratch, &key, 1, "run-1", &table).unwrap();
        let file = bucket.put(writer.finish().unwrap(), now).await.unwrap();
        staged.push(StagedFile { bytes, ..file });
    }
    let lease = state.lease("deals").await.unwrap();
    state.checkpoint(&lease, &1_u64, &staged).await.unwrap();
}

/// Polls so many times, then drops.
async fn cut<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn everything() -> Options {
    Options { scope: Scope::Everything, ..Options::default() }
}

async fn small() -> (tempfile::TempDir, State, Bucket, Fake) {
    small_of(100 << 20).await
}

async fn small_of(bytes: u64) -> (tempfile::TempDir, State, Bucket, Fake) {
    let root = tempfile::tempdir().unwrap();
    let state = State::open_folder(&root.path().join("state")).unwrap();
    let bucket = Bucket::open_folder(&root.path().join("files"), "hubspot").unwrap();
    stage_of(&state, &bucket, (0..4).map(|n| format!("f{n}")).collect(), bytes).await;
    (root, state, bucket, Fake::default())
}

fn drop_x(warehouse: &Fake) {
    let mut base = warehouse.0.lock().unwrap();
    base.has_x = false;
    base.table.as_mut().unwrap().values_mut().for_each(|has| *has = false);
}

#[tokio::test]
async fn a_column_dropped_again_while_the_table_is_filled_again() {
    let mut tried = 0;
    for polls in 0..60 {
        let (_root, state, bucket, warehouse) = small().await;
        load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
        drop_x(&warehouse);
        if cut(load("deals", &state, &bucket, &warehouse, &everything()), polls).await.is_some() {
            break;
        }
        let held = warehouse.0.lock().unwrap().ledger.len();
        if held == 0 || held == 4 {
            continue;
        }
        tried += 1;
        drop_x(&warehouse);
        load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
        let base = warehouse.0.lock().unwrap().clone();
        assert!(base.table.as_ref().unwrap().values().all(|has| *has), "polls {polls}: green, and {base:?}");
    }
    assert!(tried > 0);
}

#[tokio::test]
async fn a_loss_is_noticed_after_a_crash_and_a_green_load() {
    let mut tried = 0;
    for polls in 0..60 {
        let (_root, state, bucket, warehouse) = small().await;
        if cut(load("deals", &state, &bucket, &warehouse, &everything()), polls).await.is_some() {
            break;
        }
        if !state.pending(Some("deals")).await.unwrap().is_empty() {
            continue;
        }
        tried += 1;
        for _ in 0..2 {
            load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
        }
        warehouse.0.lock().unwrap().table.as_mut().unwrap().pop_first();
        let loaded = load("deals", &state, &bucket, &warehouse, &everything()).await;
        assert!(loaded.is_err(), "polls {polls}: {loaded:?}, though a row is gone");
    }
    assert!(tried > 0);
}

/// Compacts what is staged of `deals`.
async fn compact_all(state: &State, bucket: &Bucket, warehouse: &Fake) -> anyhow::Result<Compacted> {
    let options = CompactOptions { is_whole: true, ..CompactOptions::default() };
    compact("deals", state, bucket, warehouse, &options).await
}

#[tokio::test]
async fn a_compaction_that_is_cut_off_anywhere_loses_nothing_and_is_done_again() {
    let mut cuts = 0;
    for polls in 0..200 {
        let (_root, state, bucket, warehouse) = small_of(1_000).await;
        load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
        let is_through = cut(compact_all(&state, &bucket, &warehouse), polls).await.is_some();
        cuts += u32::from(!is_through);
        // What is registered is there, and held by the table, whatever came of it.
        let files = state.files("deals").await.unwrap();
        bucket.check_there(&files).await.unwrap();
        load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
        compact_all(&state, &bucket, &warehouse).await.unwrap();
        let files = state.files("deals").await.unwrap();
        assert_eq!(files.len(), 1, "cut after {polls} polls");
        let before = warehouse.0.lock().unwrap().clone();
        assert_eq!(
            load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap(),
            Loaded::default()
        );
        assert_eq!(*warehouse.0.lock().unwrap(), before);
        if is_through {
            break;
        }
    }
    assert!(cuts > 3, "{cuts}");
}

#[tokio::test]
async fn files_that_wait_for_a_load_or_that_the_warehouse_lacks_stay() {
    let (_root, state, bucket, warehouse) = small_of(1_000).await;
    assert_eq!(compact_all(&state, &bucket, &warehouse).await.unwrap(), Compacted::default());
    load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
    let other = Fake::default();
    assert_eq!(compact_all(&state, &bucket, &other).await.unwrap(), Compacted::default());
    assert_eq!(state.files("deals").await.unwrap().len(), 4);
    let run = state.lease("deals").await.unwrap();
    assert_eq!(compact_all(&state, &bucket, &warehouse).await.unwrap(), Compacted::default());
    drop(run);
    let compacted = compact_all(&state, &bucket, &warehouse).await.unwrap();
    assert_eq!((compacted.files_before, compacted.files_after), (4, 1));
}

#[tokio::test]
async fn what_expired_is_missed_by_name_until_it_is_read_again() {
    let (_root, state, bucket, warehouse) = small_of(1_000).await;
    load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
    let options = CompactOptions { retention: Some(TimeDelta::zero()), ..CompactOptions::default() };
    let compacted = compact("deals", &state, &bucket, &warehouse, &options).await.unwrap();
    assert_eq!(compacted.expired_files, 4);
    assert_eq!(compact("deals", &state, &bucket, &warehouse, &options).await.unwrap(), Compacted::default());
    // A table that is as it was left needs none of them.
    stage(&state, &bucket, vec!["later".to_owned()]).await;
    assert_eq!(load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap().files, 1);
    compact("deals", &state, &bucket, &warehouse, &options).await.unwrap();
    assert_eq!(state.files("deals").await.unwrap().len(), 1);
    warehouse.0.lock().unwrap().table = None;
    let refused = load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap_err().to_string();
    assert!(refused.contains("as the retention says") && refused.contains("--mode backfill"), "{refused}");
}

#[tokio::test]
async fn two_warehouses_in_turn_lose_nothing_and_a_loss_in_one_is_noticed() {
    let (_root, state, bucket, one) = small().await;
    let two = Fake::default();
    for turn in 0..3 {
        for warehouse in [&one, &two] {
            stage(&state, &bucket, vec![format!("{turn}-{}", std::ptr::eq(warehouse, &raw const one))]).await;
            load("deals", &state, &bucket, warehouse, &everything()).await.unwrap();
        }
    }
    load("deals", &state, &bucket, &one, &everything()).await.unwrap();
    assert_eq!(*one.0.lock().unwrap(), *two.0.lock().unwrap());
    one.0.lock().unwrap().table.as_mut().unwrap().pop_first();
    assert!(load("deals", &state, &bucket, &one, &everything()).await.is_err());
}

#[tokio::test]
async fn a_loss_is_noticed_behind_a_compaction_that_was_cut_off() {
    let mut tried = 0;
    for polls in 0..200 {
        let (_root, state, bucket, warehouse) = small_of(1_000).await;
        load("deals", &state, &bucket, &warehouse, &everything()).await.unwrap();
        if cut(compact_all(&state, &bucket, &warehouse), polls).await.is_some() {
            break;
        }
        tried += 1;
        warehouse.0.lock().unwrap().table.as_mut().unwrap().pop_first();
        let loaded = load("deals", &state, &bucket, &warehouse, &everything()).await;
        assert!(loaded.is_err(), "polls {polls}: {loaded:?}, though a row is gone");
    }
    assert!(tried > 3, "{tried}");
}
