//! Lists of contacts. They are few: each run reads all of them, page by page, tells by a stamp which ones are another since
//! the last run, and reads the filters of those. A list that is not shown any more is gone, once HubSpot has been asked
//! for it.

mod answer;
mod filters;
mod gone;
mod listing;
mod of_object;
mod open_lists;
mod scan;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use staging::{Rows, Table};

use self::filters::{FilterRequest, Filtered};
pub(in crate::feeds) use self::of_object::{ObjectLists, is_list_deleted, lists_of};
use self::open_lists::{KIND, ODD_KIND, OpenLists, Slice};
use self::scan::{Listing, Scan, Step};
use self::table::LISTS;
use super::{RunOfScan, Stamps};
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::Cursor;
use crate::feeds::dictionary::CollectionEntry;
use crate::feeds::document::Document;
use crate::feeds::open_feed::{self, CursorOf, Planned};
use crate::feeds::own::Taken;
use crate::feeds::quarantine::Thing;
use crate::feeds::unfinished::Mode;
use crate::feeds::{Appended, Feed, Gap, Note, OpenFeed, Opened, Session, Window};
use crate::json::parse_id;

#[derive(Debug)]
pub(in crate::feeds) struct ContactLists;

#[async_trait]
impl Feed for ContactLists {
    fn name(&self) -> &'static str {
        LISTS.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &["contact_lists"]
    }

    fn is_full_refresh(&self) -> bool {
        true
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![LISTS.entry()]
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        Ok(Box::new(OpenLists::open(session, mode, cursor)?))
    }
}

/// One page.
#[derive(Debug)]
pub(super) enum Page {
    Listed(Box<Listed>),
    /// Lists that no page of all lists has shown.
    Missed(gone::Missed),
}

/// A page of all lists; and, by their ids, those that are another since the last run, with their filters.
#[derive(Debug, Default)]
pub(super) struct Listed {
    listing: Listing,
    filtered: Filtered,
    /// Lists that were deleted since they were listed.
    deleted: BTreeSet<u64>,
    /// The last of its lists that are read; `None`: it is read whole.
    until: Option<u64>,
}

impl Listed {
    fn size_bytes(&self) -> usize {
        self.listing.answers.iter().chain(&self.filtered.answers).map(|body| body.len()).sum()
    }

    /// Those of the ids that no answer says anything of.
    fn left_out(&self, ids: impl Iterator<Item = u64>) -> Result<Vec<u64>> {
        let shown = self.filtered.ids()?;
        Ok(ids.filter(|id| !shown.contains(id) && !self.filtered.refused.contains_key(id)).collect())
    }
}

