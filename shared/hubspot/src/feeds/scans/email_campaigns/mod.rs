//! E-mail campaigns. HubSpot lists their ids in no order, and apart from that those with recent activity; what a
//! campaign is, and its counters, takes one call for each. So a run asks for the campaigns that are new or were active
//! since the last run, and for no other.
//!
//! Campaigns v1, which tells all this, has no date-based successor. Where it does not answer any more, campaigns come from
//! the marketing e-mails that own them.
//!
//! One that can't be had is set aside; where none can be had, it is the family that is refused.

mod details;
mod listing;
mod of_emails;
mod open_campaigns;
mod table;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use staging::{Pairs, Rows, Table};

use self::details::{Detail, is_of};
use self::open_campaigns::{KIND, NEVER_ACTIVE, ODD_KIND, OpenCampaigns, V1};
use self::table::CAMPAIGNS;
use super::{RunOfScan, Stamps};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::Cursor;
use crate::feeds::dictionary::CollectionEntry;
use crate::feeds::document::{Document, Writer};
use crate::feeds::lineage::DeletedReason;
use crate::feeds::open_feed::{self, CursorOf, Planned};
use crate::feeds::own::{FeedState, Taken};
use crate::feeds::quarantine::Thing;
use crate::feeds::unfinished::Mode;
use crate::feeds::{Appended, Feed, Note, OpenFeed, Opened, Session, Window, full_refresh};
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::value;

/// Campaigns that one page of rows asks for, one call each.
const DETAILS: usize = 20;
/// Details of campaigns that are asked for at the same time.
const DETAILS_AT_ONCE: usize = 4;
#[derive(Debug)]
pub(in crate::feeds) struct EmailCampaigns;

#[async_trait]
impl Feed for EmailCampaigns {
    fn name(&self) -> &'static str {
        CAMPAIGNS.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &["email_campaigns"]
    }

    fn is_full_refresh(&self) -> bool {
        true
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![CAMPAIGNS.entry()]
    }

    async fn ask_again(&self, client: &Client, cursor: &mut Cursor) -> Result<()> {
        if cursor.absent.contains_key(V1) && listing::answers(client).await? {
            cursor.answers_again(V1);
        }
        Ok(())
    }

    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened> {
        let held = cursor.held(KIND).filter_map(parse_id).collect();
        let mut kept = Taken::of(cursor)?;
        let kept: CursorOf<'_, Stamps> = kept.with();
        let without_v1 = kept.absent.get(V1).cloned();
        // The columns of a table that is new are those that its documentation promises.
        let is_narrow = without_v1.is_some() && kept.has_tables();
        let without: &[&str] = if is_narrow { &of_emails::OF_V1 } else { &[] };
        Ok(Box::new(OpenCampaigns {
            session: session.clone(),
            document: Document::new(&CAMPAIGNS, without)?,
            mode,
            without_v1,
            is_narrow,
            without_counters: Mutex::default(),
            known_of_emails: kept.own.of_emails.clone(),
            known: kept.own.stamps.clone(),
            held,
            listed: Mutex::default(),
            has_told: AtomicBool::new(false),
            tells_counters: AtomicBool::new(false),
        }))
    }
}

/// Campaigns that are asked for by their ids, the last ones first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Slice {
    #[serde(rename = "named")]
    ByIds { ids: Vec<u64> },
    /// All marketing e-mails, in place of campaigns v1.
    OfEmails,
}

impl FeedState for Slice {}

impl Slice {
    /// `true`: the campaign is still to be asked for.
    fn holds(&self, id: u64) -> bool {
        matches!(self, Slice::ByIds { ids } if ids.contains(&id))
    }
}

/// Turns a 404 of campaigns v1 as a whole into [`ErrorKind::SourceLost`].
fn lost_if_gone(refused: Error) -> Error {
    if refused.kind() == ErrorKind::NotFound { refused.lost_if_refused(V1) } else { refused }
}

