//! A feed of what happened: e-mail events, changes of subscriptions. HubSpot shows a window of time, newest first, and
//! says where its next page begins by a word that is good for a while, and for exactly that window.
//!
//! A slice is a window; it is cut by time while it is read, and its upper end comes down with each page, so a word that
//! has died costs a page that is read again. What happened is told late: each run reads the last hours again, and
//! hashes in the cursor tell what is new in them, or was changed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use staging::{Rows, Table};
use tokio::sync::RwLock;
use xxhash_rust::xxh3::xxh3_64;

use super::collection::Collection;
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::document::{Document, Writer};
use super::seen::Hashes;
use super::slice::{self, Asked, Slice};
use super::{Appended, Content, Feed, OpenFeed, Session, Window};
use crate::call::Call;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner};
use crate::paging::Next;
use crate::value;

/// Entries in a page, for each record that a page may have: HubSpot takes up to 1,000
/// (<https://developers.hubspot.com/docs/api-reference/legacy/reporting/email-analytics/events/get-email-public-v1-events>).
const ENTRIES_PER_RECORD: usize = 10;
/// Pages of one crowded millisecond that are fetched in one go.
const MAX_CROWD_PAGES: usize = 64;
/// What tells an entry's hash from that of the same entry when it was the newest.
const NOT_THE_NEWEST: u64 = 0x9e37_79b9_7f4a_7c15;
/// Words that may die one after the other without a step forward.
const MAX_EXPIRED: u32 = 50;

type About = fn(&str) -> Result<String, Malformed>;

/// What tells one history from another.
#[derive(Debug)]
pub(super) struct History {
    pub(super) name: &'static str,
    pub(super) collections: &'static [&'static str],
    pub(super) tables: &'static [&'static Collection],
    pub(super) path: &'static str,
    /// More of the query, each parameter with an ampersand before it.
    pub(super) query: &'static str,
    /// The answer's list of entries, and an entry's time.
    pub(super) list: &'static str,
    pub(super) instant: &'static str,
    /// For a table with one row for each of something: what an entry is about.
    pub(super) about: Option<About>,
    /// Turns an entry into rows, one writer per table.
    pub(super) append: fn(&Entry<'_>, &mut [Writer<'_>]) -> Result<(), Malformed>,
}

/// One entry of an answer.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) json: &'a str,
    pub(super) at_ms: i64,
    /// Of the entries of this moment that are [about](History::about) the same, this is the newest. Their versions are
    /// equal: their order is in the answers alone.
    pub(super) is_newest: bool,
}

/// What entries were about, as hashes, and their moments.
type Told = HashSet<(i64, u64)>;

#[async_trait]
impl Feed for History {
    fn name(&self) -> &'static str {
        self.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        self.collections
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        self.tables.iter().map(|table| table.entry()).collect()
    }

    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>> {
        Ok(Box::new(OpenHistory::open(self, session, mode, cursor)?))
    }
}

#[derive(Debug)]
pub(super) struct OpenHistory {
    history: &'static History,
    session: Session,
    documents: Vec<Document>,
    tables: Vec<Table>,
    mode: Mode,
    /// What earlier runs have read.
    recent: Hashes,
    /// By the moment in which a page ended: what its entries of that moment told of, for the page that goes on there.
    ends: Mutex<HashMap<i64, Told>>,
    /// Held alone by whoever reads a crowded millisecond, whose words have died before: nobody delays it.
    turns: RwLock<()>,
    /// Words that died since the last step forward.
    expired: AtomicU32,
}

/// Answers that follow each other, and the window they were asked for.
#[derive(Debug)]
pub(super) struct Page {
    bodies: Vec<Body>,
    since_ms: i64,
    until_ms: i64,
    /// They go on where another page ended, perhaps in the middle of a millisecond.
    goes_on: bool,
    /// Entries that each of them was asked for.
    limit: usize,
}

