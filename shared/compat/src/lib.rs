#![doc = include_str!("../README.md")]

mod dialect;
mod fivetran;
mod keep;
mod select;
mod tables;
mod view;

pub use dialect::{DIALECTS, Dialect, dialect, dialect_of_url};
pub use fivetran::views;
pub use keep::{Product, keep, schema_of_views};
pub use select::{Described, Selected, Words, select};
pub use tables::{Naming, Table, Tables};
pub use view::{Part, View, Way};
