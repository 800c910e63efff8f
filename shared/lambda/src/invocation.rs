//! One invocation: the time it has, and how the work goes on when the time is over. Lambda's ends after minutes, and the
//! function invokes itself; a process has hours, and does itself what the function would invoke.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use lambda_runtime::Context;
use serde::Serialize;

use crate::metrics::{Metrics, compute_dollars};
use crate::stop::Stop;
use crate::telemetry::Telemetry;

/// The share of the time that is kept for the last checkpoint, and the most of it: a file of 64 MB is uploaded, and a
/// report written.
const KEPT_SHARE: f64 = 0.15;
const MOST_KEPT: Duration = Duration::from_secs(45);

#[derive(Debug, Clone)]
pub struct Invocation {
    pub function: String,
    pub request_id: String,
    pub memory_mb: u32,
    pub started: Instant,
    /// When work has to end so that what is done can still be saved.
    pub deadline: Instant,
    /// Signal that stops a process; `None` in Lambda.
    stop: Option<Stop>,
    telemetry: Telemetry,
}

impl Invocation {
    pub(crate) fn new(context: &Context, telemetry: Telemetry) -> Invocation {
        let started = Instant::now();
        let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        Invocation {
            function: context.env_config.function_name.clone(),
            request_id: context.request_id.clone(),
            memory_mb: u32::try_from(context.env_config.memory).unwrap_or(0),
            started,
            deadline: deadline(started, left),
            stop: None,
            telemetry,
        }
    }

    /// The one of a process without Lambda, which has this time.
    pub(crate) fn of_process(name: &str, time: Duration, stop: Stop, telemetry: Telemetry) -> Invocation {
        let started = Instant::now();
        Invocation {
            function: name.to_owned(),
            request_id: format!("process-{}", std::process::id()),
            memory_mb: 0,
            started,
            deadline: deadline(started, time),
            stop: Some(stop),
            telemetry,
        }
    }

    /// The time until its deadline.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// A part of it, for work that begins now and has at most this time.
    pub fn part(&self, time: Duration) -> Invocation {
        let started = Instant::now();
        let deadline = started.checked_add(time).map_or(self.deadline, |end| end.min(self.deadline));
        Invocation { started, deadline, ..self.clone() }
    }

    /// `true`: there is no Lambda, and what the function would invoke is done in this process.
    pub fn is_of_process(&self) -> bool {
        self.stop.is_some()
    }

    /// `true`: nothing more is to be begun, since the time is over or a signal came.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.stop.as_ref().is_some_and(Stop::is_asked)
    }

    /// Has a signal do this, in the place of an end at once.
    pub fn on_stop(&self, act: impl FnOnce() + Send + 'static) {
        if let Some(stop) = &self.stop {
            stop.then(act);
        }
    }

    /// When somebody who waits on a connection to Lambda has to get an answer; in a process nobody does.
    pub fn answer_by(&self, patience: Duration) -> Instant {
        if self.is_of_process() { self.deadline } else { self.deadline.min(self.started + patience) }
    }

    /// Invokes the function with an event that goes on with this work. `false`: a process goes on when it is next
    /// started, since its own time is over.
    pub async fn go_on<E: Serialize>(
        &self,
        lambda: &aws_sdk_lambda::Client,
        event: &E,
    ) -> anyhow::Result<bool> {
        if self.is_of_process() {
            tracing::warn!("the time is over: the work goes on with the next start");
            return Ok(false);
        }
        invoke(lambda, &self.function, event).await?;
        Ok(true)
    }

    /// Dollars that Lambda bills for it so far; nothing where there is no Lambda.
    pub fn dollars(&self) -> Option<f64> {
        (!self.is_of_process()).then(|| compute_dollars(self.memory_mb, self.started.elapsed().as_secs_f64()))
    }

    /// Writes the line of metrics where it is looked for: stdout in Lambda, and in a process stderr, since stdout is the
    /// report's.
    #[allow(clippy::print_stdout, clippy::print_stderr, reason = "the line is read from there")]
    pub fn emit(&self, metrics: Metrics) {
        self.telemetry.record(&metrics);
        let line = metrics.into_line();
        if self.is_of_process() {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }
}

/// When work has to end that has this time.
fn deadline(started: Instant, time: Duration) -> Instant {
    started + (time - time.mul_f64(KEPT_SHARE).min(MOST_KEPT))
}

/// Invokes a function and waits for its answer. No queue keeps the event, and nobody retries it.
///
/// # Errors
/// Also when the function answers with an error; the message is the function's.
pub async fn call<E: Serialize>(
    lambda: &aws_sdk_lambda::Client,
    function: &str,
    event: &E,
) -> anyhow::Result<serde_json::Value> {
    let payload = serde_json::to_vec(event).context("the event can't be written as JSON")?;
    let answer = lambda
        .invoke()
        .function_name(function)
        .invocation_type(InvocationType::RequestResponse)
        .payload(Blob::new(payload))
        .send()
        .await
        .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(&error)))
        .with_context(|| uninvoked(function))?;
    let payload = answer.payload().map(|payload| payload.as_ref().to_vec()).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
    match answer.function_error() {
        None => Ok(value),
        Some(_) => {
            let words = value["errorMessage"].as_str().unwrap_or("it gave no reason").to_owned();
            Err(anyhow::anyhow!("the function {function} failed: {words}"))
        }
    }
}

fn uninvoked(function: &str) -> String {
    format!(
        "the function {function} can't be invoked: check the stack's name, AWS_REGION and the credentials"
    )
}

/// Invokes a function and does not wait for it.
pub async fn invoke<E: Serialize>(
    lambda: &aws_sdk_lambda::Client,
    function: &str,
    event: &E,
) -> anyhow::Result<()> {
    let payload = serde_json::to_vec(event).context("the event can't be written as JSON")?;
    lambda
        .invoke()
        .function_name(function)
        .invocation_type(InvocationType::Event)
        .payload(Blob::new(payload))
        .send()
        .await
        .map_err(|error| anyhow::anyhow!("{}", DisplayErrorContext(&error)))
        .with_context(|| uninvoked(function))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_has_its_time_and_no_bill() {
        let of = |seconds| {
            let time = Duration::from_secs(seconds);
            Invocation::of_process("deals", time, Stop::default(), Telemetry::default())
        };
        let long = of(1000);
        assert_eq!(long.deadline - long.started, Duration::from_secs(955));
        assert!(long.is_of_process() && !long.is_over() && long.dollars().is_none());
        assert_eq!(long.answer_by(Duration::from_secs(1)), long.deadline);
        assert!(of(0).is_over());
        let part = long.part(Duration::from_secs(60));
        assert!(part.started >= long.started && part.deadline - part.started == Duration::from_secs(60));
        assert_eq!(long.part(Duration::MAX).deadline, long.deadline);
        assert!(long.left() <= Duration::from_secs(955) && of(0).left().is_zero());
    }
}