impl OpenLists {
    fn open(session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<OpenLists> {
        let held = cursor.held(KIND).filter_map(parse_id).collect();
        let mut kept = Taken::of(cursor)?;
        let kept: CursorOf<'_, Stamps> = kept.with();
        Ok(OpenLists {
            session: session.clone(),
            document: Document::new(&LISTS, &[])?,
            mode,
            known: kept.own.stamps.clone(),
            held,
            scan: Mutex::default(),
            mismatch: Mutex::default(),
        })
    }

    /// The list is another than the one the last run saw.
    fn is_new(&self, id: u64, json: &str) -> bool {
        self.mode == Mode::Backfill || self.known.0.get(&id) != Some(&answer::stamp(json))
    }

    /// The next page of all lists, with the filters of as many of its new lists as fit the memory.
    async fn listed(&self) -> Result<Listed> {
        let client = self.client();
        let scan = self.scan().clone();
        let has_told = scan.has_told;
        let mut page = Listed { listing: listing::page(client, &scan).await?, ..Listed::default() };
        let (mut ids, mut another) = (BTreeSet::new(), scan.read.first().copied());
        for answer in &page.listing.answers {
            for (id, json) in answer::found(answer)?.lists {
                let is_held = self.held.contains(&id);
                if !scan.read.contains(&id) && (is_held || self.is_new(id, json)) {
                    ids.insert(id);
                } else if !is_held {
                    another = Some(id);
                }
            }
        }
        let ids: Vec<u64> = ids.into_iter().collect();
        let wanted = FilterRequest { ids: &ids, held: Some(&self.held), another, has_told };
        (page.filtered, page.until) = filters::with_filters(client, wanted).await?;
        let asked = ids.iter().copied().filter(|id| page.until.is_none_or(|until| *id <= until));
        let left_out = page.left_out(asked)?;
        if !left_out.is_empty() {
            // Each is asked for once more; one that no search shows any more was deleted meanwhile.
            let again = FilterRequest { ids: &left_out, another, has_told, ..FilterRequest::default() };
            page.filtered.add(filters::with_filters(client, again).await?.0);
            let left_out = page.left_out(left_out.into_iter())?;
            let shown = listing::still_shown(client, &left_out).await?;
            page.deleted = left_out.into_iter().filter(|id| !shown.contains(id)).collect();
        }
        Ok(page)
    }

    fn append_listed(
        &self,
        content: &Listed,
        read_ms: i64,
        rows: &mut Rows,
        run: &mut RunOfScan<'_>,
    ) -> Result<Appended<Slice>> {
        let reading = self.session.reading(read_ms);
        let mut scan = self.scan();
        let mut writer = self.document.writer(rows, reading);
        let mut filters = HashMap::new();
        for answer in &content.filtered.answers {
            for (id, json) in answer::found(answer)?.lists {
                if !answer::is_deleted(json)? {
                    filters.insert(id, answer::filter_branch(json)?);
                }
            }
        }
        let mut seen = Vec::new();
        for answer in &content.listing.answers {
            for (id, json) in answer::found(answer)?.lists {
                let is_read = scan.read.contains(&id) || run.own.stamps.0.contains_key(&id);
                if is_read || content.until.is_some_and(|until| id > until) {
                    continue;
                }
                seen.push(id);
                if content.deleted.contains(&id) {
                    continue;
                }
                let written =
                    match (self.is_new(id, json), filters.get(&id), content.filtered.refused.get(&id)) {
                        (false, _, None) => Ok(()),
                        (_, Some(filters), _) => table::row(&mut writer, json, *filters)
                            .inspect_err(|_| writer.discard())
                            .map_err(|odd| odd.to_string()),
                        (_, None, Some(refused)) => Err(refused.clone()),
                        (true, None, None) => Err("its filters are not shown".to_owned()),
                    };
                match written {
                    Ok(()) => {
                        run.own.stamps.0.insert(id, answer::stamp(json));
                        run.release(KIND, id);
                    }
                    Err(reason) => self.set_aside(id, &reason, run),
                }
            }
        }
        let appended = Appended { written: vec![writer.written], ..Appended::default() };
        scan.read.extend(seen);
        scan.has_told |= !content.filtered.answers.is_empty();
        if content.until.is_some() {
            return Ok(appended);
        }
        let step = scan.add(&content.listing)?;
        set_odd_aside(&scan, &content.listing.refused, run);
        if let Step::Miscounted { shown, told } = step {
            let text = format!("HubSpot says that there are {told} lists, and shows {shown}, time and again");
            *self.mismatch.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
        if step != Step::On {
            // All there is was shown: what was not set aside again is well.
            run.release_what_was_not_set_aside_again(ODD_KIND);
        }
        Ok(Appended { is_last: step != Step::On, ..appended })
    }
}

/// Entries without an id, and lists that HubSpot can't show: their names tell nothing more.
fn set_odd_aside(scan: &Scan, refused: &BTreeMap<String, String>, run: &mut RunOfScan<'_>) {
    let mut set_aside =
        |id: &str, reason: &str| run.set_aside(Thing { kind: ODD_KIND, id, collection: LISTS.name }, reason);
    if scan.odd() > 0 {
        set_aside("without an id", &format!("{} entries are no lists with an id", scan.odd()));
    }
    for (place, reason) in refused {
        set_aside(place, reason);
    }
}

#[async_trait]
impl OpenFeed for OpenLists {
    type Slice = Slice;
    type Run = Stamps;
    type Kept = Stamps;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.document.table)
    }

