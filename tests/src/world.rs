//! A pipeline in this process, and the memory that the process takes.

use std::path::PathBuf;
use std::sync::Arc;

use extract::{FeedReport, Options, Outcome, Progress, Run, StateAllowance};
use hubspot::feeds::{Feed, Mode};
use hubspot::{Budget, Client, Credential, RateLimit};
use load::{Reconciled, Scope};
use staging::{Bucket, State};
use warehouse::Warehouse;

const SCHEMA: &str = "hubspot";

/// A state folder, and a database in it.
#[derive(Debug)]
pub struct World {
    pub hubspot_url: String,
    pub folder: PathBuf,
}

impl World {
    fn state_and_bucket(&self) -> (Arc<State>, Bucket) {
        let root = self.folder.join("state");
        let state = State::open_folder(&root).unwrap();
        (Arc::new(state), Bucket::open_folder(&root.join("files"), SCHEMA).unwrap())
    }

    async fn warehouse(&self) -> Box<dyn Warehouse> {
        let url = format!("duckdb:{}", self.folder.join("warehouse.duckdb").display());
        warehouse::connect(&url, SCHEMA, None, None).await.unwrap()
    }

    pub async fn begin(&self) -> Run {
        let (state, bucket) = self.state_and_bucket();
        let budget = Budget::shared(0.0, StateAllowance::of(&state));
        let credential = Credential::token("pat-na1-fake").unwrap();
        let client = Client::new(&self.hubspot_url, credential, budget).unwrap();
        Run::begin(client, state, bucket).await.unwrap()
    }

    /// Makes one complete run. Returns its report and the number of its calls.
    pub async fn extract(&self, feed: &'static dyn Feed, mode: Option<Mode>) -> (FeedReport, u64) {
        let run = self.begin().await;
        let options = Options { mode, ..Options::default() };
        let report = extract::extract(feed, &run, &options, &Progress::default()).await;
        assert_eq!(report.outcome, Outcome::Complete, "{report:#?}");
        (report, RateLimit::ALL.iter().map(|limit| run.client.budget().usage(*limit).calls).sum())
    }

    pub async fn load(&self, collection: &str) {
        let (state, bucket) = self.state_and_bucket();
        let options = load::Options { scope: Scope::Everything, ..load::Options::default() };
        load::load(collection, &state, &bucket, &*self.warehouse().await, &options).await.unwrap();
    }

    pub async fn reconcile(&self, collection: &str) -> Result<Option<Reconciled>, String> {
        let (state, bucket) = self.state_and_bucket();
        let options = load::ReconcileOptions::default();
        let gone_on = load::reconcile(collection, &state, &bucket, &*self.warehouse().await, &options).await;
        gone_on.map_err(|error| format!("{error:#}"))
    }

    pub fn database(&self) -> duckdb::Connection {
        duckdb::Connection::open(self.folder.join("warehouse.duckdb")).unwrap()
    }
}

/// Returns the peak memory of this process, in MiB.
pub fn most_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}