/// Details of some campaigns.
#[derive(Debug)]
enum Page {
    Details(Vec<(u64, Detail)>),
    OfEmails(Vec<Body>),
}

#[async_trait]
impl OpenFeed for OpenCampaigns {
    type Slice = Slice;
    type Run = Stamps;
    type Kept = Stamps;
    type Content = Page;

    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.document.table)
    }

    /// The lists are read here; what they say is kept in the run.
    async fn plan(
        &self,
        _window: Window,
        _cursor: &mut CursorOf<'_, Stamps>,
    ) -> Result<Planned<Slice, Stamps>> {
        let now_ms = self.client().now().timestamp_millis();
        let mut run: Planned<Slice, Stamps> = Planned::new(self.mode, now_ms, 0);
        run.is_whole = self.is_backfill();
        if self.without_v1.is_some() {
            run.own.stamps = self.known.clone();
            run.slices.push(Slice::OfEmails);
            return Ok(run);
        }
        let lists = self.scan().await.map_err(lost_if_gone)?;
        let is_wanted = |(id, stamp): &(&u64, &i64)| {
            self.is_backfill() || self.held.contains(id) || self.known.0.get(id) != Some(stamp)
        };
        let mut ids: Vec<u64> = lists.stamps.iter().filter(is_wanted).map(|(id, _)| *id).collect();
        // The list has no order to rely on: one that it does not show is asked for before it is said to be gone.
        let mut unseen: BTreeSet<u64> = self.known.0.keys().chain(&self.held).copied().collect();
        let before = unseen.len();
        unseen.retain(|id| !lists.stamps.contains_key(id));
        self.session.check_removals("campaigns", before, unseen.len())?;
        ids.extend(unseen);
        run.own = Stamps { stamps: Pairs(lists.stamps.clone()), ..Stamps::default() };
        if lists.odd > 0 {
            let thing = Thing { kind: ODD_KIND, id: "without an id", collection: CAMPAIGNS.name };
            run.set_aside(thing, format!("{} entries of the list name no campaign", lists.odd));
        }
        *self.listed() = lists;
        if !ids.is_empty() {
            run.slices.push(Slice::ByIds { ids });
        }
        Ok(run)
    }

    async fn resume(&self, run: &mut RunOfScan<'_>, slices: &mut Vec<Slice>) -> Result<()> {
        if self.without_v1.is_some() {
            // What the run has read of campaigns v1 it keeps; nobody tells the rest.
            let is_read = |id: &u64| !slices.iter().any(|slice| slice.holds(*id));
            let read = std::mem::take(&mut run.own.stamps.0).into_iter().filter(|(id, _)| is_read(id));
            run.own.stamps = Pairs(self.known.0.clone().into_iter().chain(read).collect());
            *slices = vec![Slice::OfEmails];
            return Ok(());
        }
        *self.listed() = self.scan().await.map_err(lost_if_gone)?;
        Ok(())
    }

    fn reads_around(&self) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<open_feed::Page<Page>> {
        let Slice::ByIds { ids } = slice else {
            let emails = full_refresh::marketing_emails(self.client()).await?.answers;
            let size_bytes = emails.iter().map(|body| body.len()).sum();
            return Ok(open_feed::Page::new(Page::OfEmails(emails), size_bytes));
        };
        let (rest, asked) = ids.split_at(ids.len() - ids.len().min(limit.min(DETAILS)));
        let mut details: Vec<(u64, Detail)> = stream::iter(asked.to_vec())
            .map(|id| self.detail(id))
            .buffered(DETAILS_AT_ONCE)
            .try_collect()
            .await?;
        self.complete(&mut details).await?;
        let first = details.iter().position(|(_, detail)| matches!(detail, Detail::Refused(_)));
        if let Some(place) = first
            && let Detail::Refused(refused) = &details[place].1
            && !self.answers_for_others(asked, rest, refused).await?
            && let Detail::Refused(refused) = details.swap_remove(place).1
        {
            return Err(lost_if_gone(refused));
        }
        let size_bytes = details.iter().map(|(_, detail)| detail.size_bytes()).sum();
        Ok(open_feed::Page::new(Page::Details(details), size_bytes))
    }

    fn append_page(
        &self,
        page: open_feed::Page<Page>,
        slice: &mut Slice,
        run: &mut RunOfScan<'_>,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let [rows] = rows else { return Err(Error::new(ErrorKind::Malformed, "campaigns have one table")) };
        let (ids, details) = match (slice, page.content) {
            (Slice::ByIds { ids }, Page::Details(details)) => (ids, details),
            (Slice::OfEmails, Page::OfEmails(emails)) => {
                let written = self.append_of_emails(&emails, page.read_ms, run, rows)?;
                return Ok(Appended { written: vec![written], is_last: true, ..Appended::default() });
            }
            _ => return Err(Error::new(ErrorKind::Malformed, "a page does not belong to its slice")),
        };
        let mut writer = self.document.writer(rows, self.session.reading(page.read_ms));
        let done = details.len();
        let listed = self.listed();
        for (id, detail) in details {
            match detail {
                Detail::Told(detail) => {
                    let active_ms = *run.own.stamps.0.entry(id).or_insert(NEVER_ACTIVE);
                    match self.row(id, &detail, active_ms, listed.groups.get(&id).copied(), &mut writer) {
                        Ok(()) => run.release(KIND, id),
                        Err(odd) => {
                            writer.discard();
                            self.set_aside(id, &odd.to_string(), run);
                        }
                    }
                }
                Detail::Gone => {
                    run.own.stamps.0.remove(&id);
                    run.release(KIND, id);
                    writer.set("id", |cell| cell.bigint(id as i64));
                    writer.finish_gone(None, DeletedReason::Removed, None);
                }
                Detail::Refused(refused) => self.set_aside(id, refused.reason(), run),
            }
        }
        ids.truncate(ids.len().saturating_sub(done));
        Ok(Appended { written: vec![writer.written], is_last: ids.is_empty(), ..Appended::default() })
    }

    fn due(&self, run: &mut RunOfScan<'_>, is_end: bool) -> Vec<Slice> {
        if is_end {
            run.release_what_was_not_set_aside_again(ODD_KIND);
        }
        Vec::new()
    }

    fn keep(&self, run: &mut RunOfScan<'_>, kept: &mut Stamps) {
        *kept = std::mem::take(run.own);
    }

    fn notes(&self) -> Vec<Note> {
        self.notes_of_emails()
    }
}

