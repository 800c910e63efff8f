//! Forgetting that is cut off at any step, on files in a folder and a DuckDB file.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};
use staging::{
    Column, ColumnType, DELETED_REASON, FileWriter, IS_DELETED, READ_AT, REMOVED, RUN_ID, SOURCE_UPDATED_AT,
    Table, Wanted,
};
use tempfile::TempDir;

use super::*;
use crate::{CompactOptions, Options, compact, load};

const LINES: [&str; 2] = ["people! id# email@", "events recipient@ _read_at~ deleted_reason!"];
const ADA: &str = "ada@forget.example";
const OTHER: &str = "countess@forget.example";
const ADA_ID: i64 = 77_000_000_077;

struct World {
    folder: TempDir,
    state: State,
    bucket: Bucket,
    warehouse: Box<dyn Warehouse>,
}

impl World {
    async fn open(folder: TempDir) -> World {
        let url = format!("duckdb:{}", folder.path().join("warehouse.duckdb").display());
        World {
            state: State::open_folder(&folder.path().join("state")).unwrap(),
            bucket: Bucket::open_folder(&folder.path().join("state/files"), "hubspot").unwrap(),
            warehouse: warehouse::connect(&url, "hubspot", None, None).await.unwrap(),
            folder,
        }
    }

    async fn copy(&self) -> World {
        self.warehouse.release().await;
        let folder = tempfile::tempdir().unwrap();
        copy(self.folder.path(), folder.path());
        World::open(folder).await
    }

    /// Stages rows of an id and an address.
    async fn stage(&self, collection: &str, number: u32, rows: &[(i64, &str)]) {
        let live: Vec<(i64, &str, bool)> = rows.iter().map(|(id, email)| (*id, *email, false)).collect();
        self.stage_rows(collection, number, &live).await;
    }

    /// The same with rows that are deleted.
    async fn stage_rows(&self, collection: &str, number: u32, rows: &[(i64, &str, bool)]) {
        let address = if collection == "events" { "recipient" } else { "email" };
        let columns = [
            ("id", ColumnType::BigInt),
            (address, ColumnType::Text),
            (SOURCE_UPDATED_AT, ColumnType::Timestamp),
            (READ_AT, ColumnType::Timestamp),
            (RUN_ID, ColumnType::Text),
            (IS_DELETED, ColumnType::Boolean),
            (DELETED_REASON, ColumnType::Text),
        ];
        let columns = columns.map(|(name, is)| Column::new(name, is)).to_vec();
        let table = Table::new(collection, &["id"], columns).unwrap();
        let staged_at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(number.into());
        let run = format!("run-{number}");
        let key = self.bucket.key(collection, &run, staged_at);
        let scratch = self.bucket.scratch("test").unwrap().join("file");
        let mut writer = FileWriter::create(&scratch, &key, 1, &run, &table).unwrap();
        for (id, email, is_deleted) in rows {
            writer.rows().cell(0).unwrap().bigint(*id);
            writer.rows().cell(1).unwrap().text(email);
            writer.rows().cell(3).unwrap().timestamp(number.into());
            writer.rows().cell(4).unwrap().text(&run);
            writer.rows().cell(5).unwrap().boolean(*is_deleted);
            if *is_deleted {
                writer.rows().cell(6).unwrap().text(REMOVED);
            }
            writer.rows().finish_row();
        }
        let file = self.bucket.put(writer.finish().unwrap(), staged_at).await.unwrap();
        let lease = self.state.lease(collection).await.unwrap();
        self.state.checkpoint(&lease, &serde_json::json!({"at": number}), &[file]).await.unwrap();
    }

    async fn load(&self) {
        for collection in ["people", "events"] {
            let options = Options { scope: crate::Scope::Everything, ..Options::default() };
            load(collection, &self.state, &self.bucket, &*self.warehouse, &options).await.unwrap();
        }
    }

    async fn forget(&self, columns: &[PersonColumns]) -> anyhow::Result<ForgetReport> {
        self.forget_of(columns, &[OTHER]).await
    }

    async fn forget_of(&self, columns: &[PersonColumns], addresses: &[&str]) -> anyhow::Result<ForgetReport> {
        self.forget_as(columns, addresses, false).await
    }

