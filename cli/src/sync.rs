//! `sync`: extract, then load, one feed after the other.

mod before;
mod loads;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use extract::{
    ApiUsage, CollectionNames, End, FeedReport, Options, Outcome, Progress, Run, RunReport, Selection,
    StateAllowance, StopCause,
};
use hubspot::feeds::{Cursor, Feed, Mode, PROPERTY_HISTORY, person_columns};
use hubspot::{Budget, Client, Credential};
use lambda::Telemetry;
use load::{
    ForgetOptions, ForgetReport, Loaded, LostRows, Modes, Places, ReconcileOptions, RemovedOptions, Scope,
    Step, load,
};
use staging::{Bucket, RunRecord, State};
use tracing::Instrument;
use tracing::field::Empty;
use warehouse::Warehouse;

pub(crate) use self::before::compared;
use self::before::{check_account, check_mode, connect, look, options, read_before};
use self::loads::Loads;
use crate::adopt::{Adoption, Way};
use crate::args::{ReportFormat, Sync, modes};
use crate::compact;
use crate::credential::credential;
use crate::exit;
use crate::print::print;
use crate::progress::Line;
use crate::report::{CollectionReport, Report};

/// Runs the sync and prints its report. `true`: everything is complete.
///
/// # Errors
/// For wrong use or configuration, before anything is written.
pub(crate) async fn run(args: &Sync, telemetry: &Telemetry) -> anyhow::Result<bool> {
    let span = tracing::info_span!(
        target: "telemetry",
        "sync",
        stack = args.schema,
        run.id = Empty,
        outcome = Empty,
        otel.status_code = Empty,
    );
    let synced = async { sync(args, credential(&args.token).await?).await }.instrument(span.clone()).await;
    match &synced {
        Ok(report) => {
            span.record("run.id", report.run_id.as_str());
            span.record("outcome", if report.is_complete() { "complete" } else { "incomplete" });
            telemetry.record(&report.metrics(&args.schema));
        }
        Err(_) => {
            span.record("outcome", "failed");
            span.record("otel.status_code", "ERROR");
        }
    }
    drop(span);
    telemetry.flush().await;
    let report = synced?;
    print(&match args.report {
        ReportFormat::Json => report.json()?,
        ReportFormat::Text => report.text(),
    });
    Ok(report.is_complete())
}

