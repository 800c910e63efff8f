#![doc = include_str!("../README.md")]

mod account;
mod budget;
mod call;
mod client;
mod credential;
mod decimal;
mod encoding;
mod error;
pub mod families;
pub mod feeds;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
mod paging;
mod parts;
mod properties;
mod record_counts;
mod refusal;
mod retry;
mod value;
mod version;

pub use account::{Account, DailyUsage};
pub use budget::{Allowance, Budget, RateLimit, SharedAllowance, Usage};
pub use call::Call;
pub use client::{Client, DEFAULT_BASE_URL, OddText};
pub use credential::{Credential, CredentialSource};
pub use error::{Error, ErrorKind, Result};
pub use record_counts::RecordCounts;
pub use value::set_text;