    async fn forget_as(
        &self,
        columns: &[PersonColumns],
        addresses: &[&str],
        pseudonymise: bool,
    ) -> anyhow::Result<ForgetReport> {
        let mut asked = Person::default();
        addresses.iter().for_each(|address| _ = asked.add_address(address));
        let places = Places { state: &self.state, bucket: &self.bucket, warehouse: Some(&*self.warehouse) };
        let options = ForgetOptions {
            columns,
            is_dry_run: false,
            pseudonymise,
            vacuum_full: false,
            patience: Duration::ZERO,
            deadline: None,
        };
        forget(&asked, places, options).await
    }

    /// Contacts that the last comparison, of a snapshot that began at 10, has shown no more.
    async fn forget_removed(&self, columns: &[PersonColumns]) -> anyhow::Result<Option<ForgetReport>> {
        let places = Places { state: &self.state, bucket: &self.bucket, warehouse: Some(&*self.warehouse) };
        let options = ForgetOptions {
            columns,
            is_dry_run: false,
            pseudonymise: false,
            vacuum_full: false,
            patience: Duration::ZERO,
            deadline: None,
        };
        let removed = RemovedOptions { days: 0, is_compared: true, accepts: false };
        forget_removed(places, options, &removed).await
    }

    async fn ids(&self, collection: &str) -> Vec<Option<String>> {
        let mut ids: Vec<_> =
            self.warehouse.texts(collection, &["id"]).await.unwrap().into_iter().flatten().collect();
        ids.sort();
        ids
    }

    async fn assert_forgotten(&self) {
        self.assert_left(&["10", "13"]).await;
    }

    async fn assert_left(&self, events: &[&str]) {
        self.load().await;
        let text = |ids: &[&str]| ids.iter().map(|&id| Some(id.to_owned())).collect::<Vec<_>>();
        assert_eq!(self.ids("people").await, text(&["1", "2"]));
        assert_eq!(self.ids("events").await, text(events));
        self.warehouse.release().await;
        let found = files_with(self.folder.path());
        assert!(found.is_empty(), "{found:?}");
        for collection in ["people", "events"] {
            let files = self.state.files(collection).await.unwrap();
            assert!(self.bucket.lost(&files).await.unwrap().is_empty());
            let staged = self.state.cursor::<serde_json::Value>(collection).await.unwrap();
            assert!(staged.is_some_and(|cursor| cursor["at"].is_number()), "the cursor stays");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &to) } else { _ = std::fs::copy(&path, &to).unwrap() }
    }
}

/// Files in whose bytes the person is. Addresses are longer than what Parquet and DuckDB hold in parts.
fn files_with(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for needle in [ADA, OTHER, &ADA_ID.to_string()] {
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(format!("{}: {needle}", path.display()));
            }
        }
    }
    found
}

/// Polls a future so many times, and drops it then.
async fn cut_off<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Cuts something off after more and more polls, until it is done. The more polls, the larger the steps: by one more for
/// each `widening` of them.
async fn at_every_step(widening: usize, is_done_after: impl AsyncFn(usize) -> bool) {
    let (mut polls, mut cuts) = (1, 0);
    while !is_done_after(polls).await {
        (polls, cuts) = (polls + 1 + polls / widening, cuts + 1);
    }
    assert!(cuts > 4, "{cuts} cuts");
}

async fn world() -> World {
    let world = World::open(tempfile::tempdir().unwrap()).await;
    world.stage("people", 1, &[(1, "bo@x.example"), (ADA_ID, ADA)]).await;
    world.stage("people", 2, &[(ADA_ID, OTHER), (2, "cy@x.example")]).await;
    world.stage("events", 1, &[(10, "bo@x.example"), (11, ADA)]).await;
    world.load().await;
    // This one waits for a load.
    world.stage("events", 2, &[(12, OTHER), (13, "cy@x.example")]).await;
    world
}

