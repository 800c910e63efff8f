//! Reads a run's slices, many at a time, until none is left.
//!
//! Requests are under way together; their answers become rows one after the other, in this one task, which alone owns
//! the cursor and the open file. So a slice and its rows can't come apart, and a checkpoint finds them in step.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};
use hubspot::feeds::{AnyOpenFeed, Cursor, Page, Slice, Unfinished};
use hubspot::{ErrorKind, RateLimit};

use crate::report::{FeedReport, Progress};
use crate::stage::Stage;

/// Pages under way at once: at 300 ms an answer, 19 requests a second keep six busy; at a second and a half, thirty.
const FEWEST_UNDER_WAY: usize = 8;
const MOST_UNDER_WAY: usize = 32;
/// Time between two decisions whether more pages at once would help.
const BREADTH_PERIOD: Duration = Duration::from_secs(1);
/// Bytes of answers that may wait in memory. Pages grow with the number of properties, so their number shrinks.
const MAX_BYTES_UNDER_WAY: usize = 12 << 20;
/// Bytes that a property takes in an answer, for the size of a page before the first one has come. Of the contacts with
/// 600 properties in `docs/performance.md` each takes 33.
const PROPERTY_BYTES: usize = 32;
/// Records in a page, and the least a page is cut to when HubSpot fails on large ones.
const PAGE_RECORDS: usize = 100;
const FEWEST_PAGE_RECORDS: usize = 10;

/// The slices of a run, each either waiting or being read.
struct Slices {
    /// Slices of what searches found. They are read before they go on, so little of it waits.
    found: VecDeque<Slice>,
    waiting: VecDeque<Slice>,
    reading: BTreeMap<usize, Reading>,
    /// Those that are being read whose next page nobody has asked for.
    paused: VecDeque<usize>,
    next_number: usize,
}

struct Reading {
    slice: Slice,
    /// Ids, or milliseconds, that its last page spanned; `None` before the first.
    page_span: Option<u64>,
}

impl Slices {
    fn new(slices: Vec<Slice>) -> Slices {
        Slices {
            found: VecDeque::new(),
            waiting: slices.into(),
            reading: BTreeMap::new(),
            paused: VecDeque::new(),
            next_number: 0,
        }
    }

    /// The slice to ask for a page of: what was found, then one that is being read, then one that waits, or else, where
    /// more at once gains anything, a half of the one with the most pages left: one, then `may_split` is over.
    fn next(&mut self, may_split: &mut bool) -> Option<(usize, Slice)> {
        if let Some(found) = self.found.pop_front() {
            return Some(self.start(found));
        }
        if let Some(number) = self.paused.pop_front() {
            return Some((number, self.reading.get(&number)?.slice.clone()));
        }
        let slice = match self.waiting.pop_front() {
            Some(slice) => slice,
            None if std::mem::take(may_split) => self.split_longest()?,
            None => return None,
        };
        Some(self.start(slice))
    }

    fn start(&mut self, slice: Slice) -> (usize, Slice) {
        let number = self.next_number;
        self.next_number += 1;
        self.reading.insert(number, Reading { slice: slice.clone(), page_span: None });
        (number, slice)
    }

    fn split_longest(&mut self) -> Option<Slice> {
        let begun =
            self.reading.values_mut().filter_map(|reading| Some((reading.page_span?, &mut reading.slice)));
        let (page_span, longest) =
            begun.max_by_key(|(page_span, slice)| slice.width() / (*page_span).max(1))?;
        longest.split(page_span)
    }

    fn unfinished(&self) -> Vec<Slice> {
        let reading = self.reading.values().map(|reading| &reading.slice);
        reading.chain(&self.found).chain(&self.waiting).cloned().collect()
    }
}

/// Number of pages that may be under way at once. Where HubSpot takes its time it takes many to reach its limit, and
/// each one's answer may have to wait in memory; where answers come faster than they become rows, more of them would
/// only wait.
struct Breadth {
    pages: usize,
    since: Instant,
    waited: Duration,
}

