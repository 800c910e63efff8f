//! Lists of contacts. They are few: each run reads all of them, tells by a stamp which ones are another since the last
//! run, and reads the filters of those. A list that is not shown any more is gone.

mod scan;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use staging::{Pairs, Rows, Table};

use self::scan::Scan;
use self::table::LISTS;
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::document::Document;
use super::lineage::DeletedReason;
use super::quarantine::Thing;
use super::slice::{self, Slice};
use super::{Appended, Content, Feed, Gap, Note, OpenFeed, Session, Window};
use crate::client::Client;
use crate::error::Result;
use crate::json::{Body, parse_id};

#[derive(Debug)]
pub(super) struct ContactLists;

#[async_trait]
impl Feed for ContactLists {
    fn name(&self) -> &'static str {
        LISTS.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &["contact_lists"]
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![LISTS.entry()]
    }

    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>> {
        let document = Document::new(&LISTS, &[])?;
        let known = cursor.stamps.clone();
        let quarantine = cursor.run.as_ref().map_or(&cursor.quarantine, |run| &run.quarantine);
        let held = quarantine.ids(KIND).filter_map(parse_id).collect();
        Ok(Box::new(OpenLists {
            session: session.clone(),
            document,
            mode,
            known,
            held,
            mismatch: Mutex::default(),
        }))
    }
}

/// What the quarantine calls a list, and what the search shows that is none.
const KIND: &str = "list";
const ODD_KIND: &str = "entry of the lists";

/// Each scan shows all there is: what it does not show again is released.
fn set_aside_what_has_no_id(scan: &Scan, run: &mut Unfinished) {
    let mut set_aside =
        |id: &str, reason: &str| run.set_aside(Thing { kind: ODD_KIND, id, collection: LISTS.name }, reason);
    if scan.odd > 0 {
        set_aside("without an id", &format!("{} entries are no lists with an id", scan.odd));
    }
    for (position, reason) in &scan.refused {
        set_aside(&format!("at position {position}"), reason);
    }
    run.release_what_was_not_set_aside_again(ODD_KIND);
}

#[derive(Debug)]
struct OpenLists {
    session: Session,
    document: Document,
    mode: Mode,
    /// The lists as the last run saw them.
    known: Pairs,
    /// Lists that earlier runs have asked for in vain.
    held: BTreeSet<u64>,
    /// HubSpot's number of lists is not that of the lists it shows.
    mismatch: Mutex<Option<String>>,
}

/// A scan of all lists; and, by their ids, those that are another since the last one, with their filters, and those that
/// the scan does not show.
#[derive(Debug, Default)]
pub(super) struct Page {
    scan: Scan,
    by_ids: Vec<Body>,
    /// Lists that can't be shown by their ids, and why.
    refused: BTreeMap<u64, String>,
    /// Lists that were deleted since the scan.
    deleted: BTreeSet<u64>,
}

impl Page {
    /// Those of the ids that no answer says anything of.
    fn left_out(&self, ids: impl Iterator<Item = u64>) -> Result<Vec<u64>> {
        let mut answered: BTreeSet<u64> = self.refused.keys().copied().collect();
        for answer in &self.by_ids {
            answered.extend(scan::found(answer)?.lists.iter().map(|(id, _)| *id));
        }
        Ok(ids.filter(|id| !answered.contains(id)).collect())
    }

    /// Shown, or at least refused.
    fn is_there(&self, id: u64) -> bool {
        self.scan.ids.contains(&id) || self.refused.contains_key(&id)
    }
}

impl OpenLists {
    fn client(&self) -> &Client {
        &self.session.client
    }

    /// Its row stays as it is, and to the next run it is as new as to this one.
    fn set_aside(&self, id: u64, reason: &str, run: &mut Unfinished) {
        run.stamps.0.extend(self.known.0.get(&id).map(|&known| (id, known)));
        run.set_aside(Thing { kind: KIND, id: &id.to_string(), collection: LISTS.name }, reason);
    }

