//! Simulation of an account by a seed: records are edited, archived, restored, merged and linked while short runs read
//! them, fail, are cut off, run twice at once, and load their files. In the end all faults cease, and the warehouse
//! must equal the account.
//!
//! The seed decides the account, its changes, and the faults of each step. The machine decides the order of concurrent
//! steps, so a rare failure may need its seed more than once.

mod drawn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use extract::{Checkpoints, Options, Progress, Run, StateAllowance};
use fake_hubspot::{
    Account, Behaviour, Churn, Faults, Further, Kind, MarketingChurn, MetadataChurn, ObjectType, Poison,
    PoisonEffect, RefusedBatches, Server,
};
use fastrand::Rng;
use hubspot::feeds::{
    ASSOCIATIONS, AssociatedObjects, Cursor, FEEDS, Feed, HistoryProperties, LIST_MEMBERS, LIST_MEMBERSHIPS,
    Lookback, Mode, PROPERTY_HISTORY, further,
};
use hubspot::{Budget, Client, Credential};
use load::{Reconciled, Scope, Step};
use staging::{Bucket, State};
use tempfile::TempDir;
use warehouse::{TableMode, Warehouse};

use self::drawn::{behaviour, settings};
use crate::truth::{
    COLLECTIONS, Expectations, all_differences, association_differences, history_differences,
    membership_differences, metadata_differences, object_differences, table_of,
};

/// Purged records that a comparison believes, however few records there are.
const FEW_PURGED: usize = 20;
const SCHEMA: &str = "hubspot";
/// Most runs that a feed may need to be complete once the faults have ceased.
const LAST_RUNS: usize = 6;
/// Most comparisons that a table may need until it equals HubSpot's records.
const LAST_COMPARISONS: usize = 6;
/// Endpoints whose offsets may be refused, with the parameter for the offset.
const POSITIONS: [(&str, &str); 5] = [
    ("objects.list", "after"),
    ("email_events.list", "offset"),
    ("subscriptions.timeline", "offset"),
    ("campaigns.by_id", "offset"),
    ("campaigns.recent", "offset"),
];
/// Collections that are read beside those of the feeds.
const BESIDE: [&str; 3] = [ASSOCIATIONS, LIST_MEMBERSHIPS, PROPERTY_HISTORY];
/// Endpoints whose batches may be refused for a record in them.
const BATCHES: [(&str, ObjectType); 4] = [
    ("objects.batch_read", ObjectType::Companies),
    ("associations.batch_read", ObjectType::Deals),
    ("lists.batch_memberships", ObjectType::Contacts),
    ("contacts_v1.batch", ObjectType::Contacts),
];
/// Further objects of which an account may have one.
const FURTHER: [ObjectType; 4] =
    [ObjectType::Tickets, ObjectType::Notes, ObjectType::GoalTargets, ObjectType::Subscriptions];

/// Properties whose past is read at the end, where it is read at all; while the account changes, some of them.
const WITH_PAST: [(ObjectType, &str); 6] = [
    (ObjectType::Contacts, "lifecyclestage"),
    (ObjectType::Contacts, "firstname"),
    (ObjectType::Companies, "name"),
    (ObjectType::Deals, "dealstage"),
    (ObjectType::Deals, "amount"),
    (ObjectType::Tickets, "subject"),
];

/// Objects of the account that have pipelines, whether their records are read or not.
const WITH_PIPELINES: [ObjectType; 6] = [
    ObjectType::Deals,
    ObjectType::Tickets,
    ObjectType::Leads,
    ObjectType::Orders,
    ObjectType::Services,
    ObjectType::Courses,
];

/// Counts of the simulation of one seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimulationSummary {
    pub rounds: usize,
    pub changes: usize,
    pub runs: usize,
    pub cut_off: usize,
    pub merged_rows: u64,
    pub comparisons: usize,
    /// Records that comparisons had read again.
    pub reread: u64,
    /// Staged files that others have replaced.
    pub compacted: u64,
}

