//! E-mail campaigns. HubSpot lists their ids in no order, and apart from that those with recent activity; what a
//! campaign is, and its counters, takes one call for each. So a run asks for the campaigns that are new or were active
//! since the last run, and for no other.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use staging::ColumnType::{BigInt, Text, Timestamp};
use staging::{Pairs, Rows, Table};

use super::collection::{Collection, field, made};
use super::cursor::{Cursor, Mode, Unfinished};
use super::dictionary::CollectionEntry;
use super::document::Document;
use super::lineage::DeletedReason;
use super::slice::{self, Slice};
use super::{Appended, Content, Feed, OpenFeed, Session, Window};
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Scanner};
use crate::value;

/// Campaigns in a page of either list; HubSpot documents no number, connectors ask for as many.
const PAGE_CAMPAIGNS: usize = 500;
/// Campaigns that one page of rows asks for, one call each.
const DETAILS: usize = 20;
/// Of those under way at once.
const DETAILS_AT_ONCE: usize = 4;
/// A stamp of a campaign whose last activity HubSpot has not told.
const NEVER_ACTIVE: i64 = 0;

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
        let document = Document::new(&CAMPAIGNS, &[])?;
        let (session, known) = (session.clone(), cursor.stamps.clone());
        Ok(Box::new(OpenCampaigns { session, document, mode, known, groups: Mutex::default() }))
    }
}

#[derive(Debug)]
struct OpenCampaigns {
    session: Session,
    document: Document,
    mode: Mode,
    /// The last activity of each campaign, as of the last run.
    known: Pairs,
    /// The group of each campaign, which the lists alone tell.
    groups: Mutex<BTreeMap<u64, i64>>,
}

/// What some campaigns are; `None` for one that is gone.
#[derive(Debug)]
pub(super) struct Page {
    details: Vec<(u64, Option<Body>)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    offset: Option<String>,
    campaigns: Vec<ListedCampaign>,
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

    /// Calls `each` with every page of a list, until it says that it has seen enough.
    async fn each_page(&self, path: &str, mut each: impl FnMut(Listed) -> bool + Send) -> Result<()> {
        let mut offset = String::new();
        loop {
            let answer =
                self.client().send(&Call::get(format!("{path}?limit={PAGE_CAMPAIGNS}{offset}"))).await?;
            let mut listed: Listed = serde_json::from_str(&answer).map_err(|source| {
                Error::new(ErrorKind::Malformed, "a list of campaigns does not parse").caused_by(source)
            })?;
            let (has_more, next) = (listed.has_more, listed.offset.take().unwrap_or_default());
            let next = format!("&offset={}", percent_encoded(&next));
            let goes_on = each(listed) && has_more;
            if !goes_on {
                return Ok(());
            }
            if next == offset {
                return Err(Error::new(ErrorKind::Malformed, "a page of campaigns ends where it began"));
            }
            offset = next;
        }
    }

    /// Every campaign, and its last activity where that is after what is known.
    async fn scan(&self) -> Result<BTreeMap<u64, i64>> {
        let mut stamps = BTreeMap::new();
        let mut groups = BTreeMap::new();
        let mut all = |listed: Listed| {
            for campaign in listed.campaigns {
                groups.extend(campaign.group_id.map(|group| (campaign.id, group)));
                let known = self.known.0.get(&campaign.id).copied().unwrap_or(NEVER_ACTIVE);
                stamps.insert(campaign.id, known.max(campaign.active_ms().unwrap_or(NEVER_ACTIVE)));
            }
            true
        };
        self.each_page("/email/public/v1/campaigns/by-id", &mut all).await?;
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = groups;
        // A day of overlap: activity is told late.
        let newest_ms = self.known.0.values().copied().max().filter(|_| self.mode == Mode::Incremental);
        let enough_ms =
            newest_ms.map_or(i64::MIN, |ms| ms.saturating_sub(self.session.lookback.history_overlap_ms));
        let mut recent = |listed: Listed| {
            let mut oldest_ms = i64::MAX;
            for campaign in listed.campaigns {
                let Some(active_ms) = campaign.active_ms() else { continue };
                oldest_ms = oldest_ms.min(active_ms);
                let stamp = stamps.entry(campaign.id).or_insert(NEVER_ACTIVE);
                *stamp = (*stamp).max(active_ms);
            }
            oldest_ms >= enough_ms
        };
        self.each_page("/email/public/v1/campaigns", &mut recent).await?;
        Ok(stamps)
    }

    async fn detail(&self, id: u64) -> Result<(u64, Option<Body>)> {
        match self.client().send(&Call::get(format!("/email/public/v1/campaigns/{id}"))).await {
            Ok(body) => Ok((id, Some(body))),
            Err(gone) if gone.kind() == ErrorKind::NotFound => Ok((id, None)),
            Err(failed) => Err(failed),
        }
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
        let stamps = self.scan().await?;
        let is_new =
            |(id, stamp): &(&u64, &i64)| self.mode == Mode::Backfill || self.known.0.get(id) != Some(stamp);
        let mut ids: Vec<u64> = stamps.iter().filter(is_new).map(|(id, _)| *id).collect();
        // The list has no order to rely on: one that it does not show is asked for before it is said to be gone.
        ids.extend(self.known.0.keys().filter(|id| !stamps.contains_key(id)));
        run.stamps = Pairs(stamps);
        if !ids.is_empty() {
            run.slices.push(Slice::Named { ids });
        }
        Ok(run)
    }

    async fn resume(&self, _run: &mut Unfinished) -> Result<()> {
        self.scan().await.map(drop)
    }

    async fn fetch(&self, slice: &Slice, limit: usize) -> Result<super::Page> {
        let Slice::Named { ids } = slice else { return Err(slice::foreign(slice)) };
        let ids = ids[ids.len() - ids.len().min(limit.min(DETAILS))..].to_vec();
        let details: Vec<_> =
            stream::iter(ids).map(|id| self.detail(id)).buffered(DETAILS_AT_ONCE).try_collect().await?;
        let size_bytes = details.iter().filter_map(|(_, body)| body.as_ref()).map(|body| body.len()).sum();
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
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, detail) in content.details {
            writer.set("id", |cell| cell.bigint(id as i64));
            let Some(detail) = detail else {
                run.stamps.0.remove(&id);
                writer.finish_gone(None, DeletedReason::Removed, None);
                continue;
            };
            let active_ms = *run.stamps.0.entry(id).or_insert(NEVER_ACTIVE);
            if active_ms != NEVER_ACTIVE && value::is_instant(active_ms) {
                writer.set("last_updated_time", |cell| cell.timestamp(active_ms));
            }
            if let Some(&group) = groups.get(&id) {
                writer.set("group_id", |cell| cell.bigint(group));
            }
            writer.fill(&mut Scanner::new(&detail))?;
            // HubSpot does not say when a campaign was changed: the newest read is the newest version.
            writer.finish(None);
        }
        ids.truncate(ids.len().saturating_sub(done));
        Ok(Appended { written: vec![writer.written], is_last: ids.is_empty(), ..Appended::default() })
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
    fn an_id_that_no_column_holds_is_none() {
        assert!(listed(r#"{"id":9223372036854775807}"#).is_some());
        assert!(listed(r#"{"id":9223372036854775808}"#).is_none());
    }
}
