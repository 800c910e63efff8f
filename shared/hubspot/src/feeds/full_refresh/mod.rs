//! Feeds of lists that each run reads whole, most of them in one call: it stages the rows of a list where anything in it
//! is another than at the last run. A further list is an entry of a feed's sources.
//!
//! | feed | file |
//! |---|---|
//! | `metadata` | `metadata.rs`, with the tables in `metadata_tables.rs` |
//! | `marketing` | `marketing.rs`, `marketing_tables.rs` |
//!
//! The lists are independent: one that the account or the credential does not have, or that HubSpot fails on, leaves its
//! tables as they were, and the report names it.

mod emails;
mod feed;
mod fetch;
mod marketing;
mod marketing_tables;
mod metadata;
mod metadata_tables;
mod rows;
mod source;
mod state;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use staging::{Rows, Table};

use self::feed::FullRefresh;
use self::fetch::{Answers, ReadList};
use self::marketing::MARKETING_EMAILS;
use self::metadata::{OBJECT_SCHEMAS, WITH_PIPELINES};
use self::source::{Paths, RowsOf, Source};
use self::state::{Failure, Lists, Object, Run, RunOfLists, Slice};
use super::crm_objects;
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::document::{Document, Written};
use super::estimate::Estimate;
use super::objects::ObjectType;
use super::open_feed::{CursorOf, Planned};
use super::own::Taken;
use super::quarantine::Thing;
use super::unfinished::Mode;
use super::{Appended, Feed, Gap, Note, OpenFeed, Opened, Page, Session, Window};
use crate::error::{Error, ErrorKind, Result};

pub(super) use self::emails::marketing_emails;
pub(super) use self::marketing::MARKETING;
pub(super) use self::metadata::{DEFINITIONS, METADATA};
pub(super) use self::rows::List;
pub(super) use self::state::Known;

/// Kind, in the quarantine, of an item that a table can't hold.
const ODD_KIND: &str = "item of a list";
/// So many rows of a list may be gone at a time, whatever share of all they are: most lists are short.
const FEW_REMOVED: usize = 5;

#[async_trait]
impl Feed for FullRefresh {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        self.collections
    }

    fn is_full_refresh(&self) -> bool {
        true
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        self.fills().map(|fill| fill.collection.entry()).collect()
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        let documents = self.fills().map(|fill| Document::new(fill.collection, &[]));
        let documents: Vec<Document> = documents.collect::<Result<_>>()?;
        let mut kept = Taken::of(cursor)?;
        let kept: CursorOf<'_, Lists> = kept.with();
        Ok(Box::new(OpenLists {
            feed: self,
            session: session.clone(),
            tables: documents.iter().map(|document| document.table.clone()).collect(),
            documents,
            mode,
            known: kept.own.lists.clone(),
            failed: Mutex::default(),
            degraded: Mutex::default(),
        }))
    }
}

#[derive(Debug)]
struct OpenLists {
    feed: &'static FullRefresh,
    session: Session,
    documents: Vec<Document>,
    tables: Vec<Table>,
    mode: Mode,
    /// Lists as the last run has left them.
    known: BTreeMap<String, Known>,
    /// Lists that this run could not read, and why.
    failed: Mutex<BTreeMap<String, Failure>>,
    /// A note on marketing e-mails without statistics.
    degraded: Mutex<Option<String>>,
}

impl OpenLists {
    fn failed(&self) -> MutexGuard<'_, BTreeMap<String, Failure>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn degraded(&self) -> MutexGuard<'_, Option<String>> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wants(&self, source: &Source) -> bool {
        source.fills.iter().any(|fill| self.session.wants(fill.collection.name))
    }

