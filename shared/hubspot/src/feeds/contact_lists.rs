//! Lists of contacts. They are few: each run reads all of them, tells by a stamp which ones are another since the last
//! run, and reads the filters of those. A list that is not shown any more is gone.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use staging::ColumnType::{BigInt, Boolean, Json, Text, Timestamp};
use staging::{Rows, Table};
use xxhash_rust::xxh3::xxh3_64;

use super::collection::{Collection, CollectionEntry, field, made, never};
use super::cursor::{Cursor, Mode, Unfinished};
use super::document::{Document, Writer};
use super::lineage::DeletedReason;
use super::seen::Stamps;
use super::slice::{self, Slice};
use super::{Appended, Content, Feed, OpenFeed, Session, Window};
use crate::budget::Bucket;
use crate::client::{Call, Client};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Malformed, Scanner};
use crate::{value, version};

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

#[derive(Debug)]
pub(super) struct ContactLists;

static LISTS: Collection = Collection {
    name: "contact_lists",
    about: "A list of contacts.",
    primary_key: &["id"],
    key_reason: "HubSpot's list id. It is not the id that the list had in v1, and the two ranges overlap",
    set_key: &[],
    is_deletable: true,
    calls: "1 for each 500 lists (at least 1)",
    columns: &[
        field("id", BigInt, "listId"),
        made("archived", Boolean, "true once the list is not shown any more"),
        field("author_id", BigInt, "createdById"),
        field("created_at", Timestamp, "createdAt"),
        never("deleteable", Boolean, "HubSpot does not tell since the end of lists v1"),
        made("dynamic", Boolean, "`processingType` is `DYNAMIC`"),
        never(
            "filters_0_0_filter_family",
            Text,
            "filters have another shape since the end of lists v1: see `filter_branch`",
        ),
        field("filter_branch", Json, "filterBranch"),
        never("internal_list_id", BigInt, "HubSpot does not tell since the end of lists v1"),
        made("list_type", Text, "`DYNAMIC`, or `STATIC` for the processing types `MANUAL` and `SNAPSHOT`"),
        never(
            "meta_data_last_processing_state_change_at",
            Timestamp,
            "HubSpot does not tell since the end of lists v1",
        ),
        made(
            "meta_data_last_size_change_at",
            Timestamp,
            "the later one of `hs_last_record_added_at` and `hs_last_record_removed_at`",
        ),
        field("meta_data_processing", Text, "processingStatus"),
        field("meta_data_size", BigInt, "additionalProperties.hs_list_size"),
        field("name", Text, "name"),
        made("portal_id", BigInt, "`portalId` of the account's details"),
        field("updated_at", Timestamp, "updatedAt"),
        field("list_version", BigInt, "listVersion"),
        field("object_type_id", Text, "objectTypeId"),
        field("processing_type", Text, "processingType"),
        field("filters_updated_at", Timestamp, "filtersUpdatedAt"),
        field("updated_by_id", BigInt, "updatedById"),
        field("folder_name", Text, "additionalProperties.hs_folder_name"),
        field("reference_count", BigInt, "additionalProperties.hs_list_reference_count"),
    ],
};

#[async_trait]
impl Feed for ContactLists {
    fn name(&self) -> &'static str {
        LISTS.name
    }

    fn collections(&'static self) -> &'static [&'static str] {
        &["contact_lists"]
    }

    fn dictionary(&self) -> Vec<CollectionEntry> {
        vec![LISTS.entry()]
    }

    async fn open(
        &'static self,
        session: &Session,
        mode: Mode,
        cursor: &mut Cursor,
    ) -> Result<Box<dyn OpenFeed>> {
        let document = Document::new(&LISTS, &[])?;
        let known = cursor.stamps.clone();
        Ok(Box::new(OpenLists { session: session.clone(), document, mode, known }))
    }
}

#[derive(Debug)]
struct OpenLists {
    session: Session,
    document: Document,
    mode: Mode,
    /// The lists as the last run saw them.
    known: Stamps,
}

/// A scan of all lists, and the filters of those that are another since the last one.
#[derive(Debug)]
pub(super) struct Page {
    scan: Vec<Bytes>,
    filters: Vec<Bytes>,
}

/// One page of the search.
#[derive(Debug, Default)]
struct Found<'a> {
    lists: Vec<(u64, &'a str)>,
    has_more: bool,
    total: Option<u64>,
}

