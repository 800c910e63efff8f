//! Asks for the pages of a window: by their offsets while these are good, else from the top of what is left.

use super::answer::{Shown, each_entry};
use super::open_feed::{OpenEventFeed, Page};
use super::slice::{Slice, WindowOffset};
use crate::call::Call;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;
use crate::retry::Patience;

/// Entries in a page, for each record that a page may have: HubSpot takes up to 1,000
/// (<https://developers.hubspot.com/docs/api-reference/legacy/reporting/email-analytics/events/get-email-public-v1-events>).
const ENTRIES_PER_RECORD: usize = 10;
/// Pages that are fetched in one go, where offsets die, until one of them is a step forward.
const MAX_PAGES_AT_ONCE: usize = 64;
/// Words that may die one after the other without a step forward.
const MAX_EXPIRED: u32 = 50;

/// A slice's window, and down to where it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remaining {
    pub(super) since_ms: i64,
    pub(super) until_ms: i64,
    pub(super) reached_ms: Option<i64>,
}

impl Remaining {
    /// The window as it is asked for without an offset.
    pub(super) fn asked_from(self, feed: &OpenEventFeed) -> WindowOffset {
        let Remaining { since_ms, until_ms, reached_ms } = self;
        let top_ms = |reached_ms| feed.trails().entry(until_ms).or_default().top_ms(reached_ms);
        let until_ms =
            reached_ms.map_or(until_ms, |reached_ms| top_ms(reached_ms).min(until_ms).max(since_ms));
        WindowOffset { since_ms, until_ms, offset: String::new() }
    }
}

impl OpenEventFeed {
    /// The next page of a slice.
    pub(super) async fn page(&self, slice: &Slice, limit: usize) -> Result<Page> {
        let &Slice::Happened { since_ms, until_ms, ref asked, reached_ms } = slice;
        let window = Remaining { since_ms, until_ms, reached_ms };
        match self.page_of(window, asked.clone(), limit).await {
            Err(failed) if is_of_a_window(&failed) => self.failed_page(window, failed).await,
            page => {
                if page.is_ok() {
                    self.has_answered();
                }
                page
            }
        }
    }

    async fn page_of(&self, window: Remaining, asked: Option<WindowOffset>, limit: usize) -> Result<Page> {
        let (asked, patience) = (asked.unwrap_or_else(|| window.asked_from(self)), self.patience(window));
        let first = {
            let _turn = self.turns.read().await;
            self.ask(&asked, limit, patience).await
        };
        let (bodies, asked) = match first {
            Ok(body) => (vec![body], asked),
            Err(expired) if is_expired(&expired, &asked) => {
                self.count_expired(window.until_ms, &expired);
                self.forward(window, limit).await?
            }
            Err(failed) => return Err(failed),
        };
        let WindowOffset { since_ms, until_ms, ref offset } = asked;
        let limit = limit * ENTRIES_PER_RECORD;
        Ok(Page { bodies, since_ms, until_ms, goes_on: !offset.is_empty(), limit, refused: None })
    }

    pub(super) async fn ask(&self, asked: &WindowOffset, limit: usize, patience: Patience) -> Result<Body> {
        let offset = match asked.offset.as_str() {
            "" => String::new(),
            offset => format!("&offset={}", percent_encoded(offset)),
        };
        let path = format!(
            "{}?startTimestamp={}&endTimestamp={}&limit={}{}{offset}",
            self.feed.path,
            asked.since_ms,
            asked.until_ms,
            limit * ENTRIES_PER_RECORD,
            self.feed.query,
        );
        self.session.client.send_for_list(&Call::get(path).with(patience), self.feed.list).await
    }

    /// Pages from the top, until one of them is a step forward; from the top again, which is lower by then, when a word
    /// dies on the way.
    async fn forward(&self, window: Remaining, limit: usize) -> Result<(Vec<Body>, WindowOffset)> {
        let _alone = self.turns.write().await;
        let Remaining { since_ms, until_ms, reached_ms } = window;
        'top: loop {
            let from_the_top = window.asked_from(self);
            let (mut asked, mut bodies) = (from_the_top.clone(), Vec::new());
            loop {
                let body = match self.ask(&asked, limit, self.patience(window)).await {
                    Err(expired) if is_expired(&expired, &asked) => {
                        self.count_expired(until_ms, &expired);
                        continue 'top;
                    }
                    answer => answer?,
                };
                let mut shown = Shown::default();
                each_entry(self.feed, &body, |_, _, at_ms| {
                    shown.moments.extend(at_ms.ok().filter(|at_ms| (since_ms..=until_ms).contains(at_ms)));
                })?;
                let next = body.next(limit * ENTRIES_PER_RECORD);
                bodies.push(body);
                let is_forward = shown.reached_ms(reached_ms.unwrap_or(until_ms)).is_some();
                match next {
                    Next::At(offset)
                        if !is_forward
                            && self.follows_offsets(until_ms)
                            && offset != asked.offset
                            && bodies.len() < MAX_PAGES_AT_ONCE =>
                    {
                        asked.offset = offset;
                    }
                    _ => return Ok((bodies, from_the_top)),
                }
            }
        }
    }

    /// Too many that die make an end of following offsets in this window.
    fn count_expired(&self, until_ms: i64, expired: &Error) {
        tracing::debug!(feed.name = self.feed.name, "a page's offset has expired: {expired}");
        let mut trails = self.trails();
        let trail = trails.entry(until_ms).or_default();
        trail.expired += 1;
        if trail.expired > MAX_EXPIRED && !trail.is_seeking {
            trail.is_seeking = true;
            let name = self.feed.name;
            tracing::warn!(feed.name = name, "offsets die faster than pages can be read: none is followed");
        }
    }

    fn follows_offsets(&self, until_ms: i64) -> bool {
        self.trails().get(&until_ms).is_none_or(|trail| !trail.is_seeking)
    }
}

/// HubSpot documents no answer for a word that has died: any refusal of a request that has one.
fn is_expired(error: &Error, asked: &WindowOffset) -> bool {
    error.kind() == ErrorKind::BadRequest && !asked.offset.is_empty()
}

/// HubSpot may answer for another window. A window without an offset that is refused is such a one, too.
fn is_of_a_window(failed: &Error) -> bool {
    matches!(failed.kind(), ErrorKind::Server | ErrorKind::Malformed | ErrorKind::BadRequest)
}