impl OpenCampaigns {
    fn row(
        &self,
        id: u64,
        detail: &str,
        active_ms: i64,
        group: Option<i64>,
        writer: &mut Writer<'_>,
    ) -> Result<(), Malformed> {
        if !is_of(detail, id)? {
            return Err(Malformed { at: 0, expected: "the campaign that was asked for" });
        }
        writer.set("id", |cell| cell.bigint(id as i64));
        if active_ms != NEVER_ACTIVE && value::is_instant(active_ms) {
            writer.set("last_updated_time", |cell| cell.timestamp(active_ms));
        }
        if let Some(group) = group {
            writer.set("group_id", |cell| cell.bigint(group));
        }
        writer.fill(&mut Scanner::new(detail))?;
        // HubSpot does not say when a campaign was changed: the newest read is the newest version.
        writer.finish(None);
        Ok(())
    }

    /// Its row stays as it is. To the next run it is as new as to this one, whatever becomes of the quarantine.
    fn set_aside(&self, id: u64, reason: &str, run: &mut RunOfScan<'_>) {
        match self.known.0.get(&id) {
            Some(&known) => run.own.stamps.0.insert(id, known),
            None => run.own.stamps.0.remove(&id),
        };
        run.set_aside(Thing { kind: KIND, id: &id.to_string(), collection: CAMPAIGNS.name }, reason);
    }
}
