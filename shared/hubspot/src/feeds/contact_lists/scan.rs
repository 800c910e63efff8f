//! All lists, as HubSpot shows them. They come and go while they are read, and move others from page to page: a scan
//! that does not have as many as HubSpot says is made again. A list that HubSpot fails on is set aside: the others of its
//! page are read around it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::budget::Bucket;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner};
use crate::paging::Next;
use crate::retry::Patience;
use crate::version;

/// Lists in a page, and how far pages reach
/// (<https://github.com/HubSpot/HubSpot-public-api-spec-collection>, lists; the reach was found by connectors).
const PAGE_LISTS: usize = 500;
const REACH: usize = 10_000;
/// HubSpot's number of the type of contacts.
const CONTACT_TYPE: &str = "0-1";
/// Ids in a URL, some 20 characters each.
const IDS_IN_A_URL: usize = 100;
/// Empty blocks of ids past the reach that are skipped before giving up.
const MAX_EMPTY_BLOCKS: usize = 200;
/// Lists that are refused one after the other before it is not they that are at fault.
const MOST_IN_VAIN: usize = 3;
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
    /// Entries that are no list with an id.
    pub(super) odd: u64,
    /// Positions of lists that HubSpot can't show, and why.
    pub(super) refused: BTreeMap<usize, String>,
    /// Lists of other objects than contacts, which were not asked for.
    pub(super) others: BTreeSet<u64>,
    /// As HubSpot says.
    pub(super) total: Option<u64>,
}

impl Scan {
    pub(super) fn is_whole(&self) -> bool {
        let shown = (self.ids.len() + self.others.len() + self.refused.len()) as u64 + self.odd;
        self.total.is_none_or(|total| total == shown)
    }

    fn add(&mut self, answer: Body, count: usize) -> Result<(usize, bool)> {
        let page = found(&answer)?;
        let shown = page.lists.len() + page.others.len() + page.odd;
        let has_more = answer.next(count) != Next::End;
        self.total = page.total.or(self.total);
        self.ids.extend(page.lists.iter().map(|(id, _)| *id));
        self.others.extend(page.others);
        self.odd += page.odd as u64;
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
        let (shown, has_more) = page(client, offset, &mut scan).await?;
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
        let block: Vec<u64> = (next..next + PAGE_LISTS as u64).collect();
        let total = scan.total;
        let (shown, _) =
            scan.add(search(client, 0, PAGE_LISTS, &block, Patience::Full).await?, PAGE_LISTS)?;
        // Its own number is that of the block.
        scan.total = total;
        empty_blocks = if shown == 0 { empty_blocks + 1 } else { 0 };
        next += PAGE_LISTS as u64;
    }
    Ok(scan)
}

/// A page of the search; where HubSpot fails on a list in it, in smaller ones around it. Answers with the positions
/// that are done, and whether more are to come.
async fn page(client: &Client, offset: usize, scan: &mut Scan) -> Result<(usize, bool)> {
    let mut parts = vec![(offset, PAGE_LISTS)];
    let (mut done, mut has_more) = (0, false);
    while let Some((offset, count)) = parts.pop() {
        let failed = match search(client, offset, count, &[], Patience::of_part(count, PAGE_LISTS)).await {
            Ok(answer) => {
                let (shown, is_more) = scan.add(answer, count)?;
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
        if !is_of_a_part(&failed) {
            return Err(failed);
        }
        if count > 1 {
            let half = count / 2;
            parts.extend([(offset + half, count - half), (offset, half)]);
            continue;
        }
        if scan.answers.is_empty() {
            // Nothing is answered yet: HubSpot itself may be what fails.
            search(client, offset + 1, 1, &[], Patience::Full).await?;
        }
        scan.refused.insert(offset, failed.reason().to_owned());
        (done, has_more) = (done + 1, true);
    }
    Ok((done, has_more))
}

/// A smaller part may be answered, or the rest.
fn is_of_a_part(failed: &Error) -> bool {
    failed.may_be_of_one_thing() && !matches!(failed.kind(), ErrorKind::MissingScope | ErrorKind::NotFound)
}

async fn search(
    client: &Client,
    offset: usize,
    count: usize,
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
        "objectTypeId": CONTACT_TYPE,
        "sort": "HS_LIST_ID",
    });
    let path = format!("/crm/lists/{}/search", version::LISTS);
    client.send_for_list(&Call::post(path, body.to_string(), Bucket::General).with(patience), "lists").await
}