struct World {
    dice: Rng,
    server: Server,
    folder: TempDir,
    modes: TableMode,
    /// Types of records that are read.
    objects: Vec<ObjectType>,
    /// The feed of metadata, if it is read.
    metadata: Option<&'static dyn Feed>,
    /// The feed of the members of lists, if it is read.
    list_members: Option<&'static dyn Feed>,
    checkpoints: Checkpoints,
    lookback: Lookback,
    /// Decides which properties' past a run reads; `None`: no run reads any.
    past_dice: Option<Rng>,
    /// Decides what is compacted, and when.
    compaction_dice: Rng,
    /// A second handle, which keeps the warehouse's file open between loads.
    open: Option<Box<dyn Warehouse>>,
    summary: SimulationSummary,
}

/// Runs the simulation of one seed. The error names the differences, or the feed that does not become complete.
pub async fn simulate(seed: u64) -> Result<SimulationSummary, String> {
    let mut dice = Rng::with_seed(seed);
    // Of its own, so that lives without further objects are those that they were.
    let further = FURTHER.get(Rng::with_seed(!seed).usize(..=FURTHER.len())).copied();
    let has_metadata = Rng::with_seed(seed.rotate_left(32)).bool();
    let has_past = Rng::with_seed(seed.rotate_left(16)).bool();
    let metadata = hubspot::feeds::further().find(|feed| has_metadata && feed.name() == "metadata");
    let has_list_members = Rng::with_seed(seed.rotate_left(24)).bool();
    let list_members = hubspot::feeds::further().find(|feed| has_list_members && feed.name() == LIST_MEMBERS);
    let settings = match further {
        Some(object) => settings(&mut dice).with(object, Further { records: 40, custom_properties: 2 }),
        None => settings(&mut dice),
    };
    let account = Arc::new(Account::generate(&settings));
    let since_ms = (account.now() - TimeDelta::days(31)).timestamp_millis();
    let server = Server::start(account, behaviour(&mut dice)).await.map_err(|error| error.to_string())?;
    let mut world = World {
        server,
        folder: tempfile::tempdir().map_err(|error| error.to_string())?,
        objects: ObjectType::CORE.into_iter().chain(further).collect(),
        metadata,
        list_members,
        modes: TableMode { hard_delete: false, history: dice.u8(..4) == 0 },
        checkpoints: Checkpoints {
            bytes: [2_000, 20_000, 64 << 20][dice.usize(..3)],
            interval: Duration::from_millis([20, 200, 20_000][dice.usize(..3)]),
        },
        lookback: Lookback {
            // Longer than changes take to get into the index, one before the other; not longer than it stands still.
            overlap_ms: if dice.bool() { 2_500 } else { Lookback::default().overlap_ms },
            ..Lookback::default()
        },
        past_dice: has_past.then(|| Rng::with_seed(seed.rotate_left(48))),
        compaction_dice: Rng::with_seed(seed.rotate_left(8)),
        open: None,
        summary: SimulationSummary { rounds: dice.usize(1..5), ..SimulationSummary::default() },
        dice,
    };
    for _ in 0..world.summary.rounds {
        world.round().await;
    }
    world.come_to_rest(since_ms).await
}

impl World {
    /// Changes the account, lets some time pass, and starts a few runs and loads.
    async fn round(&mut self) {
        self.change();
        self.poison();
        self.change_twins().await;
        let account = Arc::clone(self.server.account());
        let per_second = 40.0 * self.dice.f64();
        let is_restless = self.dice.bool();
        let (churn, marketing) = (self.dice.u64(..), self.dice.u64(..));
        let working = is_restless.then(|| {
            let records = Churn { per_second, seed: churn }.start(Arc::clone(&account));
            (records, MarketingChurn { per_second, seed: marketing }.start(account))
        });
        let mut feeds = self.feeds();
        self.dice.shuffle(&mut feeds);
        for feed in feeds {
            if self.dice.u8(..10) > 0 {
                self.run(feed).await;
            }
            if self.dice.u8(..4) == 0 {
                self.load_some().await;
            }
        }
        if let Some((records, marketing)) = working {
            self.summary.changes += records.stop().len();
            self.summary.changes += marketing.stop().len();
        }
        if self.dice.bool() {
            self.open = None;
        }
        if self.dice.u8(..12) == 0 {
            self.open = None;
            // A warehouse that is lost is filled again from what was staged.
            let _ = std::fs::remove_file(self.folder.path().join("warehouse.duckdb"));
        }
    }