#[tokio::test]
async fn cut_off_at_any_step_the_next_call_ends_it() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world().await;
    at_every_step(8, async |polls| {
        let copy = world.copy().await;
        let cut = cut_off(copy.forget(&columns), polls).await;
        let is_done = cut.is_some();
        if let Some(report) = cut {
            let report = report.unwrap();
            assert_eq!((report.ids, report.addresses), (1, 2));
            assert_eq!((report.collections["people"].files, report.collections["events"].files), (2, 2));
        } else {
            copy.forget(&columns).await.unwrap();
        }
        copy.assert_forgotten().await;
        is_done
    })
    .await;
}

#[tokio::test]
async fn cut_off_at_any_step_rows_that_stay_have_one_pseudonym() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world().await;
    at_every_step(8, async |polls| {
        let copy = world.copy().await;
        let cut = cut_off(copy.forget_as(&columns, &[OTHER], true), polls).await;
        let is_done = cut.is_some();
        match cut {
            Some(report) => assert_eq!(report.unwrap().collections["events"].changed_rows, 1),
            None => _ = copy.forget_as(&columns, &[OTHER], true).await.unwrap(),
        }
        copy.assert_left(&["10", "11", "12", "13"]).await;
        let rows = copy.warehouse.texts("events", &["recipient"]).await.unwrap();
        let recipients: BTreeSet<String> = rows.into_iter().flatten().flatten().collect();
        let of_others = ["bo@x.example", "cy@x.example"];
        let pseudonyms: Vec<&String> =
            recipients.iter().filter(|it| !of_others.contains(&it.as_str())).collect();
        assert!(pseudonyms.iter().all(|it| it.ends_with("@forgotten.invalid")), "{recipients:?}");
        assert_eq!((recipients.len(), pseudonyms.len()), (4, 2), "one for each address");
        // By name and without pseudonyms, they go.
        if polls % 7 == 0 {
            copy.forget_of(&columns, &[ADA, OTHER]).await.unwrap();
            copy.assert_forgotten().await;
        }
        is_done
    })
    .await;
}

#[tokio::test]
async fn of_two_calls_the_one_that_deletes_wins() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    for (first, then) in [(true, false), (false, true)] {
        let world = world().await;
        // The events are done, and the people, who come last, are left.
        let running = world.state.lease("people").await.unwrap();
        assert_eq!(world.forget_as(&columns, &[OTHER], first).await.unwrap().outcome, "left");
        world.state.release(running).await;
        let report = world.forget_as(&columns, &["zoe@x.example"], then).await.unwrap();
        assert_eq!(report.outcome, "forgotten");
        world.assert_forgotten().await;
    }
}

/// Returns a world in which HubSpot shows a contact no more.
async fn world_after_removal() -> World {
    let world = world().await;
    world.stage_rows("people", 3, &[(ADA_ID, "", true)]).await;
    world.load().await;
    world.stage("_snapshot_people", 20, &[(1, ""), (2, "")]).await;
    let options = Options { scope: crate::Scope::Everything, ..Options::default() };
    load("_snapshot_people", &world.state, &world.bucket, &*world.warehouse, &options).await.unwrap();
    let wanted = Wanted { reconciled_ms: Some(10), ..Wanted::default() };
    let document = Shared { version: 0, value: wanted };
    assert!(world.state.swap_shared(&Wanted::document("people"), &document).await.unwrap());
    world
}

#[tokio::test]
async fn whom_hubspot_shows_no_more_is_forgotten_however_often_it_is_cut_off() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world_after_removal().await;
    at_every_step(6, async |polls| {
        let copy = world.copy().await;
        let cut = cut_off(copy.forget_removed(&columns), polls).await;
        let is_done = cut.is_some();
        match cut {
            Some(report) => {
                let report = report.unwrap().unwrap();
                assert_eq!((report.why.as_str(), report.outcome.as_str()), ("removed", "forgotten"));
                assert_eq!((report.ids, report.addresses), (1, 2));
            }
            // All may be done but the answer.
            None => _ = copy.forget_removed(&columns).await.unwrap(),
        }
        assert_eq!(copy.forget_removed(&columns).await.unwrap(), None);
        copy.assert_forgotten().await;
        is_done
    })
    .await;
}

