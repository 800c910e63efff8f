//! E-mail campaigns. HubSpot lists their ids in no order, and apart from that those with recent activity; what a
//! campaign is, and its counters, takes one call for each. So a run asks for the campaigns that are new or were active
//! since the last run, and for no other.
//!
//! One that can't be had is set aside; where none can be had, it is the family that is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use staging::ColumnType::{BigInt, Text, Timestamp};
use staging::{Pairs, Rows, Table};

use super::collection::{Collection, field, made};
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::document::{Document, Writer};
use super::lineage::DeletedReason;
use super::quarantine::Thing;
use super::slice::{self, Slice};
use super::{Appended, Content, Feed, OpenFeed, Session, Window};
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::paging::{Next, Passed};
use crate::retry::Patience;
use crate::value;

/// Campaigns in a page of either list; HubSpot documents no number, connectors ask for as many.
const PAGE_CAMPAIGNS: usize = 500;
/// Campaigns that one page of rows asks for, one call each.
const DETAILS: usize = 20;
/// Of those under way at once.
const DETAILS_AT_ONCE: usize = 4;
/// A stamp of a campaign whose last activity HubSpot has not told.
const NEVER_ACTIVE: i64 = 0;
/// What the quarantine calls a campaign, and an entry of the lists that names none.
const KIND: &str = "campaign";
const ODD_KIND: &str = "listed campaign";
const NO_COUNTERS: &str = "two answers leave out its counters";
/// Campaigns that are asked for to find out whether it is the whole family that is refused.
const OTHERS: usize = 2;

#[derive(Debug)]
pub(super) struct EmailCampaigns;

static CAMPAIGNS: Collection = Collection {
    name: "email_campaigns",
    about: "An e-mail campaign, with what was counted of it.",
    primary_key: &["id"],
    key_reason: "HubSpot's campaign id; one e-mail may own several campaigns",
    set_key: &[],
    is_deletable: true,
    calls: "1 for each 500 campaigns, 1 for those with recent activity (at least 2)",
    columns: &[
        field("id", BigInt, "id"),
        field("app_id", BigInt, "appId"),
        field("app_name", Text, "appName"),
        field("content_id", BigInt, "contentId"),
        made("group_id", BigInt, "`groupId` of the list of campaigns"),
        field("name", Text, "name"),
        field("subject", Text, "subject"),
        field("type", Text, "type"),
        field("sub_type", Text, "subType"),
        field("counters_sent", BigInt, "counters.sent"),
        field("counters_delivered", BigInt, "counters.delivered"),
        field("counters_open", BigInt, "counters.open"),
        field("counters_click", BigInt, "counters.click"),
        field("counters_processed", BigInt, "counters.processed"),
        field("counters_deferred", BigInt, "counters.deferred"),
        field("counters_bounce", BigInt, "counters.bounce"),
        field("counters_dropped", BigInt, "counters.dropped"),
        field("counters_mta_dropped", BigInt, "counters.mta_dropped"),
        field("counters_suppressed", BigInt, "counters.suppressed"),
        field("counters_forward", BigInt, "counters.forward"),
        field("counters_print", BigInt, "counters.print"),
        field("counters_reply", BigInt, "counters.reply"),
        field("counters_spamreport", BigInt, "counters.spamreport"),
        field("counters_statuschange", BigInt, "counters.statuschange"),
        field("counters_unsubscribed", BigInt, "counters.unsubscribed"),
        field("num_included", BigInt, "numIncluded"),
        field("num_queued", BigInt, "numQueued"),
        made("last_updated_time", Timestamp, "`lastUpdatedTime` of the list of recent activity"),
    ],
};

#[async_trait]
impl Feed for EmailCampaigns {
    fn name(&self) -> &'static str {
        CAMPAIGNS.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &["email_campaigns"]
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![CAMPAIGNS.entry()]
    }

    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>> {
        let quarantine = cursor.run.as_ref().map_or(&cursor.quarantine, |run| &run.quarantine);
        Ok(Box::new(OpenCampaigns {
            session: session.clone(),
            document: Document::new(&CAMPAIGNS, &[])?,
            mode,
            known: cursor.stamps.clone(),
            held: quarantine.ids(KIND).filter_map(parse_id).collect(),
            listed: Mutex::default(),
            has_told: AtomicBool::new(false),
            tells_counters: AtomicBool::new(false),
        }))
    }
}

#[derive(Debug)]
struct OpenCampaigns {
    session: Session,
    document: Document,
    mode: Mode,
    /// The last activity of each campaign, as of the last run.
    known: Pairs,
    /// Campaigns that earlier runs have asked for in vain.
    held: BTreeSet<u64>,
    listed: Mutex<Lists>,
    /// Some campaign was told of.
    has_told: AtomicBool,
    /// Some campaign was told of with its counters: an answer without them is one in part.
    tells_counters: AtomicBool,
}

