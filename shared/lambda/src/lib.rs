#![doc = include_str!("../README.md")]

mod aws;
mod diagnostic;
mod environment;
mod invocation;
mod logs;
mod metrics;
mod process;
mod secrets;
mod serve;
mod served;
mod stop;
mod telemetry;

pub use aws::{Aws, http_client};
pub use diagnostic::{Failure, FailureKind, refuse_event};
pub use environment::{Environment, list};
pub use invocation::{Invocation, call, invoke};
pub use logs::log_filter;
pub use metrics::{Metric, Metrics, NAMESPACE, compute_dollars};
pub use secrets::Secrets;
pub use serve::serve;
pub use stop::Signals;
pub use telemetry::Telemetry;
