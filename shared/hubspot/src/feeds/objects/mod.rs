//! The feed of one object type with property definitions: contacts, companies or deals. They differ in what
//! [`ObjectType`] says; how they are paged is the same.
//!
//! | what | how |
//! |---|---|
//! | backfill | the list endpoint, ids cut into ranges that are read concurrently |
//! | incremental | search for the ids that changed in a fixed window, sorted and sought by id; values by batch read, while the search goes on |
//! | archived | the list of archived records, in parts if it is long; only the new ones are read. A long list is read when HubSpot's count of live records says that it changed, and once a day |
//! | merged away | named by the survivor, wherever it is read; what is still there is live all the same |
//! | restored | whatever left the list of archived records is read by its id |
//! | wide accounts | names that don't fit a URL go into a batch read: ids from the list, values by id |
//! | what a comparison found, and what an answer lacked | by id; what is neither live nor archived is gone |
//! | a new property | search for the ids that have a value of it |
//! | counts | what was listed or searched is counted by the search, and read again where it counts more |
//! | associations | ids for columns come with a list, or from the associations endpoint; links with their types for a table of their own, a thousand records at a time |
//! | the past of properties | with the values, where a list names the properties: half as many records to a call |
//! | snapshots | the same lists, with ids alone, or with what changes without a new modified date |

mod account;
mod append;
mod archive;
mod around;
mod associations;
mod calls;
mod classes;
mod counts;
mod definitions;
mod ends;
mod histories;
mod layout;
mod link_types;
mod links;
mod list_memberships;
mod named;
mod named_properties;
mod object_type;
mod open;
mod owners;
mod pages;
mod pairing;
mod plan;
mod records;
mod seen;
mod slice;
mod state;
mod unknown;
mod unsearchable;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use staging::{Rows, Table};
use xxhash_rust::xxh3::xxh3_64;

use self::associations::AssociationCalls;
use self::definitions::DefinitionTables;
use self::histories::HistoryTable;
use self::layout::Layout;
use self::links::LinkTable;
use self::list_memberships::ListTable;
use self::pairing::PairRuns;
use self::seen::{ArchivedIds, Hashes};
use self::state::PlannedRecords;

use super::batches::Batches;
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::open_feed::{CursorOf, Planned, RunOf};
use super::own::{FeedState, Taken};
use super::pairs::AssociatedObject;
use super::quarantine::Thing;
use super::recent::Versions;
use super::unfinished::Mode;
use super::{Appended, Estimate, Feed, Gap, Note, OpenFeed, Opened, Session, Window};
use crate::client::Client;
use crate::error::Result;
use crate::retry::Patience;

pub(super) use self::append::AppendedPage;
pub(super) use self::histories::PROPERTY_HISTORY;
pub(super) use self::link_types::ASSOCIATION_TYPES;
pub(super) use self::links::ASSOCIATIONS;
pub(super) use self::list_memberships::LIST_MEMBERSHIPS;
pub(super) use self::object_type::{Fixed, Lists, ObjectType, RECORD_CALLS};
pub(super) use self::pages::{Page, record_ids};
pub(super) use self::records::{Context, Extras, Record};
pub(super) use self::slice::Slice;
pub(super) use self::state::{RecordCursor, RecordMemory, RecordRun, RunOfRecords};
pub(super) use self::unknown::Unknown;