    /// Returns the wanted sources that each object has a list of.
    fn of_objects(&self) -> impl Iterator<Item = &'static Source> {
        let is_of_object = |source: &&Source| matches!(source.paths, Paths::OfObject(_));
        self.feed.sources.iter().filter(is_of_object).filter(|source| self.wants(source))
    }

    fn is_new(&self, list: &str, known: &Known) -> bool {
        self.mode == Mode::Backfill || !self.known.get(list).is_some_and(|before| before.is_same(known))
    }

    /// The list stays as it was.
    fn fail(&self, list: &str, failure: Failure, run: &mut RunOfLists<'_>) {
        tracing::warn!("{list} can't be read, and stays as it was: {}", failure.reason);
        if let Some(known) = self.known.get(list) {
            run.own.lists.insert(list.to_owned(), known.clone());
        }
        self.failed().insert(list.to_owned(), failure.clone());
        run.own.failed.insert(list.to_owned(), failure);
    }

    fn append_list(
        &self,
        list: &List<'_>,
        source: &'static Source,
        slice: &Slice,
        read_ms: i64,
        run: &mut RunOfLists<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let (name, mut appended) = (slice.list(), self.nothing());
        if list.odd > 0 {
            let collection = source.fills.first().map_or("", |fill| fill.collection.name);
            let thing = Thing { kind: ODD_KIND, id: &format!("without an id in {name}"), collection };
            run.set_aside(thing, format!("{} items have no id that the table can hold", list.odd));
        }
        let known = self.known.get(&name);
        if let Some(known) = known.filter(|_| !self.is_new(&name, &list.known)) {
            run.own.lists.insert(name, known.clone());
            return Ok(appended);
        }
        let before: &[usize] = known.map_or(&[], |known| &known.rows);
        for (fill, (&before, &now)) in source.fills.iter().zip(before.iter().zip(&list.known.rows)) {
            let (table, gone) = (fill.collection.name, before.saturating_sub(now));
            // What is in an item goes with it.
            if matches!(fill.rows, RowsOf::Items | RowsOf::Pairs { .. })
                && let Err(refused) = self.session.check_removals_beyond(FEW_REMOVED, table, before, gone)
            {
                self.fail(&name, Failure::of(&refused), run);
                return Ok(appended);
            }
            if list.odd > 0 && gone > 0 {
                // What can't be read may be what seems to be gone.
                let reason =
                    format!("{} items can't be told apart, and {gone} rows of {table} are missing", list.odd);
                self.fail(&name, Failure { reason, is_lacking: false }, run);
                return Ok(appended);
            }
        }
        let version = Known::version_behind(known, read_ms);
        for (place, fill) in source.fills.iter().enumerate() {
            let table = self.feed.fills().position(|other| other.collection.name == fill.collection.name);
            let table = table.and_then(|table| Some((table, self.documents.get(table)?)));
            let Some((table, document)) = table else { continue };
            // A backfill may follow the loss of what was known.
            let may_be_forgotten = known.is_none() && self.mode == Mode::Backfill;
            let had_rows = may_be_forgotten || before.get(place).is_some_and(|&rows| rows > 0);
            let mut writer = document.writer(rows[table], self.session.reading(version));
            let object = slice.object.as_ref().map(|object| object.table.as_str());
            list.write(place, object, had_rows, &mut writer)?;
            appended.written[table] = writer.written;
        }
        run.own.lists.insert(name, Known { read_ms: version, ..list.known.clone() });
        Ok(appended)
    }

    /// The outcome of a list that no row is staged of.
    fn nothing(&self) -> Appended<Slice> {
        let written = vec![Written::default(); self.tables.len()];
        Appended { written, is_last: true, ..Appended::default() }
    }

    /// Custom objects among the schemas, whose own lists are to be read as well.
    fn custom_objects(&self, answers: &[crate::json::Body]) -> Result<Vec<Object>> {
        let [present, archived] = answers else { return Ok(Vec::new()) };
        let objects = crm_objects::of_schemas(present, archived)?.into_iter();
        let object =
            |object: &ObjectType| Object { table: object.name.to_owned(), path: object.path.to_owned() };
        Ok(objects.map(object).collect())
    }
}

fn slice_of(source: &Source, object: Object) -> Slice {
    Slice { source: source.name.to_owned(), object: Some(object) }
}

/// Returns HubSpot's own objects that have pipelines.
fn with_pipelines() -> impl Iterator<Item = Object> {
    WITH_PIPELINES.iter().map(|name| Object { table: (*name).to_owned(), path: (*name).to_owned() })
}

#[async_trait]
impl OpenFeed for OpenLists {
    type Slice = Slice;
    type Run = Run;
    type Kept = Lists;
    type Content = Answers;

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    async fn plan(&self, _window: Window, _cursor: &mut CursorOf<'_, Lists>) -> Result<Planned<Slice, Run>> {
        let now_ms = self.session.client.now().timestamp_millis();
        self.failed().clear();
        *self.degraded() = None;
        let mut planned: Planned<Slice, Run> = Planned::new(self.mode, now_ms, 0);
        planned.is_whole = self.mode == Mode::Backfill;
        for source in self.feed.sources.iter().filter(|source| self.wants(source)) {
            match source.paths {
                Paths::OfAccount(_) | Paths::MarketingEmails => {
                    planned.slices.push(Slice { source: source.name.to_owned(), object: None });
                }
                Paths::OfObject(_) => planned.slices.extend(with_pipelines().map(|of| slice_of(source, of))),
            }
        }
        let is_planned = |slice: &Slice| slice.source == OBJECT_SCHEMAS;
        if self.of_objects().next().is_some() && !planned.slices.iter().any(is_planned) {
            planned.slices.push(Slice { source: OBJECT_SCHEMAS.to_owned(), object: None });
        }
        Ok(planned)
    }

    async fn estimate(&self, _window: Window) -> Result<Estimate> {
        let note = "1 to 2 calls for each table, 1 for the pipelines of each object that has them";
        let lists = self.feed.sources.iter().filter(|source| self.wants(source)).count();
        Ok(Estimate { general: 2 * lists as u64, note: Some(note), ..Estimate::default() })
    }

