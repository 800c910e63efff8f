//! A pipeline in this process, and the incomplete answers that it has to survive.

use std::collections::BTreeMap;

use extract::{FeedReport, Options, Outcome, Progress};
use fake_hubspot::{Behaviour, InPart, Lack, Marketing, ObjectType, PerType, RefusedBatches, Settings};
use hubspot::feeds::{FEEDS, Feed, Mode};
use load::Step;
use tests::{Sandbox, World};

pub(super) const FOR_EVER: u32 = u32::MAX;
/// Columns about the read, whose values don't come from HubSpot.
const OF_THE_READ: [&str; 4] = ["_read_at", "received_at", "_run_id", "_file"];

pub(super) fn settings() -> Settings {
    Settings {
        records: PerType { contacts: 14, companies: 5, deals: 9 },
        custom_properties: PerType { contacts: 1, companies: 1, deals: 1 },
        wide_deals: 0,
        archived: 0.0,
        merged: 0.0,
        odd_values: 0.0,
        marketing: Marketing {
            lists: 4,
            campaigns: 5,
            email_events: 30,
            subscription_changes: 12,
            forms: 3,
            ..Marketing::default()
        },
        ..Settings::default()
    }
}

/// A pipeline in this process.
pub(super) struct Pipeline {
    pub(super) sandbox: Sandbox,
    pub(super) world: World,
    pub(super) feed: &'static dyn Feed,
    /// Number of calls that a run may spend on addresses of contacts.
    pub(super) address_calls: u64,
}

/// A table's rows as text, by key.
pub(super) type Rows = BTreeMap<String, String>;

impl Pipeline {
    pub(super) async fn new(settings: &Settings, behaviour: Behaviour, feed: &str) -> Pipeline {
        Pipeline::with_address_calls(settings, behaviour, feed, 0).await
    }

    pub(super) async fn with_address_calls(
        settings: &Settings,
        behaviour: Behaviour,
        feed: &str,
        address_calls: u64,
    ) -> Pipeline {
        let sandbox = Sandbox::new(settings, behaviour).await;
        let world = World { hubspot_url: sandbox.server.url().to_owned(), folder: sandbox.path("") };
        let feed = *FEEDS.iter().find(|known| known.name() == feed).unwrap();
        let pipeline = Pipeline { sandbox, world, feed, address_calls };
        let report = pipeline.run(None).await;
        assert_eq!(report.outcome, Outcome::Complete, "{report:#?}");
        pipeline
    }

    pub(super) async fn run(&self, mode: Option<Mode>) -> FeedReport {
        let run = self.world.begin().await;
        let options = Options { mode, address_calls: self.address_calls, ..Options::default() };
        let report = extract::extract(self.feed, &run, &options, &Progress::default()).await;
        if mode.is_none_or(|mode| !mode.is_snapshot()) {
            for collection in report.collections.iter().filter(|collection| collection.rows > 0) {
                self.world.load(collection.name).await;
            }
        }
        report
    }

    /// Makes a run of this mode; after a snapshot, also the reads that the comparison asks for. `true`: the run is
    /// green.
    pub(super) async fn is_green(&self, mode: Mode) -> (bool, String) {
        let report = self.run(Some(mode)).await;
        let mut is_green = report.outcome == Outcome::Complete;
        let mut outcome = format!("{:?}", report.outcome);
        if mode.is_snapshot() && report.outcome.has_ended() {
            let collection = self.feed.collections()[0];
            for _ in 0..4 {
                let step = match self.world.reconcile(collection).await {
                    Ok(found) => found.unwrap().step,
                    Err(error) => return (false, format!("{outcome}; {error}")),
                };
                outcome = format!("{outcome}; {step:?}");
                if step == Step::Equal {
                    return (is_green, outcome);
                }
                let later = self.run(None).await;
                is_green &= later.outcome == Outcome::Complete;
                outcome = format!("{outcome}; {:?}", later.outcome);
            }
            panic!("{collection} does not come to rest: {outcome}");
        }
        (is_green, outcome)
    }

