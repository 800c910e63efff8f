//! Seeds of mixed trouble. `SEEDS=10000` runs more of them, `SEED=17` one again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Instant;

use futures::StreamExt;
use tests::{Lived, simulate};

/// Most of a life is waiting.
const AT_ONCE: usize = 40;
const SEEDS: u64 = 100;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_warehouse_is_the_account_in_the_end() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => number("FROM").unwrap_or(0)..number("FROM").unwrap_or(0) + number("SEEDS").unwrap_or(SEEDS),
    };
    let started = Instant::now();
    let lives = futures::stream::iter(
        seeds.clone().map(|seed| async move { (seed, tokio::spawn(simulate(seed)).await) }),
    );
    let mut lives = lives.buffer_unordered(AT_ONCE);
    let (mut sum, mut differing) = (Lived::default(), Vec::new());
    while let Some((seed, lived)) = lives.next().await {
        match lived.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(lived) => {
                sum.rounds += lived.rounds;
                sum.changes += lived.changes;
                sum.runs += lived.runs;
                sum.cut_off += lived.cut_off;
                sum.merged_rows += lived.merged_rows;
                sum.comparisons += lived.comparisons;
                sum.asked += lived.asked;
            }
            Err(why) => {
                eprintln!("SEED={seed}: {why}");
                differing.push(seed);
            }
        }
    }
    eprintln!("{} seeds in {:?}: {sum:?}", seeds.clone().count(), started.elapsed());
    assert!(differing.is_empty(), "the warehouse is not the account: SEED={differing:?}");
    assert!(sum.cut_off > 0 || seeds.count() < 50, "no run was cut off");
}