/// The moments that an answer reaches from and to.
#[derive(Debug, Default)]
struct Reach {
    newest_ms: Option<i64>,
    oldest_ms: Option<i64>,
}

impl OpenHistory {
    pub(super) fn open(
        history: &'static History,
        session: &Session,
        mode: Mode,
        cursor: &Cursor,
    ) -> Result<OpenHistory> {
        let documents: Vec<Document> =
            history.tables.iter().map(|table| Document::new(table, &[])).collect::<Result<_>>()?;
        // Of what a run that goes on has staged before, the runs before it know nothing.
        let is_known = mode == Mode::Incremental && !(history.about.is_some() && cursor.run.is_some());
        let recent = if is_known { cursor.recent.clone() } else { Hashes::default() };
        Ok(OpenHistory {
            history,
            session: session.clone(),
            tables: documents.iter().map(|document| document.table.clone()).collect(),
            documents,
            mode,
            recent,
            ends: Mutex::default(),
            turns: RwLock::default(),
            expired: AtomicU32::new(0),
        })
    }

    /// By its place among the tables.
    pub(super) fn document(&self, place: usize) -> &Document {
        &self.documents[place]
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<i64, Told>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, asked: &Asked, limit: usize) -> Result<Body> {
        let offset = match asked.offset.as_str() {
            "" => String::new(),
            offset => format!("&offset={}", percent_encoded(offset)),
        };
        let path = format!(
            "{}?startTimestamp={}&endTimestamp={}&limit={}{}{offset}",
            self.history.path,
            asked.since_ms,
            asked.until_ms,
            limit * ENTRIES_PER_RECORD,
            self.history.query,
        );
        self.session.client.send_for_list(&Call::get(path), self.history.list).await
    }

    /// The pages of the window's newest millisecond, if it fills the first one; from the top again when a word dies on
    /// the way.
    async fn crowd(&self, from_the_top: &Asked, limit: usize) -> Result<Vec<Body>> {
        let _alone = self.turns.write().await;
        let (mut asked, mut bodies) = (from_the_top.clone(), Vec::new());
        loop {
            let body = match self.ask(&asked, limit).await {
                Err(expired) if is_expired(&expired, &asked) => {
                    self.count_expired(expired)?;
                    (asked, bodies) = (from_the_top.clone(), Vec::new());
                    continue;
                }
                answer => answer?,
            };
            let reach = self.each_entry(&body, |_, _| Ok(()))?;
            let next = body.next(limit * ENTRIES_PER_RECORD);
            bodies.push(body);
            let is_crowd = reach.oldest_ms == Some(asked.until_ms);
            match next {
                Next::At(offset) if is_crowd && bodies.len() < MAX_CROWD_PAGES => asked.offset = offset,
                _ => return Ok(bodies),
            }
        }
    }

