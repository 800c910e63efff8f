//! The simulation, for some seeds. `SEEDS=10000` runs more of them, `SEED=17` a single one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Instant;

use futures::StreamExt;
use tests::{SimulationSummary, simulate};

/// Number of concurrent simulations, which mostly wait.
const AT_ONCE: usize = 40;
/// Few, since each takes eight CPU seconds; a change of what they try is tried with hundreds.
const SEEDS: u64 = 25;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warehouse_equals_the_account_in_the_end() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => number("FROM").unwrap_or(0)..number("FROM").unwrap_or(0) + number("SEEDS").unwrap_or(SEEDS),
    };
    let started = Instant::now();
    let lives = futures::stream::iter(
        seeds.clone().map(|seed| async move { (seed, tokio::spawn(simulate(seed)).await) }),
    );
    let mut lives = lives.buffer_unordered(AT_ONCE);
    let (mut sum, mut differing) = (SimulationSummary::default(), Vec::new());
    while let Some((seed, summary)) = lives.next().await {
        match summary.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ok(summary) => {
                sum.rounds += summary.rounds;
                sum.changes += summary.changes;
                sum.runs += summary.runs;
                sum.cut_off += summary.cut_off;
                sum.merged_rows += summary.merged_rows;
                sum.comparisons += summary.comparisons;
                sum.reread += summary.reread;
                sum.compacted += summary.compacted;
            }
            Err(why) => {
                eprintln!("SEED={seed}: {why}");
                differing.push(seed);
            }
        }
    }
    eprintln!("{} seeds in {:?}: {sum:?}", seeds.clone().count(), started.elapsed());
    assert!(differing.is_empty(), "the warehouse is not the account: SEED={differing:?}");
    assert!(sum.compacted > 0 || seeds.clone().count() < 20, "no file was compacted");
    assert!(sum.cut_off > 0 || seeds.count() < 20, "no run was cut off");
}
