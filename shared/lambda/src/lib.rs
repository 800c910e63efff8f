#![doc = include_str!("../README.md")]

mod aws;
mod diagnostic;
mod environment;
mod invocation;
mod logs;
mod metrics;
mod secrets;

pub use aws::Aws;
pub use diagnostic::{Failure, FailureKind};
pub use environment::{Environment, list};
pub use invocation::{Invocation, invoke};
pub use logs::init_logs;
pub use metrics::{Metrics, NAMESPACE, Unit, compute_dollars};
pub use secrets::Secrets;
