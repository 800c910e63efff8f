//! `hubspot-source`: HubSpot into your warehouse, from a laptop or a server. It runs the two libraries that the
//! Lambda functions run, `extract` and `load`, one after the other.

mod adopt;
mod args;
mod credential;
mod dbt;
mod demo;
mod dictionary;
mod doctor;
mod generate;
mod plan;
mod progress;
mod report;
mod stack;
mod sync;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::{Args, Command};

/// Exit code of a complete run.
const COMPLETE: u8 = 0;
/// Exit code when something failed or is incomplete, as the report says, or when HubSpot does not answer at present.
const INCOMPLETE: u8 = 1;
/// Exit code for wrong use or configuration; the message names the next step.
const MISUSED: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    init_logs(args.verbose);
    let run = match args.command {
        Command::Sync(sync) => sync::run(&sync).await,
        Command::Doctor(doctor) => doctor::run(&doctor).await,
        Command::Plan(plan) => plan::run(&plan).await,
        Command::Status(status) => stack::status(&status).await,
        Command::Backfill(backfill) => stack::backfill(&backfill).await,
        Command::Reconcile(reconcile) => stack::reconcile(&reconcile).await,
        Command::Replay(replay) => stack::replay(&replay).await,
        Command::Adopt(adopt) => adopt::run(&adopt).await,
        Command::Demo(demo) => demo::run(&demo).await,
        Command::Dbt(dbt) => dbt::run(&dbt).await,
        Command::Dictionary => {
            sync::print(dictionary::text().trim_end());
            Ok(true)
        }
        Command::Generate(generate) => generate::run(&generate),
    };
    match run {
        Ok(true) => ExitCode::from(COMPLETE),
        Ok(false) => ExitCode::from(INCOMPLETE),
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_temporary =
                error.downcast_ref::<hubspot::Error>().is_some_and(hubspot::Error::is_temporary);
            ExitCode::from(if is_temporary { INCOMPLETE } else { MISUSED })
        }
    }
}

/// Sends logs to stderr: warnings, or with `-v` the steps of the run. `RUST_LOG` overrides both.
fn init_logs(verbose: bool) {
    let level = if verbose { Level::INFO } else { Level::WARN };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry().with(lines).with(lambda::log_filter(level)).init();
}