#[async_trait]
impl Feed for ObjectType {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        std::slice::from_ref(&self.name)
    }

    fn shared_collections(&self) -> &'static [&'static str] {
        super::OF_OBJECTS
    }

    fn object(&'static self) -> Option<AssociatedObject> {
        Some(AssociatedObject { collection: self.name, path: self.path })
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![self.entry()]
    }

    fn snapshot(&self) -> Option<&'static str> {
        Some(self.snapshot)
    }

    async fn ask_again(&self, client: &Client, cursor: &mut Cursor) -> Result<()> {
        for &other in self.associations {
            let source = associations::source(other);
            if cursor.absent.contains_key(&source) && associations::answers(self, client, other).await? {
                cursor.answers_again(&source);
            }
        }
        Ok(())
    }

    fn share(&self, of_feed: &mut Cursor, of_snapshots: &mut Cursor) -> Result<()> {
        let under_way = under_way(of_feed, |run: &RecordRun| run)?;
        let (mut of_feed, mut of_snapshots) = (Taken::of(of_feed)?, Taken::of(of_snapshots)?);
        let (known, kept): (RecordCursor<'_>, RecordCursor<'_>) = (of_feed.with(), of_snapshots.with());
        kept.own.share(known.own, &under_way);
        Ok(())
    }

    fn learn(&self, of_feed: &mut Cursor, of_snapshots: &mut Cursor) -> Result<()> {
        let under_way = under_way(of_snapshots, |run: &RecordRun| run)?;
        let (mut of_feed, mut of_snapshots) = (Taken::of(of_feed)?, Taken::of(of_snapshots)?);
        let (kept, seen): (RecordCursor<'_>, RecordCursor<'_>) = (of_feed.with(), of_snapshots.with());
        kept.own.learn(seen.own, &under_way);
        Ok(())
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        let mut kept = Taken::of(cursor)?;
        Ok(Box::new(ObjectFeed::open(self, session, mode, &mut kept.with(), &[]).await?))
    }
}

/// One object feed, opened for one run: its table follows the account's definitions of this moment.
#[derive(Debug)]
pub(super) struct ObjectFeed {
    object: &'static ObjectType,
    session: Session,
    client: Client,
    layout: Layout,
    /// `None`: nobody wants associations.
    links: Option<LinkTable>,
    /// `None`: nobody wants list memberships, or they are not read of this object.
    lists: Option<ListTable>,
    /// `None`: nobody wants the definitions of properties.
    definitions: Option<DefinitionTables>,
    /// `None`: nobody wants the history of a property.
    histories: Option<HistoryTable>,
    /// That of the records, then the shared ones: of links, their types, lists, definitions, and past values.
    tables: Vec<Table>,
    /// The property that tells when a record was made.
    created: &'static str,
    /// Objects whose associated ids are read: all but those that are refused.
    associations: Vec<&'static str>,
    association_calls: Vec<AssociationCalls>,
    batches: Batches,
    absent: BTreeMap<String, String>,
    /// The names don't fit a URL: values come by batch read.
    is_wide: bool,
    mode: Mode,
    /// Versions that earlier runs have read.
    recent: Versions,
    archived: ArchivedIds,
    /// Records archived since then are read again: they were read without a source that is back.
    reread_since_ms: Option<i64>,
    /// The names of the properties that are read, as hashes, and those among them that earlier runs did not read.
    properties: Hashes,
    new_properties: Vec<String>,
    /// Parts of lists that were read from the top again.
    restarted: Mutex<HashSet<(bool, u64)>>,
    /// Pages until lists are tried patiently again.
    pages_near_trouble: AtomicU32,
    /// Records that no search can show.
    unsearchable: Mutex<BTreeSet<u64>>,
    /// Records that a list can't show: whether of the archived ones, the id, and the position from which on the list
    /// stands still before it.
    unlisted: tokio::sync::Mutex<BTreeMap<(bool, u64), u64>>,
    is_archive_sequential: bool,
    /// Records were archived or restored, and this run does not read their list.
    archive_waits: AtomicBool,
    /// Definitions without a name.
    nameless: usize,
}

impl ObjectFeed {
    /// A run that was interrupted goes on.
    pub(super) fn begin_again(&self, run: &mut RecordRun) {
        // What is not wanted any more is not read to its end.
        run.pairs.retain(|name, _| self.wants_set(name));
        let asks_the_same = run.properties.as_ref().is_none_or(|asked| *asked == self.properties);
        self.layout.named.begin(run.named_properties.filter(|_| asks_the_same));
        self.links.iter().for_each(|links| links.begin_again(&run.pairs));
        self.begin_histories_again(&mut run.histories);
    }

