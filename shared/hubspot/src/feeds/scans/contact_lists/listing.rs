//! A page of all lists, as HubSpot shows them: by `/all`, which goes by ids, and where that does not answer, by the search,
//! whose pages end at 10,000 lists; past those the search is asked for blocks of ids. A list that HubSpot fails on is set
//! aside: the others of its page are read around it, by the search.

use std::collections::BTreeSet;

use serde_json::json;

use super::answer::{self, CONTACT_TYPE};
use super::scan::{At, Listing, Scan};
use crate::budget::RateLimit;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;
use crate::retry::Patience;
use crate::version;

/// Lists in a page, and how far pages of the search reach
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/lists/guide>; the reach was found by connectors).
const PAGE_LISTS: usize = 500;
const REACH: usize = 10_000;
/// Empty blocks of ids past the reach that are skipped before giving up.
const MAX_EMPTY_BLOCKS: usize = 200;
const PROPERTIES: [&str; 6] = [
    "hs_list_size",
    "hs_last_record_added_at",
    "hs_last_record_removed_at",
    "hs_list_reference_count",
    "hs_folder_name",
    "hs_lastmodifieddate",
];

impl Listing {
    /// The first id behind these lists and those before them.
    fn next_id(&self, scan: &Scan) -> Result<u64> {
        let mut next = scan.next_id();
        for answer in &self.answers {
            let lists = answer::found_of(&scan.object_type, answer)?.lists;
            next = lists.iter().map(|(id, _)| id.saturating_add(1)).fold(next, u64::max);
        }
        Ok(next)
    }
}

/// The page of lists that the scan has come to.
pub(super) async fn page(client: &Client, scan: &Scan) -> Result<Listing> {
    let at = match &scan.at {
        At::All { after } => match all(client, scan, after.as_deref()).await {
            Err(failed) if failed.may_be_of_a_part() || failed.kind() == ErrorKind::NotFound => {
                tracing::warn!("all lists can't be read by their ids, and are searched for: {failed}");
                behind(scan.shown() as usize, scan.next_id())
            }
            listing => return listing,
        },
        at => at.clone(),
    };
    match at {
        At::Ids { from, empty_blocks } => block(client, scan, from, empty_blocks).await,
        At::Searched { offset } => searched(client, scan, offset).await,
        At::All { .. } => Ok(Listing::default()),
    }
}

async fn all(client: &Client, scan: &Scan, after: Option<&str>) -> Result<Listing> {
    let mut body = json!({
        "count": PAGE_LISTS,
        "processingTypes": [],
        "additionalProperties": PROPERTIES,
        "objectTypeId": scan.object_type,
    });
    if let Some(after) = after {
        body["after"] = after.into();
    }
    let path = format!("/crm/lists/{}/all", version::LISTS);
    let call = Call::post(path, body.to_string(), RateLimit::General).with(Patience::Little);
    let answer = client.send_for_list(&call, answer::RESULTS).await?;
    let next = answer.next(PAGE_LISTS);
    let mut listing = Listing::default();
    let (shown, _) = listing.add(scan, answer, PAGE_LISTS)?;
    listing.next = match next {
        Next::At(next) if after == Some(next.as_str()) => {
            return Err(Error::new(ErrorKind::Malformed, "a page of lists ends where it began"));
        }
        Next::At(next) => Some(At::All { after: Some(next) }),
        Next::End => None,
        // Nothing says that it is the last page: the search knows.
        Next::Full | Next::Unsaid => Some(behind(scan.shown() as usize + shown, listing.next_id(scan)?)),
    };
    Ok(listing)
}

/// The place behind so many lists, by the search. Its pages do not reach past 10,000 lists; ids do. They are given out one
/// after the other.
fn behind(offset: usize, next_id: u64) -> At {
    match offset < REACH {
        true => At::Searched { offset },
        false => At::Ids { from: next_id, empty_blocks: 0 },
    }
}

