//! Tests of whole pipelines, as users run them: the built `hubspot-source` reads the fake account, and its tables are
//! compared with the account.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is test code")]

pub mod cloud;
mod order;
mod postgres;
mod sandbox;
mod simulation;
mod truth;
mod turns;
mod world;

pub use order::merge_in_any_order;
pub use postgres::{PostgresServer, texts as postgres_texts};
pub use sandbox::{CommandOutput, Sandbox, ended, program};
pub use simulation::{SimulationSummary, simulate};
pub use truth::{
    COLLECTIONS, Expectations, all_differences, assert_all_equal, assert_association_types_equal,
    assert_associations_equal, assert_definitions_equal, assert_equal, assert_equal_but_for,
    assert_history_equal, assert_marketing_tools_equal, assert_memberships_equal,
    assert_memberships_of_equal, assert_metadata_equal, assert_objects_equal, table_of,
};
pub use turns::has_turn;
pub use world::{World, most_memory_mib};
