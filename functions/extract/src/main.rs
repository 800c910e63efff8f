//! `extract` as a Lambda function: one feed of one HubSpot account, as far as one invocation gets.

mod function;

use std::process::ExitCode;

use function::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let name = std::env::var("FEED").unwrap_or_default();
    lambda::serve(&name, lambda::Metric::FailedFeeds, Function::open(), Function::handle).await
}