impl OpenLists {
    fn client(&self) -> &Client {
        &self.session.client
    }

    /// All lists. They come and go while they are read, and move others from page to page: a scan whose count is not
    /// what HubSpot says is made again.
    async fn scan(&self) -> Result<Vec<Bytes>> {
        for _ in 0..MAX_SCANS {
            let (answers, is_whole) = self.scan_once().await?;
            if is_whole {
                return Ok(answers);
            }
            tracing::warn!("the scan of all lists does not have as many as HubSpot says: it is made again");
        }
        let message = "the lists that HubSpot shows are never as many as it says: run again later";
        Err(Error::new(ErrorKind::Malformed, message))
    }

    async fn scan_once(&self) -> Result<(Vec<Bytes>, bool)> {
        let (mut answers, mut ids, mut total) = (Vec::new(), BTreeSet::new(), None);
        let mut offset = 0;
        while offset < REACH {
            let answer = self.search(json!({ "offset": offset, "count": PAGE_LISTS, "listIds": [] })).await?;
            let page = found(&answer)?;
            ids.extend(page.lists.iter().map(|(id, _)| *id));
            offset += page.lists.len();
            total = page.total.or(total);
            let is_last = !page.has_more;
            let is_stuck = page.has_more && page.lists.is_empty();
            answers.push(answer);
            if is_stuck {
                return Ok((answers, false));
            }
            if is_last {
                let is_whole = total.is_none_or(|total| total == ids.len() as u64);
                return Ok((answers, is_whole));
            }
        }
        self.scan_by_id(&mut answers, &mut ids, total).await?;
        Ok((answers, total.is_none_or(|total| total == ids.len() as u64)))
    }

    /// Pages do not reach past 10,000 lists; ids do. They are given out one after the other.
    async fn scan_by_id(
        &self,
        answers: &mut Vec<Bytes>,
        ids: &mut BTreeSet<u64>,
        total: Option<u64>,
    ) -> Result<()> {
        let mut next = ids.last().map_or(1, |last| last + 1);
        let mut empty_blocks = 0;
        while empty_blocks < MAX_EMPTY_BLOCKS && total.is_none_or(|total| (ids.len() as u64) < total) {
            let block: Vec<String> = (next..next + PAGE_LISTS as u64).map(|id| id.to_string()).collect();
            let answer = self.search(json!({ "offset": 0, "count": PAGE_LISTS, "listIds": block })).await?;
            let shown: Vec<u64> = found(&answer)?.lists.into_iter().map(|(id, _)| id).collect();
            empty_blocks = if shown.is_empty() { empty_blocks + 1 } else { 0 };
            ids.extend(shown);
            next += PAGE_LISTS as u64;
            answers.push(answer);
        }
        Ok(())
    }

    async fn search(&self, mut body: Value) -> Result<Bytes> {
        body["processingTypes"] = json!([]);
        body["additionalProperties"] = json!(PROPERTIES);
        body["objectTypeId"] = json!("0-1");
        body["sort"] = json!("HS_LIST_ID");
        let path = format!("/crm/lists/{}/search", version::LISTS);
        self.client().send(&Call::post(path, body.to_string(), Bucket::General)).await
    }

    async fn filters(&self, ids: &[u64]) -> Result<Vec<Bytes>> {
        let calls = ids.chunks(IDS_IN_A_URL).map(|ids| {
            let ids: String = ids.iter().map(|id| format!("listIds={id}&")).collect();
            Call::get(format!("/crm/lists/{}?{ids}includeFilters=true", version::LISTS))
        });
        let answers = calls.map(|call| async move { self.client().send(&call).await });
        futures::future::try_join_all(answers).await
    }

    /// The list is another than the one the last run saw.
    fn is_new(&self, id: u64, json: &str) -> bool {
        self.mode == Mode::Backfill || self.known.0.get(&id) != Some(&stamp(json))
    }

    fn row(&self, writer: &mut Writer<'_>, json: &str, filter_branch: Option<&str>) -> Result<(), Malformed> {
        let head = Head::read(json)?;
        writer.set("archived", |cell| cell.boolean(false));
        writer.set("portal_id", |cell| cell.bigint(self.session.account_id as i64));
        if let Some(processing_type) = &head.processing_type {
            let is_dynamic = processing_type == "DYNAMIC";
            writer.set("dynamic", |cell| cell.boolean(is_dynamic));
            writer.set("list_type", |cell| cell.text(if is_dynamic { "DYNAMIC" } else { "STATIC" }));
        }
        if let Some(changed_ms) = head.size_changed_ms {
            writer.set("meta_data_last_size_change_at", |cell| cell.timestamp(changed_ms));
        }
        if let Some(filter_branch) = filter_branch {
            writer.set("filter_branch", |cell| cell.text(filter_branch));
        }
        writer.fill(&mut Scanner::new(json))?;
        // When a list was changed says nothing of its size: the newest read is the newest version.
        writer.finish(None);
        Ok(())
    }
}

