//! `load` as a Lambda function: staged files into the warehouse.

mod function;

use std::process::ExitCode;

use function::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda::serve(function::NAME, lambda::Metric::FailedLoads, Function::open(), Function::handle).await
}
