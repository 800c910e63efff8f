//! The fake account over real HTTP, one behaviour each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a helper fails the test")]

mod associations;
mod auth;
mod changes;
mod client;
mod faults;
mod generation;
mod limits;
mod lists;
mod properties;
mod search;
