//! A state and staged files of an earlier version: they are read, and its interrupted runs go on.
//!
//! `format-0` was written by the last version whose cursors name no format: each feed was interrupted in a backfill of
//! [`settings`]. [`make`] writes such a folder; run it before a format changes, and keep what it writes beside the
//! others:
//!
//!     STATE=$PWD/tests/tests/upgrade/format-1 cargo test --profile ci --workspace --test upgrade -- --ignored
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::Path;

use chrono::DateTime;
use fake_hubspot::{Behaviour, Limits, PerType, Settings, V1Contacts};
use serde_json::Value;
use tests::{Expectations, Sandbox, assert_all_equal};

/// Feeds that are interrupted, with the number of calls before.
const INTERRUPTED: [(&str, usize); 7] = [
    ("contacts", 30),
    ("companies", 14),
    ("deals", 16),
    ("contact_lists", 1),
    ("email_campaigns", 8),
    ("email_events", 2),
    ("email_subscription_event_changes", 1),
];

fn settings() -> Settings {
    let start = DateTime::parse_from_rfc3339("2026-11-28T00:00:00Z").unwrap().to_utc();
    let records = PerType { contacts: 1_500, companies: 600, deals: 600 };
    Settings { records, start, ..Settings::default() }
}

/// Starts the account without contacts v1, so that submissions are read from the forms.
async fn sandbox() -> Sandbox {
    let behaviour = Behaviour { v1_contacts: V1Contacts::Gone, ..Behaviour::default() };
    Sandbox::new(&settings(), behaviour).await
}

fn set_daily(sandbox: &Sandbox, daily: usize) {
    let behaviour = sandbox.server.behaviour();
    sandbox.server.set_behaviour(Behaviour { limits: Limits { daily, ..behaviour.limits }, ..behaviour });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_version_without_formats_go_on_and_lose_nothing() {
    let sandbox = sandbox().await;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade/format-0");
    copy(&kept, &sandbox.path("state"));
    let events = fs::read(kept.join("feeds/email_events.json")).unwrap();
    let events: Value = serde_json::from_slice(&events).unwrap();
    let since_ms = events["cursor"]["run"]["slices"][0]["since_ms"].as_i64().unwrap();

    let report = sandbox.sync(&[]).await.report();
    let contacts = &report["collections"]["contacts"];
    assert!(
        contacts["rows"].as_u64().unwrap() < 1_000,
        "the contacts were not read from the start: {contacts:#}"
    );
    for (name, _) in INTERRUPTED {
        let collection = &report["collections"][name];
        assert_eq!(
            (&collection["mode"], &collection["outcome"]),
            (&"backfill".into(), &"complete".into()),
            "{name}"
        );
    }
    let expectations = Expectations { has_v1: false, since_ms, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes what other tests read"]
async fn make() {
    let sandbox = sandbox().await;
    for (collection, calls) in INTERRUPTED {
        let counters = sandbox.server.counters();
        let of_all = [counters.general, counters.search, counters.associations];
        let answered: u64 = of_all.iter().map(|bucket| bucket.requests - bucket.refused).sum();
        set_daily(&sandbox, answered as usize + calls);
        let stopped =
            sandbox.sync(&["--collections", collection, "--reserve", "0", "--warehouse", "none"]).await;
        assert_eq!(stopped.code, Some(1), "{stopped:#?}");
        // The day is over; it begins anew for the next one.
        fs::remove_file(sandbox.path("state/shared/limits.json")).unwrap();
    }
    copy(&sandbox.path("state"), Path::new(&std::env::var("STATE").unwrap()));
}
