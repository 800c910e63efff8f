//! `sync`: extract, then load, one feed after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use extract::{Options, Outcome, Progress, Run};
use hubspot::feeds::{Feed, Window};
use hubspot::{Account, Budget, Client, Credential};
use load::{Loaded, load};
use staging::{Bucket, State};
use warehouse::Warehouse;

use crate::args::{self, ReportFormat, Selection, Sync};
use crate::credential::{credential, warehouse_password};
use crate::progress::Line;
use crate::report::{CollectionReport, Report};

/// Runs the sync and prints its report. `true`: everything is complete.
///
/// # Errors
/// For wrong use or configuration, before anything is written.
pub(crate) async fn run(args: &Sync) -> anyhow::Result<bool> {
    let report = sync(args, credential()?).await?;
    print(&match args.report {
        ReportFormat::Json => report.json()?,
        ReportFormat::Text => report.text(),
    });
    Ok(report.is_complete())
}

#[allow(clippy::print_stdout, reason = "the report is what stdout is for")]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

pub(crate) async fn sync(args: &Sync, credential: Credential) -> anyhow::Result<Report> {
    let started = Instant::now();
    let selection = args::selection(args.collections.as_deref(), args.without.as_deref())?;
    let options = options(args)?;
    let warehouse = connect(args).await?;
    let state = State::open_folder(&args.state)?;
    let client = Client::new(&args.hubspot_url, credential, Budget::new(f64::from(args.reserve) / 100.0))?;
    let account = Account::of(&client).await.context("HubSpot does not let us in")?;
    bind(&account, &state, warehouse.as_deref()).await?;
    let run = Run {
        id: extract::new_run_id(),
        client,
        account,
        bucket: Bucket::open_folder(&args.state.join("files"), &args.schema)?,
        state: Arc::new(state),
    };
    stop_on_interrupt(run.client.clone());

    let mut collections = BTreeMap::new();
    for &feed in &selection.feeds {
        let mut reports = sync_feed(feed, &run, &options, &selection, warehouse.as_deref()).await;
        reports.retain(|(name, _)| selection.collections.contains(name));
        collections.extend(reports);
    }
    Ok(Report::new(run.id.clone(), collections, run.client.budget(), started.elapsed()))
}

fn options(args: &Sync) -> anyhow::Result<Options> {
    let instant =
        |name, text: &Option<String>| text.as_deref().map(|text| args::instant_ms(name, text)).transpose();
    let (since_ms, until_ms) = (instant("--since", &args.since)?, instant("--until", &args.until)?);
    if let (Some(since_ms), Some(until_ms)) = (since_ms, until_ms)
        && since_ms >= until_ms
    {
        bail!("--since is not before --until: nothing would be read");
    }
    if since_ms.is_some_and(|since_ms| since_ms > chrono::Utc::now().timestamp_millis()) {
        bail!("--since lies in the future: nothing would be read, now or later");
    }
    Ok(Options {
        mode: args.mode.mode(),
        window: Window { since_ms, until_ms },
        address_calls: args.address_calls,
        ..Options::default()
    })
}

async fn connect(args: &Sync) -> anyhow::Result<Option<Box<dyn Warehouse>>> {
    if args.warehouse == "none" {
        return Ok(None);
    }
    Ok(Some(warehouse::connect(&args.warehouse, &args.schema, warehouse_password()).await?))
}

/// Refuses a credential of another account than the one that the warehouse and the state belong to; then binds the
/// state, so that no later run can mix two accounts.
async fn bind(account: &Account, state: &State, warehouse: Option<&dyn Warehouse>) -> anyhow::Result<()> {
    if let Some(warehouse) = warehouse
        && let Some(bound) = warehouse.account().await?
        && bound != account.id
    {
        bail!(
            "the warehouse's schema belongs to HubSpot account {bound}, but the credential is of account {}: use that \
             account's credential, or another --schema and --state for this one",
            account.id
        );
    }
    Ok(state.bind_account(account.id).await?)
}

/// The first Ctrl-C ends the run at its next request, checkpoint included; the second one at once.
fn stop_on_interrupt(client: Client) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            client.stop();
            eprintln!("stopping; the same command goes on from here (Ctrl-C again to stop at once)");
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

/// Extracts one feed and loads what it staged, and what earlier runs left. One feed's failure is its own.
async fn sync_feed(
    feed: &'static dyn Feed,
    run: &Run,
    options: &Options,
    selection: &Selection,
    warehouse: Option<&dyn Warehouse>,
) -> Vec<(&'static str, CollectionReport)> {
    let progress = Arc::new(Progress::default());
    let line = Line::start(feed.name(), &progress);
    let extracted = extract::extract(feed, run, options, &progress).await;
    line.say("merging");
    // A feed that failed before it knew its mode holds no lease, or its state can't be read.
    let is_free = !matches!(extracted.outcome, Outcome::Failed(_)) || extracted.mode.is_some();
    let mut reports = Vec::new();
    for collection in &extracted.collections {
        let is_wanted = selection.collections.contains(collection.name);
        let loaded = match warehouse {
            Some(warehouse) if is_free && is_wanted => {
                load(feed.name(), collection.name, &run.state, &run.bucket, warehouse).await
            }
            _ => Ok(Loaded::default()),
        };
        reports.push((collection.name, CollectionReport::new(extracted.mode, collection, loaded)));
    }
    reports
}
