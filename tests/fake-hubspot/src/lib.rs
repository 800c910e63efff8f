#![doc = include_str!("../README.md")]

mod account;
mod behaviour;
mod churn;
mod dice;
mod endpoints;
mod http;
mod json;
mod object_type;
mod operation;
mod settings;
mod time;

pub use self::account::{
    Account, ChangeError, Kind, Label, Sensitivity, Truth, TruthAssociations, TruthRecord,
};
pub use self::behaviour::{Behaviour, Faults, IndexLag, Limits};
pub use self::churn::{Churn, RunningChurn};
pub use self::http::counters::{BucketCounters, Counters, LoggedRequest};
pub use self::http::server::Server;
pub use self::object_type::{ObjectType, PerType, UnknownObjectType};
pub use self::operation::{Operation, Touched};
pub use self::settings::{OauthApp, Settings};
