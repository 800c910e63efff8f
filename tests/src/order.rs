//! Merges of staged files in another order than that in which they were staged.

use std::path::Path;

use fastrand::Rng;
use staging::{Bucket, State, snapshot_of};
use warehouse::{LocatedFile, Location};

/// Merges all files of a sync's state folder into another database, a few at a time, in an order that the seed
/// decides.
pub async fn merge_in_any_order(state: &Path, database: &Path, seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let bucket = Bucket::open_folder(&state.join("files"), "hubspot").unwrap();
    let state = State::open_folder(state).unwrap();
    let url = format!("duckdb:{}", database.display());
    let warehouse = warehouse::connect(&url, "hubspot", None, None).await.unwrap();
    for collection in state.collections().await.unwrap() {
        if snapshot_of(&collection).is_some() {
            continue;
        }
        let mut files = state.files(&collection).await.unwrap();
        dice.shuffle(&mut files);
        while !files.is_empty() {
            let mut located = Vec::new();
            for file in files.split_off(files.len().saturating_sub(dice.usize(1..4))) {
                let local = bucket.fetch(&file).await.unwrap();
                let location = Location::Local(local.path.clone());
                located.push(LocatedFile { key: file.key, location, description: local.description.clone() });
            }
            warehouse.merge(&located).await.unwrap();
        }
    }
}