    /// The list is another than the one the last run saw.
    fn is_new(&self, id: u64, json: &str) -> bool {
        self.mode == Mode::Backfill || self.known.0.get(&id) != Some(&scan::stamp(json))
    }
}

#[async_trait]
impl OpenFeed for OpenLists {
    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.document.table)
    }

    async fn plan(&self, _window: Window, _cursor: &mut Cursor) -> Result<Unfinished> {
        let now_ms = self.client().now().timestamp_millis();
        let mut run = Unfinished::new(self.mode, now_ms, 0);
        run.is_whole = self.mode == Mode::Backfill;
        run.slices.push(Slice::All);
        Ok(run)
    }

    fn reads_around(&self, _slice: &Slice) -> bool {
        true
    }

    async fn fetch(&self, _slice: &Slice, _limit: usize) -> Result<super::Page> {
        let client = self.client();
        let scan = scan::scan(client).await?;
        let mut wanted = BTreeSet::new();
        for answer in &scan.answers {
            let shown = scan::found(answer)?.lists.into_iter();
            wanted.extend(shown.filter(|(id, json)| self.is_new(*id, json)).map(|(id, _)| id));
        }
        // One that the scan does not show is asked for before it is said to be gone.
        wanted.extend(self.known.0.keys().filter(|id| !scan.ids.contains(id)));
        let ids: Vec<u64> = wanted.difference(&self.held).copied().collect();
        let held: Vec<u64> = self.held.iter().copied().collect();
        let another = scan.ids.iter().find(|id| !wanted.contains(id) && !self.held.contains(id)).copied();
        let filtered = scan::by_ids(client, &ids, &held, another).await?;
        let mut page = Page { by_ids: filtered.answers, refused: filtered.refused, ..Page::default() };
        let left_out = page.left_out(wanted.intersection(&scan.ids).copied())?;
        if !left_out.is_empty() {
            // Each is asked for once more; one that no search shows any more was deleted meanwhile.
            let again = scan::by_ids(client, &left_out, &[], another).await?;
            page.by_ids.extend(again.answers);
            page.refused.extend(again.refused);
            let left_out = page.left_out(left_out.into_iter())?;
            let shown = scan::still_shown(client, &left_out).await?;
            page.deleted = left_out.into_iter().filter(|id| !shown.contains(id)).collect();
        }
        if !scan.is_whole() {
            let (shown, total) = (scan.ids.len(), scan.total.unwrap_or(0));
            let text =
                format!("HubSpot says that there are {total} lists, and shows {shown}, time and again");
            *self.mismatch.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
        page.scan = scan;
        let size_bytes = page.scan.answers.iter().chain(&page.by_ids).map(|body| body.len()).sum();
        Ok(super::Page::new(Content::Lists(Box::new(page)), size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let (Content::Lists(content), [rows]) = (page.content, rows) else {
            return Err(slice::foreign(slice));
        };
        let mut writer = self.document.writer(rows, self.session.reading(page.read_ms));
        let mut filters = HashMap::new();
        for answer in &content.by_ids {
            for (id, json) in scan::found(answer)?.lists {
                if !scan::is_deleted(json)? {
                    filters.insert(id, scan::filter_branch(json)?);
                }
            }
        }
        for answer in &content.scan.answers {
            for (id, json) in scan::found(answer)?.lists {
                if run.stamps.0.contains_key(&id) || content.deleted.contains(&id) {
                    continue;
                }
                let written = match (self.is_new(id, json), filters.get(&id), content.refused.get(&id)) {
                    (false, _, None) => Ok(()),
                    (_, Some(filters), _) => table::row(&mut writer, json, *filters)
                        .inspect_err(|_| writer.discard())
                        .map_err(|odd| odd.to_string()),
                    (_, None, Some(refused)) => Err(refused.clone()),
                    (true, None, None) => Err("its filters are not shown".to_owned()),
                };
                match written {
                    Ok(()) => {
                        run.stamps.0.insert(id, scan::stamp(json));
                        run.release(KIND, id);
                    }
                    Err(reason) => self.set_aside(id, &reason, run),
                }
            }
        }
        let is_there = |id: &&u64| run.stamps.0.contains_key(id) || filters.contains_key(id);
        let gone = self.known.0.keys().filter(|id| !is_there(id)).count();
        self.session.check_removals("lists", self.known.0.len(), gone)?;
        for (&id, &stamp) in &self.known.0 {
            if run.stamps.0.contains_key(&id) {
                continue;
            }
            if let Some(reason) = content.refused.get(&id) {
                self.set_aside(id, reason, run);
                continue;
            }
            run.release(KIND, id);
            if filters.contains_key(&id) {
                // There, though the scan does not show it: its row stays as it is.
                run.stamps.0.insert(id, stamp);
                continue;
            }
            writer.set("id", |cell| cell.bigint(id as i64));
            writer.set("archived", |cell| cell.boolean(true));
            writer.finish_gone(None, DeletedReason::Removed, None);
        }
        for &id in self.held.iter().filter(|id| !content.is_there(**id)) {
            run.release(KIND, id);
        }
        set_aside_what_has_no_id(&content.scan, run);
        Ok(Appended { written: vec![writer.written], is_last: true, ..Appended::default() })
    }

    fn notes(&self) -> Vec<Note> {
        let mismatch = self.mismatch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let note = |text| Note { collection: LISTS.name, gap: Gap::Degraded, text };
        mismatch.map(note).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: &str = r#"{"total":1,"hasMore":false,"lists":[{"listId":"7","name":"x"}]}"#;

    /// Reads one page, and answers with the number of rows, what the next run knows, and what is set aside.
    async fn read(known: Pairs, by_ids: &str, deleted: &[u64]) -> (usize, Pairs, usize) {
        let mut cursor = Cursor { stamps: known, ..Cursor::default() };
        let feed = ContactLists.open(&Session::unanswered(), Mode::Incremental, &mut cursor).await.unwrap();
        let [shown, by_ids] = [SCAN, by_ids].map(|answer| Body::new(answer.to_owned().into()).unwrap());
        let scan = Scan { answers: vec![shown], ids: BTreeSet::from([7]), ..Scan::default() };
        let deleted = deleted.iter().copied().collect();
        let page = Page { scan, by_ids: vec![by_ids], deleted, ..Page::default() };
        let page = super::super::Page::new(Content::Lists(Box::new(page)), 0);
        let (mut rows, mut run) = (Rows::new(&feed.tables()[0]), Unfinished::new(Mode::Incremental, 9, 9));
        feed.append_page(page, &mut Slice::All, &mut run, &mut [&mut rows]).unwrap();
        (rows.len(), run.stamps, run.quarantine.ids(KIND).count())
    }

    #[tokio::test]
    async fn a_list_that_is_deleted_while_it_is_read_is_read_again_when_it_is_back() {
        let (rows, known, held) = read(Pairs::default(), r#"{"lists":[]}"#, &[7]).await;
        assert_eq!((rows, held), (0, 0));
        let (rows, known, held) = read(known, r#"{"lists":[{"listId":"7","filterBranch":{}}]}"#, &[]).await;
        assert_eq!((rows, held), (1, 0));
        // Deleted again, and the table knows it.
        let (rows, known, _) = read(known, r#"{"lists":[]}"#, &[7]).await;
        assert_eq!((rows, known.0.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_list_without_its_filters_is_set_aside() {
        let (rows, known, held) = read(Pairs::default(), r#"{"lists":[null,{"name":"x"}]}"#, &[]).await;
        assert_eq!((rows, known.0.len(), held), (0, 0, 1));
        let before = Pairs([(7, 5)].into());
        assert_eq!(read(before.clone(), r#"{"lists":[]}"#, &[]).await, (0, before, 1));
    }
}