/// What the lists say.
#[derive(Debug, Default)]
struct Lists {
    /// The last activity of each campaign.
    stamps: BTreeMap<u64, i64>,
    /// The group of each campaign, which nothing else tells.
    groups: BTreeMap<u64, i64>,
    /// Entries that name no campaign.
    odd: u64,
}

/// What some campaigns are.
#[derive(Debug)]
pub(super) struct Page {
    details: Vec<(u64, Detail)>,
}

#[derive(Debug)]
enum Detail {
    Told(Body),
    /// No list shows it, and it is not found.
    Gone,
    Refused(Error),
}

#[derive(Deserialize)]
struct Listed {
    campaigns: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedCampaign {
    #[serde(deserialize_with = "crate::json::deserialize_id")]
    id: u64,
    #[serde(default)]
    last_updated_time: Option<i64>,
    #[serde(default)]
    group_id: Option<i64>,
}

impl ListedCampaign {
    /// When it was active last; what is no instant is not told.
    fn active_ms(&self) -> Option<i64> {
        self.last_updated_time.filter(|&ms| value::is_instant(ms))
    }
}

impl OpenCampaigns {
    fn client(&self) -> &Client {
        &self.session.client
    }

    fn listed(&self) -> MutexGuard<'_, Lists> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `each` with the campaigns of every page of a list, until it says that it has seen enough. Answers with the
    /// number of entries that name no campaign. A position that HubSpot refuses costs a second look from the top.
    async fn each_page(
        &self,
        path: &str,
        mut each: impl FnMut(Vec<ListedCampaign>) -> bool + Send,
    ) -> Result<u64> {
        let (mut offset, mut odd, mut is_second) = (String::new(), 0, false);
        let mut passed = Passed::default();
        loop {
            let call = Call::get(format!("{path}?limit={PAGE_CAMPAIGNS}{offset}"));
            let answer = match self.client().send_for_list(&call, "campaigns").await {
                Err(refused)
                    if refused.kind() == ErrorKind::BadRequest && !offset.is_empty() && !is_second =>
                {
                    (offset, odd, is_second) = (String::new(), 0, true);
                    passed = Passed::default();
                    continue;
                }
                answer => answer?,
            };
            let listed: Listed = serde_json::from_str(&answer).map_err(|source| {
                Error::new(ErrorKind::Malformed, "a list of campaigns does not parse").caused_by(source)
            })?;
            let shown = listed.campaigns.len() as u64;
            let campaigns: Vec<ListedCampaign> =
                listed.campaigns.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
            odd += shown - campaigns.len() as u64;
            if !each(campaigns) {
                return Ok(odd);
            }
            offset = match answer.next(PAGE_CAMPAIGNS) {
                Next::At(next) => {
                    passed.pass(&next, path)?;
                    format!("&offset={}", percent_encoded(&next))
                }
                Next::End => return Ok(odd),
                Next::Full | Next::Unsaid => {
                    let message = format!("a page of {path} does not say where the next one begins");
                    return Err(Error::new(ErrorKind::Malformed, message));
                }
            };
        }
    }

    /// Every campaign, and its last activity where that is after what is known.
    async fn scan(&self) -> Result<Lists> {
        let (mut stamps, mut groups) = (BTreeMap::new(), BTreeMap::new());
        let mut all = |listed: Vec<ListedCampaign>| {
            for campaign in listed {
                groups.extend(campaign.group_id.map(|group| (campaign.id, group)));
                let known = self.known.0.get(&campaign.id).copied().unwrap_or(NEVER_ACTIVE);
                stamps.insert(campaign.id, known.max(campaign.active_ms().unwrap_or(NEVER_ACTIVE)));
            }
            true
        };
        let odd = self.each_page("/email/public/v1/campaigns/by-id", &mut all).await?;
        // A day of overlap: activity is told late.
        let now_ms = self.client().now().timestamp_millis();
        let times = self.known.0.values().copied().filter(|&ms| ms <= now_ms);
        let newest_ms = times.max().filter(|_| self.mode == Mode::Incremental);
        let enough_ms =
            newest_ms.map_or(i64::MIN, |ms| ms.saturating_sub(self.session.lookback.history_overlap_ms));
        let mut recent = |listed: Vec<ListedCampaign>| {
            // One that is out of order is no end.
            let mut newest_ms = None;
            for campaign in listed {
                groups.extend(campaign.group_id.map(|group| (campaign.id, group)));
                let Some(active_ms) = campaign.active_ms() else { continue };
                newest_ms = newest_ms.max(Some(active_ms));
                let stamp = stamps.entry(campaign.id).or_insert(NEVER_ACTIVE);
                *stamp = (*stamp).max(active_ms);
            }
            newest_ms.is_none_or(|newest_ms| newest_ms >= enough_ms)
        };
        let odd = odd.max(self.each_page("/email/public/v1/campaigns", &mut recent).await?);
        Ok(Lists { stamps, groups, odd })
    }