    /// Properties without a name have values that nobody can ask for.
    fn set_nameless_aside(&self, run: &mut RunOfRecords<'_>) {
        let (kind, id, collection) = ("property definition", "without a name", self.object.name);
        if self.nameless == 0 {
            run.release(kind, id);
        } else if !self.mode.is_snapshot() {
            let reason = format!("{} property definitions of {collection} have no name", self.nameless);
            run.set_aside(Thing { kind, id, collection }, reason);
        }
    }
}

fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

#[async_trait]
impl OpenFeed for ObjectFeed {
    type Slice = Slice;
    type Run = RecordRun;
    type Kept = RecordMemory;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    async fn plan(&self, window: Window, cursor: &mut RecordCursor<'_>) -> Result<PlannedRecords> {
        let mut run = self.plan_run(window, cursor).await?;
        if self.definitions.as_ref().is_some_and(DefinitionTables::is_due) {
            run.slices.push(Slice::Definitions);
        }
        Ok(run)
    }

    async fn resume(&self, run: &mut RunOfRecords<'_>, _slices: &mut Vec<Slice>) -> Result<()> {
        self.begin_again(&mut *run.own);
        Ok(())
    }

    /// Whole: pages of the list, of which the last of each range is not full, and a batch read for each where the
    /// names of the properties don't fit a URL. A window: pages of the search, a batch read for each hundred records,
    /// and one for each kind of associated ids.
    async fn estimate(&self, window: Window) -> Result<Estimate> {
        let changed = self.changed_in(window.since_ms, window.until_ms);
        let records = self.count_with(changed, 0, None, Patience::Full).await?;
        let pages_of = |most: usize| records.div_ceil(most as u64).max(1);
        let (listed, read) = (pages_of(calls::PAGE_RECORDS), pages_of(self.page_records()));
        let mut estimate = Estimate {
            records: Some(records),
            note: Some("archived records are counted nowhere: one call more for each hundred"),
            ..Estimate::default()
        };
        if window.is_whole() {
            estimate.general = if self.is_wide { listed } else { 0 } + read + read.min(calls::RANGE_ENDS);
            // The highest id, and two counts of what is live.
            estimate.search = 3 + calls::counts(records);
        } else {
            estimate.general = read;
            estimate.search = records.div_ceil(calls::SEARCH_RECORDS as u64).max(1);
            estimate.associations = listed * self.associations.len() as u64;
        }
        estimate.of_history = read - listed;
        let pairs = self.association_calls.iter().filter(|calls| calls.is_table && !calls.is_column);
        estimate.associations +=
            records.div_ceil(associations::MAX_INPUTS as u64).max(1) * pairs.count() as u64;
        Ok(estimate)
    }