impl Breadth {
    fn new(now: Instant) -> Breadth {
        Breadth { pages: FEWEST_UNDER_WAY, since: now, waited: Duration::ZERO }
    }

    /// To be told how long each answer was waited for.
    fn waited(&mut self, waited: Duration, is_limit_reached: bool, now: Instant) {
        self.waited += waited;
        let time = now - self.since;
        if time < BREADTH_PERIOD {
            return;
        }
        if self.waited < time / 2 {
            self.pages = (self.pages * 3 / 4).max(FEWEST_UNDER_WAY);
        } else if !is_limit_reached {
            self.pages = (self.pages * 3 / 2).min(MOST_UNDER_WAY);
        }
        (self.since, self.waited) = (now, Duration::ZERO);
    }
}

/// Reads until no slice is left. On an error, the cursor holds what is not yet read.
pub(crate) async fn slices(
    feed: &dyn AnyOpenFeed,
    cursor: &mut Cursor,
    stage: &mut Stage<'_>,
    progress: &Progress,
    report: &mut FeedReport,
) -> anyhow::Result<()> {
    let Some(mut run) = cursor.run.take() else { return Ok(()) };
    let slices = Slices::new(std::mem::take(&mut run.slices));
    let mut reader = Reader { feed, cursor, run, slices, stage, progress, report };
    let read = reader.read().await;
    reader.hold_what_is_left();
    let Reader { cursor, run, .. } = reader;
    cursor.run = Some(run);
    read
}

fn is_unordered(error: &anyhow::Error) -> bool {
    error.downcast_ref::<hubspot::Error>().is_some_and(|error| error.kind() == ErrorKind::Unordered)
}

/// A run that is being read, and where its rows go.
struct Reader<'r, 's> {
    feed: &'r dyn AnyOpenFeed,
    cursor: &'r mut Cursor,
    /// Taken out of the cursor; its slices are those below.
    run: Unfinished,
    slices: Slices,
    stage: &'r mut Stage<'s>,
    progress: &'r Progress,
    report: &'r mut FeedReport,
}

impl Reader<'_, '_> {
    /// Reads the slices; again, in one sequence, if a list turns out not to be in the order of ids.
    async fn read(&mut self) -> anyhow::Result<()> {
        loop {
            match self.read_slices().await {
                Err(error) if is_unordered(&error) => {
                    tracing::warn!(feed.name = self.report.feed, "{error:#}: it is read in one sequence");
                    self.hold_what_is_left();
                    self.feed.read_in_sequence(self.cursor, &mut self.run)?;
                    self.slices = Slices::new(std::mem::take(&mut self.run.slices));
                }
                read => return read,
            }
        }
    }

    fn hold_what_is_left(&mut self) {
        self.run.set_slices(self.slices.unfinished());
    }

    async fn read_slices(&mut self) -> anyhow::Result<()> {
        let feed = self.feed;
        let mut under_way = FuturesUnordered::new();
        let columns = feed.tables().iter().map(|table| table.columns.len()).max().unwrap_or_default();
        let mut page_bytes = columns * PAGE_RECORDS * PROPERTY_BYTES;
        let mut breadth = Breadth::new(Instant::now());
        loop {
            let is_limit_reached = self.stage.run.client.budget().is_filled(RateLimit::General);
            let may_be_under_way = breadth.pages.min(MAX_BYTES_UNDER_WAY / page_bytes.max(1)).max(2);
            // One cut for each page that arrives: whether it was one too many shows only when it waits for its turn.
            let mut may_split = !is_limit_reached;
            while under_way.len() < may_be_under_way {
                let Some((number, slice)) = self.slices.next(&mut may_split) else { break };
                under_way.push(next_page(feed, number, slice));
            }
            let asked = Instant::now();
            let next = tokio::select! {
                // What is staged counts as soon as it can.
                biased;
                saved = self.stage.saved(self.report) => {
                    saved?;
                    continue;
                }
                next = under_way.next() => next,
            };
            let Some((number, page)) = next else {
                let due = feed.due(&mut self.run, true)?;
                if due.is_empty() {
                    return Ok(());
                }
                self.slices.waiting.extend(due);
                continue;
            };
            let page = page?;
            let now = Instant::now();
            breadth.waited(now - asked, is_limit_reached, now);
            // Follows the largest pages at once, and forgets them slowly.
            page_bytes = page.size_bytes().max(page_bytes - page_bytes / 16);
            self.append(number, page)?;
            if self.stage.is_checkpoint_due() {
                self.begin_checkpoint().await?;
            }
        }
    }