    async fn ask(&self, id: u64, patience: Patience) -> Result<Body> {
        let call = Call::get(format!("/email/public/v1/campaigns/{id}"));
        let answer = self.client().send(&call.with(patience)).await;
        self.has_told.fetch_or(answer.is_ok(), Ordering::Relaxed);
        self.tells_counters.fetch_or(answer.as_deref().is_ok_and(has_counters), Ordering::Relaxed);
        answer
    }

    /// Asks once more for those that were told of without counters. Where no campaign of this run has any, one that the
    /// run does not ask for says whether HubSpot tells them at all.
    async fn complete(&self, details: &mut [(u64, Detail)]) -> Result<()> {
        let lacks = |detail: &Detail| matches!(detail, Detail::Told(body) if !has_counters(body));
        if !details.iter().any(|(_, detail)| lacks(detail)) {
            return Ok(());
        }
        if !self.tells_counters.load(Ordering::Relaxed) {
            let is_asked = |id: &u64| details.iter().any(|(asked, _)| asked == id) || self.held.contains(id);
            let other = self.known.0.keys().copied().find(|id| !is_asked(id));
            if let Some(other) = other
                && let Err(failed) = self.ask(other, Patience::Little).await
                && !failed.may_be_of_one_thing()
            {
                return Err(failed);
            }
        }
        if !self.tells_counters.load(Ordering::Relaxed) {
            return Ok(());
        }
        for (id, detail) in details.iter_mut().filter(|(_, detail)| lacks(detail)) {
            *detail = self.detail(*id).await?.1;
            if lacks(detail) {
                *detail = Detail::Refused(Error::new(ErrorKind::Malformed, NO_COUNTERS));
            }
        }
        Ok(())
    }

    /// # Errors
    /// Only when the answer says nothing of the campaign.
    async fn detail(&self, id: u64) -> Result<(u64, Detail)> {
        let patience = if self.held.contains(&id) { Patience::Once } else { Patience::Little };
        let detail = match self.ask(id, patience).await {
            Ok(body) => Detail::Told(body),
            Err(gone) if gone.kind() == ErrorKind::NotFound && !self.listed().stamps.contains_key(&id) => {
                Detail::Gone
            }
            Err(refused) if refused.may_be_of_one_thing() => Detail::Refused(refused),
            Err(failed) => return Err(failed),
        };
        Ok((id, detail))
    }

