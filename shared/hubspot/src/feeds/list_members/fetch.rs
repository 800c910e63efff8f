//! Reads the lists of an object, and pages of their members.

use std::collections::BTreeSet;

use super::open_members::OpenMembers;
use super::state::{Object, Reading, Slice};
use crate::call::Call;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::scans::{ObjectLists, is_list_deleted, lists_of};
use crate::json::Body;
use crate::retry::Patience;
use crate::version;

/// Members in a page (<https://developers.hubspot.com/docs/api-reference/latest/crm/lists/memberships/get-memberships-by-id>).
const PAGE_MEMBERS: usize = 250;
pub(super) const RESULTS: &str = "results";

/// Answer of one fetch.
#[derive(Debug)]
pub(super) enum Answer {
    /// The lists of an object, and those of before that are not among them.
    Lists(ObjectLists, Unlisted),
    /// A page of members, and HubSpot's page token of the next one.
    Members(Body, Option<String>),
    /// The list is not there any more.
    Gone,
    /// HubSpot refuses it, or fails on it.
    Failed(Error),
}

/// Lists that were read before, and that HubSpot does not show among all lists.
#[derive(Debug, Default)]
pub(super) struct Unlisted {
    pub(super) gone: BTreeSet<u64>,
    /// There all the same.
    pub(super) there: BTreeSet<u64>,
    /// HubSpot does not tell, and why.
    pub(super) failed: Vec<(u64, Error)>,
}

impl OpenMembers {
    pub(super) async fn answer(&self, slice: &Slice) -> Result<Answer> {
        let answer = match slice {
            Slice::Lists(object) => self.lists(object).await,
            Slice::Members(reading) => self.members(reading).await,
        };
        match answer {
            Err(failed) if failed.may_be_useless() => Ok(Answer::Failed(failed)),
            answer => answer,
        }
    }

    /// Lists that are not shown are asked for by their ids before they are said to be gone.
    async fn lists(&self, object: &Object) -> Result<Answer> {
        let shown = lists_of(&self.session.client, &object.type_id).await?;
        let mut unlisted = Unlisted::default();
        let known = self.known.get(&object.collection).into_iter().flat_map(|lists| lists.keys());
        for &list in known.filter(|list| !shown.lists.contains_key(list)) {
            match self.is_gone(list).await {
                Ok(true) => _ = unlisted.gone.insert(list),
                Ok(false) => _ = unlisted.there.insert(list),
                Err(failed) if failed.may_be_useless() => unlisted.failed.push((list, failed)),
                Err(failed) => return Err(failed),
            }
        }
        Ok(Answer::Lists(shown, unlisted))
    }

    async fn members(&self, reading: &Reading) -> Result<Answer> {
        let client = &self.session.client;
        let path = format!("/crm/lists/{}/{}/memberships", version::LISTS, reading.list);
        let after = reading.after.as_deref();
        let after = after.map_or_else(String::new, |after| format!("&after={}", percent_encoded(after)));
        let call = |limit: usize| Call::get(format!("{path}?limit={limit}{after}"));
        let body = match client.send_for_list(&call(PAGE_MEMBERS), RESULTS).await {
            Err(missing) if missing.kind() == ErrorKind::NotFound && self.is_gone(reading.list).await? => {
                return Ok(Answer::Gone);
            }
            body => body?,
        };
        let next = client.position_behind(&body, call, PAGE_MEMBERS, RESULTS).await?;
        if next.is_some() && next == reading.after {
            let message = format!("a page of the members of {} ends where it began", reading.name());
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        Ok(Answer::Members(body, next))
    }

    async fn is_gone(&self, list: u64) -> Result<bool> {
        let call = Call::get(format!("/crm/lists/{}/{list}", version::LISTS)).with(Patience::Twice);
        match self.session.client.send(&call).await {
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(true),
            Err(failed) => Err(failed),
            // Deleted lists can be restored for a while, and may be shown.
            Ok(list) => Ok(is_list_deleted(&list)?),
        }
    }
}
