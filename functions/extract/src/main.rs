//! `extract` as a Lambda function: one feed of one HubSpot account, as far as one invocation gets.

mod function;

use lambda::{Failure, FailureKind};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use function::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda::init_logs();
    // What is wrong with the configuration is each invocation's answer: a process that exits says nothing.
    let function = Function::open().await;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| match &function {
        Ok(function) => function.handle(event).await,
        Err(error) => Err(Failure::new(FailureKind::Configuration, anyhow::anyhow!("{error:#}"))),
    }))
    .await
}