    /// Whether the refusal is that of single campaigns: others are told of. `asked` were refused.
    async fn answers_for_others(&self, asked: &[u64], rest: &[u64], refused: &Error) -> Result<bool> {
        if self.has_told.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let known = self.known.0.keys().filter(|id| !self.held.contains(id) && !asked.contains(id));
        let others: Vec<u64> = rest.iter().rev().chain(known).take(OTHERS).copied().collect();
        for &id in &others {
            match self.ask(id, Patience::Little).await {
                Ok(_) => return Ok(true),
                Err(failed) if !failed.may_be_of_one_thing() => return Err(failed),
                Err(_) => {}
            }
        }
        let is_of_family = matches!(refused.kind(), ErrorKind::MissingScope | ErrorKind::NotFound);
        if is_of_family || !others.is_empty() {
            return Ok(false);
        }
        // It is the only one there is: if HubSpot answers otherwise, it is the campaign.
        self.client().send(&Call::get("/email/public/v1/campaigns/by-id?limit=1")).await?;
        Ok(true)
    }
}

#[async_trait]
impl OpenFeed for OpenCampaigns {
    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.document.table)
    }

    /// The lists are read here; what they say is kept in the run.
    async fn plan(&self, _window: Window, _cursor: &mut Cursor) -> Result<Unfinished> {
        let now_ms = self.client().now().timestamp_millis();
        let mut run = Unfinished::new(self.mode, now_ms, 0);
        run.is_whole = self.mode == Mode::Backfill;
        let lists = self.scan().await?;
        let is_wanted = |(id, stamp): &(&u64, &i64)| {
            self.mode == Mode::Backfill || self.held.contains(id) || self.known.0.get(id) != Some(stamp)
        };
        let mut ids: Vec<u64> = lists.stamps.iter().filter(is_wanted).map(|(id, _)| *id).collect();
        // The list has no order to rely on: one that it does not show is asked for before it is said to be gone.
        let mut unseen: BTreeSet<u64> = self.known.0.keys().chain(&self.held).copied().collect();
        let before = unseen.len();
        unseen.retain(|id| !lists.stamps.contains_key(id));
        self.session.check_removals("campaigns", before, unseen.len())?;
        ids.extend(unseen);
        run.stamps = Pairs(lists.stamps.clone());
        if lists.odd > 0 {
            let thing = Thing { kind: ODD_KIND, id: "without an id", collection: CAMPAIGNS.name };
            run.set_aside(thing, format!("{} entries of the list name no campaign", lists.odd));
        }
        *self.listed() = lists;
        if !ids.is_empty() {
            run.slices.push(Slice::Named { ids });
        }
        Ok(run)
    }

    async fn resume(&self, _run: &mut Unfinished) -> Result<()> {
        *self.listed() = self.scan().await?;
        Ok(())
    }

    fn reads_around(&self, _slice: &Slice) -> bool {
        true
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page> {
        let Slice::Named { ids } = slice else { return Err(slice::foreign(slice)) };
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
            return Err(refused);
        }
        let size_bytes = details.iter().map(|(_, detail)| detail.size_bytes()).sum();
        Ok(super::Page::new(Content::Campaigns(Page { details }), size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let (Content::Campaigns(content), Slice::Named { ids }, [rows]) = (page.content, &mut *slice, rows)
        else {
            return Err(slice::foreign(slice));
        };
        let mut writer = self.document.writer(rows, self.session.reading(page.read_ms));
        let done = content.details.len();
        let listed = self.listed();
        for (id, detail) in content.details {
            match detail {
                Detail::Told(detail) => {
                    let active_ms = *run.stamps.0.entry(id).or_insert(NEVER_ACTIVE);
                    match self.row(id, &detail, active_ms, listed.groups.get(&id).copied(), &mut writer) {
                        Ok(()) => run.release(KIND, id),
                        Err(odd) => {
                            writer.discard();
                            self.set_aside(id, &odd.to_string(), run);
                        }
                    }
                }
                Detail::Gone => {
                    run.stamps.0.remove(&id);
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

    fn checks(&self, run: &mut Unfinished, is_end: bool) -> Vec<Slice> {
        if is_end {
            run.release_what_was_not_set_aside_again(ODD_KIND);
        }
        Vec::new()
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
    fn set_aside(&self, id: u64, reason: &str, run: &mut Unfinished) {
        match self.known.0.get(&id) {
            Some(&known) => run.stamps.0.insert(id, known),
            None => run.stamps.0.remove(&id),
        };
        run.set_aside(Thing { kind: KIND, id: &id.to_string(), collection: CAMPAIGNS.name }, reason);
    }
}

/// The answer says that it is about this campaign.
fn is_of(detail: &str, id: u64) -> Result<bool, Malformed> {
    let (mut scanner, mut told) = (Scanner::new(detail), None);
    if scanner.is_object() {
        scanner.each_field(|key, value| match key.raw() {
            "id" if !value.is_nested() => {
                told = value.scalar()?.and_then(|id| parse_id(id.raw()));
                Ok(())
            }
            _ => value.skip(),
        })?;
    }
    Ok(told == Some(id))
}

/// The answer has counters, though each of them may be left out.
fn has_counters(detail: &str) -> bool {
    let (mut scanner, mut has_any) = (Scanner::new(detail), false);
    if !scanner.is_object() {
        return false;
    }
    let scanned = scanner.each_field(|key, value| {
        has_any |= key.raw() == "counters" && value.is_object();
        value.skip()
    });
    scanned.is_ok() && has_any
}

impl Detail {
    fn size_bytes(&self) -> usize {
        match self {
            Detail::Told(body) => body.len(),
            Detail::Gone | Detail::Refused(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: &str) -> Option<ListedCampaign> {
        serde_json::from_str(json).ok()
    }

    #[test]
    fn an_activity_outside_of_time_is_not_told() {
        for ms in ["-9223372036854775808", "9223372036854775807", "253402300800000", "null"] {
            let campaign = listed(&format!(r#"{{"id":1,"lastUpdatedTime":{ms}}}"#)).unwrap();
            assert_eq!(campaign.active_ms(), None, "{ms}");
        }
        let campaign = listed(r#"{"id":1,"lastUpdatedTime":1700000000000}"#).unwrap();
        assert_eq!(campaign.active_ms(), Some(1_700_000_000_000));
    }

    #[test]
    fn an_answer_about_nothing_is_about_no_campaign() {
        for odd in ["{}", "null", "[]", r#"{"status":"PENDING"}"#, r#"{"id":8}"#, r#"{"id":null}"#] {
            assert!(!is_of(odd, 7).unwrap(), "{odd}");
        }
        assert!(is_of(r#"{"id":7}"#, 7).unwrap() && is_of(r#"{"name":"x","id":"7"}"#, 7).unwrap());
    }

    #[test]
    fn an_id_that_no_column_holds_is_none() {
        assert!(listed(r#"{"id":9223372036854775807}"#).is_some());
        assert!(listed(r#"{"id":9223372036854775808}"#).is_none());
    }
}