#[tokio::test]
async fn whom_somebody_named_stays_out_when_the_automatic_forgetting_is_switched_off() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world_after_removal().await;
    let running = world.state.lease("events").await.unwrap();
    assert_eq!(world.forget_removed(&columns).await.unwrap().unwrap().outcome, "left");
    world.state.release(running).await;
    let mut named = Person::default();
    named.add_address(ADA);
    Forgotten::add(&world.state, &named, Why::Asked).await.unwrap();
    for _ in 0..2 {
        stop_forgetting_removed(&world.state).await.unwrap();
        let begun: Shared<UnderWay> = world.state.shared(removed::UNDER_WAY).await.unwrap();
        assert!(begun.value.is_empty());
    }
    named.ids.insert(ADA_ID as u64);
    named.add_address(OTHER);
    assert_eq!(Forgotten::lift(&world.state, &named).await.unwrap(), 1);
}

#[tokio::test]
async fn what_has_begun_goes_on_without_what_is_another_contacts_by_now() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world_after_removal().await;
    let running = world.state.lease("events").await.unwrap();
    let report = world.forget_removed(&columns).await.unwrap().unwrap();
    assert_eq!((report.outcome.as_str(), report.addresses), ("left", 2));
    // A new contact has one of the addresses.
    world.stage("people", 30, &[(5, OTHER)]).await;
    world.load().await;
    world.state.release(running).await;
    let places = Places { state: &world.state, bucket: &world.bucket, warehouse: Some(&*world.warehouse) };
    let options = ForgetOptions {
        columns: &columns,
        is_dry_run: false,
        pseudonymise: false,
        vacuum_full: false,
        patience: Duration::ZERO,
        deadline: None,
    };
    let removed = RemovedOptions { days: 0, is_compared: false, accepts: false };
    let report = forget_removed(places, options, &removed).await.unwrap().unwrap();
    assert_eq!((report.outcome.as_str(), report.addresses), ("forgotten", 1));
    let text = |ids: &[&str]| ids.iter().map(|&id| Some(id.to_owned())).collect::<Vec<_>>();
    assert_eq!(world.ids("people").await, text(&["1", "2", "5"]));
    assert_eq!(world.ids("events").await, text(&["10", "12", "13"]));
    assert_eq!(forget_removed(places, options, &removed).await.unwrap(), None);
}

/// What it was writing holds rows of the person, and no state names it.
#[tokio::test]
async fn nothing_is_left_of_a_compaction_that_was_cut_off() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world().await;
    let options = CompactOptions { is_whole: true, ..CompactOptions::default() };
    let mut polls = 1;
    loop {
        let copy = world.copy().await;
        let compacting = compact("people", &copy.state, &copy.bucket, &*copy.warehouse, &options);
        let is_done = cut_off(compacting, polls).await.is_some();
        // A thread that writes a file goes on, as none does when a process dies.
        tokio::time::sleep(Duration::from_millis(100)).await;
        // A former address, which is in older versions of a row alone, is named: a compaction keeps the newest.
        copy.forget_of(&columns, &[OTHER, ADA]).await.unwrap();
        copy.assert_forgotten().await;
        if is_done {
            break;
        }
        polls += 1;
    }
    // How often it is polled depends on how fast its threads are.
    assert!(polls > 1, "{polls}");
}

#[tokio::test]
async fn a_run_that_is_under_way_is_waited_for() {
    let columns: Vec<PersonColumns> = LINES.iter().map(|line| line.parse().unwrap()).collect();
    let world = world().await;
    // A run that was killed has left an object that no state knows.
    let stray = world.state.files("people").await.unwrap().remove(0);
    let folder = world.folder.path().join("state/files");
    let key = stray.key.replace("run-1", "run-0");
    std::fs::copy(folder.join(&stray.key), folder.join(&key)).unwrap();
    let running = world.state.lease("events").await.unwrap();
    let report = world.forget(&columns).await.unwrap();
    assert_eq!(report.outcome, "left");
    assert!(report.left["events"].contains("events is under way"), "{report:?}");
    assert!(Forgotten::read(&world.state).await.unwrap().is_some(), "it is kept out by now");
    world.state.release(running).await;
    let report = world.forget(&columns).await.unwrap();
    assert_eq!((report.outcome.as_str(), report.collections.len()), ("forgotten", 2));
    world.assert_forgotten().await;
}
