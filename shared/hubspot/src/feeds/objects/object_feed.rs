//! A feed of records, opened for one run. What it does is in the files that this folder's documentation lists, by topic.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32};

use staging::Table;

use super::answers::association_calls::AssociationCalls;
use super::object_type::ObjectType;
use super::state::seen::{ArchivedIds, Hashes};
use super::tables::definitions::DefinitionTables;
use super::tables::histories::HistoryTable;
use super::tables::layout::Layout;
use super::tables::links::LinkTable;
use super::tables::list_memberships::ListTable;
use crate::client::Client;
use crate::feeds::Session;
use crate::feeds::batches::Batches;
use crate::feeds::recent::Versions;
use crate::feeds::unfinished::Mode;

/// Kinds, in the quarantine, of a position at which a list stands still, and of an entry of one that is no record.
pub(super) const ARCHIVED_KIND: &str = "archived record";
pub(super) const LISTED_KIND: &str = "listed record";

/// New properties whose past values are searched for, each by itself; with more of them, everything is read again.
pub(super) const MAX_NEW_PROPERTIES: usize = 30;

/// One object feed, opened for one run: its table follows the account's definitions of this moment.
#[derive(Debug)]
pub(in crate::feeds) struct ObjectFeed {
    pub(super) object: &'static ObjectType,
    pub(super) session: Session,
    pub(super) client: Client,
    pub(super) layout: Layout,
    /// `None`: nobody wants associations.
    pub(super) links: Option<LinkTable>,
    /// `None`: nobody wants list memberships, or they are not read of this object.
    pub(super) lists: Option<ListTable>,
    /// `None`: nobody wants the definitions of properties.
    pub(super) definitions: Option<DefinitionTables>,
    /// `None`: nobody wants the history of a property.
    pub(super) histories: Option<HistoryTable>,
    /// That of the records, then the shared ones: of links, their types, lists, definitions, and past values.
    pub(super) tables: Vec<Table>,
    /// The property that tells when a record was made.
    pub(super) created: &'static str,
    /// Objects whose associated ids are read: all but those that are refused.
    pub(super) associations: Vec<&'static str>,
    pub(super) association_calls: Vec<AssociationCalls>,
    pub(super) batches: Batches,
    pub(super) absent: BTreeMap<String, String>,
    /// The names don't fit a URL: values come by batch read.
    pub(super) is_wide: bool,
    pub(super) mode: Mode,
    /// Versions that earlier runs have read.
    pub(super) recent: Versions,
    pub(super) archived: ArchivedIds,
    /// Records archived since then are read again: they were read without a source that is back.
    pub(super) reread_since_ms: Option<i64>,
    /// The names of the properties that are read, as hashes, and those among them that earlier runs did not read.
    pub(super) properties: Hashes,
    pub(super) new_properties: Vec<String>,
    /// Parts of lists that were read from the top again.
    pub(super) restarted: Mutex<HashSet<(bool, u64)>>,
    /// Pages until lists are tried patiently again.
    pub(super) pages_near_trouble: AtomicU32,
    /// Records that no search can show.
    pub(super) unsearchable: Mutex<BTreeSet<u64>>,
    /// Records that a list can't show: whether of the archived ones, the id, and the position from which on the list
    /// stands still before it.
    pub(super) unlisted: tokio::sync::Mutex<BTreeMap<(bool, u64), u64>>,
    pub(super) is_archive_sequential: bool,
    /// Records were archived or restored, and this run does not read their list.
    pub(super) archive_waits: AtomicBool,
    /// Definitions without a name.
    pub(super) nameless: usize,
}

impl ObjectFeed {
    /// Properties whose past is asked for.
    pub(super) fn history_names(&self) -> impl Iterator<Item = &str> {
        self.histories.iter().flat_map(|table| &table.properties).map(String::as_str)
    }
}