    async fn plan(
        &self,
        _window: Window,
        _cursor: &mut CursorOf<'_, Stamps>,
    ) -> Result<Planned<Slice, Stamps>> {
        let now_ms = self.client().now().timestamp_millis();
        let mut run = Planned::new(self.mode, now_ms, 0);
        run.is_whole = self.mode == Mode::Backfill;
        run.slices.push(Slice::All);
        Ok(run)
    }

    /// The scan begins anew, and passes over the lists that are read.
    async fn resume(&self, run: &mut RunOfScan<'_>, _slices: &mut Vec<Slice>) -> Result<()> {
        self.scan().read.extend(run.own.stamps.0.keys());
        Ok(())
    }

    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, _limit: usize) -> Result<open_feed::Page<Page>> {
        let (page, size_bytes) = match slice {
            Slice::All => {
                let page = self.listed().await?;
                let size_bytes = page.size_bytes();
                (Page::Listed(Box::new(page)), size_bytes)
            }
            Slice::ByIds { ids } => (Page::Missed(self.missed(ids).await?), 0),
        };
        Ok(open_feed::Page::new(page, size_bytes))
    }

    fn append_page(
        &self,
        page: open_feed::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOfScan<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        match (slice, page.content, rows) {
            (Slice::All, Page::Listed(listed), [rows]) => {
                self.append_listed(&listed, page.read_ms, rows, run)
            }
            (Slice::ByIds { ids }, Page::Missed(missed), [rows]) => {
                self.append_missed(&missed, page.read_ms, ids, rows, run)
            }
            _ => Err(Error::new(ErrorKind::Malformed, "a page does not belong to its slice")),
        }
    }

    /// Lists that the scan has not shown are asked for before they are said to be gone.
    fn follow_up(&self, finished: &Slice, run: &mut RunOfScan<'_>) -> Option<Slice> {
        if *finished != Slice::All {
            return None;
        }
        let scan = self.scan();
        let is_shown = |id: &&u64| run.own.stamps.0.contains_key(id);
        let unknown = self.held.iter().filter(|id| !self.known.0.contains_key(id) && !scan.read.contains(id));
        let missed = self.known.0.keys().chain(unknown).filter(|id| !is_shown(id));
        let ids: BTreeSet<u64> = missed.copied().collect();
        (!ids.is_empty()).then(|| Slice::ByIds { ids: ids.into_iter().collect() })
    }

    fn keep(&self, run: &mut RunOfScan<'_>, kept: &mut Stamps) {
        *kept = std::mem::take(run.own);
    }

    fn notes(&self) -> Vec<Note> {
        let mismatch = self.mismatch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let note = |text| Note { collection: LISTS.name, gap: Gap::Degraded, text };
        mismatch.map(note).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use staging::Pairs;

    use super::*;
    use crate::feeds::own::Own;
    use crate::feeds::unfinished::Unfinished;
    use crate::json::Body;

    const SHOWN: &str = r#"{"results":[{"listId":"7","name":"x"}]}"#;

    fn open(session: &Session, stamps: Pairs) -> OpenLists {
        let mut cursor =
            Cursor { own: Own::new(Stamps { stamps, ..Stamps::default() }), ..Cursor::default() };
        OpenLists::open(session, Mode::Incremental, &mut cursor).unwrap()
    }

    /// A run, and what it knows.
    struct Run(Unfinished, Stamps);

    impl Run {
        fn new() -> Run {
            Run(Unfinished::new(Mode::Incremental, 9, 9), Stamps::default())
        }

        fn with(&mut self) -> RunOfScan<'_> {
            RunOfScan::new(&mut self.0, &mut self.1)
        }
    }

    fn body(answer: &str) -> Body {
        Body::new(answer.to_owned().into()).unwrap()
    }

    fn append(feed: &OpenLists, page: Page, slice: &mut Slice, run: &mut Run) -> Result<(usize, bool)> {
        let mut rows = Rows::new(&feed.tables()[0]);
        let page = open_feed::Page::new(page, 0);
        let appended = feed.append_page(page, slice, &mut run.with(), &mut [&mut rows])?;
        Ok((rows.len(), appended.is_last))
    }

    /// Reads one page and what was missed, and answers with the number of rows, what the next run knows, and what is set
    /// aside.
    fn read(known: Pairs, by_ids: &str, deleted: &[u64]) -> (usize, Pairs, usize) {
        let feed = open(&Session::unanswered(), known);
        let mut run = Run::new();
        let listing = Listing { answers: vec![body(SHOWN)], ..Listing::default() };
        let filtered = Filtered { answers: vec![body(by_ids)], ..Filtered::default() };
        let deleted = deleted.iter().copied().collect();
        let page = Page::Listed(Box::new(Listed { listing, filtered, deleted, until: None }));
        let (mut rows, is_last) = append(&feed, page, &mut Slice::All, &mut run).unwrap();
        assert!(is_last);
        if let Some(mut missed) = feed.follow_up(&Slice::All, &mut run.with()) {
            let gone = Page::Missed(gone::Missed::default());
            rows += append(&feed, gone, &mut missed, &mut run).unwrap().0;
        }
        (rows, run.1.stamps, run.0.quarantine.ids(KIND).count())
    }

    #[test]
    fn a_list_that_is_deleted_while_it_is_read_is_read_again_when_it_is_back() {
        let (rows, known, held) = read(Pairs::default(), r#"{"lists":[]}"#, &[7]);
        assert_eq!((rows, held), (0, 0));
        let (rows, known, held) = read(known, r#"{"lists":[{"listId":"7","filterBranch":{}}]}"#, &[]);
        assert_eq!((rows, held), (1, 0));
        // Deleted again: the next scan shows it no more.
        let feed = open(&Session::unanswered(), known);
        let mut run = Run::new();
        append(&feed, Page::Listed(Box::default()), &mut Slice::All, &mut run).unwrap();
        let mut missed = feed.follow_up(&Slice::All, &mut run.with()).unwrap();
        let gone = Page::Missed(gone::Missed::default());
        assert_eq!(append(&feed, gone, &mut missed, &mut run).unwrap(), (1, true));
        assert!(run.1.stamps.0.is_empty());
    }

    #[test]
    fn a_list_without_its_filters_is_set_aside() {
        let (rows, known, held) = read(Pairs::default(), r#"{"lists":[null,{"name":"x"}]}"#, &[]);
        assert_eq!((rows, known.0.len(), held), (0, 0, 1));
        let before = Pairs([(7, 5)].into());
        assert_eq!(read(before.clone(), r#"{"lists":[]}"#, &[]), (0, before, 1));
    }

    #[test]
    fn a_page_with_long_filters_is_read_in_parts() {
        let feed = open(&Session::unanswered(), Pairs::default());
        let mut run = Run::new();
        let two = r#"{"results":[{"listId":"7"},{"listId":"8"}]}"#;
        let mut part = |shown: &str, until| {
            let listing = Listing { answers: vec![body(two)], ..Listing::default() };
            let filtered = Filtered { answers: vec![body(shown)], ..Filtered::default() };
            let page = Page::Listed(Box::new(Listed { listing, filtered, until, ..Listed::default() }));
            append(&feed, page, &mut Slice::All, &mut run).unwrap()
        };
        assert_eq!(part(r#"{"lists":[{"listId":"7"}]}"#, Some(7)), (1, false));
        assert_eq!(part(r#"{"lists":[{"listId":"8"}]}"#, None), (1, true));
    }

    #[test]
    fn most_lists_are_not_taken_for_removed_unless_somebody_says_so() {
        let known = Pairs((1..=100).map(|id| (id, 5)).collect());
        let mut session = Session::unanswered();
        for accepts_removals in [false, true] {
            session.accepts_removals = accepts_removals;
            let feed = open(&session, known.clone());
            let mut run = Run::new();
            append(&feed, Page::Listed(Box::default()), &mut Slice::All, &mut run).unwrap();
            let mut missed = feed.follow_up(&Slice::All, &mut run.with()).unwrap();
            let gone = Page::Missed(gone::Missed::default());
            match append(&feed, gone, &mut missed, &mut run) {
                Ok((rows, _)) => assert_eq!((accepts_removals, rows), (true, 100)),
                Err(refused) => {
                    assert!(!accepts_removals && refused.to_string().contains("--accept-removals"))
                }
            }
        }
    }
}
