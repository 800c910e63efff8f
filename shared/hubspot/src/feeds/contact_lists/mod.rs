//! Lists of contacts. They are few: each run reads all of them, tells by a stamp which ones are another since the last
//! run, and reads the filters of those. A list that is not shown any more is gone.

mod scan;
mod table;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use staging::{Pairs, Rows, Table};

use self::table::LISTS;
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::document::Document;
use super::lineage::DeletedReason;
use super::slice::{self, Slice};
use super::{Appended, Content, Feed, Gap, Note, OpenFeed, Session, Window};
use crate::client::Client;
use crate::error::Result;
use crate::json::Body;

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
        Ok(Box::new(OpenLists {
            session: session.clone(),
            document,
            mode,
            known,
            mismatch: Mutex::default(),
        }))
    }
}

#[derive(Debug)]
struct OpenLists {
    session: Session,
    document: Document,
    mode: Mode,
    /// The lists as the last run saw them.
    known: Pairs,
    /// HubSpot's number of lists is not that of the lists it shows.
    mismatch: Mutex<Option<String>>,
}

/// A scan of all lists; and, by their ids, those that are another since the last one, with their filters, and those that
/// the scan does not show.
#[derive(Debug)]
pub(super) struct Page {
    scan: Vec<Body>,
    by_ids: Vec<Body>,
}

impl OpenLists {
    fn client(&self) -> &Client {
        &self.session.client
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

    async fn fetch(&self, _slice: &Slice, _limit: usize) -> Result<super::Page> {
        let scan = scan::scan(self.client()).await?;
        let mut wanted = Vec::new();
        for answer in &scan.answers {
            let shown = scan::found(answer)?.lists.into_iter();
            wanted.extend(shown.filter(|(id, json)| self.is_new(*id, json)).map(|(id, _)| id));
        }
        // One that the scan does not show is asked for before it is said to be gone.
        wanted.extend(self.known.0.keys().filter(|id| !scan.ids.contains(id)));
        let by_ids = scan::by_ids(self.client(), &wanted).await?;
        if !scan.is_whole() {
            let (shown, total) = (scan.ids.len(), scan.total.unwrap_or(0));
            let text =
                format!("HubSpot says that there are {total} lists, and shows {shown}, time and again");
            *self.mismatch.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
        let size_bytes = scan.answers.iter().chain(&by_ids).map(|body| body.len()).sum();
        Ok(super::Page::new(Content::Lists(Page { scan: scan.answers, by_ids }), size_bytes))
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
        for answer in &content.scan {
            for (id, json) in scan::found(answer)?.lists {
                let (stamp, filters) = (scan::stamp(json), filters.get(&id));
                let is_new = self.is_new(id, json);
                // Deleted since the scan: its filters are unknown, so it is another list when it is back.
                let stamp = if is_new && filters.is_none() { !stamp } else { stamp };
                let is_first = run.stamps.0.insert(id, stamp).is_none();
                if is_first && is_new {
                    table::row(&mut writer, json, filters.copied().flatten())?;
                }
            }
        }
        for (&id, &stamp) in &self.known.0 {
            if run.stamps.0.contains_key(&id) {
                continue;
            }
            if filters.contains_key(&id) {
                // There, though the scan does not show it: its row stays as it is.
                run.stamps.0.insert(id, stamp);
                continue;
            }
            writer.set("id", |cell| cell.bigint(id as i64));
            writer.set("archived", |cell| cell.boolean(true));
            writer.finish_gone(None, DeletedReason::Removed, None);
        }
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

    /// Reads one page, and answers with the number of rows and what the next run knows.
    async fn read(known: Pairs, by_ids: &str) -> (usize, Pairs) {
        let mut cursor = Cursor { stamps: known, ..Cursor::default() };
        let feed = ContactLists.open(&Session::unanswered(), Mode::Incremental, &mut cursor).await.unwrap();
        let [scan, by_ids] = [SCAN, by_ids].map(|answer| vec![Body::new(answer.to_owned().into()).unwrap()]);
        let page = super::super::Page::new(Content::Lists(Page { scan, by_ids }), 0);
        let (mut rows, mut run) = (Rows::new(&feed.tables()[0]), Unfinished::new(Mode::Incremental, 9, 9));
        feed.append_page(page, &mut Slice::All, &mut run, &mut [&mut rows]).unwrap();
        (rows.len(), run.stamps)
    }

    #[tokio::test]
    async fn a_list_that_is_deleted_while_it_is_read_is_read_again_when_it_is_back() {
        let (rows, known) = read(Pairs::default(), r#"{"lists":[]}"#).await;
        assert_eq!(rows, 1);
        // It looks as it did before.
        let (rows, known) = read(known, r#"{"lists":[{"listId":"7","filterBranch":{}}]}"#).await;
        assert_eq!(rows, 1);
        assert_eq!(read(known, r#"{"lists":[]}"#).await.0, 0);
    }
}
