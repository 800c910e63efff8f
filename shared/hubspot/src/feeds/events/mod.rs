//! A feed of what happened: e-mail events, changes of subscriptions. HubSpot shows a window of time, by and large newest
//! first, and says where its next page begins by a word that is good for a while, and for exactly that window.
//!
//! A slice is a window; it is cut by time while it is read. Its bounds say which entries are its own, wherever they stand
//! in the answers: HubSpot shows some when they arrived, not when they happened. Down to where it is read is another
//! matter: a word that has died, or leads nowhere, costs some pages that are read again from somewhat above that. What
//! happened is told late: each run reads the last hours again, and hashes in the cursor tell what is new in them, or was
//! changed.

mod answer;
mod append;
mod aside;
mod event_feed;
mod failed;
mod fetch;
mod open_feed;
mod slice;
mod trail;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use async_trait::async_trait;
use staging::{Rows, Table};
use tokio::sync::RwLock;

use self::append::Bounds;
pub(super) use self::event_feed::{Entry, EventFeed};
pub(super) use self::open_feed::{OpenEventFeed, Page};
pub(super) use self::slice::Slice;
use self::slice::WindowOffset;
use self::trail::{MARGIN_MS, Seek};
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::document::{Document, Writer};
use super::open_feed::{CursorOf, Planned, RunOf};
use super::own::Nothing;
use super::recent::Versions;
use super::unfinished::{Mode, Unfinished};
use super::{Appended, Feed, Gap, Note, OpenFeed, Opened, Session, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::paging::Next;

/// Why a window is set aside of which some is shown.
const NOT_ALL_SHOWN: &str = "HubSpot says that there is more in it, and does not show it";

#[async_trait]
impl Feed for EventFeed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        self.collections
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        self.tables.iter().map(|table| table.entry()).collect()
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        Ok(Box::new(OpenEventFeed::open(self, session, mode, cursor)?))
    }
}

impl OpenEventFeed {
    pub(super) fn open(
        feed: &'static EventFeed,
        session: &Session,
        mode: Mode,
        cursor: &Cursor,
    ) -> Result<OpenEventFeed> {
        let documents: Vec<Document> =
            feed.tables.iter().map(|table| Document::new(table, &[])).collect::<Result<_>>()?;
        // Of what a run that goes on has staged before, the runs before it know nothing.
        let is_known = mode == Mode::Incremental && !(feed.about.is_some() && cursor.run.is_some());
        let recent = if is_known { cursor.recent.clone() } else { Versions::default() };
        Ok(OpenEventFeed {
            feed,
            session: session.clone(),
            tables: documents.iter().map(|document| document.table.clone()).collect(),
            documents,
            mode,
            recent,
            trails: Mutex::default(),
            turns: RwLock::default(),
            aside: Mutex::default(),
            asks_again: AtomicBool::new(false),
            foreign: AtomicU64::new(0),
            failed: AtomicU32::new(0),
            near_trouble: AtomicU32::new(0),
        })
    }
}

impl OpenEventFeed {
    pub(super) fn plan_windows<R: Default>(
        &self,
        window: Window,
        cursor: &Cursor,
    ) -> Result<Planned<Slice, R>> {
        let now_ms = self.session.client.now().timestamp_millis();
        let lookback = self.session.lookback;
        let overlap_ms = lookback.events_overlap_ms;
        let mut run = Planned::new(self.mode, now_ms, overlap_ms + lookback.lag_ms);
        run.moves_watermark = window.moves_watermark(cursor);
        let since_ms = match (window.since_ms, self.mode, cursor.watermark_ms) {
            (Some(since_ms), _, _) => since_ms,
            (None, Mode::Incremental, Some(watermark_ms)) => watermark_ms.saturating_sub(overlap_ms),
            (None, Mode::Incremental, None) => return Err(Error::nothing_to_start_from(self.feed.name)),
            (None, _, _) => now_ms - lookback.events_ms,
        };
        let until_ms = window.until_ms.unwrap_or(now_ms).max(since_ms);
        run.slices.push(Slice::happened(since_ms, until_ms));
        if window.is_whole() {
            run.slices.extend(self.windows_aside(since_ms, cursor));
            self.asks_again.store(true, Ordering::Relaxed);
        }
        Ok(run)
    }

