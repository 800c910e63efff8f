//! Fuzz targets for everything that parses bytes from outside. Each is a function that takes any bytes, checks what
//! must hold for all of them, and panics where it does not. `tests/fuzz` runs them in a fuzzer; this crate's own test
//! runs them over their corpus and some thousand mutations of it, so that none goes stale.
#![allow(clippy::expect_used, clippy::panic, reason = "that something does not hold is a panic")]

mod account;
mod cursors;
mod documents;
mod events;
mod feeds;
mod json;
mod refusals;
mod staged_files;
mod urls;
mod values;

pub use account::run as account;
pub use cursors::run as cursors;
pub use documents::run as documents;
pub use events::run as events;
pub use feeds::{contacts, marketing, metadata, records};
pub use json::run as json;
pub use refusals::run as refusals;
pub use staged_files::run as staged_files;
pub use urls::run as urls;
pub use values::run as values;

/// One target, by the name of its corpus and of its program.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "json", run: json },
    Target { name: "values", run: values },
    Target { name: "records", run: records },
    Target { name: "contacts", run: contacts },
    Target { name: "marketing", run: marketing },
    Target { name: "metadata", run: metadata },
    Target { name: "account", run: account },
    Target { name: "refusals", run: refusals },
    Target { name: "cursors", run: cursors },
    Target { name: "documents", run: documents },
    Target { name: "staged_files", run: staged_files },
    Target { name: "events", run: events },
    Target { name: "urls", run: urls },
];