pub(crate) async fn sync(args: &Sync, credential: Credential) -> anyhow::Result<Report> {
    let started = Instant::now();
    let names = CollectionNames::new(args.collections.as_deref(), args.without.as_deref())?;
    let names = match args.property_history {
        Some(_) => names.and(PROPERTY_HISTORY),
        None => names,
    };
    let mut options = options(args)?;
    let reserve = f64::from(args.reserve) / 100.0;
    // Before anything is written.
    let asking = Client::new(&args.hubspot_url, credential.clone(), Budget::new(reserve))?;
    let selection = names.of_account(&asking, read_before(&args.state).await).await?;
    options.collections = Some(Arc::new(selection.collections.clone()));
    options.associated = selection.associated();
    options.histories = selection.histories(args.property_history.as_ref())?;
    check_mode(options.mode, &selection)?;
    let modes = modes(selection.known(), &args.hard_delete, &args.history)?;
    let warehouse = connect(args).await?;
    let adoption = look(args, &selection, warehouse.as_deref()).await?;
    let state = State::open_folder(&args.state)?;
    let state = Arc::new(state);
    let budget = Budget::shared(reserve, StateAllowance::of(&state));
    let client = Client::new(&args.hubspot_url, credential, budget)?;
    let account = extract::account(&client).await?;
    check_account(&account, warehouse.as_deref()).await?;
    state.bind_account(account.id).await?;
    let bucket = Bucket::open_folder(&args.state.join("files"), &args.schema)?;
    let run = Run::new(client, account, state, bucket).with_codec(args.codec);
    exit::stop_on_signals(run.client.clone())?;

    let work = Work {
        run: &run,
        options: &options,
        selection: &selection,
        modes: &modes,
        warehouse: warehouse.as_deref(),
        accepts_removals: args.accept_removals,
        adoption: adoption.as_ref(),
        loads: Loads::new(),
    };
    let mut collections = BTreeMap::new();
    let mut unavailable = BTreeMap::new();
    for &feed in &selection.feeds {
        let mode = extract::mode_of(feed, options.mode).filter(|mode| !mode.is_snapshot());
        let mut reports = work.sync(feed, &run, mode).await;
        let lacking = work.unavailable(feed, &reports).await;
        let is_lacking = lacking.contains_key(feed.name());
        reports.retain(|name, _| {
            let is_without = lacking.contains_key(name) || (is_lacking && hubspot::feeds::is_shared(name));
            selection.collections.contains(name) && !is_without
        });
        unavailable.extend(lacking);
        work.reconcile(feed, &mut reports).await;
        for (name, report) in reports {
            // Several feeds fill some together.
            match collections.get_mut(name) {
                Some(known) => CollectionReport::join(known, report),
                None => _ = collections.insert(name.to_owned(), report),
            }
        }
    }
    work.load_shared(&mut collections).await;
    for name in selection.missed(&run.state).await {
        let report = CollectionReport::of_missed(&name);
        collections.insert(name, report);
    }
    if let Err(error) = work.loads.keep(&run.state).await {
        tracing::warn!("{error:#}");
    }
    if let Some(warehouse) = &warehouse
        && collections.values().any(|collection: &CollectionReport| collection.merged_rows > 0)
        && let Err(error) = load::record_runs(&run.state, &**warehouse).await
    {
        // The next sync brings them along.
        tracing::warn!("{error:#}");
    }
    let (forgotten, why_not) = match work.forget_removed(args, &collections).await {
        Ok(forgotten) => (forgotten, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    if let Some(warehouse) = &warehouse {
        let keeps_versions = |name: &str| modes.of(name).history;
        let with_files = collections.iter().filter(|(_, report)| report.merged_files > 0);
        let compared = collections.iter().filter(|(_, report)| !report.reconciled.is_empty());
        let merged = with_files.map(|(name, _)| name.clone());
        let merged = merged.chain(compared.map(|(name, _)| staging::snapshot_name(name))).collect();
        let (bucket, warehouse) = (&run.bucket, &**warehouse);
        compact::behind_sync(&run.state, bucket, warehouse, merged, args.keep_staged, keeps_versions).await;
    }
    if let (Some(_), Some(warehouse)) = (args.compat, &warehouse) {
        // The rows are there, whatever becomes of them.
        let until = Instant::now() + VIEWS_TIME;
        let kept = compat::keep(&**warehouse, &args.warehouse, &args.schema, until).await;
        for words in kept.unwrap_or_else(|error| vec![format!("no views could be kept: {error:#}")]) {
            tracing::warn!("{words}");
        }
    }
    unavailable.extend(selection.note.clone().map(|note| ("custom objects", note)));
    let mut report =
        Report::new(run.id.clone(), collections, unavailable, run.client.budget(), started.elapsed());
    (report.forgotten, report.not_forgotten) = (forgotten, why_not);
    report.adopted = adoption.map(|adoption| adoption.end(&args.schema)).unwrap_or_default();
    Ok(report)
}

/// Parts of a sync that all its feeds share.
struct Work<'a> {
    run: &'a Run,
    options: &'a Options,
    selection: &'a Selection,
    modes: &'a Modes,
    warehouse: Option<&'a dyn Warehouse>,
    accepts_removals: bool,
    /// Tables of Segment's, if they are to be adopted.
    adoption: Option<&'a Adoption>,
    /// Loads so far.
    loads: Loads,
}

type Reports = BTreeMap<&'static str, CollectionReport>;

impl Work<'_> {
    /// Extracts one feed, and loads its files and those that earlier runs left. A failure of one feed does not stop
    /// others.
    async fn sync(&self, feed: &'static dyn Feed, run: &Run, mode: Option<Mode>) -> Reports {
        let (extracted, line) = self.extract(feed, run, mode).await;
        line.say("merging");
        // A feed that ended before it knew its mode holds no lease, or its state can't be read.
        let is_free =
            !matches!(extracted.outcome.end(), End::Failed | End::Stopped) || extracted.mode.is_some();
        let mut reports = BTreeMap::new();
        for collection in &extracted.collections {
            let is_wanted = self.selection.collections.contains(collection.name);
            let (mode, started) = (self.modes.of(collection.name), Instant::now());
            let lost_rows = self.lost_rows(feed, collection.name);
            let options = load::Options { scope: Scope::Everything, mode, lost_rows, deadline: None };
            let is_shared = hubspot::feeds::is_shared(collection.name);
            let loaded = match self.warehouse {
                Some(warehouse) if is_free && is_wanted && !is_shared => {
                    let read = (collection.outcome.end(), extracted.caught_up_ms.is_some());
                    self.load(collection.name, read, warehouse, &options).await
                }
                _ => Ok(Loaded::default()),
            };
            let report = CollectionReport::new(extracted.mode, collection, loaded, started.elapsed());
            reports.insert(collection.name, report);
        }
        reports
    }

    /// Loads a collection whose feed was read to this end, by this run. `true`: also whole, by this run or those before it.
    async fn load(
        &self,
        name: &str,
        read: (End, bool),
        warehouse: &dyn Warehouse,
        options: &load::Options,
    ) -> anyhow::Result<Loaded> {
        let (state, bucket, started) = (&*self.run.state, &self.run.bucket, Instant::now());
        let loaded = match self.adoption {
            Some(adoption) => {
                let way = Way { account_id: self.run.account.id, state, bucket, warehouse };
                adoption.load(name, read, way, options).await
            }
            None => load(name, state, bucket, warehouse, options).await,
        };
        self.loads.add(name, &loaded, started.elapsed());
        loaded
    }

    /// Loads what several feeds have filled, once.
    async fn load_shared(&self, collections: &mut BTreeMap<String, CollectionReport>) {
        let Some(warehouse) = self.warehouse else { return };
        for &name in hubspot::feeds::SHARED {
            let Some(report) = collections.get_mut(name).filter(|report| report.mode.is_some()) else {
                continue;
            };
            let lost_rows = if self.accepts_removals { LostRows::Accept } else { LostRows::Refuse };
            let mode = self.modes.of(name);
            let options = load::Options { scope: Scope::Everything, mode, lost_rows, deadline: None };
            let started = Instant::now();
            let loaded = self.load(name, (report.outcome.end(), false), warehouse, &options).await;
            report.add_merge(loaded, started.elapsed());
        }
    }

    /// Returns the collections that nobody named and that were never read, with the reason: the account, or the credential,
    /// does not have them. What was read once is missed.
    async fn unavailable(
        &self,
        feed: &'static dyn Feed,
        reports: &Reports,
    ) -> BTreeMap<&'static str, String> {
        let cursor = self.run.state.cursor::<Cursor>(feed.name()).await;
        let was_read = !matches!(cursor, Ok(None));
        let lacking = reports.iter().filter(|(name, report)| {
            let is_lacking = extract::is_lacking(feed, report.outcome.end(), was_read);
            is_lacking && self.selection.if_available.contains(*name) && !hubspot::feeds::is_shared(name)
        });
        let reason = |report: &CollectionReport| report.outcome.reason().unwrap_or_default().to_owned();
        lacking.map(|(name, report)| (*name, reason(report))).collect()
    }

    /// Chooses the treatment of lost rows: where a comparison follows, it reads them again.
    fn lost_rows(&self, feed: &'static dyn Feed, name: &str) -> LostRows {
        let is_compared = feed.compared() == Some(name);
        match self.options.mode.is_some_and(Mode::is_snapshot) && is_compared {
            _ if self.accepts_removals => LostRows::Accept,
            true => LostRows::Compare,
            false => LostRows::Refuse,
        }
    }

    /// Forgets contacts that HubSpot shows nowhere any more, where that is wanted.
    async fn forget_removed(
        &self,
        args: &Sync,
        reports: &BTreeMap<String, CollectionReport>,
    ) -> anyhow::Result<Option<ForgetReport>> {
        let (Some(warehouse), Some(contacts)) = (self.warehouse, load::contacts_of(person_columns())) else {
            return Ok(None);
        };
        let days = args.forget_deleted.days(self.modes.of(contacts).hard_delete);
        let compared = reports.get(contacts).and_then(|report| report.reconciled.last());
        let Some(days) = days else {
            load::stop_forgetting_removed(&self.run.state).await?;
            return Ok(None);
        };
        let removed = RemovedOptions {
            days,
            is_compared: compared.is_some_and(|found| found.step == Step::Equal),
            accepts: args.accept_forgetting,
        };
        let places = Places { state: &self.run.state, bucket: &self.run.bucket, warehouse: Some(warehouse) };
        let options = ForgetOptions {
            columns: person_columns(),
            is_dry_run: false,
            pseudonymise: args.pseudonymise,
            vacuum_full: false,
            patience: FORGET_PATIENCE,
            deadline: None,
        };
        load::forget_removed(places, options, &removed).await
    }

    async fn extract(&self, feed: &'static dyn Feed, run: &Run, mode: Option<Mode>) -> (FeedReport, Line) {
        let (started, progress) = (Instant::now(), Arc::new(Progress::default()));
        let line = Line::start(&extract::work_name(feed, mode), &progress);
        let options = Options { mode, ..self.options.clone() };
        if let Some(warehouse) = self.warehouse {
            // HubSpot takes its time: others may read meanwhile.
            warehouse.release().await;
        }
        let before = ApiUsage::of(run.client.budget());
        let extracted = extract::extract(feed, run, &options, &progress).await;
        keep_report(&extracted, run, &before, started.elapsed().as_secs_f64()).await;
        (extracted, line)
    }

    /// Takes a snapshot of the feed's records, if the mode has one. Then, or if an earlier sync left a snapshot,
    /// compares it with the table and reads differing records again, until none differs.
    async fn reconcile(&self, feed: &'static dyn Feed, reports: &mut Reports) {
        let collection = feed.compared();
        let (Some(collection), Some(warehouse)) = (collection, self.warehouse) else { return };
        let Some(name) = feed.collections().iter().copied().find(|name| *name == collection) else { return };
        // A run over a window reads nothing else.
        if !self.options.window.is_whole()
            || !self.selection.collections.contains(name)
            || !has_ended(reports, name)
        {
            return;
        }
        if let Some(mode) = self.options.mode.filter(|mode| mode.is_snapshot()) {
            let (extracted, _line) = self.extract(feed, &self.run.another(), Some(mode)).await;
            for collection in &extracted.collections {
                if let Some(report) = reports.get_mut(collection.name) {
                    let loaded = Ok(Loaded::default());
                    report.join(CollectionReport::new(extracted.mode, collection, loaded, Duration::ZERO));
                }
            }
            if !extracted.outcome.has_ended() {
                return not_reconciled(reports, name, &extracted.outcome);
            }
        } else if !matches!(load::is_due(name, &self.run.state).await, Ok(true)) {
            // Nothing of before is left, or another feed's document is corrupt, which that feed says.
            return;
        }
        for _ in 0..MAX_ROUNDS {
            let (state, bucket) = (&self.run.state, &self.run.bucket);
            let options = ReconcileOptions { accepts_removals: self.accepts_removals, deadline: None };
            let found = load::reconcile(name, state, bucket, warehouse, &options).await;
            self.loads.add_comparison(name, &found);
            let step = match found {
                Ok(None) => return,
                Ok(Some(found)) => {
                    let step = found.step;
                    if let Some(report) = reports.get_mut(name) {
                        report.reconciled.push(found);
                    }
                    step
                }
                Err(error) => return not_reconciled(reports, name, &Outcome::Failed(format!("{error:#}"))),
            };
            if step == Step::Equal {
                return;
            }
            for (name, later) in self.sync(feed, &self.run.another(), None).await {
                if let Some(report) = reports.get_mut(name) {
                    report.absorb(later);
                }
            }
            if !has_ended(reports, name) {
                return;
            }
        }
        let detail = format!("{name} still differs from HubSpot after {MAX_ROUNDS} rounds: run again");
        not_reconciled(reports, name, &Outcome::Stopped { cause: StopCause::StillDiffers, detail });
    }
}