/// A page of the search; where HubSpot fails on a list in it, in smaller ones around it.
async fn searched(client: &Client, scan: &Scan, first: usize) -> Result<Listing> {
    let object_type = &scan.object_type;
    let mut listing = Listing::default();
    let mut parts = vec![(first, PAGE_LISTS)];
    let (mut done, mut has_more) = (0, false);
    while let Some((offset, count)) = parts.pop() {
        let failed =
            match search(client, object_type, (offset, count), &[], Patience::of_part(count, PAGE_LISTS))
                .await
            {
                Ok(answer) => {
                    let (shown, is_more) = listing.add(scan, answer, count)?;
                    done += shown;
                    has_more = is_more;
                    if !is_more {
                        break;
                    }
                    if (1..count).contains(&shown) && !parts.is_empty() {
                        parts.push((offset + shown, count - shown));
                    }
                    continue;
                }
                Err(failed) => failed,
            };
        if !failed.may_be_of_a_part() {
            return Err(failed);
        }
        if count > 1 {
            let half = count / 2;
            parts.extend([(offset + half, count - half), (offset, half)]);
            continue;
        }
        if listing.answers.is_empty() && scan.is_empty() {
            // Nothing is answered yet: HubSpot itself may be what fails.
            search(client, object_type, (offset + 1, 1), &[], Patience::Full).await?;
        }
        listing.refused.insert(format!("at position {offset}"), failed.reason().to_owned());
        (done, has_more) = (done + 1, true);
    }
    // A page without a list that has more behind it leads nowhere; the count tells whether one is missing.
    if has_more && done > 0 {
        listing.next = Some(behind(first + done, listing.next_id(scan)?));
    }
    Ok(listing)
}

/// The lists of a block of ids; where HubSpot fails on one, those of smaller blocks around it.
async fn block(client: &Client, scan: &Scan, from: u64, empty_blocks: usize) -> Result<Listing> {
    let object_type = &scan.object_type;
    let told = match scan.told {
        None => answer::found(&search(client, object_type, (0, 1), &[], Patience::Full).await?)?.total,
        told => told,
    };
    let mut listing = Listing::default();
    if empty_blocks >= MAX_EMPTY_BLOCKS || told.is_some_and(|told| told <= scan.shown()) {
        return Ok(Listing { told, ..listing });
    }
    let below = from.saturating_add(PAGE_LISTS as u64);
    let mut parts = vec![(from, below)];
    let mut shown = 0;
    while let Some((from, below)) = parts.pop() {
        let ids: Vec<u64> = (from..below).collect();
        let patience = Patience::of_part(ids.len(), PAGE_LISTS);
        match search(client, object_type, (0, PAGE_LISTS), &ids, patience).await {
            Ok(answer) => shown += listing.add(scan, answer, PAGE_LISTS)?.0,
            Err(failed) if !failed.may_be_of_a_part() => return Err(failed),
            Err(_) if ids.len() > 1 => {
                let middle = from + (below - from) / 2;
                parts.extend([(middle, below), (from, middle)]);
            }
            Err(refused) => {
                listing.refused.insert(format!("with the id {from}"), refused.reason().to_owned());
                shown += 1;
            }
        }
    }
    // An answer's own number is that of its block.
    listing.told = told;
    let empty_blocks = if shown == 0 { empty_blocks + 1 } else { 0 };
    listing.next = Some(At::Ids { from: below, empty_blocks });
    Ok(listing)
}

async fn search(
    client: &Client,
    object_type: &str,
    (offset, count): (usize, usize),
    ids: &[u64],
    patience: Patience,
) -> Result<Body> {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let body = json!({
        "offset": offset,
        "count": count,
        "listIds": ids,
        "processingTypes": [],
        "additionalProperties": PROPERTIES,
        "objectTypeId": object_type,
        "sort": "HS_LIST_ID",
    });
    let path = format!("/crm/lists/{}/search", version::LISTS);
    let call = Call::post(path, body.to_string(), RateLimit::General).with(patience);
    client.send_for_list(&call, answer::LISTS).await
}

/// Those of these lists that are there still.
pub(super) async fn still_shown(client: &Client, ids: &[u64]) -> Result<BTreeSet<u64>> {
    let mut shown = BTreeSet::new();
    for ids in ids.chunks(PAGE_LISTS) {
        let answer = search(client, CONTACT_TYPE, (0, PAGE_LISTS), ids, Patience::Full).await?;
        shown.extend(answer::found(&answer)?.lists.iter().map(|(id, _)| *id));
    }
    Ok(shown)
}
