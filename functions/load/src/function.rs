//! The function: configuration once, then for each event the tables that have something to merge.

mod compaction;
mod config;
mod metrics;
mod overview;
mod views;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use lambda::{Aws, Failure, FailureKind, Invocation, Secrets};
use load::{
    Asked, CompactOptions, Event, ForgetOptions, LoadReport, LostRows, Options, Places, ReconcileOptions,
    RemovedOptions, Scope, Step, TableReport, compact, load,
};
use serde_json::Value;
use staging::{Bucket, Person, RunRecord, StagedFile, State, snapshot_name, snapshot_of};
use warehouse::Warehouse;

use config::Config;

/// The folder in which copies of staged files are kept while they are merged, below the one folder that a function may
/// write.
const SCRATCH: &str = "hubspot-source-load";
/// Time for which a run that is under way is waited for, before its collection is left.
const FORGET_PATIENCE: Duration = Duration::from_secs(20);
/// Time after which whoever waits gets an answer: connections are closed that nothing passes through.
const FORGET_TIME: Duration = Duration::from_secs(180);
/// Time for which a table is tried again that another load holds, and the pause between two attempts.
const BUSY_PATIENCE: Duration = Duration::from_secs(120);
const BUSY_PAUSE: Duration = Duration::from_secs(10);
/// The name of the function's records in the state.
pub(crate) const NAME: &str = "load";

#[derive(Debug)]
pub(crate) struct Function {
    config: Config,
    aws: Aws,
    secrets: Secrets,
    state: State,
    bucket: Bucket,
}

impl Function {
    pub(crate) async fn open() -> anyhow::Result<Function> {
        let config = Config::of_process()?;
        let aws = Aws::connect().await;
        let scratch = std::env::temp_dir().join(SCRATCH);
        Ok(Function {
            secrets: Secrets::new(aws.secrets.clone()),
            state: State::open_table(aws.dynamodb.clone(), &config.state_table),
            bucket: Bucket::open_s3(aws.s3.clone(), &config.bucket, &scratch, &config.schema)?,
            config,
            aws,
        })
    }

    /// Handles one invocation. The answer is the load's report, or an error if a table failed, so that the service
    /// retries; files that were merged stay merged.
    pub(crate) async fn handle(&self, event: Value, invocation: &Invocation) -> Result<Value, Failure> {
        let event = Event::of(event).map_err(lambda::refuse_event)?;
        if let Some(asked) = &event.forget {
            return self.forget(asked, invocation).await;
        }
        if event.report {
            return self.write_overview(&event).await;
        }
        let mut report = LoadReport::new(event.continuation);
        let worked = match (event.maintain, event.compact) {
            (true, _) => self.maintain(&event, invocation, &mut report).await,
            (false, true) => self.compact_all(&event, invocation, &mut report).await,
            (false, false) => self.load_all(&event, invocation, &mut report).await,
        };
        let mut failed = worked.err();
        if let Err(error) = self.see_what_is_left(&mut report).await {
            failed = failed.or(Some(Failure::new(FailureKind::Run, error)));
        }
        if report.has_worked() {
            self.note_unknown_names(&mut report).await;
        }
        if failed.is_none() && report.is_out_of_time() && event.continuation < self.config.max_continuations {
            match invocation.go_on(&self.aws.lambda, &event.next()).await {
                Ok(goes_on) => report.goes_on = goes_on,
                Err(error) => failed = Some(Failure::new(FailureKind::Run, error)),
            }
        }
        report
            .end(failed.as_ref().map(|failure| format!("{:#}", failure.error)), invocation.started.elapsed());
        invocation.emit(self.metrics(&report, invocation));
        let value = serde_json::to_value(&report).map_err(|error| Failure::new(FailureKind::Run, error))?;
        // Loads that found nothing to do are in the logs; for a replay somebody waits.
        if report.has_worked() || event.scope() != Scope::Pending {
            let record =
                RunRecord { name: NAME.to_owned(), run_id: report.run_id.clone(), report: value.clone() };
            if let Err(error) = self.state.record(&record).await {
                tracing::warn!("the load's report can't be recorded: {error:#}");
            }
        }
        match failed {
            Some(failure) => Err(failure.reported(value)),
            None => Ok(value),
        }
    }

