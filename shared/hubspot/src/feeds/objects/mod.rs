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
//!
//! Each part knows only those above it:
//!
//! | part | holds |
//! |---|---|
//! | `object_type` | which object it is, and its columns beside the properties |
//! | `answers` | what HubSpot is asked for, and what its answers show |
//! | `state` | what a run knows, and what it leaves to the next one: slices, pairs, what was seen |
//! | `tables` | the tables of a run, and their rows |
//! | `page`, `object_feed` | answers that are fetched; the feed, opened for one run |
//! | `calls`, `associations` | the calls of the feed |
//! | `unsearchable`, `around`, `named` | records that a search or a list can't show; records by their ids |
//! | `archive`, `counts`, `links`, `link_types` | what is in the table above under archived, counts and associations |
//! | `fetch`, `account`, `append` | a page from its slice; what was asked for and not read; its rows |
//! | `classes`, `open`, `plan`, `run` | a run from its beginning to its end |

mod account;
mod answers;
mod append;
mod archive;
mod around;
mod associations;
mod calls;
mod classes;
mod counts;
mod fetch;
mod link_types;
mod links;
mod named;
mod object_feed;
mod object_type;
mod open;
mod page;
mod plan;
mod run;
mod state;
mod tables;
mod unsearchable;

use async_trait::async_trait;

use self::answers::association_calls::{answers, source};
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::own::Taken;
use super::pairs::AssociatedObject;
use super::unfinished::Mode;
use super::{Feed, Opened, Session};
use crate::client::Client;
use crate::error::Result;

pub(super) use self::answers::listed::record_ids;
pub(super) use self::answers::unknown::Unknown;
pub(super) use self::append::AppendedPage;
pub(super) use self::object_feed::ObjectFeed;
pub(super) use self::object_type::{Fixed, Lists, ObjectType, RECORD_CALLS};
pub(super) use self::page::Page;
pub(super) use self::state::slice::Slice;
pub(super) use self::state::{RecordCursor, RecordMemory, RecordRun, RunOfRecords, under_way};
pub(super) use self::tables::beside::{Context, Extras};
pub(super) use self::tables::histories::PROPERTY_HISTORY;
pub(super) use self::tables::links::{ASSOCIATION_TYPES, ASSOCIATIONS};
pub(super) use self::tables::list_memberships::LIST_MEMBERSHIPS;
pub(super) use self::tables::record::Record;

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
            let source = source(other);
            if cursor.absent.contains_key(&source) && answers(self, client, other).await? {
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
