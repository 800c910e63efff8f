//! Description of one feed of events.

use crate::feeds::collection::Collection;
use crate::feeds::document::Writer;
use crate::json::Malformed;

type About = fn(&str) -> Result<String, Malformed>;

/// Description of one feed of events: its endpoint, its tables, and how an entry becomes rows. One value is a whole feed.
#[derive(Debug)]
pub(in crate::feeds) struct EventFeed {
    pub(in crate::feeds) name: &'static str,
    pub(in crate::feeds) collections: &'static [&'static str],
    pub(in crate::feeds) tables: &'static [&'static Collection],
    pub(in crate::feeds) path: &'static str,
    /// More of the query, each parameter with an ampersand before it.
    pub(in crate::feeds) query: &'static str,
    /// The answer's list of entries, and an entry's time.
    pub(in crate::feeds) list: &'static str,
    pub(in crate::feeds) instant: &'static str,
    /// One entry, as people call it.
    pub(in crate::feeds) entry: &'static str,
    /// For a table with one row for each of something: what an entry is about.
    pub(in crate::feeds) about: Option<About>,
    /// Turns an entry into rows, one writer per table.
    pub(in crate::feeds) append: fn(&Entry<'_>, &mut [Writer<'_>]) -> Result<(), Malformed>,
}

/// One entry of an answer.
#[derive(Debug)]
pub(in crate::feeds) struct Entry<'a> {
    pub(in crate::feeds) json: &'a str,
    pub(in crate::feeds) at_ms: i64,
    /// Of the entries of this moment that are [about](EventFeed::about) the same, this is the newest. Their versions are
    /// equal: their order is in the answers alone.
    pub(in crate::feeds) is_newest: bool,
}
