//! `hubspot-source`: HubSpot into your warehouse, from a laptop or a server. It runs the two libraries that the
//! Lambda functions run, `extract` and `load`, one after the other.

mod adopt;
mod alike;
mod args;
mod compact;
mod connect;
mod credential;
mod dbt;
mod demo;
mod dictionary;
mod doctor;
mod exit;
mod forget;
mod generate;
mod init;
mod overview;
mod plan;
mod print;
mod progress;
mod report;
mod settings;
mod shell;
mod stack;
mod sync;
mod usage;
mod version;

use std::io::IsTerminal;
use std::process::ExitCode;

use lambda::Telemetry;
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use args::{Command, ReportFormat};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = match settings::arguments() {
        Ok(args) => args,
        Err(refused) => return refused.end(),
    };
    let is_sync = matches!(args.command, Command::Sync(_));
    let telemetry = init_logs(args.verbose, is_sync);
    let report = args.command.report();
    let ended = match args.command {
        Command::Sync(sync) => sync::run(&sync, &telemetry).await,
        Command::Doctor(doctor) => doctor::run(&doctor).await,
        Command::Plan(plan) => plan::run(&plan).await,
        Command::Status(status) => stack::status(&status).await,
        Command::Report(report) => overview::run(&report).await,
        Command::Backfill(backfill) => stack::backfill(&backfill).await,
        Command::Reconcile(reconcile) => stack::reconcile(&reconcile).await,
        Command::Replay(replay) => stack::replay(&replay).await,
        Command::Forget(forget) => forget::run(&forget).await,
        Command::Compact(compact) => compact::run(&compact).await,
        Command::Adopt(adopt) => adopt::run(&adopt).await,
        Command::Demo(demo) => demo::run(&demo).await,
        Command::Dbt(dbt) => dbt::run(&dbt).await,
        Command::Dictionary => {
            print::print(dictionary::text().trim_end());
            Ok(true)
        }
        Command::Init(init) => init::run(&init, args.config.as_deref()).await,
        Command::Completions(completions) => shell::completions(&completions),
        Command::Man(man) => shell::man(&man),
        Command::Generate(generate) => generate::run(&generate),
    };
    let code = exit::code(&ended);
    if let Err(error) = ended {
        print::say(&format!("error: {error:#}"));
        if report == Some(ReportFormat::Json) {
            print::print(&exit::failed(&format!("{error:#}"), code));
        }
    }
    exit::exit_code(code)
}

/// Sends logs to stderr: warnings, or with `-v` the steps of the run. `RUST_LOG` overrides both. Spans of a sync go where
/// the variables of OpenTelemetry say.
fn init_logs(verbose: bool, is_sync: bool) -> Telemetry {
    let level = if verbose { Level::INFO } else { Level::WARN };
    let has_colors = std::io::stderr().is_terminal() && !print::is_colorless();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    // A reader who is gone is no error.
    let lines = lines.with_ansi(has_colors).log_internal_errors(false);
    let lines = lines.with_filter(lambda::log_filter(level));
    let telemetry = if is_sync { Telemetry::of_process() } else { Ok(Telemetry::default()) };
    let (telemetry, unusable) = match telemetry {
        Ok(telemetry) => (telemetry, None),
        Err(error) => (Telemetry::default(), Some(error)),
    };
    tracing_subscriber::registry().with(lines).with(telemetry.layer()).init();
    if let Some(error) = unusable {
        tracing::warn!("neither spans nor metrics are sent: {error:#}");
    }
    telemetry
}
