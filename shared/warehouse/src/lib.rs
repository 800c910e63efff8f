#![doc = include_str!("../README.md")]

mod adopt;
mod athena;
mod aws;
mod beside;
mod bigquery;
mod catalog;
mod checks;
mod columns;
mod companion_tables;
mod compare;
#[cfg(test)]
mod conformance;
mod connect;
mod database;
mod databricks;
mod dialect;
#[cfg(feature = "duckdb")]
mod duckdb;
mod erase;
mod error;
mod extent;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hard_delete;
mod history;
mod in_parts;
mod java;
mod jwt;
mod kept_views;
mod mode;
mod plan;
mod postgres;
mod presence;
mod redshift;
mod runs;
mod shape;
mod snowflake;
mod sql_over_http;
mod statement;
mod sweep;
mod table;
mod transaction;
mod transactional;
#[cfg(test)]
mod twin;
mod warehouse;

pub use crate::adopt::{LeftOver, Maker};
pub use crate::compare::{Compare, Comparison, Difference, Differing};
pub use crate::connect::{connect, needs_aws};
pub use crate::dialect::{quote_identifier, quote_identifier_with, shortened};
pub use crate::error::{Error, Kind, Result};
pub use crate::extent::Extent;
pub use crate::mode::TableMode;
pub use crate::plan::by_sets;
pub use crate::runs::{RecordedReport, RunRow};
pub use crate::shape::Shape;
pub use crate::warehouse::{
    AskedFor, Erase, Erased, KeptView, KeptViews, Ledger, LocatedFile, Location, Maintained, Merged,
    Presence, Query, Reads, Warehouse,
};