    async fn resume(&self, run: &mut RunOfLists<'_>, _slices: &mut Vec<Slice>) -> Result<()> {
        *self.failed() = run.own.failed.clone();
        *self.degraded() = run.own.degraded.clone();
        Ok(())
    }

    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, _limit: usize) -> Result<Page<Answers>> {
        let answers = fetch::read(&self.session.client, self.feed.source_of(slice)?, slice).await?;
        let size_bytes = answers.size_bytes();
        Ok(Page::new(answers, size_bytes))
    }

    fn append_page(
        &self,
        page: Page<Answers>,
        slice: &mut Slice,
        run: &mut RunOfLists<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        if rows.len() != self.tables.len() {
            return Err(Error::new(ErrorKind::Malformed, "the feed has other tables"));
        }
        let source = self.feed.source_of(slice)?;
        match page.content {
            Answers::Read(ReadList { answers, uncounted }) => {
                if source.name == OBJECT_SCHEMAS {
                    run.own.found.extend(self.custom_objects(&answers)?);
                }
                if let Some(uncounted) = uncounted {
                    let text = format!(
                        "HubSpot shows no statistics of {uncounted} published e-mails: they are NULL"
                    );
                    run.own.degraded = (uncounted > 0).then_some(text);
                    *self.degraded() = run.own.degraded.clone();
                }
                let list = List::of(source, &answers)?;
                self.append_list(&list, source, slice, page.read_ms, run, rows)
            }
            Answers::Failed(failure) => {
                self.fail(&slice.list(), failure, run);
                Ok(self.nothing())
            }
        }
    }

    fn due(&self, run: &mut RunOfLists<'_>, is_end: bool) -> Vec<Slice> {
        let found = std::mem::take(&mut run.own.found).into_iter();
        let slices = found.flat_map(|of| self.of_objects().map(move |source| slice_of(source, of.clone())));
        let slices: Vec<Slice> = slices.collect();
        if is_end && slices.is_empty() {
            run.release_what_was_not_set_aside_again(ODD_KIND);
        }
        slices
    }

    fn keep(&self, run: &mut RunOfLists<'_>, kept: &mut Lists) {
        for (list, known) in std::mem::take(&mut run.own.lists) {
            // A run that was paused may end behind one that has read the list later.
            if kept.lists.get(&list).is_none_or(|kept| kept.read_ms <= known.read_ms) {
                kept.lists.insert(list, known);
            }
        }
    }

    fn notes(&self) -> Vec<Note> {
        let degraded = self.degraded().clone();
        let degraded = degraded.map(|text| Note { collection: MARKETING_EMAILS, gap: Gap::Degraded, text });
        let failed = self.failed();
        failed.iter().flat_map(|(list, failure)| self.notes_on(list, failure)).chain(degraded).collect()
    }
}

impl OpenLists {
    /// What a list that can't be read means for its tables: those that were read before, or that HubSpot fails on, are
    /// incomplete.
    fn notes_on(&self, list: &str, Failure { reason, is_lacking }: &Failure) -> Vec<Note> {
        let (name, object) = list.split_once('/').map_or((list, None), |(name, object)| (name, Some(object)));
        let is_kept = self.known.contains_key(list);
        let (gap, text) = match (object, is_kept, *is_lacking) {
            (None, false, true) => (Gap::Skipped, reason.clone()),
            (None, false, false) => (Gap::Incomplete, reason.clone()),
            (None, true, _) => (Gap::Incomplete, format!("as an earlier run has read it: {reason}")),
            // Nobody asked for the records, and the account need not have them.
            (Some(object), false, true) if !self.session.wants(object) => return Vec::new(),
            (Some(object), false, true) => (Gap::Degraded, format!("without those of {object}: {reason}")),
            (Some(object), false, false) => (Gap::Incomplete, format!("without those of {object}: {reason}")),
            (Some(object), true, _) => {
                (Gap::Incomplete, format!("those of {object} are as an earlier run has read them: {reason}"))
            }
        };
        let mut notes = Vec::new();
        let mut add = |source: &'static Source, gap: Gap, text: &str| {
            let tables = source.fills.iter().map(|fill| fill.collection.name);
            notes.extend(tables.map(|collection| Note { collection, gap, text: text.to_owned() }));
        };
        self.feed.source(name).into_iter().for_each(|source| add(source, gap, &text));
        if name == OBJECT_SCHEMAS && gap == Gap::Incomplete {
            // Which custom objects there are is not known.
            let text = format!("without those of custom objects: {reason}");
            self.of_objects().for_each(|source| add(source, Gap::Incomplete, &text));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_sources() {
        for feed in [&METADATA, &MARKETING] {
            let names: Vec<&str> = feed.fills().map(|fill| fill.collection.name).collect();
            assert_eq!(names, feed.collections);
        }
    }
}
