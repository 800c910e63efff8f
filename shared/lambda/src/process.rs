//! A function without Lambda: one event, given by the program's argument, one report on stdout, and an exit code.

use std::ffi::OsString;
use std::io::Read;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::diagnostic::{Failure, FailureKind, refuse_event};
use crate::environment::Environment;
use crate::invocation::Invocation;
use crate::served::Served;
use crate::stop::{Signals, Stop};

/// All was done, or there was nothing to do.
const COMPLETE: u8 = 0;
/// Something failed or is left, as the report says; another start goes on.
const INCOMPLETE: u8 = 1;
/// Wrong use: another start would end in the same way.
pub(crate) const MISUSED: u8 = 2;
/// The variable with the time that a process has, and its default: 6 hours.
const RUN_SECONDS: &str = "RUN_SECONDS";
const DEFAULT_RUN_SECONDS: u32 = 6 * 3600;
/// Outcomes, in reports of the functions, that leave nothing to do.
const DONE: [&str; 4] = ["complete", "forgotten", "counted", "unavailable"];

/// Handles the event that the arguments give.
pub(crate) async fn handle_one<F>(
    arguments: &[OsString],
    served: Served<'_>,
    open: impl Future<Output = anyhow::Result<F>>,
    handle: impl AsyncFn(&F, Value, &Invocation) -> Result<Value, Failure>,
) -> ExitCode {
    let stop = Stop::default();
    let answer = async {
        stop_on_signals(&stop).map_err(|error| Failure::new(FailureKind::Run, error))?;
        let time = time().map_err(|error| Failure::new(FailureKind::Configuration, error))?;
        // On a thread of its own: whoever is to write the event may let a signal wait.
        let arguments = arguments.to_vec();
        let event = tokio::task::spawn_blocking(move || event(&arguments)).await;
        let event = event.map_err(|error| Failure::new(FailureKind::Run, error))?;
        let event = event.map_err(|error| refuse_event(format!("{error:#}")))?;
        let telemetry = served.telemetry.clone();
        let invocation = Invocation::of_process(served.name, time, stop.clone(), telemetry);
        let work = async {
            let function = open.await.map_err(|error| Failure::new(FailureKind::Configuration, error))?;
            handle(&function, event, &invocation).await
        };
        served.answer(&invocation, work).await
    };
    let (report, failed) = match answer.await {
        Ok(report) => (report, INCOMPLETE),
        Err(failure) => {
            let code = if failure.kind.is_misuse() { MISUSED } else { INCOMPLETE };
            (failure.into_report(), code)
        }
    };
    print(&report);
    let terminated = stop.code().filter(|code| *code == Signals::TERMINATED);
    ExitCode::from(if is_done(&report) { COMPLETE } else { terminated.unwrap_or(failed) })
}

/// Has the first signal stop what goes on from a checkpoint. What does not, and a second signal, end the process at once:
/// whatever was merged or staged before is kept.
fn stop_on_signals(stop: &Stop) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("no signal can be listened for")?;
    let stop = stop.clone();
    tokio::spawn(async move {
        let mut code = signals.next().await;
        if stop.ask(code) {
            tracing::warn!("stopping, with a checkpoint; a second signal stops at once");
            code = signals.next().await;
        }
        print(&json!({"outcome": "stopped", "reason": "interrupted: a signal has ended it"}));
        std::process::exit(code.into());
    });
    Ok(())
}

fn time() -> anyhow::Result<Duration> {
    let mut environment = Environment::of_process();
    // Of 32 bits: an instant after more seconds may be none.
    let default = NonZeroU32::new(DEFAULT_RUN_SECONDS).unwrap_or(NonZeroU32::MIN);
    let seconds = environment.parsed(RUN_SECONDS, default);
    environment.check()?;
    Ok(Duration::from_secs(seconds.get().into()))
}

/// Reads the event: a file, `-` for standard input, or JSON itself.
fn event(arguments: &[OsString]) -> anyhow::Result<Value> {
    let [argument] = arguments else {
        bail!("{} arguments are given, and one is wanted: a file, - or JSON", arguments.len());
    };
    let text = argument.to_str().filter(|text| text.trim_start().starts_with('{'));
    let text = match text {
        Some(text) => text.to_owned(),
        None if argument == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input can't be read")?;
            text
        }
        None => std::fs::read_to_string(argument)
            .with_context(|| format!("the file {} can't be read", argument.display()))?,
    };
    serde_json::from_str(&text).context("it is not JSON")
}

/// `true`: the report leaves nothing to do, nor do those of the runs in it.
fn is_done(report: &Value) -> bool {
    let is_done_itself = report["outcome"].as_str().is_none_or(|outcome| DONE.contains(&outcome));
    let runs = report["runs"].as_object().into_iter().flatten();
    is_done_itself && report["goes_on"] != true && runs.into_iter().all(|(_, run)| is_done(run))
}

#[allow(clippy::print_stdout, reason = "the report is the program's output")]
fn print(report: &Value) {
    println!("{report}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_file_or_a_text() {
        let of = |argument: &str| event(&[argument.into()]);
        assert_eq!(of(r#"{"replay": true}"#).unwrap(), json!({"replay": true}));
        assert_eq!(of("\n  {\"replay\": true}\n").unwrap(), json!({"replay": true}));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/load-replay.json");
        assert_eq!(of(path).unwrap()["replay"], true);
        assert!(format!("{:#}", of("nowhere.json").unwrap_err()).contains("nowhere.json"));
        assert!(format!("{:#}", of("{").unwrap_err()).contains("not JSON"));
        assert!(event(&["{}".into(), "{}".into()]).unwrap_err().to_string().contains("2 arguments"));
    }

    #[test]
    fn a_report_is_done_with_all_of_its_runs() {
        for (report, done) in [
            (json!({"outcome": "complete", "goes_on": false}), true),
            (json!({"lifted": 1}), true),
            (json!({"outcome": "counted"}), true),
            (json!({"outcome": "stopped"}), false),
            (json!({"outcome": "complete", "goes_on": true}), false),
            (json!({"outcome": "complete", "runs": {"notes": {"outcome": "complete"}}}), true),
            (json!({"outcome": "complete", "runs": {"notes": {"outcome": "skipped"}}}), false),
            (json!({"outcome": "complete", "runs": {"notes": {"outcome": "unavailable"}}}), true),
        ] {
            assert_eq!(is_done(&report), done, "{report}");
        }
    }
}
