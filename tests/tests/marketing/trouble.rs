//! Kills and faults in syncs of all collections.

use std::time::Duration;

use fake_hubspot::{Behaviour, Faults, Marketing, PerType, Settings};
use tests::Sandbox;

use super::{assert_equal, assert_writes_nothing};

fn settings() -> Settings {
    Settings {
        records: PerType { contacts: 4_000, companies: 500, deals: 500 },
        marketing: Marketing { email_events: 20_000, subscription_changes: 2_000, ..Marketing::default() },
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_all_that_is_killed_goes_on_and_doubles_nothing() {
    let behaviour = Behaviour { latency: Duration::from_millis(15), ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings(), behaviour).await;
    let mut killed = 0;
    for moment in 0..12_u64 {
        let mut run = sandbox.start(&[]);
        // Moments spread over the whole run, from before the first request to the merge.
        tokio::time::sleep(Duration::from_millis(moment * moment * 37 % 2_500 + 40)).await;
        if run.try_wait().unwrap().is_none() {
            run.kill().unwrap();
            killed += 1;
        }
        run.wait().unwrap();
    }
    assert!(killed >= 6, "only {killed} of 12 runs were still alive");
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
    assert_writes_nothing(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_day_costs_time_and_nothing_else() {
    let faults = Faults { slow_by: Duration::from_millis(200), ..Faults::mixed() };
    let sandbox = Sandbox::new(&settings(), Behaviour { faults, ..Behaviour::default() }).await;
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);
    let injected: u64 = sandbox.server.counters().faults.values().sum();
    assert!(injected > 10, "{injected} faults");
}
