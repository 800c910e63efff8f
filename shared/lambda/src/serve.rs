//! A function's life: asked for one event after the other, until the service ends it.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use crate::diagnostic::{Failure, FailureKind};
use crate::invocation::Invocation;
use crate::logs::init_logs;
use crate::metrics::{Metric, Metrics};

/// Opens the function, once, and answers each event with `handle`. That it can't be opened is each invocation's answer:
/// a process that exits says nothing. `name` is the function's in the line of an invocation, and `failures` the metric of
/// one that failed before it had a report.
pub async fn serve<F>(
    name: &str,
    failures: Metric,
    open: impl Future<Output = anyhow::Result<F>>,
    handle: impl AsyncFn(&F, Value, &Invocation) -> Result<Value, Failure>,
) -> ExitCode {
    init_logs();
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        tracing::error!(
            "this is a Lambda function, and there is no Lambda runtime here: use hubspot-source sync"
        );
        return ExitCode::from(2);
    }
    let function = open.await;
    let stack = std::env::var("STACK").unwrap_or_default();
    let answered = lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let invocation = Invocation::new(&event.context);
        let answer = match &function {
            Ok(function) => handle(function, event.payload, &invocation).await,
            Err(error) => Err(Failure::new(FailureKind::Configuration, anyhow::anyhow!("{error:#}"))),
        };
        if let Err(failure) = &answer {
            tracing::error!(error_type = failure.kind.name(), "{:#}", failure.error);
            if !failure.is_measured {
                let mut metrics = Metrics::new(&stack, name);
                metrics.add(failures, 1.0);
                metrics.field("error_type", failure.kind.name());
                metrics.field("request_id", invocation.request_id.as_str());
                metrics.emit();
            }
        }
        answer
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