/// Time for which a run is waited for that another process has begun.
const FORGET_PATIENCE: Duration = Duration::from_secs(20);

/// Time in which views are made, of which a first sync makes all.
const VIEWS_TIME: Duration = Duration::from_secs(600);

/// Most rounds of a comparison. One reads 20,000 records, or everything.
const MAX_ROUNDS: usize = 50;

/// `true`: the collection was read to its end, perhaps without some quarantined things.
fn has_ended(reports: &Reports, name: &str) -> bool {
    reports.get(name).is_some_and(|report| report.outcome.has_ended())
}

fn not_reconciled(reports: &mut Reports, name: &str, outcome: &Outcome) {
    if let Some(report) = reports.get_mut(name) {
        report.is_not_reconciled(outcome);
    }
}

/// Records the run's report in the state, for `status`. `before` is what the runs before it have used: they share a client.
async fn keep_report(
    extracted: &FeedReport,
    run: &Run,
    before: &BTreeMap<&'static str, ApiUsage>,
    seconds: f64,
) {
    if extracted.outcome.is_stopped_by(StopCause::Busy) {
        return;
    }
    let mut report = RunReport::new(&run.id, extracted, run.client.budget(), seconds, 0);
    for (limit, usage) in &mut report.api {
        *usage = usage.since(before.get(limit.as_str()).copied().unwrap_or_default());
    }
    let kept = match serde_json::to_value(&report) {
        Ok(value) => {
            let record = RunRecord { name: report.feed, run_id: report.run_id, report: value };
            run.state.record(&record).await.map_err(anyhow::Error::from)
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = kept {
        tracing::warn!("the run's report can't be recorded: {error:#}");
    }
}