#[async_trait]
impl OpenFeed for OpenLists {
    fn tables(&self) -> &[Table] {
        std::slice::from_ref(&self.document.table)
    }

    async fn plan(&self, _window: Window, _cursor: &mut Cursor) -> Result<Unfinished> {
        let now_ms = self.client().now().timestamp_millis();
        let mut run = Unfinished::new(self.mode, now_ms, 0);
        run.is_whole = self.mode == Mode::Backfill;
        run.slices.push(Slice::All);
        Ok(run)
    }

    async fn fetch(&self, _slice: &Slice, _limit: usize) -> Result<super::Page> {
        let scan = self.scan().await?;
        let mut new = Vec::new();
        for answer in &scan {
            let shown = found(answer)?.lists.into_iter();
            new.extend(shown.filter(|(id, json)| self.is_new(*id, json)).map(|(id, _)| id));
        }
        let filters = self.filters(&new).await?;
        let size_bytes = scan.iter().chain(&filters).map(Bytes::len).sum();
        Ok(super::Page::new(Content::Lists(Page { scan, filters }), size_bytes))
    }

    fn append_page(
        &self,
        page: super::Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let (Content::Lists(content), [rows]) = (page.content, rows) else {
            return Err(slice::foreign(slice));
        };
        let mut writer = self.document.writer(rows, self.session.reading(page.read_ms));
        let mut filters = std::collections::HashMap::new();
        for answer in &content.filters {
            for (id, json) in found(answer)?.lists {
                filters.insert(id, filter_branch(json)?);
            }
        }
        for answer in &content.scan {
            for (id, json) in found(answer)?.lists {
                let is_first = run.stamps.0.insert(id, stamp(json)).is_none();
                if is_first && self.is_new(id, json) {
                    self.row(&mut writer, json, filters.get(&id).copied().flatten())?;
                }
            }
        }
        for &id in self.known.0.keys().filter(|id| !run.stamps.0.contains_key(id)) {
            writer.set("id", |cell| cell.bigint(id as i64));
            writer.set("archived", |cell| cell.boolean(true));
            writer.finish_gone(None, DeletedReason::Removed, None);
        }
        Ok(Appended { written: vec![writer.written], is_last: true, span: 0 })
    }
}

/// What a row is made of besides its fields.
#[derive(Default)]
struct Head {
    processing_type: Option<String>,
    size_changed_ms: Option<i64>,
}

impl Head {
    fn read(list: &str) -> Result<Head, Malformed> {
        let mut head = Head::default();
        Scanner::new(list).each_field(|key, value| match key.raw() {
            "processingType" if !value.is_nested() => {
                head.processing_type = value.scalar()?.map(|text| text.text().into_owned());
                Ok(())
            }
            "additionalProperties" if value.is_object() => value.each_field(|key, value| match key.raw() {
                "hs_last_record_added_at" | "hs_last_record_removed_at" if !value.is_nested() => {
                    let changed_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text()));
                    head.size_changed_ms = head.size_changed_ms.max(changed_ms);
                    Ok(())
                }
                _ => value.skip(),
            }),
            _ => value.skip(),
        })?;
        Ok(head)
    }
}

/// Another one whenever anything of the list is.
fn stamp(list: &str) -> i64 {
    xxh3_64(list.as_bytes()) as i64
}

fn found(answer: &[u8]) -> Result<Found<'_>> {
    let mut found = Found::default();
    let mut has_lists = false;
    Scanner::new(Scanner::whole(answer)?).each_field(|key, value| {
        match key.raw() {
            "lists" => {
                has_lists = true;
                value.each_item(|list| {
                    let json = list.raw()?;
                    found.lists.push((list_id(json)?, json));
                    Ok::<_, Malformed>(())
                })?;
            }
            "hasMore" => found.has_more = value.boolean()?.unwrap_or(false),
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
fn filter_branch(list: &str) -> Result<Option<&str>, Malformed> {
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