    fn change(&mut self) {
        let account = Arc::clone(self.server.account());
        let count = self.dice.usize(..30);
        let seed = self.dice.u64(..);
        self.summary.changes += Churn { per_second: 1.0, seed }.burst(&account, count).len();
        let count = self.dice.usize(..30);
        let seed = self.dice.u64(..);
        self.summary.changes += MarketingChurn { per_second: 1.0, seed }.burst(&account, count).len();
        if self.dice.u8(..4) == 0 {
            let object = self.objects[self.dice.usize(..self.objects.len())];
            let merged: Vec<u64> = account.merged_away(object).into_keys().collect();
            let undone = merged.into_iter().take(3).filter(|id| account.undo_merge(object, *id).is_ok());
            self.summary.changes += undone.count();
        }
        for object in self.objects.clone().into_iter().skip(ObjectType::CORE.len()) {
            let (count, seed) = (self.dice.usize(..20), self.dice.u64(..));
            self.summary.changes += Churn { per_second: 1.0, seed }.burst_of(object, &account, count).len();
        }
        if self.metadata.is_some() {
            let (count, seed) = (self.dice.usize(..6), self.dice.u64(..));
            self.summary.changes += MetadataChurn { seed }.burst(&account, count).len();
        }
        if self.dice.u8(..4) == 0 {
            let object = ObjectType::CORE[self.dice.usize(..3)];
            self.summary.changes += account.touch_many_in_one_ms(object, self.dice.usize(..150)).len();
        }
    }

    /// Chooses single things that HubSpot answers badly until the next call of this.
    fn poison(&mut self) {
        if self.dice.bool() {
            self.server.heal();
            self.refuse_batches(None);
        }
        let account = Arc::clone(self.server.account());
        for _ in 0..self.dice.usize(..4) {
            let status = PoisonEffect::Status([400, 403, 404][self.dice.usize(..3)]);
            let poison = match self.dice.u8(..7) {
                0 => {
                    let Some(id) = self.dice.choice(account.campaign_ids()) else { continue };
                    Poison::new("campaigns.get", format!("\"id\":{id},"), status)
                }
                1 => {
                    let moment = PoisonEffect::Status([403, 404][self.dice.usize(..2)]);
                    Poison { times: 1, ..Poison::new("contacts_v1.batch", "", moment) }
                }
                2 => {
                    let object = ObjectType::CORE[self.dice.usize(..3)];
                    let (live, archived) = (account.live_ids(object), account.archived_ids(object));
                    let ids = if self.dice.u8(..4) == 0 { archived } else { live };
                    let Some(id) = self.dice.choice(ids) else { continue };
                    // A failure is waited for.
                    Poison::record(id, if self.dice.u8(..4) == 0 { 500 } else { 400 })
                }
                3 => {
                    let (endpoint, position) = POSITIONS[self.dice.usize(..POSITIONS.len())];
                    Poison { times: self.dice.u32(1..4), ..Poison::positions(endpoint, position) }
                }
                4 => {
                    let (endpoint, object) = BATCHES[self.dice.usize(..BATCHES.len())];
                    let Some(id) = self.dice.choice(account.live_ids(object)) else { continue };
                    let ids = [id].into();
                    self.refuse_batches(Some(RefusedBatches {
                        endpoint: endpoint.to_owned(),
                        ids,
                        status: 400,
                    }));
                    continue;
                }
                _ => {
                    let Some(id) = self.dice.choice(account.list_ids()) else { continue };
                    let effects = [PoisonEffect::Status(400), PoisonEffect::Null, PoisonEffect::WithoutId];
                    let endpoint = ["lists.search", "lists.list", "lists.all"][self.dice.usize(..3)];
                    Poison::new(endpoint, format!("\"listId\":\"{id}\""), effects[self.dice.usize(..3)])
                }
            };
            self.server.poison(poison);
        }
    }