    /// Searches have pages of their own size.
    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page<Page>> {
        let page = self.page(slice, limit).await?;
        let size_bytes = page.size_bytes();
        Ok(super::Page::new(page, size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOfRecords<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let [rows, shared @ ..] = rows else { return Err(slice::foreign()) };
        let context = Context::plain(self.session.reading(page.read_ms));
        Ok(self.append(page.content, slice, run, (&mut **rows, shared), &context)?.with_shared())
    }

    /// Records that answers left out are asked for once more: a page of them, where a search is read in pieces; the rest at
    /// the end.
    fn follow_up(&self, finished: &Slice, run: &mut RunOfRecords<'_>) -> Option<Slice> {
        if matches!(finished, Slice::Found { .. }) && run.own.again.len() < calls::PAGE_RECORDS {
            return None;
        }
        left(std::mem::take(&mut run.own.again))
    }

    /// Slices that had to wait for the others; counts, and records named as merged, a page of them; at the end, records that
    /// answers left out, and those that left the list of archived ones, since they may live again.
    fn due(&self, run: &mut RunOfRecords<'_>, is_end: bool) -> Vec<Slice> {
        if is_end && !run.own.then.is_empty() {
            return std::mem::take(&mut run.own.then);
        }
        let mut checks = ObjectFeed::due_counts(run, is_end);
        checks.extend(self.due_links(run, is_end));
        if run.own.merges.len() >= calls::PAGE_RECORDS || (is_end && !run.own.merges.is_empty()) {
            checks.push(Slice::Merged { merges: std::mem::take(&mut run.own.merges) });
        }
        if is_end {
            // What the run has read whole, it has met all of.
            if run.is_whole || run.moves_watermark {
                run.release_what_was_not_set_aside_again(ARCHIVED_KIND);
            }
            if run.is_whole {
                for kind in [LISTED_KIND, counts::KIND] {
                    run.release_what_was_not_set_aside_again(kind);
                }
            }
            self.set_nameless_aside(run);
            checks.extend(left(std::mem::take(&mut run.own.again)));
            if !std::mem::replace(&mut run.own.is_archive_compared, true) {
                let ids = self.archived.gone_in(&run.own.archived);
                checks.extend((!ids.is_empty()).then_some(Slice::ByIds { ids }));
            }
            if checks.is_empty() {
                // All links are read by now.
                checks = self.due_types(run);
            }
        }
        checks
    }

    fn read_in_sequence(
        &self,
        cursor: &mut RecordCursor<'_>,
        run: &mut RunOfRecords<'_>,
        slices: &mut Vec<Slice>,
    ) {
        plan::read_in_sequence(cursor, run, slices);
    }

    fn keep(&self, run: &mut RunOfRecords<'_>, kept: &mut RecordMemory) {
        match self.mode.is_snapshot() {
            true => kept.keep_of_snapshot(run),
            false => kept.keep(run),
        }
    }

    fn notes(&self) -> Vec<Note> {
        let refused = self.object.associations.iter().filter_map(|other| {
            let reason = self.absent.get(&associations::source(other))?;
            let text = format!("ids of associated {other} are not read: {reason}");
            Some(Note { collection: self.object.name, gap: Gap::Degraded, text })
        });
        let mut notes: Vec<Note> = refused.collect();
        notes.extend(self.links.iter().flat_map(LinkTable::notes));
        notes.extend(self.lists.iter().filter_map(ListTable::note));
        notes.extend(self.definitions.iter().flat_map(DefinitionTables::notes));
        notes.extend(self.histories.iter().flat_map(|table| table.notes(self.object)));
        if self.archive_waits.load(Ordering::Relaxed) {
            let text =
                "records were archived or restored since the last run: the list of archived ones is so long \
                        that a later run reads it"
                    .to_owned();
            notes.push(Note { collection: self.object.name, gap: Gap::Degraded, text });
        }
        if self.new_properties.len() > MAX_NEW_PROPERTIES {
            let count = self.new_properties.len();
            let text = format!(
                "{count} properties are new: what they were before this run comes with the next one, which reads everything"
            );
            notes.push(Note { collection: self.object.name, gap: Gap::Degraded, text });
        }
        notes
    }
}

/// What the runs under way of a cursor have found out about associations.
pub(super) fn under_way<R: FeedState + Default>(
    cursor: &mut Cursor,
    records: impl Fn(&R) -> &RecordRun,
) -> Result<Vec<PairRuns>> {
    let runs = cursor.run.iter_mut().chain(cursor.paused.as_deref_mut());
    runs.map(|run| Ok(records(Taken::of(run)?.with().own).pairs.clone())).collect()
}

fn left(mut ids: Vec<u64>) -> Option<Slice> {
    ids.sort_unstable();
    ids.dedup();
    (!ids.is_empty()).then_some(Slice::LeftOut { ids })
}

/// Kinds, in the quarantine, of a position at which a list stands still, and of an entry of one that is no record.
const ARCHIVED_KIND: &str = "archived record";
const LISTED_KIND: &str = "listed record";

/// New properties whose past values are searched for, each by itself; with more of them, everything is read again.
const MAX_NEW_PROPERTIES: usize = 30;
