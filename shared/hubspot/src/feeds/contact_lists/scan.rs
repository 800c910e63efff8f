//! All lists, as HubSpot shows them. They come and go while they are read, and move others from page to page: a scan
//! that does not have as many as HubSpot says is made again.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::budget::Bucket;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner};
use crate::paging::Next;
use crate::version;

/// Lists in a page, and how far pages reach
/// (<https://github.com/HubSpot/HubSpot-public-api-spec-collection>, lists; the reach was found by connectors).
const PAGE_LISTS: usize = 500;
const REACH: usize = 10_000;
/// Ids in a URL, some 20 characters each.
const IDS_IN_A_URL: usize = 100;
/// Empty blocks of ids past the reach that are skipped before giving up.
const MAX_EMPTY_BLOCKS: usize = 200;
/// Scans that are made when lists come and go meanwhile.
const MAX_SCANS: usize = 3;
const PROPERTIES: [&str; 6] = [
    "hs_list_size",
    "hs_last_record_added_at",
    "hs_last_record_removed_at",
    "hs_list_reference_count",
    "hs_folder_name",
    "hs_lastmodifieddate",
];

/// What one scan has shown.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) answers: Vec<Body>,
    pub(super) ids: BTreeSet<u64>,
    /// As HubSpot says.
    pub(super) total: Option<u64>,
}

impl Scan {
    pub(super) fn is_whole(&self) -> bool {
        self.total.is_none_or(|total| total == self.ids.len() as u64)
    }

    fn add(&mut self, answer: Body) -> Result<(usize, bool)> {
        let page = found(&answer)?;
        let (shown, has_more) = (page.lists.len(), answer.next(PAGE_LISTS) != Next::End);
        self.ids.extend(page.lists.iter().map(|(id, _)| *id));
        self.answers.push(answer);
        Ok((shown, has_more))
    }
}

/// All lists. Where two scans agree with each other and not with HubSpot's number, it is the number that is taken for
/// wrong: [`Scan::is_whole`] tells.
pub(super) async fn scan(client: &Client) -> Result<Scan> {
    let mut last = scan_once(client).await?;
    for _ in 1..MAX_SCANS {
        if last.is_whole() {
            return Ok(last);
        }
        tracing::warn!("a scan of all lists does not have as many as HubSpot says: it is made again");
        let scan = scan_once(client).await?;
        if scan.ids == last.ids && scan.total == last.total {
            return Ok(scan);
        }
        last = scan;
    }
    if last.is_whole() {
        return Ok(last);
    }
    let message = "lists come and go so fast that no scan has as many as HubSpot says: run again later";
    Err(Error::new(ErrorKind::Malformed, message))
}

async fn scan_once(client: &Client) -> Result<Scan> {
    let mut scan = Scan::default();
    let mut offset = 0;
    while offset < REACH {
        let answer = search(client, json!({ "offset": offset, "count": PAGE_LISTS, "listIds": [] })).await?;
        scan.total = found(&answer)?.total.or(scan.total);
        let (shown, has_more) = scan.add(answer)?;
        offset += shown;
        // A page without a list that has more behind it leads nowhere; the count tells whether one is missing.
        if !has_more || shown == 0 {
            return Ok(scan);
        }
    }
    // Pages do not reach past 10,000 lists; ids do. They are given out one after the other.
    let mut next = scan.ids.last().map_or(1, |last| last + 1);
    let mut empty_blocks = 0;
    while empty_blocks < MAX_EMPTY_BLOCKS && !scan.is_whole() {
        let block: Vec<String> = (next..next + PAGE_LISTS as u64).map(|id| id.to_string()).collect();
        let answer = search(client, json!({ "offset": 0, "count": PAGE_LISTS, "listIds": block })).await?;
        let (shown, _) = scan.add(answer)?;
        empty_blocks = if shown == 0 { empty_blocks + 1 } else { 0 };
        next += PAGE_LISTS as u64;
    }
    Ok(scan)
}

async fn search(client: &Client, mut body: Value) -> Result<Body> {
    body["processingTypes"] = json!([]);
    body["additionalProperties"] = json!(PROPERTIES);
    body["objectTypeId"] = json!("0-1");
    body["sort"] = json!("HS_LIST_ID");
    let path = format!("/crm/lists/{}/search", version::LISTS);
    client.send_for_list(&Call::post(path, body.to_string(), Bucket::General), "lists").await
}

/// These lists with their filters, those that are there.
pub(super) async fn by_ids(client: &Client, ids: &[u64]) -> Result<Vec<Body>> {
    let calls = ids.chunks(IDS_IN_A_URL).map(|ids| {
        let ids: String = ids.iter().map(|id| format!("listIds={id}&")).collect();
        Call::get(format!("/crm/lists/{}?{ids}includeFilters=true", version::LISTS))
    });
    let answers = calls.map(|call| async move { client.send_for_list(&call, "lists").await });
    futures::future::try_join_all(answers).await
}

/// One page of the search.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) lists: Vec<(u64, &'a str)>,
    total: Option<u64>,
}

/// Another one whenever anything of the list is.
pub(super) fn stamp(list: &str) -> i64 {
    xxh3_64(list.as_bytes()) as i64
}

pub(super) fn found(answer: &str) -> Result<Found<'_>> {
    let mut found = Found::default();
    let mut has_lists = false;
    Scanner::new(answer).each_field(|key, value| {
        match key.raw() {
            "lists" => {
                has_lists = true;
                value.each_item(|list| {
                    let json = list.raw()?;
                    found.lists.push((list_id(json)?, json));
                    Ok::<_, Malformed>(())
                })?;
            }
            "total" if !value.is_nested() => {
                found.total = value.scalar()?.and_then(|total| total.raw().parse().ok());
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    match has_lists {
        true => Ok(found),
        false => Err(Error::new(ErrorKind::Malformed, "an answer has no lists")),
    }
}

fn list_id(list: &str) -> Result<u64, Malformed> {
    let mut id = None;
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "listId" => id = Some(value.id()?),
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    id.ok_or(Malformed { at: 0, expected: "a list with its id" })
}

/// Manual lists have none.
pub(super) fn filter_branch(list: &str) -> Result<Option<&str>, Malformed> {
    let mut filters = None;
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "filterBranch" if value.is_object() => filters = Some(value.raw()?),
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(filters)
}

pub(super) fn is_deleted(list: &str) -> Result<bool, Malformed> {
    let mut is_deleted = false;
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "deletedAt" => is_deleted = value.raw()? != "null",
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(is_deleted)
}