    /// Goes on with windows of an interrupted run. Where the newest entry about somebody counts, a window begins at its top
    /// again: which entries the page before showed is not known any more. Things that this run has set aside before are
    /// released by a later one.
    pub(super) fn resume_windows<'a>(&self, run: &Unfinished, slices: impl Iterator<Item = &'a mut Slice>) {
        self.know_aside(run);
        for slice in slices.filter(|_| self.feed.about.is_some()) {
            let Slice::Happened { asked, .. } = slice;
            *asked = None;
        }
    }

    pub(super) async fn window_page(&self, slice: &Slice, limit: usize) -> Result<super::Page<Page>> {
        let page = self.page(slice, limit).await?;
        let size_bytes = page.bodies.iter().map(|body| body.len()).sum();
        Ok(super::Page::new(page, size_bytes))
    }

    pub(super) fn append_window(
        &self,
        content: Page,
        page_read_ms: i64,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let &mut Slice::Happened { since_ms, until_ms, reached_ms, ref asked } = slice;
        if let Some(reason) = &content.refused {
            return Ok(self.append_failed(&content, reason, slice, run));
        }
        let reading = self.session.reading(page_read_ms);
        let read_ms = self.session.client.by_hubspots_clock(page_read_ms);
        let mut writers: Vec<Writer<'_>> =
            self.documents.iter().zip(rows).map(|(document, rows)| document.writer(rows, reading)).collect();
        let mut trails = self.trails();
        let trail = trails.entry(until_ms).or_default();
        if !content.goes_on {
            trail.begin();
        }
        let foreign_before = self.foreign.load(Ordering::Relaxed);
        let bounds = Bounds { page: &content, since_ms, until_ms, read_ms };
        let (mut newest_ms, mut reached, mut last) = (None, reached_ms, None);
        for body in &content.bodies {
            let mut shown = self.append_body(body, bounds, trail, run, &mut writers)?;
            newest_ms = newest_ms.max(shown.newest_ms);
            let low_ms = shown.reached_ms(reached.unwrap_or(until_ms));
            if low_ms.is_some() {
                reached = low_ms;
                trail.moves();
            }
            let next = body.next(content.limit);
            let offset = if let Next::At(offset) = &next { Some(offset.as_str()) } else { None };
            let is_repeated = trail.is_repeated(&shown, offset, self.feed.about.is_some());
            last = Some((next, is_repeated, shown));
        }
        let Some((next, is_repeated, shown)) = last else {
            return Err(Error::new(ErrorKind::Malformed, "a page holds no answer"));
        };
        // An entry may stand some way from its place, at the window's lower end too.
        let is_past_the_end =
            newest_ms.is_some_and(|newest_ms| newest_ms < since_ms.saturating_sub(MARGIN_MS));
        let mut is_last = next == Next::End || is_past_the_end;
        let mut goes_on_at = None;
        let leads_on = |offset: &String| asked.as_ref().is_none_or(|asked| asked.offset != *offset);
        if let Next::At(offset) = next
            && leads_on(&offset)
            && !(is_last || is_repeated || trail.is_seeking)
        {
            let (since_ms, until_ms) = (content.since_ms, content.until_ms);
            goes_on_at = Some(WindowOffset { since_ms, until_ms, offset });
        } else if !is_last {
            let top_ms = content.until_ms.min(until_ms);
            (reached, is_last) = match trail.seek(top_ms, reached, &shown) {
                Seek::From(from_ms) => (Some(from_ms), false),
                Seek::Without { at_ms } => {
                    self.set_window_aside(at_ms, at_ms, NOT_ALL_SHOWN, run);
                    (Some(at_ms.saturating_sub(1)), at_ms <= since_ms)
                }
                Seek::Nowhere => {
                    self.set_window_aside(since_ms, top_ms, NOT_ALL_SHOWN, run);
                    (reached, true)
                }
            };
        }
        if let Some(reached_ms) = reached {
            trail.told.retain(|(at_ms, _)| *at_ms <= reached_ms.saturating_add(MARGIN_MS));
        }
        if is_last {
            trails.remove(&until_ms);
        }
        // A window that HubSpot does not keep to takes as long to read whatever its width.
        let is_kept_to = self.foreign.load(Ordering::Relaxed) == foreign_before;
        let reached = reached.map(|reached_ms| reached_ms.min(until_ms).max(since_ms));
        let span = newest_ms.zip(reached).map_or(0, |(newest_ms, reached_ms)| newest_ms.abs_diff(reached_ms));
        *slice = Slice::Happened { since_ms, until_ms, asked: goes_on_at, reached_ms: reached };
        Ok(Appended {
            written: writers.iter().map(|writer| writer.written).collect(),
            is_last,
            span: if is_kept_to { span } else { u64::MAX },
            ..Appended::default()
        })
    }
}