    /// Loads what is pending. Who is told that files were staged is told once: a table that another load holds is tried
    /// again for a while, since that one may have looked for files before they were there.
    async fn load_all(
        &self,
        event: &Event,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) -> Result<(), Failure> {
        self.load(event, invocation, report).await?;
        let until = invocation.deadline.min(Instant::now() + BUSY_PATIENCE);
        while event.is_of_staged_files() && Instant::now() + BUSY_PAUSE < until {
            let busy = report.remove_busy();
            if busy.is_empty() {
                break;
            }
            tokio::time::sleep(BUSY_PAUSE).await;
            let event = Event { collections: Some(busy), ..event.clone() };
            self.load(&event, invocation, report).await?;
        }
        Ok(())
    }

    /// Loads the event's tables in order. A failure of one does not stop the others.
    async fn load(
        &self,
        event: &Event,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) -> Result<(), Failure> {
        let collections = self.collections(event).await?;
        let (of_snapshots, collections): (BTreeSet<String>, BTreeSet<String>) =
            collections.into_iter().partition(|name| snapshot_of(name).is_some());
        let mut snapshots = Vec::new();
        for collection in of_snapshots.iter().filter_map(|name| snapshot_of(name)) {
            let is_due = load::is_due(collection, &self.state).await;
            if is_due.map_err(|error| Failure::new(FailureKind::Run, error))? {
                snapshots.push(collection);
            }
        }
        let is_forgetting = match load::contacts_of(&self.config.person_columns) {
            Some(contacts) => load::is_forgetting_removed(contacts, &self.state).await,
            None => Ok(false),
        };
        let is_forgetting = is_forgetting.map_err(|error| Failure::new(FailureKind::Run, error))?;
        // Nothing to do costs the warehouse nothing, not even a connection.
        if collections.is_empty() && snapshots.is_empty() && !is_forgetting {
            let expiring = self.of_retention().await;
            return self.compact_due(expiring, None, invocation, report).await;
        }
        let warehouse = self.connect().await?;
        let mut errors = Vec::new();
        for collection in collections {
            let started = Instant::now();
            let mode = self.config.modes.of(&collection);
            let options = Options {
                scope: event.scope(),
                mode,
                lost_rows: match event.lost_rows() {
                    // The comparison behind it reads again what is lost.
                    LostRows::Refuse if snapshots.contains(&collection.as_str()) => LostRows::Compare,
                    lost_rows => lost_rows,
                },
                deadline: Some(invocation.deadline),
            };
            let loaded = load(&collection, &self.state, &self.bucket, &*warehouse, &options).await;
            if let Err(error) = &loaded
                && !load::is_busy(error)
            {
                errors.push(format!("{collection}: {error:#}"));
            }
            report.tables.insert(collection, TableReport::new(loaded, started.elapsed()));
        }
        for collection in snapshots {
            // Comparing is one query; it is not begun when the time is over.
            if report.is_out_of_time() || Instant::now() >= invocation.deadline {
                break;
            }
            let options = ReconcileOptions {
                accepts_removals: event.accept_removals,
                deadline: Some(invocation.deadline),
            };
            match load::reconcile(collection, &self.state, &self.bucket, &*warehouse, &options).await {
                Ok(found) => report.reconciled.extend(found.map(|found| (collection.to_owned(), found))),
                Err(error) if load::is_busy(&error) => {}
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        if let Err(error) = self.forget_removed(event, &*warehouse, invocation, report).await {
            errors.push(format!("{error:#}"));
        }
        if report.tables.values().any(|table| table.files > 0)
            && let Err(error) = load::record_runs(&self.state, &*warehouse).await
        {
            // The next load brings them along.
            tracing::warn!("{error:#}");
        }
        self.keep_views(&*warehouse, invocation, report).await;
        if errors.is_empty() {
            let mut loaded = self.of_retention().await;
            loaded.extend(report.tables.keys().cloned());
            loaded.extend(report.reconciled.keys().map(|name| snapshot_name(name)));
            return self.compact_due(loaded, Some(&*warehouse), invocation, report).await;
        }
        Err(Failure::new(FailureKind::Warehouse, anyhow::anyhow!("{}", errors.join("; "))))
    }

    /// Compacts the event's collections, whatever the sizes of their files.
    async fn compact_all(
        &self,
        event: &Event,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) -> Result<(), Failure> {
        if event.replay || event.accept_removals {
            return Err(lambda::refuse_event(
                "compact loads nothing, and goes without replay and accept_removals",
            ));
        }
        let whole = Event { replay: true, ..event.clone() };
        let collections = self.collections(&whole).await?;
        let warehouse = self.connect().await?;
        for collection in collections {
            let options = CompactOptions { is_whole: true, ..self.compact_options(&collection, invocation) };
            let done = compact(&collection, &self.state, &self.bucket, &*warehouse, &options).await;
            let done = done.map_err(|error| Failure::new(FailureKind::Run, error))?;
            report.compacted.insert(collection, done);
        }
        Ok(())
    }

    async fn maintain(
        &self,
        event: &Event,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) -> Result<(), Failure> {
        if event.replay || event.compact || event.collections.is_some() {
            return Err(lambda::refuse_event(
                "maintain is about the whole warehouse, and goes without others",
            ));
        }
        let warehouse = self.connect().await?;
        let maintained = warehouse.maintain(invocation.deadline).await;
        let maintained = maintained.map_err(|error| Failure::new(FailureKind::Warehouse, error))?;
        report.maintained_tables = Some(maintained.tables);
        report.tables_left = Some(maintained.tables_left);
        Ok(())
    }

    /// Forgets persons. The answer says what is left, which another invocation with the same event does: whoever sends it
    /// waits for the answer, so that no queue keeps the event.
    async fn forget(&self, asked: &Asked, invocation: &Invocation) -> Result<Value, Failure> {
        let mut person = Person { ids: asked.contacts.iter().copied().collect(), ..Person::default() };
        for address in &asked.emails {
            person.add_address(address);
        }
        if person.is_empty() {
            return Err(lambda::refuse_event(
                "forget names nobody: it needs emails with an @, or ids of contacts",
            ));
        }
        if asked.lift {
            let lifted = load::lift(&person, &self.state, FORGET_PATIENCE).await;
            let lifted = lifted.map_err(|error| Failure::new(FailureKind::Run, error))?;
            return serde_json::to_value(lifted).map_err(|error| Failure::new(FailureKind::Run, error));
        }
        let warehouse = self.connect().await?;
        let options = ForgetOptions {
            columns: &self.config.person_columns,
            is_dry_run: asked.dry_run,
            pseudonymise: asked.pseudonymise.unwrap_or(self.config.pseudonymise),
            vacuum_full: asked.vacuum_full,
            patience: FORGET_PATIENCE,
            deadline: Some(invocation.answer_by(FORGET_TIME)),
        };
        let places = Places { state: &self.state, bucket: &self.bucket, warehouse: Some(&*warehouse) };
        let report = load::forget(&person, places, options).await;
        let report = report.map_err(|error| Failure::new(FailureKind::Run, error))?;
        serde_json::to_value(&report).map_err(|error| Failure::new(FailureKind::Run, error))
    }

    /// Forgets contacts that HubSpot shows nowhere any more, where that is wanted.
    async fn forget_removed(
        &self,
        event: &Event,
        warehouse: &dyn Warehouse,
        invocation: &Invocation,
        report: &mut LoadReport,
    ) -> anyhow::Result<()> {
        // Once for an invocation: a second pass over busy tables has compared nothing anew.
        if report.forgotten.is_some() {
            return Ok(());
        }
        let Some(days) = self.config.forget_after_days() else {
            return load::stop_forgetting_removed(&self.state).await;
        };
        let contacts = load::contacts_of(&self.config.person_columns).unwrap_or_default();
        let is_equal = report.reconciled.get(contacts).is_some_and(|found| found.step == Step::Equal);
        let removed = RemovedOptions { days, is_compared: is_equal, accepts: event.accept_forgetting };
        let options = ForgetOptions {
            columns: &self.config.person_columns,
            is_dry_run: false,
            pseudonymise: self.config.pseudonymise,
            vacuum_full: false,
            patience: FORGET_PATIENCE,
            deadline: Some(invocation.deadline),
        };
        let places = Places { state: &self.state, bucket: &self.bucket, warehouse: Some(warehouse) };
        report.forgotten = load::forget_removed(places, options, &removed).await?;
        Ok(())
    }

    async fn collections(&self, event: &Event) -> Result<BTreeSet<String>, Failure> {
        let failed = |error: staging::Error| Failure::new(FailureKind::Run, error);
        let mut collections: BTreeSet<String> = match event.scope() != Scope::Pending {
            // A snapshot is old by then; the next one is compared.
            true => {
                let mut all = self.state.collections().await.map_err(failed)?;
                all.retain(|name| snapshot_of(name).is_none());
                if event.accept_removals {
                    let pending = self.state.pending(None).await.map_err(failed)?.into_iter();
                    all.extend(pending.filter(|file| file.snapshot.is_some()).map(|file| file.collection));
                }
                all
            }
            false => {
                let pending = self.state.pending(None).await.map_err(failed)?;
                pending.into_iter().map(|file| file.collection).collect()
            }
        };
        if let Some(named) = &event.collections {
            let unknown: Vec<&str> =
                named.iter().map(String::as_str).filter(|name| !self.config.is_wanted(name)).collect();
            if !unknown.is_empty() {
                return Err(lambda::refuse_event(format!("the stack does not load {}", unknown.join(", "))));
            }
            collections.retain(|name| named.iter().any(|named| named == snapshot_of(name).unwrap_or(name)));
        }
        collections.retain(|collection| self.config.is_wanted(collection));
        Ok(collections)
    }

    async fn connect(&self) -> Result<Box<dyn Warehouse>, Failure> {
        let password = match &self.config.warehouse_secret_arn {
            Some(arn) => {
                let password = load::password(arn, &self.secrets.get(arn).await?);
                Some(password.map_err(|error| Failure::new(FailureKind::Configuration, error))?)
            }
            None => None,
        };
        let Config { warehouse_url, schema, .. } = &self.config;
        let warehouse = warehouse::connect(warehouse_url, schema, password, Some(&self.aws.config))
            .await
            .map_err(|error| Failure::new(FailureKind::Warehouse, error))?;
        let bound = warehouse.account().await.map_err(|error| Failure::new(FailureKind::Warehouse, error))?;
        let account = self.state.account().await.map_err(|error| Failure::new(FailureKind::Run, error))?;
        match (bound, account) {
            (Some(bound), Some(account)) if bound != account => {
                let error = anyhow::anyhow!(
                    "the warehouse's schema {} belongs to HubSpot account {bound}, but this stack reads account \
                     {account}: give the stack another schema",
                    self.config.schema
                );
                Err(Failure::new(FailureKind::OtherAccount, error))
            }
            _ => Ok(warehouse),
        }
    }

    /// Says which names in the configuration no table has. A misspelt one would do nothing, without a word.
    async fn note_unknown_names(&self, report: &mut LoadReport) {
        // A state that can't be read is an error of the load itself.
        let Ok(staged) = self.state.collections().await else { return };
        for (variable, name) in self.config.unknown(&staged) {
            let text = format!("{variable} names {name}, and nothing of that name was staged by now");
            tracing::warn!("{text}");
            report.degraded.push(text);
        }
    }

    async fn see_what_is_left(&self, report: &mut LoadReport) -> anyhow::Result<()> {
        let mut pending = self.state.pending(None).await.context("the pending files can't be listed")?;
        // What waits of a snapshot waits for HubSpot, not for a merge.
        pending.retain(|file| file.snapshot.is_none() && self.config.is_wanted(&file.collection));
        report.pending_files = pending.len() as u64;
        let age = |file: &StagedFile| (Utc::now() - file.staged_at).num_milliseconds().max(0) as f64 / 1000.0;
        report.lag_seconds = pending.iter().map(age).fold(0.0, f64::max);
        Ok(())
    }
}
