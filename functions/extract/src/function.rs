//! The function: configuration once, then for each event a run, its report, and what comes after it. One of the stack's
//! functions reads many feeds: without one in its event it starts them all (`further`), with one it is as the others.

mod config;
mod credential;
mod further;
mod in_turn;
mod metrics;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use extract::{
    End, Event, FURTHER, FeedReport, FurtherFeeds, FurtherReport, Options, Outcome, Progress, Run, RunReport,
    Standing, StateAllowance, StopCause, work_name,
};
use hubspot::feeds::{AssociatedObjects, Feed, Mode, PROPERTY_HISTORY};
use hubspot::{Budget, Client, ErrorKind};
use lambda::{Aws, Failure, FailureKind, Invocation, Secrets};
use serde_json::Value;
use staging::{Bucket, RunRecord, State};

use config::Config;
use credential::StoredCredential;

/// The folder in which files grow until they are put, below the one folder that a function may write.
const SCRATCH: &str = "hubspot-source";

#[derive(Debug)]
pub(crate) struct Function {
    config: Config,
    aws: Aws,
    secrets: Arc<Secrets>,
    state: Arc<State>,
    bucket: Bucket,
}

impl Function {
    pub(crate) async fn open() -> anyhow::Result<Function> {
        let config = Config::of_process()?;
        let aws = Aws::connect().await;
        let scratch = std::env::temp_dir().join(SCRATCH).join(&config.name);
        Ok(Function {
            secrets: Arc::new(Secrets::new(aws.secrets.clone())),
            state: Arc::new(State::open_table(aws.dynamodb.clone(), &config.state_table)),
            bucket: Bucket::open_s3(aws.s3.clone(), &config.bucket, &scratch, &config.schema)?,
            config,
            aws,
        })
    }

    /// One invocation. The answer is the run's report; a run that failed is an error, so that the service tries again
    /// and then leaves the event in the dead-letter queue.
    pub(crate) async fn handle(&self, event: Value, invocation: &Invocation) -> Result<Value, Failure> {
        let event: Event = serde_json::from_value(event).map_err(lambda::refuse_event)?;
        let options = event.options().map_err(lambda::refuse_event)?;
        let client = match self.client(invocation).await {
            Ok(client) => client,
            Err(failure) => return Err(self.not_begun(&event, failure, invocation).await),
        };
        let feed = match self.feed(&event, &client).await {
            Err(failure) if failure.kind != FailureKind::Event => {
                return Err(self.not_begun(&event, failure, invocation).await);
            }
            feed => feed?,
        };
        match feed {
            Some(feed) => self.run(feed, client, &event, options, invocation).await,
            None if event.accept_removals => Err(lambda::refuse_event(
                "accept_removals is for one feed: name it, as in {\"feed\": \"metadata\"}",
            )),
            None => self.start_further(client, &event, invocation).await,
        }
    }

    /// Reports that no run could begin: without a report, the next run of another feed would say that all is well.
    async fn not_begun(&self, event: &Event, failure: Failure, invocation: &Invocation) -> Failure {
        let seconds = invocation.started.elapsed().as_secs_f64();
        let (run_id, reason) = (extract::new_run_id(), anyhow::anyhow!("{:#}", failure.error));
        let named = || hubspot::feeds::further().find(|feed| event.feed.as_deref() == Some(feed.name()));
        let feed = self.config.feed.or_else(named);
        let report = match feed {
            Some(feed) => {
                let report = not_begun(feed, &reason, extract::mode_of(feed, event.mode));
                let budget = Budget::new(self.config.reserve);
                serde_json::to_value(RunReport::new(&run_id, &report, &budget, seconds, event.continuation))
            }
            None => serde_json::to_value(FurtherReport::failed(&run_id, event.mode, &reason, seconds)),
        };
        let name = feed
            .map_or_else(|| FURTHER.to_owned(), |feed| work_name(feed, extract::mode_of(feed, event.mode)));
        if let Ok(report) = report {
            self.record(&name, &run_id, report).await;
        }
        failure
    }

