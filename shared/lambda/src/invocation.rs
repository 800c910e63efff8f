//! One invocation: the time it has, and how the work goes on when the time is over.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use lambda_runtime::Context;
use serde::Serialize;

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
}

impl Invocation {
    pub fn new(context: &Context) -> Invocation {
        let started = Instant::now();
        let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let kept = left.mul_f64(KEPT_SHARE).min(MOST_KEPT);
        Invocation {
            function: context.env_config.function_name.clone(),
            request_id: context.request_id.clone(),
            memory_mb: u32::try_from(context.env_config.memory).unwrap_or(0),
            started,
            deadline: started + (left - kept),
        }
    }
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