    fn refuse_batches(&self, refused_batches: Option<RefusedBatches>) {
        self.server.set_behaviour(Behaviour { refused_batches, ..self.server.behaviour() });
    }

    /// Adds and removes properties whose names differ from others, which have their columns already, by case alone.
    async fn change_twins(&mut self) {
        let account = Arc::clone(self.server.account());
        for (object, twin) in ObjectType::CORE.into_iter().zip(["City", "City", "Dealtype"]) {
            let is_due = self.dice.u8(..4) == 0;
            let (state, _) = self.state_and_bucket();
            let cursor: Option<Cursor> = state.cursor(object.plural()).await.unwrap();
            if !is_due || cursor.is_none_or(|cursor| cursor.watermark_ms.is_none()) {
                continue;
            }
            if account.add_property(object, twin, Kind::String).is_err() {
                account.archive_property(object, twin).unwrap();
            }
            for id in account.live_ids(object).into_iter().take(self.dice.usize(..9)) {
                // Somebody may have archived it, or the property.
                let _ = account.update(object, id, &[(twin, Some("twin"))]);
            }
        }
    }

    fn feeds(&self) -> Vec<&'static dyn Feed> {
        let is_there = |feed: &&'static dyn Feed| self.objects.iter().any(|of| table_of(*of) == feed.name());
        FEEDS
            .iter()
            .copied()
            .chain(further().filter(is_there))
            .chain(self.metadata)
            .chain(self.list_members)
            .collect()
    }

    /// A list that is longer or shorter than the one before, or none.
    fn some_histories(&mut self) -> Option<HistoryProperties> {
        let dice = self.past_dice.as_mut()?;
        let some: Vec<_> = WITH_PAST.into_iter().filter(|_| dice.u8(..4) > 0).collect();
        (!some.is_empty() && dice.u8(..6) > 0).then(|| list_of(&some))
    }

    fn associated(&self) -> AssociatedObjects {
        self.feeds().into_iter().filter_map(|feed| feed.object()).collect()
    }

    fn collections(&self) -> Vec<&'static str> {
        let further = self.objects.iter().skip(ObjectType::CORE.len()).map(|object| table_of(*object));
        let metadata = self.metadata.into_iter().flat_map(|feed| feed.collections()).copied();
        COLLECTIONS.into_iter().chain(further).chain(metadata).chain(BESIDE).collect()
    }

    /// Runs a feed. The run may be cut off at any moment, be asked to stop, or meet another one.
    async fn run(&mut self, feed: &'static dyn Feed) {
        self.summary.runs += 1;
        let Some(run) = self.begin().await else { return };
        let options = Options {
            mode: match self.dice.u8(..16) {
                0 | 1 => Some(Mode::Backfill),
                2 => Some(Mode::Reconcile),
                3 => Some(Mode::Refresh),
                _ => None,
            },
            checkpoints: self.checkpoints,
            lookback: self.lookback,
            associated: Some(self.associated()),
            collections: Some(Arc::new(self.collections().into_iter().collect())),
            histories: self.some_histories(),
            ..Options::default()
        };
        if self.dice.u8(..4) == 0 {
            run.client.set_deadline(Instant::now() + Duration::from_millis(self.dice.u64(..150)));
        }
        let rival = if self.dice.u8(..8) == 0 { self.begin().await } else { None };
        let cut_off = (self.dice.u8(..3) == 0).then(|| Duration::from_millis(self.dice.u64(..120)));
        let of_rival = options.clone();
        let rival = rival.map(|rival| {
            tokio::spawn(async move { extract::extract(feed, &rival, &of_rival, &Progress::default()).await })
        });
        let reading =
            tokio::spawn(async move { extract::extract(feed, &run, &options, &Progress::default()).await });
        if let Some(after) = cut_off {
            tokio::time::sleep(after).await;
            reading.abort();
            self.summary.cut_off += 1;
        }
        let _ = reading.await;
        if let Some(rival) = rival {
            let _ = rival.await;
        }
    }

    /// Begins a run; `None` if faults prevent even the call for the account.
    async fn begin(&self) -> Option<Run> {
        let (state, bucket) = self.state_and_bucket();
        let budget = Budget::shared(0.0, StateAllowance::of(&state));
        let credential = Credential::token("pat-na1-fake").ok()?;
        let client = Client::new(self.server.url(), credential, budget).ok()?;
        client.set_second_look(Duration::from_millis(5));
        Run::begin(client, state, bucket).await.ok()
    }

    fn state_and_bucket(&self) -> (Arc<State>, Bucket) {
        let root = self.folder.path().join("state");
        let state = State::open_folder(&root).unwrap();
        (Arc::new(state), Bucket::open_folder(&root.join("files"), SCHEMA).unwrap())
    }

    async fn warehouse(&self) -> Box<dyn Warehouse> {
        let path = self.folder.path().join("warehouse.duckdb");
        if !path.exists() {
            // The tables are small, and DuckDB clears and compresses each block of a column whole.
            let small = duckdb::Config::default().with("default_block_size", "16384").unwrap();
            duckdb::Connection::open_with_flags(&path, small).unwrap();
        }
        let url = format!("duckdb:{}", path.display());
        warehouse::connect(&url, SCHEMA, None, None).await.unwrap()
    }

    async fn load_some(&mut self) {
        if self.open.is_none() {
            self.open = Some(self.warehouse().await);
        }
        let mut collections = self.collections();
        self.dice.shuffle(&mut collections);
        collections.truncate(self.dice.usize(1..5));
        if let Ok(rows) = self.load(&collections).await {
            self.summary.merged_rows += rows;
        }
        for collection in collections {
            self.compact(collection).await;
        }
        if self.dice.bool() {
            let collection = table_of(self.objects[self.dice.usize(..self.objects.len())]);
            // Rows may wait to be merged, or there may be no snapshot.
            let _ = self.compare(collection).await;
        }
    }

    /// Compacts a collection, or its snapshots, perhaps, and perhaps not to the end.
    async fn compact(&mut self, collection: &str) {
        if self.compaction_dice.bool() {
            return;
        }
        let name = match self.compaction_dice.u8(..4) {
            0 => staging::snapshot_name(collection),
            _ => collection.to_owned(),
        };
        let options = load::CompactOptions {
            is_whole: self.compaction_dice.u8(..4) > 0,
            keeps_versions: self.modes.history,
            grace: [TimeDelta::zero(), TimeDelta::hours(1)][self.compaction_dice.usize(..2)],
            ..load::CompactOptions::default()
        };
        let cut_off = Duration::from_millis(match self.compaction_dice.u8(..3) {
            0 => self.compaction_dice.u64(..30),
            _ => 60_000,
        });
        let (state, bucket) = self.state_and_bucket();
        let warehouse = self.warehouse().await;
        let compacting = load::compact(&name, &state, &bucket, &*warehouse, &options);
        if let Ok(done) = tokio::time::timeout(cut_off, compacting).await {
            self.summary.compacted += done.unwrap().files_before;
        }
    }

    /// Compacts all that is staged, and fills a new warehouse from it.
    async fn replay(&mut self) -> Result<(), String> {
        let (state, bucket) = self.state_and_bucket();
        {
            let warehouse = self.warehouse().await;
            let options = load::CompactOptions {
                is_whole: true,
                keeps_versions: self.modes.history,
                grace: TimeDelta::zero(),
                ..load::CompactOptions::default()
            };
            for collection in state.collections().await.map_err(|error| error.to_string())? {
                // The second time removes what the first one has replaced.
                for _ in 0..2 {
                    let done = load::compact(&collection, &state, &bucket, &*warehouse, &options).await;
                    self.summary.compacted += done.map_err(|error| format!("{error:#}"))?.files_before;
                }
            }
        }
        std::fs::remove_file(self.folder.path().join("warehouse.duckdb"))
            .map_err(|error| error.to_string())?;
        self.load(&self.collections()).await.map(drop)
    }

    async fn compare(&mut self, collection: &str) -> Result<Option<Reconciled>, String> {
        let (state, bucket) = self.state_and_bucket();
        let warehouse = self.warehouse().await;
        // So many that a comparison asks before it believes them: somebody confirms what was purged.
        let object = self.objects.iter().copied().find(|object| table_of(*object) == collection);
        let purged = object.map_or(0, |object| self.server.account().purged_ids(object).len());
        let accepts_removals = purged > FEW_PURGED;
        let options = load::ReconcileOptions { accepts_removals, deadline: None };
        let found = load::reconcile(collection, &state, &bucket, &*warehouse, &options).await;
        let found = found.map_err(|error| format!("{error:#}"))?;
        self.summary.comparisons += usize::from(found.is_some());
        self.summary.reread += found.as_ref().map_or(0, |found| found.asked);
        Ok(found)
    }

    async fn load(&self, collections: &[&str]) -> Result<u64, String> {
        let (state, bucket) = self.state_and_bucket();
        let warehouse = self.warehouse().await;
        let mut rows = 0;
        for collection in collections {
            let has_history = self.modes.history && !is_in_sets(collection);
            let options = load::Options {
                scope: Scope::Everything,
                mode: TableMode { history: has_history, ..self.modes },
                ..load::Options::default()
            };
            let loaded = load::load(collection, &state, &bucket, &*warehouse, &options).await;
            rows += loaded.map_err(|error| format!("{collection} is not loaded: {error:#}"))?.merged_rows;
        }
        Ok(rows)
    }

    /// Ends all faults; from then on runs must be complete, and the tables equal.
    async fn come_to_rest(mut self, since_ms: i64) -> Result<SimulationSummary, String> {
        let behaviour = self.server.behaviour();
        let index_lag = behaviour.index_lag;
        let lag = index_lag.most.max(index_lag.straggler) + index_lag.standstill;
        let lag = lag.max(behaviour.v1_lag);
        let calm = Behaviour {
            faults: Faults::none(),
            latency: Duration::ZERO,
            parts: 0.0,
            refused_batches: None,
            ignores_association_after: false,
            offsets_lead_back: false,
            ..behaviour
        };
        self.server.set_behaviour(calm);
        self.server.heal();
        tokio::time::sleep(lag + Duration::from_millis(10)).await;

        for feed in self.feeds() {
            self.read_to_the_end(feed, None).await?;
        }
        self.open = Some(self.warehouse().await);
        self.summary.merged_rows += self.load(&self.collections()).await?;
        for feed in self.feeds() {
            self.reconcile(feed).await?;
        }
        // Those that moved without a change of their records.
        self.summary.merged_rows += self.load(&BESIDE).await?;
        self.open = None;
        let mut differences = self.differences(since_ms)?;
        if differences.is_empty() && self.compaction_dice.u8(..4) == 0 {
            self.replay().await?;
            differences = self.differences(since_ms)?;
            if !differences.is_empty() {
                differences.insert_str(0, "filled again from compacted files: ");
            }
        }
        if differences.is_empty() { Ok(self.summary) } else { Err(differences) }
    }

    /// Returns how the tables differ from the account.
    fn differences(&self, since_ms: i64) -> Result<String, String> {
        let account = Arc::clone(self.server.account());
        let database = duckdb::Connection::open(self.folder.path().join("warehouse.duckdb"))
            .map_err(|error| error.to_string())?;
        let expectations = Expectations {
            since_ms,
            obsoleted_since_ms: account.now().timestamp_millis(),
            is_reconciled: true,
            ..Expectations::default()
        };
        let mut differences = all_differences(&database, &account, &expectations);
        let further = &self.objects[ObjectType::CORE.len()..];
        differences.push_str(&object_differences(further, &database, &account, &expectations));
        if self.metadata.is_some() {
            differences.push_str(&metadata_differences(&WITH_PIPELINES, &database, &account));
        }
        let in_lists = if self.list_members.is_some() { &self.objects[..] } else { &[ObjectType::Contacts] };
        differences.push_str(&association_differences(&self.objects, &database, &account));
        differences.push_str(&membership_differences(in_lists, &database, &account));
        if self.past_dice.is_some() {
            let is_there = |(object, _): &(ObjectType, &str)| self.objects.contains(object);
            let of: Vec<_> = WITH_PAST.into_iter().filter(is_there).collect();
            differences.push_str(&history_differences(&of, true, &database, &account));
        }
        Ok(differences)
    }

    /// Runs the feed until a run is complete that continues no earlier one.
    async fn read_to_the_end(&mut self, feed: &'static dyn Feed, mode: Option<Mode>) -> Result<(), String> {
        let name = extract::work_name(feed, mode);
        let mut outcome = String::new();
        for _ in 0..LAST_RUNS {
            let run = self.begin().await.ok_or("the account could not be read from HubSpot")?;
            let was_under_way = self.is_under_way(&name).await?;
            let associated = Some(self.associated());
            let collections = Some(Arc::new(self.collections().into_iter().collect()));
            let histories = self.past_dice.is_some().then(|| list_of(&WITH_PAST));
            let lookback = self.lookback;
            let options =
                Options { mode, lookback, associated, collections, histories, ..Options::default() };
            let report = extract::extract(feed, &run, &options, &Progress::default()).await;
            outcome = format!("{:?}", report.outcome);
            // A run that goes on from before sees what was there then.
            if report.outcome == extract::Outcome::Complete && !was_under_way {
                return Ok(());
            }
        }
        Err(format!("{name} does not come to rest: {outcome}"))
    }

    /// Takes snapshots, and reads the records they ask for, until the table equals HubSpot's records.
    async fn reconcile(&mut self, feed: &'static dyn Feed) -> Result<(), String> {
        let Some(collection) = feed.compared() else { return Ok(()) };
        self.read_to_the_end(feed, Some(Mode::Refresh)).await?;
        for _ in 0..LAST_COMPARISONS {
            match self.compare(collection).await? {
                Some(found) if found.step == Step::Equal => return Ok(()),
                None => return Err(format!("{collection} has no snapshot to be compared with")),
                Some(_) => {}
            }
            self.read_to_the_end(feed, None).await?;
            self.summary.merged_rows += self.load(feed.collections()).await?;
        }
        Err(format!("{collection} does not become equal"))
    }

    async fn is_under_way(&self, name: &str) -> Result<bool, String> {
        let (state, _) = self.state_and_bucket();
        let cursor = state.cursor::<Cursor>(name).await;
        Ok(cursor.map_err(|error| error.to_string())?.is_some_and(|cursor| cursor.run.is_some()))
    }
}

fn list_of(properties: &[(ObjectType, &str)]) -> HistoryProperties {
    let named = properties.iter().map(|(object, name)| format!("{}:{name}", table_of(*object)));
    named.collect::<Vec<_>>().join(";").parse().unwrap()
}

/// `true`: the rows of the collection are read in sets, and have no history.
fn is_in_sets(collection: &str) -> bool {
    let own = hubspot::feeds::known().flat_map(|feed| feed.dictionary());
    let mut entries = own.chain(hubspot::feeds::shared());
    entries.any(|entry| entry.name == collection && !entry.set_key.is_empty())
}