/// Lists with their filters.
#[derive(Debug, Default)]
pub(super) struct Filtered {
    pub(super) answers: Vec<Body>,
    /// Lists that HubSpot can't show, and why.
    pub(super) refused: BTreeMap<u64, String>,
    /// The first refusal, as long as nothing was answered.
    only: Option<Error>,
}

/// These lists with their filters, those that are there. `held` were refused before: each is asked for alone.
///
/// # Errors
/// Also when none is answered, and neither is `another`, a list that nobody asked for.
pub(super) async fn by_ids(
    client: &Client,
    ids: &[u64],
    held: &[u64],
    another: Option<u64>,
) -> Result<Filtered> {
    let chunks = ids.chunks(IDS_IN_A_URL).map(|ids| of_chunk(client, ids, false));
    let alone = held.iter().map(|id| of_chunk(client, std::slice::from_ref(id), true));
    let (chunks, alone) = futures::future::try_join(
        futures::future::try_join_all(chunks),
        futures::future::try_join_all(alone),
    )
    .await?;
    let mut all = Filtered::default();
    for part in chunks.into_iter().chain(alone) {
        all.answers.extend(part.answers);
        all.refused.extend(part.refused);
        all.only = all.only.or(part.only);
    }
    if let Some(refused) = all.only.take().filter(|_| all.answers.is_empty()) {
        match another {
            Some(another) => {
                _ = client.send(&by_ids_call(&[another], Patience::Full)).await.map_err(|_| refused)?;
            }
            None if is_of_a_part(&refused) => {}
            None => return Err(refused),
        }
    }
    Ok(all)
}

fn by_ids_call(ids: &[u64], patience: Patience) -> Call {
    let ids: String = ids.iter().map(|id| format!("listIds={id}&")).collect();
    Call::get(format!("/crm/lists/{}?{ids}includeFilters=true", version::LISTS)).with(patience)
}

/// As many as fit a URL; around one that is refused, in smaller parts.
async fn of_chunk(client: &Client, ids: &[u64], is_held: bool) -> Result<Filtered> {
    let mut found = Filtered::default();
    let mut parts = vec![ids];
    while let Some(part) = parts.pop() {
        let patience = if is_held { Patience::Once } else { Patience::of_part(part.len(), ids.len()) };
        match client.send_for_list(&by_ids_call(part, patience), "lists").await {
            Ok(answer) => found.answers.push(answer),
            Err(failed) if !failed.may_be_of_one_thing() => return Err(failed),
            Err(_) if part.len() > 1 => {
                let (first, rest) = part.split_at(part.len() / 2);
                parts.extend([rest, first]);
            }
            Err(refused) => {
                found.refused.extend(part.iter().map(|&id| (id, refused.reason().to_owned())));
                found.only = found.only.or(Some(refused));
            }
        }
        let in_vain = found.refused.len();
        if in_vain > MOST_IN_VAIN
            && found.answers.is_empty()
            && let Some(refused) = found.only.take()
        {
            return Err(refused);
        }
    }
    Ok(found)
}

/// Those of these lists that are there still.
pub(super) async fn still_shown(client: &Client, ids: &[u64]) -> Result<BTreeSet<u64>> {
    let mut shown = BTreeSet::new();
    for ids in ids.chunks(PAGE_LISTS) {
        let answer = search(client, 0, PAGE_LISTS, ids, Patience::Full).await?;
        shown.extend(found(&answer)?.lists.iter().map(|(id, _)| *id));
    }
    Ok(shown)
}

/// One page of the search.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) lists: Vec<(u64, &'a str)>,
    /// Entries that are no list with an id.
    odd: usize,
    others: Vec<u64>,
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
                    match head(json) {
                        Ok((id, true)) => found.lists.push((id, json)),
                        Ok((id, false)) => found.others.push(id),
                        Err(_) => found.odd += 1,
                    }
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

/// A list's id, and whether it is one of contacts.
fn head(list: &str) -> Result<(u64, bool), Malformed> {
    let (mut id, mut is_of_contacts) = (None, true);
    Scanner::new(list).each_field(|key, value| {
        match key.raw() {
            "listId" => id = Some(value.id()?),
            "objectTypeId" if !value.is_nested() => {
                is_of_contacts = value.scalar()?.is_none_or(|object| object.raw() == CONTACT_TYPE);
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    let id = id.ok_or(Malformed { at: 0, expected: "a list with its id" })?;
    Ok((id, is_of_contacts))
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