    /// The feed that an invocation reads; `None`: it starts the runs of all further feeds.
    async fn feed(&self, event: &Event, client: &Client) -> Result<Option<&'static dyn Feed>, Failure> {
        let Some(own) = self.config.feed else { return self.further_feed(event, client).await };
        match event.feed.as_deref().filter(|name| *name != own.name()) {
            Some(name) => {
                Err(lambda::refuse_event(format!("this function reads {}, not {name}", own.name())))
            }
            None => Ok(Some(own)),
        }
    }

    /// One run of one feed.
    async fn run(
        &self,
        feed: &'static dyn Feed,
        client: Client,
        event: &Event,
        mut options: Options,
        invocation: &Invocation,
    ) -> Result<Value, Failure> {
        options.mode = extract::mode_of(feed, event.mode);
        let event = &Event { mode: options.mode, ..event.clone() };
        if event.mode.is_some_and(Mode::is_snapshot) && feed.snapshot().is_none() {
            return Err(lambda::refuse_event(format!(
                "{} is not compared with a snapshot: each run reads it whole, or what is in it never changes",
                feed.name()
            )));
        }
        let (wanted, associated) = self.wanted(feed).await?;
        let has_history = wanted.contains(PROPERTY_HISTORY);
        options.histories = has_history.then(|| self.config.histories.clone().unwrap_or_default());
        (options.collections, options.associated) = (Some(Arc::new(wanted)), associated);
        let mut run_id = extract::new_run_id();
        let mut failure = FailureKind::Run;
        let report = match Run::begin(client.clone(), Arc::clone(&self.state), self.bucket.clone()).await {
            Ok(run) => {
                let run = run.with_codec(self.config.codec);
                run_id.clone_from(&run.id);
                extract::extract(feed, &run, &options, &Progress::default()).await
            }
            Err(error) => {
                failure = failure_kind(&error);
                not_begun(feed, &error, options.mode)
            }
        };
        let record = RunReport::new(
            &run_id,
            &report,
            client.budget(),
            invocation.started.elapsed().as_secs_f64(),
            event.continuation,
        );
        self.finish(record, &report, event, invocation, failure).await
    }

    /// The collections that are wanted, of all feeds that this source and the state know, and of this one; and the objects
    /// among which associations are.
    async fn wanted(
        &self,
        feed: &'static dyn Feed,
    ) -> Result<(BTreeSet<&'static str>, Option<AssociatedObjects>), Failure> {
        let further = FurtherFeeds::read(&self.state).await;
        let further = further.map_err(|error| Failure::new(FailureKind::Run, error))?;
        let selection = self.config.names.among(&further.custom(), None);
        let associated = selection.associated();
        let mut wanted = selection.collections;
        wanted.extend(feed.collections().iter().filter(|name| self.config.names.select(name)));
        Ok((wanted, associated))
    }

    async fn client(&self, invocation: &Invocation) -> Result<Client, Failure> {
        let configuration = |error: anyhow::Error| Failure::new(FailureKind::Configuration, error);
        let source = StoredCredential::new(Arc::clone(&self.secrets), &self.config.hubspot_secret_arn);
        let credential = source.read().await?;
        let budget = Budget::shared(self.config.reserve, StateAllowance::of(&self.state));
        let client = Client::renewing(&self.config.hubspot_url, credential, Arc::new(source), budget)
            .map_err(|error| configuration(error.into()))?;
        client.set_deadline(invocation.deadline);
        let stopped = client.clone();
        invocation.on_stop(move || stopped.stop());
        Ok(client)
    }

    /// Goes on in another invocation where there is more to read, and reports.
    async fn finish(
        &self,
        mut report: RunReport,
        feed: &FeedReport,
        event: &Event,
        invocation: &Invocation,
        failure: FailureKind,
    ) -> Result<Value, Failure> {
        let mut failed = match &feed.outcome {
            Outcome::Failed(reason) => Some(Failure::new(failure, anyhow::anyhow!("{reason}"))),
            _ => None,
        };
        if feed.outcome.is_stopped_by(StopCause::Deadline) {
            match self.go_on(feed, event, invocation).await {
                Ok(goes_on) => report.goes_on = goes_on,
                Err(error) => {
                    (report.outcome, report.reason) = (End::Failed, Some(format!("{error:#}")));
                    failed = Some(Failure::new(FailureKind::Run, error));
                }
            }
        }
        let value = serde_json::to_value(&report).map_err(|error| Failure::new(FailureKind::Run, error))?;
        // The run that holds the lease will report; this one has seen nothing.
        if !feed.outcome.is_stopped_by(StopCause::Busy) {
            // Of the many feeds of one function, only one that fails, or is well again, changes how all of them stand.
            let reports_all = self.config.feed.is_some()
                || failed.is_some()
                || extract::has_failed(&report.feed, &self.state).await.unwrap_or(true);
            self.record(&report.feed, &report.run_id, value.clone()).await;
            let standing = if reports_all { Some(self.standing(None).await) } else { None };
            invocation.emit(self.metrics(&report, failed.is_some(), standing.as_ref(), invocation));
        }
        match failed {
            Some(failure) => Err(failure.reported(value)),
            None => Ok(value),
        }
    }

    /// Keeps a run's report in the state.
    async fn record(&self, name: &str, run_id: &str, report: Value) {
        let record = RunRecord { name: name.to_owned(), run_id: run_id.to_owned(), report };
        if let Err(error) = self.state.record(&record).await {
            tracing::warn!("the run's report can't be recorded: {error:#}");
        }
    }

    /// The standing of all feeds of the stack; `further`: that of further feeds, if it is known.
    async fn standing(&self, further: Option<Standing>) -> anyhow::Result<Standing> {
        let Config { scheduled, names, .. } = &self.config;
        let now_ms = chrono::Utc::now().timestamp_millis();
        let standing = Standing::of_stack(scheduled, further, names, &self.state, now_ms).await;
        standing.context("the reports of the stack's feeds can't be read")
    }

    /// Invokes this function again, unless it did so too often, or would get no further.
    async fn go_on(&self, feed: &FeedReport, event: &Event, invocation: &Invocation) -> anyhow::Result<bool> {
        anyhow::ensure!(
            feed.has_moved || invocation.is_of_process(),
            "the time was over before anything could be saved: give the function more of it, or more memory"
        );
        if event.continuation >= self.config.max_continuations {
            tracing::warn!(continuations = event.continuation, "the run goes on with the next schedule");
            return Ok(false);
        }
        invocation.go_on(&self.aws.lambda, &event.next()).await
    }
}

fn not_begun(feed: &'static dyn Feed, error: &anyhow::Error, mode: Option<Mode>) -> FeedReport {
    let mut report = FeedReport::new(feed, mode);
    report.outcome = Outcome::of(error);
    report.settle();
    report
}

/// Why a run could not begin.
fn failure_kind(error: &anyhow::Error) -> FailureKind {
    let hubspot = error.downcast_ref::<hubspot::Error>().map(hubspot::Error::kind);
    let state = error.downcast_ref::<staging::Error>().map(staging::Error::kind);
    match (hubspot, state) {
        (Some(ErrorKind::Unauthorized), _) => FailureKind::Unauthorized,
        (Some(ErrorKind::Config), _) => FailureKind::Configuration,
        (_, Some(staging::ErrorKind::OtherAccount)) => FailureKind::OtherAccount,
        _ => FailureKind::Run,
    }
}