    /// Calls `each` with every entry of an answer and its time.
    fn each_entry<'a>(
        &self,
        answer: &'a str,
        mut each: impl FnMut(&'a str, i64) -> Result<(), Malformed>,
    ) -> Result<Reach> {
        let mut reach = Reach::default();
        let mut has_list = false;
        Scanner::new(answer).each_field(|key, value| {
            match key.raw() {
                name if name == self.history.list => {
                    has_list = true;
                    value.each_item(|entry| {
                        let json = entry.raw()?;
                        let at_ms = instant_of(json, self.history.instant)?;
                        reach.newest_ms = reach.newest_ms.max(Some(at_ms));
                        reach.oldest_ms =
                            Some(reach.oldest_ms.map_or(at_ms, |oldest_ms| oldest_ms.min(at_ms)));
                        each(json, at_ms)
                    })?;
                }
                _ => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        if !has_list {
            let message = format!("an answer has no {}", self.history.list);
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        Ok(reach)
    }

    fn count_expired(&self, expired: Error) -> Result<()> {
        if self.expired.fetch_add(1, Ordering::Relaxed) < MAX_EXPIRED {
            tracing::debug!(feed.name = self.history.name, "a page's offset has expired: {expired}");
            return Ok(());
        }
        let message = format!("the offsets of {} die faster than pages can be read", self.history.name);
        Err(Error::new(ErrorKind::Malformed, message).caused_by(expired))
    }
}

#[async_trait]
impl OpenFeed for OpenHistory {
    fn tables(&self) -> &[Table] {
        &self.tables
    }

    async fn plan(&self, window: Window, cursor: &mut Cursor) -> Result<Unfinished> {
        let now_ms = self.session.client.now().timestamp_millis();
        let lookback = self.session.lookback;
        let overlap_ms = lookback.history_overlap_ms;
        let mut run = Unfinished::new(self.mode, now_ms, overlap_ms + lookback.lag_ms);
        run.moves_watermark = window.moves_watermark(cursor);
        let since_ms = match (window.since_ms, self.mode, cursor.watermark_ms) {
            (Some(since_ms), _, _) => since_ms,
            (None, Mode::Incremental, Some(watermark_ms)) => watermark_ms.saturating_sub(overlap_ms),
            (None, Mode::Incremental, None) => return Err(Error::nothing_to_start_from(self.history.name)),
            (None, _, _) => now_ms - lookback.history_ms,
        };
        let until_ms = window.until_ms.unwrap_or(now_ms);
        run.slices.push(Slice::Happened { since_ms, until_ms: until_ms.max(since_ms), asked: None });
        Ok(run)
    }

    /// Where the newest entry about somebody counts, from the top of the millisecond: what the page before told of there
    /// is not known any more.
    async fn resume(&self, run: &mut Unfinished) -> Result<()> {
        let slices = run.slices.iter_mut().filter(|_| self.history.about.is_some());
        for slice in slices {
            if let Slice::Happened { asked, .. } = slice {
                *asked = None;
            }
        }
        Ok(())
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page> {
        let Slice::Happened { since_ms, until_ms, asked } = slice else { return Err(slice::foreign(slice)) };
        let from_the_top = Asked { since_ms: *since_ms, until_ms: *until_ms, offset: String::new() };
        let asked = asked.as_ref().unwrap_or(&from_the_top);
        let first = {
            let _turn = self.turns.read().await;
            self.ask(asked, limit).await
        };
        let (bodies, asked) = match first {
            Ok(body) => (vec![body], asked),
            Err(expired) if is_expired(&expired, asked) => {
                self.count_expired(expired)?;
                (self.crowd(&from_the_top, limit).await?, &from_the_top)
            }
            Err(failed) => return Err(failed),
        };
        let size_bytes = bodies.iter().map(|body| body.len()).sum();
        let Asked { since_ms, until_ms, ref offset } = *asked;
        let limit = limit * ENTRIES_PER_RECORD;
        let page = Page { bodies, since_ms, until_ms, goes_on: !offset.is_empty(), limit };
        Ok(super::Page::new(Content::History(page), size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let (Content::History(content), Slice::Happened { since_ms, until_ms, asked }) =
            (page.content, &mut *slice)
        else {
            return Err(slice::foreign(slice));
        };
        let reading = self.session.reading(page.read_ms);
        let mut writers: Vec<Writer<'_>> =
            self.documents.iter().zip(rows).map(|(document, rows)| document.writer(rows, reading)).collect();
        let mut whole = Reach::default();
        // A page that is not there goes nowhere.
        let mut next = Next::End;
        let before = self.ends().remove(until_ms);
        let mut told = before.filter(|_| content.goes_on).unwrap_or_default();
        for body in &content.bodies {
            let reach = self.each_entry(body, |json, at_ms| {
                // What is outside is another slice's: this one was cut since, or is read from the top again.
                if !(*since_ms..=*until_ms).contains(&at_ms) {
                    return Ok(());
                }
                let is_newest = match self.history.about {
                    Some(about) => told.insert((at_ms, xxh3_64(about(json)?.as_bytes()))),
                    None => true,
                };
                // An entry that is word for word like another one may be newer than one that stood between them.
                let hash = xxh3_64(json.as_bytes()) ^ if is_newest { 0 } else { NOT_THE_NEWEST };
                if !self.recent.0.contains(&hash) {
                    (self.history.append)(&Entry { json, at_ms, is_newest }, &mut writers)?;
                }
                run.note(hash, at_ms);
                Ok(())
            })?;
            whole.newest_ms = whole.newest_ms.max(reach.newest_ms);
            whole.oldest_ms = [whole.oldest_ms, reach.oldest_ms].into_iter().flatten().min();
            next = body.next(content.limit);
        }
        let is_past_the_end = whole.oldest_ms.is_some_and(|oldest_ms| oldest_ms < *since_ms);
        if let Some(oldest_ms) = whole.oldest_ms.filter(|oldest_ms| oldest_ms < until_ms) {
            *until_ms = oldest_ms.max(*since_ms);
            self.expired.store(0, Ordering::Relaxed);
        }
        let is_unsaid = matches!(next, Next::Full | Next::Unsaid);
        let next = if let Next::At(offset) = next { Some(offset) } else { None };
        let is_stuck = next.is_some()
            && whole.oldest_ms.is_none()
            && asked.as_ref().is_some_and(|asked| Some(&asked.offset) == next.as_ref());
        if is_stuck || is_unsaid {
            let message = format!("a page of {} does not say where the next one begins", self.history.name);
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        let is_last = next.is_none() || is_past_the_end;
        told.retain(|(at_ms, _)| at_ms == until_ms);
        if !is_last && !told.is_empty() {
            self.ends().insert(*until_ms, told);
        }
        let (asked_since_ms, asked_until_ms) = (content.since_ms, content.until_ms);
        *asked = next.map(|offset| Asked { since_ms: asked_since_ms, until_ms: asked_until_ms, offset });
        let span = whole.newest_ms.zip(whole.oldest_ms).map_or(0, |(newest, oldest)| newest.abs_diff(oldest));
        Ok(Appended {
            written: writers.iter().map(|writer| writer.written).collect(),
            is_last,
            span,
            ..Appended::default()
        })
    }
}

/// HubSpot documents no answer for a word that has died: any refusal of a request that has one.
fn is_expired(error: &Error, asked: &Asked) -> bool {
    error.kind() == ErrorKind::BadRequest && !asked.offset.is_empty()
}

fn instant_of(entry: &str, key_of_instant: &str) -> Result<i64, Malformed> {
    let mut at_ms = None;
    let mut scanner = Scanner::new(entry);
    scanner.each_field(|key, value| {
        if key.raw() == key_of_instant && !value.is_nested() {
            at_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text()));
            return Ok(());
        }
        value.skip()
    })?;
    at_ms.ok_or(Malformed { at: 0, expected: "an entry with its time" })
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_schema::ArrowError;

    use super::*;
    use crate::feeds::FEEDS;

    const AT_MS: i64 = 1_700_000_000_007;

    /// The timeline of subscriptions, and a slice of it down to 0.
    struct Timeline {
        feed: Box<dyn OpenFeed>,
        run: Unfinished,
        slice: Slice,
    }

    impl Timeline {
        async fn open(recent: Hashes) -> Timeline {
            let mut cursor = Cursor { watermark_ms: Some(5), recent, ..Cursor::default() };
            let feed = FEEDS.iter().find(|feed| feed.name() == "subscription_timeline").unwrap();
            let feed = feed.open(&Session::unanswered(), Mode::Incremental, &mut cursor).await.unwrap();
            let slice = Slice::Happened { since_ms: 0, until_ms: AT_MS + 2, asked: None };
            Timeline { feed, run: Unfinished::new(Mode::Incremental, AT_MS + 2, 9), slice }
        }

        /// What the next run knows.
        fn known(&self) -> Hashes {
            self.run.recent.hashes(self.run.overlap_ms)
        }

        /// A page of these items, newest first, from the top or going on, and the rows that it makes: whether the
        /// address had bounced.
        fn page(&mut self, items: &[&String], goes_on: bool) -> Vec<bool> {
            let items: Vec<&str> = items.iter().map(|item| item.as_str()).collect();
            let answer =
                format!(r#"{{"hasMore":true,"offset":"{}","timeline":[{}]}}"#, items.len(), items.join(","));
            let Slice::Happened { since_ms, until_ms, .. } = self.slice else { panic!() };
            let page = Page {
                bodies: vec![Body::new(answer.into()).unwrap()],
                since_ms,
                until_ms,
                goes_on,
                limit: 1_000,
            };
            let mut rows: Vec<Rows> = self.feed.tables().iter().map(Rows::new).collect();
            let page = super::super::Page::new(Content::History(page), 0);
            let mut filled: Vec<&mut Rows> = rows.iter_mut().collect();
            self.feed.append_page(page, &mut self.slice, &mut self.run, &mut filled).unwrap();
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
    }

    fn item(at_ms: i64, change: &str, has_bounced: bool) -> String {
        format!(
            r#"{{"timestamp":{at_ms},"recipient":"A@x.de","changes":[{{"changeType":"PORTAL_BOUNCE","change":"{change}"}}],
                "snapshot":{{"email":"a@x.de","bounced":{has_bounced}}}}}"#
        )
    }

    #[tokio::test]
    async fn of_a_moment_the_newest_item_counts_whatever_was_read_before() {
        let (older, newer) = (item(AT_MS, "BOUNCED", true), item(AT_MS, "UNBOUNCED", false));
        let mut together = Timeline::open(Hashes::default()).await;
        assert_eq!(together.page(&[&newer, &older], false), [false]);

        // The page ends between the two.
        let mut apart = Timeline::open(Hashes::default()).await;
        assert_eq!(apart.page(&[&newer], false), [false]);
        assert!(apart.page(&[&older], true).is_empty());

        // The newer one is told while the moment is read, and read from the top.
        let mut meanwhile = Timeline::open(Hashes::default()).await;
        assert_eq!(meanwhile.page(&[&older], false), [true]);
        assert_eq!(meanwhile.page(&[&newer, &older], false), [false]);

        // The older one is told after the newer one was read by an earlier run.
        let mut before = Timeline::open(Hashes::default()).await;
        before.page(&[&newer], false);
        let mut late = Timeline::open(before.known()).await;
        assert!(late.page(&[&newer, &older], false).is_empty());
        assert!(Timeline::open(late.known()).await.page(&[&newer, &older], false).is_empty());
    }

    /// Changes that one event caused are of its moment, and a change and its repetition say the same.
    #[tokio::test]
    async fn what_is_repeated_in_one_moment_is_new_if_something_came_between() {
        let (bounced, unbounced) = (item(AT_MS, "BOUNCED", true), item(AT_MS, "UNBOUNCED", false));
        let mut first = Timeline::open(Hashes::default()).await;
        assert_eq!(first.page(&[&bounced], false), [true]);
        let mut second = Timeline::open(first.known()).await;
        assert_eq!(second.page(&[&unbounced, &bounced], false), [false]);
        let mut third = Timeline::open(second.known()).await;
        assert_eq!(third.page(&[&bounced, &unbounced, &bounced], false), [true]);
    }

    #[tokio::test]
    async fn a_run_that_goes_on_begins_at_the_top_of_a_moment() {
        let mut timeline = Timeline::open(Hashes::default()).await;
        timeline.page(&[&item(AT_MS, "BOUNCED", true)], false);
        assert!(matches!(&timeline.slice, Slice::Happened { until_ms: AT_MS, asked: Some(_), .. }));
        timeline.run.slices.push(timeline.slice.clone());
        timeline.feed.resume(&mut timeline.run).await.unwrap();
        assert!(matches!(&timeline.run.slices[0], Slice::Happened { until_ms: AT_MS, asked: None, .. }));
    }
}
