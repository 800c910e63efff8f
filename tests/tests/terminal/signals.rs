//! Signals: the first one ends a sync with a checkpoint, a second one at once.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use fake_hubspot::{Behaviour, PerType, Settings};
use tests::Sandbox;

/// Starts a sync of an account that takes a while to answer.
async fn started() -> (Sandbox, Child) {
    let records = PerType { contacts: 5_000, companies: 50, deals: 50 };
    let settings = Settings { records, ..Settings::default() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let slow = Behaviour { latency: Duration::from_secs(3), ..sandbox.server.behaviour() };
    let child = sandbox.start(&[]);
    let before = sandbox.path("state/account.json");
    // It listens to signals from when it has bound the state to the account.
    while !before.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sandbox.server.set_behaviour(slow);
    tokio::time::sleep(Duration::from_millis(300)).await;
    (sandbox, child)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

async fn end(mut child: Child) -> ExitStatus {
    loop {
        if let Some(ended) = child.try_wait().unwrap() {
            return ended;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once_with_its_own_code() {
    for (first, second, code) in [("-TERM", "-TERM", 143), ("-INT", "-INT", 130), ("-INT", "-TERM", 143)] {
        let (sandbox, child) = started().await;
        signal(&child, first);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = Instant::now();
        signal(&child, second);
        let ended = end(child).await;
        assert_eq!(ended.code(), Some(code), "{first} {second}");
        assert!(asked.elapsed() < Duration::from_secs(2), "{first} {second}: {:?}", asked.elapsed());
        // What was cut off is no harm.
        sandbox.server.set_behaviour(Behaviour { latency: Duration::ZERO, ..sandbox.server.behaviour() });
        sandbox.sync(&[]).await.complete();
    }
}