    /// Returns the tables' rows without the columns about the read and, if `without_dates`, about the last change.
    pub(super) fn rows(&self, without_dates: bool) -> Rows {
        let database = self.world.database();
        let mut rows = Rows::new();
        for table in self.feed.collections() {
            let Ok(mut describe) = database.prepare(&format!("DESCRIBE hubspot.{table}")) else { continue };
            let columns: Vec<String> =
                describe.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            let is_compared = |column: &&String| {
                let is_date = column.contains("lastmodifieddate") || *column == "_source_updated_at";
                !(OF_THE_READ.contains(&column.as_str()) || without_dates && is_date)
            };
            let cells: Vec<String> =
                columns.iter().filter(is_compared).map(|column| format!("\"{column}\"")).collect();
            let key = match *table {
                "contact_identities" => "concat(contact_id, '/', \"type\", '/', value)",
                "contact_identity_profiles" => "CAST(contact_id AS VARCHAR)",
                _ if columns.iter().any(|column| column == "id") => "CAST(id AS VARCHAR)",
                _ => "CAST(hash(COLUMNS(*)) AS VARCHAR)",
            };
            let sql =
                format!("SELECT {key}, CAST(row({}) AS VARCHAR) FROM hubspot.{table}", cells.join(", "));
            let mut query = database.prepare(&sql).unwrap();
            let pairs =
                query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
            for pair in pairs {
                let (key, row) = pair.unwrap();
                rows.insert(format!("{table}/{key}"), row);
            }
        }
        rows
    }

    /// Returns the number of different versions among the live rows of the feed's first table.
    pub(super) fn versions(&self) -> usize {
        let table = self.feed.collections()[0];
        let sql =
            format!("SELECT count(DISTINCT _source_updated_at) FROM hubspot.{table} WHERE NOT is_deleted");
        self.world.database().query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

/// One way of being incomplete, at one endpoint.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    InPart(InPart),
    RefusedBatches(RefusedBatches),
}

impl Pipeline {
    pub(super) fn begin(&self, trouble: &Trouble) {
        match trouble {
            Trouble::InPart(part) => self.sandbox.server.answer_in_part(part.clone()),
            Trouble::RefusedBatches(poison) => self.sandbox.server.set_behaviour(Behaviour {
                refused_batches: Some(poison.clone()),
                ..self.sandbox.server.behaviour()
            }),
        }
    }

    pub(super) fn end(&self) {
        self.sandbox.server.answer_whole();
        self.sandbox
            .server
            .set_behaviour(Behaviour { refused_batches: None, ..self.sandbox.server.behaviour() });
    }

    /// Touches all records, which changes no cell but their dates, and makes a run with the trouble and one without
    /// it. Returns the outcome of the first one.
    pub(super) async fn live_through(
        &self,
        trouble: &Trouble,
        mode: Mode,
        object: ObjectType,
        truth: &Rows,
    ) -> String {
        let account = self.sandbox.account();
        account.touch_many_in_one_ms(object, account.live_ids(object).len());
        self.begin(trouble);
        let (is_green, outcome) = self.is_green(mode).await;
        self.end();
        let outcome = format!("{trouble:?} in mode {mode:?}: {outcome}");
        let during = self.rows(true);
        for (key, row) in truth {
            assert_eq!(during.get(key), Some(row), "{outcome}\n{key}");
        }
        assert_eq!(during.len(), truth.len(), "{outcome}");
        if is_green && !mode.is_snapshot() {
            assert_eq!(self.versions(), 1, "a change is not delivered: {outcome}");
        }
        self.come_to_rest(&outcome).await;
        assert_eq!(self.versions(), 1, "a change was lost: {outcome}");
        outcome
    }

    /// Runs until quarantined things, and those that a failed run has not read, are read.
    pub(super) async fn come_to_rest(&self, outcome: &str) {
        let mut report = self.run(None).await;
        if report.outcome != Outcome::Complete {
            report = self.run(None).await;
        }
        assert_eq!(report.outcome, Outcome::Complete, "{outcome}: {report:#?}");
    }
}

pub(super) fn in_part(endpoint: &'static str, lack: Lack, ids: &[u64], times: u32) -> Trouble {
    Trouble::InPart(InPart { endpoint, lack, ids: ids.to_vec(), times })
}
