//! Exit codes, and what ends a command early.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};

use hubspot::{Client, ErrorKind};
use lambda::Signals;

use crate::credential::OutOfReach;
use crate::print::say;

/// A complete run.
const COMPLETE: u8 = 0;
/// Something failed or is incomplete, as the report says, or something else does not answer at present: HubSpot, the
/// warehouse, whatever gives a secret, another run that is under way.
const INCOMPLETE: u8 = 1;
/// Wrong use or configuration; the message names the next step.
pub(crate) const MISUSED: u8 = 2;

/// The code of a run that a signal has ended, once there was one.
static ENDED_AS: AtomicU8 = AtomicU8::new(COMPLETE);

/// Returns the code of a command that ended in this way.
pub(crate) fn code(ended: &anyhow::Result<bool>) -> u8 {
    match (ENDED_AS.load(Ordering::Relaxed), ended) {
        (COMPLETE, Ok(true)) => COMPLETE,
        (COMPLETE, Ok(false)) => INCOMPLETE,
        (COMPLETE, Err(error)) => of_error(error),
        // What is complete is complete, whatever came at its end.
        (_, Ok(true)) => COMPLETE,
        (code, _) => code,
    }
}

pub(crate) fn exit_code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

/// Returns the report of a command that failed, as JSON.
pub(crate) fn failed(error: &str, code: u8) -> String {
    serde_json::json!({"outcome": "failed", "error": error, "exit_code": code}).to_string()
}

fn of_error(error: &anyhow::Error) -> u8 {
    let is_outage = error.chain().any(|cause| {
        let of_hubspot = cause.downcast_ref::<hubspot::Error>().is_some_and(|error| {
            error.is_temporary() || matches!(error.kind(), ErrorKind::Transport | ErrorKind::Interrupted)
        });
        let of_warehouse = cause.downcast_ref::<warehouse::Error>().is_some_and(|error| {
            use warehouse::Kind;
            !matches!(error.kind(), Kind::Unsupported | Kind::OtherAccount)
        });
        let of_state = cause.downcast_ref::<staging::Error>().is_some_and(|error| {
            use staging::ErrorKind::{Busy, Fenced, Unreachable};
            matches!(error.kind(), Busy | Fenced | Unreachable)
        });
        of_hubspot || of_warehouse || of_state || cause.is::<OutOfReach>()
    });
    if is_outage { INCOMPLETE } else { MISUSED }
}

/// Makes the first Ctrl-C or SIGTERM end the run at its next request, with a checkpoint, and a second one at once. After
/// SIGTERM the code is 143.
pub(crate) fn stop_on_signals(client: Client) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        if signals.next().await == Signals::TERMINATED {
            ENDED_AS.store(Signals::TERMINATED, Ordering::Relaxed);
        }
        client.stop();
        say("stopping; the same command goes on from here (once more to stop at once)");
        std::process::exit(signals.next().await.into());
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_no_misuse() {
        let busy = std::fs::File::open("nowhere").unwrap_err();
        assert_eq!(code(&Err(anyhow::Error::from(busy).context("a folder"))), MISUSED);
        assert_eq!(code(&Err(anyhow::anyhow!("name a file"))), MISUSED);
        assert_eq!((code(&Ok(true)), code(&Ok(false))), (COMPLETE, INCOMPLETE));
    }
}