    /// Turns a page into rows, and moves its slice past it.
    fn append(&mut self, number: usize, page: Page) -> anyhow::Result<()> {
        let Some(reading) = self.slices.reading.get_mut(&number) else { return Ok(()) };
        let appended = self.feed.append(page, &mut reading.slice, &mut self.run, &mut self.stage.rows()?)?;
        reading.page_span = Some(appended.span);
        self.stage.page_done(&appended, self.report)?;
        self.progress.add(appended.written.iter().map(|written| written.rows).sum());
        self.slices.found.extend(appended.found);
        if !appended.is_last {
            self.slices.paused.push_back(number);
        } else if let Some(finished) = self.slices.reading.remove(&number) {
            self.slices.waiting.extend(self.feed.follow_up(&finished.slice, &mut self.run)?);
        }
        self.slices.waiting.extend(self.feed.due(&mut self.run, false)?);
        Ok(())
    }

    async fn begin_checkpoint(&mut self) -> anyhow::Result<()> {
        self.hold_what_is_left();
        // It is not saved, and large.
        let recent = std::mem::take(&mut self.run.recent);
        self.cursor.run = Some(self.run.clone());
        self.run.recent = recent;
        self.stage.begin_checkpoint(self.cursor, self.report).await
    }
}

/// A slice's next page; a smaller one when HubSpot fails on it again and again, unless the feed has tried that.
async fn next_page(feed: &dyn AnyOpenFeed, number: usize, slice: Slice) -> (usize, hubspot::Result<Page>) {
    let fewest = if feed.reads_around() { PAGE_RECORDS } else { FEWEST_PAGE_RECORDS };
    let mut limit = PAGE_RECORDS;
    loop {
        let page = feed.fetch(&slice, limit).await;
        match page {
            Err(error) if error.kind() == ErrorKind::Server && limit > fewest => {
                limit = (limit / 2).max(fewest);
                let collection = feed.tables().first().map(|table| table.collection.as_str());
                tracing::warn!(collection.name = collection, page.records = limit, "a smaller page is tried");
            }
            page => return (number, page),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(name: &str) -> Slice {
        serde_json::from_value(serde_json::json!({ "kind": name })).unwrap()
    }

    #[test]
    fn what_was_found_is_read_before_the_search_goes_on() {
        let (search, found, all) = (slice("search"), slice("found"), slice("all"));
        let mut slices = Slices::new(vec![search.clone(), all.clone()]);
        let (number, _) = slices.next(&mut false).unwrap();
        slices.found.push_back(found.clone());
        slices.paused.push_back(number);
        assert_eq!(slices.unfinished(), [search.clone(), found.clone(), all.clone()]);
        let order = std::iter::from_fn(|| Some(slices.next(&mut true)?.1));
        assert_eq!(order.collect::<Vec<_>>(), [found, search, all]);
    }

    #[test]
    fn as_many_are_under_way_as_the_answers_take_time() {
        let mut now = Instant::now();
        let mut breadth = Breadth::new(now);
        let mut after_a_second = |waited_ms: u64, is_limit_reached: bool| {
            now += BREADTH_PERIOD;
            breadth.waited(Duration::from_millis(waited_ms), is_limit_reached, now);
            breadth.pages
        };
        let slow = [false, false, true, false, false].map(|is_reached| after_a_second(900, is_reached));
        assert_eq!(slow, [12, 18, 18, 27, MOST_UNDER_WAY]);
        let busy = [100, 100, 100, 100, 100, 100].map(|waited_ms| after_a_second(waited_ms, false));
        assert_eq!(busy, [24, 18, 13, 9, FEWEST_UNDER_WAY, FEWEST_UNDER_WAY]);
    }
}
