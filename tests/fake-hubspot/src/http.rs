//! From a connection to an endpoint and back.

pub(crate) mod auth;
pub(crate) mod connection;
pub(crate) mod counters;
pub(crate) mod faults;
pub(crate) mod limits;
pub(crate) mod parts;
pub(crate) mod payload;
pub(crate) mod pipeline;
pub(crate) mod poison;
pub(crate) mod problem;
pub(crate) mod request;
pub(crate) mod server;
