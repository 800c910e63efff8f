//! The two lists of campaigns: all of them by id, in no order, and those with recent activity, newest first.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::open_campaigns::{Lists, NEVER_ACTIVE, OpenCampaigns};
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::unfinished::Mode;
use crate::json::Body;
use crate::paging::{Next, Passed};
use crate::value;

/// Campaigns in a page of either list; HubSpot documents no number, connectors ask for as many.
const PAGE_CAMPAIGNS: usize = 500;

/// Campaigns of which one has to be told of, where campaigns v1 has not answered before.
const ASKED_AGAIN: usize = 3;

/// `true`: campaigns v1 answers, the list of campaigns and the call for one of them.
pub(super) async fn answers(client: &Client) -> Result<bool> {
    let list = Call::get(format!("/email/public/v1/campaigns/by-id?limit={ASKED_AGAIN}"));
    let Some(answer) = told(client, &list).await? else { return Ok(false) };
    let listed: Listed = serde_json::from_str(&answer).map_err(|source| {
        Error::new(ErrorKind::Malformed, "a list of campaigns does not parse").caused_by(source)
    })?;
    let campaigns = listed.campaigns.into_iter();
    let campaigns: Vec<ListedCampaign> =
        campaigns.filter_map(|one| serde_json::from_value(one).ok()).collect();
    for campaign in campaigns.iter().take(ASKED_AGAIN) {
        if told(client, &Call::get(format!("/email/public/v1/campaigns/{}", campaign.id))).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(campaigns.is_empty())
}

/// Returns the answer; `None` where HubSpot refuses it.
async fn told(client: &Client, call: &Call) -> Result<Option<Body>> {
    match client.send(call).await {
        Ok(answer) => Ok(Some(answer)),
        Err(refused) if refused.is_unavailable() => Ok(None),
        Err(failed) => Err(failed),
    }
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
    pub(super) async fn scan(&self) -> Result<Lists> {
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
            newest_ms.map_or(i64::MIN, |ms| ms.saturating_sub(self.session.lookback.events_overlap_ms));
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
