//! A function's life: asked for one event after the other, until the service ends it. Without Lambda the program handles
//! one event, which its argument gives.

use std::ffi::OsString;
use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use crate::diagnostic::{Failure, FailureKind};
use crate::invocation::Invocation;
use crate::logs::init_logs;
use crate::metrics::Metric;
use crate::process;
use crate::served::Served;

/// Opens the function, once, and answers each event with `handle`. That it can't be opened is each invocation's answer:
/// a process that exits says nothing. `name` is the function's in the line of an invocation, and `failures` the metric of
/// one that failed before it had a report.
pub async fn serve<F>(
    name: &str,
    failures: Metric,
    open: impl Future<Output = anyhow::Result<F>>,
    handle: impl AsyncFn(&F, Value, &Invocation) -> Result<Value, Failure>,
) -> ExitCode {
    let is_in_lambda = std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some();
    let telemetry = init_logs(!is_in_lambda);
    let stack = std::env::var("STACK").unwrap_or_default();
    let served = Served { name, stack: &stack, failures, telemetry };
    if !is_in_lambda {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if arguments.is_empty() {
            tracing::error!(
                "this is a Lambda function, and there is no Lambda runtime here: give one event, as a file, as JSON or \
                 as - for standard input; or use hubspot-source sync"
            );
            return ExitCode::from(process::MISUSED);
        }
        return process::handle_one(&arguments, served, open, handle).await;
    }
    let function = open.await;
    let answered = lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let invocation = Invocation::new(&event.context, served.telemetry.clone());
        let work = async {
            match &function {
                Ok(function) => handle(function, event.payload, &invocation).await,
                Err(error) => Err(Failure::new(FailureKind::Configuration, anyhow::anyhow!("{error:#}"))),
            }
        };
        served.answer(&invocation, work).await
    }))
    .await;
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the Lambda runtime does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}