#[async_trait]
impl OpenFeed for OpenEventFeed {
    type Slice = Slice;
    type Run = Nothing;
    type Kept = Nothing;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        &self.tables
    }

    async fn plan(
        &self,
        window: Window,
        cursor: &mut CursorOf<'_, Nothing>,
    ) -> Result<Planned<Slice, Nothing>> {
        self.plan_windows(window, cursor)
    }

    async fn resume(&self, run: &mut RunOf<'_, Nothing>, slices: &mut Vec<Slice>) -> Result<()> {
        self.resume_windows(run, slices.iter_mut());
        Ok(())
    }

    /// A window that fails is read in smaller ones.
    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page<Page>> {
        self.window_page(slice, limit).await
    }

    fn append_page(
        &self,
        page: super::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOf<'_, Nothing>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        self.append_window(page.content, page.read_ms, slice, run, rows)
    }

    fn due(&self, run: &mut RunOf<'_, Nothing>, is_end: bool) -> Vec<Slice> {
        if is_end {
            self.release(run);
        }
        Vec::new()
    }

    fn notes(&self) -> Vec<Note> {
        let foreign = self.foreign.load(Ordering::Relaxed);
        let collection = self.feed.collections.first().filter(|_| foreign > 0);
        let text = format!(
            "HubSpot shows {foreign} entries outside the window that it was asked for: they are left out"
        );
        collection.map(|&collection| Note { collection, gap: Gap::Degraded, text }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_schema::ArrowError;

    use super::*;
    use crate::feeds::Quarantine;
    use crate::feeds::email_events::EMAIL_EVENTS;
    use crate::feeds::own::FeedState;
    use crate::feeds::subscription_timeline::TIMELINE;
    use crate::json::Body;

    pub(super) const AT_MS: i64 = 1_700_000_000_007;
    const HOUR_MS: i64 = 3_600_000;
    /// Some minutes before.
    const EARLY_MS: i64 = AT_MS - 1_000_000;

    /// A feed of events, and a slice of it down to 0.
    pub(super) struct Reader {
        feed: OpenEventFeed,
        pub(super) run: Unfinished,
        pub(super) slice: Slice,
        pages: u32,
    }

    impl Reader {
        fn open(feed: &'static EventFeed, recent: Versions) -> Reader {
            let cursor = Cursor { watermark_ms: Some(5), recent, ..Cursor::default() };
            let session = Session::unanswered();
            let feed = OpenEventFeed::open(feed, &session, Mode::Incremental, &cursor).unwrap();
            let slice = Slice::happened(0, AT_MS + 2);
            Reader { feed, run: Unfinished::new(Mode::Incremental, AT_MS + 2, 9), slice, pages: 0 }
        }

        pub(super) fn of_events() -> Reader {
            Reader::open(&EMAIL_EVENTS, Versions::default())
        }

        fn of_timeline(recent: Versions) -> Reader {
            Reader::open(&TIMELINE, recent)
        }

        /// Versions that the next run knows.
        fn known(&self) -> Versions {
            self.run.recent.clone().into_versions(i64::MIN)
        }

        fn answer(&mut self, list: &str, items: &[&str]) -> Page {
            let Slice::Happened { since_ms, until_ms, ref asked, reached_ms } = self.slice;
            let top_ms = reached_ms.unwrap_or(until_ms);
            self.pages += 1;
            let (offset, items) = (self.pages, items.join(","));
            let answer = format!(r#"{{"hasMore":true,"offset":"{offset}","{list}":[{items}]}}"#);
            let (since_ms, until_ms) =
                asked.as_ref().map_or((since_ms, top_ms), |asked| (asked.since_ms, asked.until_ms));
            let goes_on = asked.is_some();
            Page {
                bodies: vec![Body::new(answer.into()).unwrap()],
                since_ms,
                until_ms,
                goes_on,
                limit: 1_000,
                refused: None,
            }
        }

        pub(super) fn append(&mut self, page: Page) -> (Appended<Slice>, Vec<Rows>) {
            let mut rows: Vec<Rows> = self.feed.tables().iter().map(Rows::new).collect();
            let read_ms = chrono::Utc::now().timestamp_millis();
            let mut filled: Vec<&mut Rows> = rows.iter_mut().collect();
            let appended =
                self.feed.append_window(page, read_ms, &mut self.slice, &mut self.run, &mut filled).unwrap();
            (appended, rows)
        }

        /// A page of items of the timeline, newest first, from the top or going on, and the rows that it makes: whether
        /// the address had bounced.
        fn page(&mut self, items: &[&String], goes_on: bool) -> Vec<bool> {
            let items: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
            let page = Page { goes_on, ..self.answer("timeline", &items) };
            let (_, mut rows) = self.append(page);
            let table = &self.feed.tables()[1];
            let bounced = table.columns.iter().position(|column| column.name == "bounced").unwrap();
            let mut found = Vec::new();
            let shown = rows[1].drain(|column, array| {
                if column == bounced {
                    found.extend(array.as_boolean().iter().flatten());
                }
                Ok::<_, ArrowError>(())
            });
            shown.unwrap();
            found
        }

        /// A page of events of these moments; how many rows it makes, and whether it is the last one.
        fn events(&mut self, moments: &[i64]) -> (u64, bool) {
            let events: Vec<String> = moments.iter().map(|&at_ms| event(at_ms)).collect();
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            self.raw_events(&events)
        }

        fn raw_events(&mut self, events: &[&str]) -> (u64, bool) {
            let page = self.answer("events", events);
            let (appended, _) = self.append(page);
            (appended.written[0].rows, appended.is_last)
        }

        fn reached_ms(&self) -> Option<i64> {
            let Slice::Happened { reached_ms, .. } = self.slice;
            reached_ms
        }
    }

    fn event(at_ms: i64) -> String {
        format!(r#"{{"id":"e{at_ms}","created":{at_ms},"type":"SENT"}}"#)
    }

    fn item(at_ms: i64, change: &str, has_bounced: bool) -> String {
        format!(
            r#"{{"timestamp":{at_ms},"recipient":"A@x.de","changes":[{{"changeType":"PORTAL_BOUNCE","change":"{change}"}}],
                "snapshot":{{"email":"a@x.de","bounced":{has_bounced}}}}}"#
        )
    }

    fn aside(run: &Unfinished) -> Vec<(String, String)> {
        run.quarantine.iter().map(|(kind, id, _)| (kind.to_owned(), id.to_owned())).collect()
    }

    #[test]
    fn what_a_page_shows_above_the_one_before_it_is_kept() {
        let mut reader = Reader::of_events();
        assert_eq!(reader.events(&[EARLY_MS + 105, EARLY_MS + 104, EARLY_MS + 102]), (3, false));
        assert_eq!(reader.events(&[EARLY_MS + 103, EARLY_MS + 101, EARLY_MS + 100]), (3, false));
    }

    /// The other slice asks for its window from the top, and finds all of it there.
    #[test]
    fn what_is_past_the_new_end_of_a_cut_window_is_left_to_the_other_half() {
        let mut reader = Reader::of_events();
        let at = |hours: i64| AT_MS - hours * HOUR_MS;
        reader.events(&[at(1), at(2), at(3)]);
        let other = reader.slice.split(1).unwrap();
        let Slice::Happened { until_ms: cut_ms, .. } = other;
        // One is late in the order, one ahead of it; only a page that is past the end by far is the last one.
        assert_eq!(reader.events(&[cut_ms - 1, at(4), cut_ms + 1]), (2, false));
        assert_eq!(reader.events(&[cut_ms, cut_ms - 60_000]), (0, false));
        assert_eq!(reader.events(&[cut_ms - 70_000, cut_ms + 2]), (1, false));
        assert_eq!(reader.events(&[cut_ms - HOUR_MS]), (0, true));
    }

    #[test]
    fn an_entry_that_nobody_can_read_holds_back_no_other() {
        let mut reader = Reader::of_events();
        let odd = [r#"{"id":"e2","created":null}"#, r#"{"id":"e3","created":{"at":7}}"#, "null", "[]"];
        let good = [event(EARLY_MS + 105), event(EARLY_MS + 103)];
        let page = [good[0].as_str(), odd[0], odd[1], odd[2], odd[3], good[1].as_str()];
        assert_eq!(reader.raw_events(&page), (2, false));
        let names = aside(&reader.run);
        assert_eq!(names.len(), 4, "{names:?}");
        let is_named =
            |(kind, id): &(String, String)| kind == "event" && id.starts_with("e2 near 2023-11-14T");
        assert!(names.iter().any(is_named), "{names:?}");
        // Beside another neighbour it is the same.
        assert_eq!(reader.raw_events(&[event(EARLY_MS + 90).as_str(), odd[0]]), (1, false));
        assert_eq!(aside(&reader.run).len(), 4);
    }

    #[test]
    fn entries_without_a_moment_are_asked_for_between_their_neighbours() {
        let mut reader = Reader::of_events();
        let at = |hours: i64| event(AT_MS - hours * HOUR_MS);
        let (first, second, third) = (at(1), at(9), at(20));
        // Word for word the same, and two all the same.
        reader.raw_events(&[first.as_str(), "{}", second.as_str(), third.as_str(), "{}", at(30).as_str()]);
        let names = aside(&reader.run);
        assert_eq!(names.len(), 2, "{names:?}");
        let windows: Vec<(i64, i64)> = names.iter().map(|(_, id)| aside::window_of(id).unwrap()).collect();
        for hours in [(9, 1), (30, 20)] {
            let window = (AT_MS - hours.0 * HOUR_MS - MARGIN_MS, AT_MS - hours.1 * HOUR_MS + MARGIN_MS);
            assert!(windows.contains(&window), "{names:?}");
        }
        // The first one has a nearer neighbour now.
        reader.raw_events(&[first.as_str(), "{}", at(2).as_str()]);
        let windows: Vec<(i64, i64)> =
            aside(&reader.run).iter().map(|(_, id)| aside::window_of(id).unwrap()).collect();
        assert_eq!(windows.len(), 2);
        assert!(windows.contains(&(AT_MS - 2 * HOUR_MS - MARGIN_MS, AT_MS - HOUR_MS + MARGIN_MS)));
    }

    #[test]
    fn an_odd_item_leaves_no_row_behind() {
        let mut reader = Reader::of_timeline(Versions::default());
        let odd = item(AT_MS, "BOUNCED", true).replace("}],", "},7],");
        let page = reader.answer("timeline", &[item(AT_MS, "BOUNCED", true).as_str(), &odd]);
        let (appended, rows) = reader.append(page);
        assert_eq!((appended.written[0].rows, rows[0].len(), rows[1].len()), (1, 1, 1));
        let [(kind, id)] = &aside(&reader.run)[..] else { panic!() };
        assert!(kind == "item of the timeline" && id.starts_with('#') && !id.contains('@'), "{id}");
    }

    #[test]
    fn what_was_set_aside_is_asked_for_again_until_it_is_well() {
        let mut reader = Reader::of_events();
        reader.raw_events(&[event(AT_MS).as_str(), r#"{"id":"e2"}"#]);
        let mut cursor = Cursor { run: Some(reader.run), ..Cursor::default() };
        cursor.finish(crate::feeds::Lookback::default());
        cursor.watermark_ms = Some(AT_MS + 100 * HOUR_MS);
        assert_eq!(cursor.quarantine.count(), 1);

        let mut next = Reader::of_events();
        let planned: Planned<Slice, Nothing> = next.feed.plan_windows(Window::default(), &cursor).unwrap();
        let [_, again] = &planned.slices[..] else { panic!("{:?}", planned.slices) };
        // It is older than the one that it stands behind, and nothing tells how much.
        let Slice::Happened { since_ms, until_ms, .. } = *again;
        assert_eq!((since_ms <= EARLY_MS, until_ms), (true, AT_MS + MARGIN_MS));
        cursor.begin(planned.run);
        next.run = cursor.run.take().unwrap();
        assert_eq!(next.run.quarantine.count(), 1);
        next.raw_events(&[r#"{"id":"e2"}"#]);
        next.feed.release(&mut next.run);
        assert_eq!(next.run.quarantine.count(), 1, "it is still odd");

        let mut well = Reader::of_events();
        let planned: Planned<Slice, Nothing> = well.feed.plan_windows(Window::default(), &cursor).unwrap();
        well.run = planned.run;
        well.run.quarantine = next.run.quarantine;
        well.events(&[AT_MS]);
        well.feed.release(&mut well.run);
        assert_eq!(well.run.quarantine, Quarantine::default());
    }

    #[test]
    fn entries_outside_the_window_are_counted_and_left_out() {
        let mut reader = Reader::of_events();
        reader.slice = Slice::happened(AT_MS - HOUR_MS, AT_MS);
        // HubSpot may see the edge of a window a little differently.
        let moments = [AT_MS + HOUR_MS, AT_MS + 1, AT_MS - 5, AT_MS - HOUR_MS - 1];
        assert_eq!(reader.events(&moments), (3, false));
        let notes = reader.feed.notes();
        assert!(notes[0].text.contains("1 entries outside the window"), "{notes:?}");
        assert_eq!(reader.events(&[AT_MS - 20 * HOUR_MS]), (0, true));
    }

    /// Each answer is the same, and says that there is more.
    #[test]
    fn a_page_that_comes_again_and_again_comes_to_an_end() {
        let mut reader = Reader::of_events();
        let shown = [EARLY_MS + 105, EARLY_MS + 104, EARLY_MS + 103, EARLY_MS + 102];
        reader.events(&shown);
        let (mut pages, mut is_last) = (1, false);
        while !is_last {
            (_, is_last) = reader.events(&shown);
            pages += 1;
            assert!(pages < 20, "no end: {:?}", reader.slice);
        }
        let names = aside(&reader.run);
        assert!(names.iter().all(|(kind, _)| kind == "window"), "{names:?}");
        assert!(names.iter().any(|(_, id)| id.starts_with("1970-01-01T00:00:00.000Z to ")), "{names:?}");
    }

    #[test]
    fn empty_pages_without_an_end_come_to_one() {
        let mut reader = Reader::of_events();
        let pages = (0..100).take_while(|_| !reader.events(&[]).1).count();
        assert!(pages < 30, "{pages}");
        assert_eq!(aside(&reader.run).len(), 1);
    }

    #[test]
    fn without_a_useful_offset_the_window_gets_smaller() {
        let mut reader = Reader::of_events();
        assert_eq!(reader.events(&[EARLY_MS + 900_000, EARLY_MS + 700_000, EARLY_MS + 600_000]), (3, false));
        assert_eq!(reader.events(&[EARLY_MS + 900_000, EARLY_MS + 700_000, EARLY_MS + 600_000]), (3, false));
        let Slice::Happened { ref asked, reached_ms, .. } = reader.slice;
        assert_eq!((asked, reached_ms), (&None, Some(EARLY_MS + 600_000 + MARGIN_MS)));
    }

    #[test]
    fn of_a_moment_the_newest_item_counts_whatever_was_read_before() {
        let (older, newer) = (item(AT_MS, "BOUNCED", true), item(AT_MS, "UNBOUNCED", false));
        let mut together = Reader::of_timeline(Versions::default());
        assert_eq!(together.page(&[&newer, &older], false), [false]);

        // The page ends between the two.
        let mut apart = Reader::of_timeline(Versions::default());
        assert_eq!(apart.page(&[&newer], false), [false]);
        assert!(apart.page(&[&older], true).is_empty());

        // Between them are others, of another moment.
        let mut far_apart = Reader::of_timeline(Versions::default());
        let (before, after) = (item(AT_MS - 9, "BOUNCED", true), item(AT_MS + 1, "BOUNCED", true));
        assert_eq!(far_apart.page(&[&newer, &before], false), [false, true]);
        assert_eq!(far_apart.page(&[&after, &older], true), [true]);

        // The newer one is told while the moment is read, and read from the top.
        let mut meanwhile = Reader::of_timeline(Versions::default());
        assert_eq!(meanwhile.page(&[&older], false), [true]);
        assert_eq!(meanwhile.page(&[&newer, &older], false), [false]);

        // The older one is told after the newer one was read by an earlier run.
        let mut before = Reader::of_timeline(Versions::default());
        before.page(&[&newer], false);
        let mut late = Reader::of_timeline(before.known());
        assert!(late.page(&[&newer, &older], false).is_empty());
        assert!(Reader::of_timeline(late.known()).page(&[&newer, &older], false).is_empty());
    }

    /// Changes that one event caused are of its moment, and a change and its repetition say the same.
    #[test]
    fn what_is_repeated_in_one_moment_is_new_if_something_came_between() {
        let (bounced, unbounced) = (item(AT_MS, "BOUNCED", true), item(AT_MS, "UNBOUNCED", false));
        let mut first = Reader::of_timeline(Versions::default());
        assert_eq!(first.page(&[&bounced], false), [true]);
        let mut second = Reader::of_timeline(first.known());
        assert_eq!(second.page(&[&unbounced, &bounced], false), [false]);
        let mut third = Reader::of_timeline(second.known());
        assert_eq!(third.page(&[&bounced, &unbounced, &bounced], false), [true]);
    }

    #[test]
    fn a_run_that_goes_on_begins_at_the_top_of_a_moment() {
        let mut timeline = Reader::of_timeline(Versions::default());
        timeline.page(&[&item(AT_MS, "BOUNCED", true)], false);
        assert_eq!(timeline.reached_ms(), Some(AT_MS));
        assert!(matches!(&timeline.slice, Slice::Happened { asked: Some(_), .. }));
        timeline.feed.resume_windows(&timeline.run, std::iter::once(&mut timeline.slice));
        assert!(matches!(&timeline.slice, Slice::Happened { reached_ms: Some(AT_MS), asked: None, .. }));
    }
}
