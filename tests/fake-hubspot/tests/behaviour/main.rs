//! Tests of the fake account over real HTTP, one behaviour each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a helper fails the test")]

mod associations;
mod auth;
mod campaigns;
mod changes;
mod client;
mod contact_lists;
mod contacts_v1;
mod email_events;
mod faults;
mod forms;
mod generation;
mod limits;
mod lists;
mod marketing;
mod objects;
mod parts;
mod poison;
mod properties;
mod schema;
mod search;
mod shapes;
mod subscriptions;
