//! State in one DynamoDB table, with a partition key `pk` and a sort key `sk`.
//!
//! | `pk` | `sk` | holds | written by |
//! |---|---|---|---|
//! | `account` | `account` | the HubSpot account that everything here belongs to | the first run |
//! | `lease` | feed, or `load-<collection>` | version, owner, and when it is free again | both |
//! | `feed#<feed>` | `cursor`, `cursor#<n>` | the cursor, compressed, in as many items as it takes | extract |
//! | the same | `part#<id>#<n>` | a large value of the cursor, put when it changes | extract |
//! | `files` | `<collection>#<staged at>#<key>` | every registered file, and under which lease it was registered | extract |
//! | `pending` | the same | those that are not merged yet | extract puts, load removes |
//! | `retired` | `<feed>#<key>` | files that others have replaced, and whose objects are to be removed | compaction |
//! | `shared` | name | what processes share, such as the account's limits | whoever read its last version |
//! | `run#<name>` | run id | what a run reported; removed by TTL after 90 days | both |
//! | `recorded` | name | that there are such reports | both |
//!
//! **Checkpoint.** One `TransactWriteItems`: the lease is renewed on the condition that its version is still this
//! run's, the cursor's items are put, and each file's two items. All or nothing, and the same call once more (an answer
//! that was lost) does nothing again.
//!
//! **Clocks.** A lease is free when the reader's clock says that it expired. Wrong clocks make two owners possible, not
//! two writers: the version decides whose checkpoint counts.

mod checkpoint;
mod compression;
mod items;
mod lease;
mod part;
mod parts;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use chrono::Utc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

#[cfg(feature = "fuzzing")]
pub(crate) use self::compression::decompress;
use self::items::{Item, key, n, number, s, text, unbuilt};
use self::part::Parts;
use super::run_record::RunRecord;
use crate::aws;
use crate::error::{Error, ErrorKind};
use crate::file::StagedFile;
use crate::shared::Shared;

/// `BatchWriteItem` takes so many.
const BATCH: usize = 25;
const RECORD_DAYS: i64 = 90;
/// The partition that lists the names under which runs are recorded.
const RECORDED: &str = "recorded";
/// Way out for an item that can't be read.
const RESTORE: &str = "restore the table to a point in time, or remove the item and read everything again in mode \
                       backfill (merging twice is harmless)";
/// A transaction meets the renewal of its lease, or is met by it, now and then.
const CONFLICT_ATTEMPTS: u32 = 12;

/// The sort keys that a query is about.
#[derive(Debug, Clone, Copy)]
enum SortKeys<'a> {
    All,
    StartingWith(&'a str),
    After(&'a str),
}

#[derive(Debug, Clone)]
pub struct TableState {
    client: Client,
    table: String,
    /// By the partition of the feed's cursor.
    parts: Arc<Mutex<HashMap<String, Parts>>>,
}

impl TableState {
    pub(super) fn new(client: Client, table: &str) -> TableState {
        TableState { client, table: table.to_owned(), parts: Arc::default() }
    }

    pub(super) async fn account(&self) -> Result<Option<u64>, Error> {
        let item = self.get("account", "account").await?;
        item.map(|item| number(&item, "account_id")).transpose()
    }

    /// The account that it is bound to now.
    pub(super) async fn bind_account(&self, account_id: u64) -> Result<u64, Error> {
        if let Some(bound) = self.account().await? {
            return Ok(bound);
        }
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(key("account", "account")))
            .item("account_id", n(account_id))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(account_id),
            Err(error) if is_condition_failed(&error) => Ok(self.account().await?.unwrap_or(account_id)),
            Err(error) => Err(self.failed("be written", error)),
        }
    }

    /// Looks for the first file of each collection, and passes over the others of that collection.
    pub(super) async fn collections(&self) -> Result<BTreeSet<String>, Error> {
        let mut collections = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let sort_keys = after.as_deref().map_or(SortKeys::All, SortKeys::After);
            let items = self.query("files", sort_keys, Some(1), true).await?;
            let Some(item) = items.first() else { return Ok(collections) };
            let file = self.file(item)?;
            // The character after `#`.
            after = Some(format!("{}$", file.collection));
            collections.insert(file.collection);
        }
    }

    pub(super) async fn files(&self, collection: &str) -> Result<Vec<StagedFile>, Error> {
        self.staged("files", Some(collection)).await
    }

    pub(super) async fn pending(&self, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        self.staged("pending", collection).await
    }

    async fn staged(&self, partition: &str, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        let prefix = collection.map(|collection| format!("{collection}#"));
        let sort_keys = prefix.as_deref().map_or(SortKeys::All, SortKeys::StartingWith);
        let items = self.query(partition, sort_keys, None, true).await?;
        items.iter().map(|item| self.file(item)).collect()
    }

    pub(super) async fn registered_by(
        &self,
        feed: &str,
        collection: &str,
        is_shared: bool,
    ) -> Result<Vec<StagedFile>, Error> {
        let items =
            self.query("files", SortKeys::StartingWith(&format!("{collection}#")), None, true).await?;
        let is_own = |item: &&Item| match item.get("feed") {
            Some(name) => *name == s(feed),
            None => !is_shared,
        };
        items.iter().filter(is_own).map(|item| self.file(item)).collect()
    }

    pub(super) async fn files_by_feed(
        &self,
        collection: &str,
    ) -> Result<BTreeMap<String, Vec<StagedFile>>, Error> {
        let prefix = format!("{collection}#");
        let mut by_feed: BTreeMap<String, Vec<StagedFile>> = BTreeMap::new();
        for item in self.query("files", SortKeys::StartingWith(&prefix), None, true).await? {
            if item.contains_key("feed") {
                by_feed.entry(text(&item, "feed")?.to_owned()).or_default().push(self.file(&item)?);
            }
        }
        Ok(by_feed)
    }

    fn file(&self, item: &Item) -> Result<StagedFile, Error> {
        serde_json::from_str(text(item, "file")?).map_err(|source| self.unread("a staged file", source))
    }

    pub(super) async fn set_merged(&self, collection: &str, keys: &[String]) -> Result<(), Error> {
        let merged: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let mut removed = Vec::new();
        let prefix = format!("{collection}#");
        for item in self.query("pending", SortKeys::StartingWith(&prefix), None, true).await? {
            if merged.contains(self.file(&item)?.key.as_str()) {
                let delete = DeleteRequest::builder()
                    .set_key(Some(key("pending", text(&item, "sk")?)))
                    .build()
                    .map_err(unbuilt)?;
                removed.push(WriteRequest::builder().delete_request(delete).build());
            }
        }
        for batch in removed.chunks(BATCH) {
            self.write_batch(batch.to_vec()).await?;
        }
        Ok(())
    }

    async fn write_batch(&self, mut batch: Vec<WriteRequest>) -> Result<(), Error> {
        for attempt in 0..CONFLICT_ATTEMPTS {
            let written = self
                .client
                .batch_write_item()
                .request_items(&self.table, batch)
                .send()
                .await
                .map_err(|error| self.failed("be written", error))?;
            let left = written.unprocessed_items.unwrap_or_default().remove(&self.table);
            match left.filter(|left| !left.is_empty()) {
                None => return Ok(()),
                Some(left) => batch = left,
            }
            tokio::time::sleep(Duration::from_millis(20 << attempt.min(6))).await;
        }
        let message =
            format!("the state table {} takes no more writes at present: run again later", self.table);
        Err(Error::new(ErrorKind::Io, message))
    }

    pub(super) async fn shared<T: DeserializeOwned + Default>(&self, name: &str) -> Result<Shared<T>, Error> {
        let Some(item) = self.get("shared", name).await? else {
            return Ok(Shared { version: 0, value: T::default() });
        };
        let value =
            serde_json::from_str(text(&item, "value")?).map_err(|source| self.unread(name, source))?;
        Ok(Shared { version: number(&item, "revision")?, value })
    }

    pub(super) async fn swap_shared<T: Serialize>(
        &self,
        name: &str,
        next: &Shared<T>,
    ) -> Result<bool, Error> {
        let revision =
            next.version.checked_add(1).ok_or_else(|| self.corrupt(name, "it has no next revision"))?;
        let writer = Uuid::now_v7().to_string();
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(key("shared", name)))
            .item("revision", n(revision))
            .item("written_by", s(writer.as_str()))
            .item("value", s(to_json(&next.value)?))
            .condition_expression("attribute_not_exists(revision) OR revision = :version")
            .expression_attribute_values(":version", n(next.version))
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            // It may be written by the same call, whose answer was lost.
            Err(error) if is_condition_failed(&error) => {
                let now = self.get("shared", name).await?.unwrap_or_default();
                Ok(now.get("written_by") == Some(&s(writer)))
            }
            Err(error) => Err(self.failed("be written", error)),
        }
    }

    pub(super) async fn record(&self, record: &RunRecord) -> Result<(), Error> {
        let mut report = key(&format!("run#{}", record.name), &record.run_id);
        report.insert("report".to_owned(), s(record.report.to_string()));
        // By name, since nothing else lists the names.
        for mut item in [report, key(RECORDED, &record.name)] {
            item.insert("expires_at".to_owned(), n(Utc::now().timestamp() + RECORD_DAYS * 86_400));
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
            put.map_err(|error| self.failed("be written", error))?;
        }
        Ok(())
    }

    pub(super) async fn recorded(&self) -> Result<Vec<String>, Error> {
        let items = self.query(RECORDED, SortKeys::All, None, true).await?;
        items.iter().map(|item| text(item, "sk").map(str::to_owned)).collect()
    }

    pub(super) async fn records(&self, name: &str, limit: usize) -> Result<Vec<RunRecord>, Error> {
        let items = self.query(&format!("run#{name}"), SortKeys::All, Some(limit), false).await?;
        let record = |item: &Item| {
            let report = serde_json::from_str(text(item, "report")?)
                .map_err(|source| self.unread("a run's report", source))?;
            Ok(RunRecord { name: name.to_owned(), run_id: text(item, "sk")?.to_owned(), report })
        };
        items.iter().map(record).collect()
    }

    async fn get(&self, partition: &str, sort: &str) -> Result<Option<Item>, Error> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(partition, sort)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.failed("be read", error))?;
        Ok(got.item)
    }

    /// The items of a partition in the order of their sort keys, or the reverse.
    async fn query(
        &self,
        partition: &str,
        sort_keys: SortKeys<'_>,
        limit: Option<usize>,
        is_ascending: bool,
    ) -> Result<Vec<Item>, Error> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .scan_index_forward(is_ascending)
            .expression_attribute_values(":pk", s(partition))
            .set_limit(limit.and_then(|limit| i32::try_from(limit).ok()));
        query = match sort_keys {
            SortKeys::All => query.key_condition_expression("pk = :pk"),
            SortKeys::StartingWith(prefix) => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":sk", s(prefix)),
            SortKeys::After(sort) => query
                .key_condition_expression("pk = :pk AND sk > :sk")
                .expression_attribute_values(":sk", s(sort)),
        };
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = query.clone().set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| self.failed("be read", error))?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
                items.truncate(limit.unwrap_or(usize::MAX));
                return Ok(items);
            }
        }
    }

    fn failed<E>(&self, verb: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let table = &self.table;
        let advice = match error.code() {
            Some("ResourceNotFoundException") => {
                "there is no such table in this region: check its name and AWS_REGION"
            }
            Some("AccessDeniedException") => "allow this role to use it",
            Some("ValidationException") => "the request is not valid: is it a table with the keys pk and sk?",
            _ => aws::advice_on_the_way(&error),
        };
        let reason = aws::reason(&error);
        let kind = if aws::is_outage(&error) { ErrorKind::Unreachable } else { ErrorKind::Io };
        Error::new(kind, format!("the state table {table} can't {verb} ({reason}): {advice}"))
    }

    fn named(&self, what: &str) -> String {
        format!("{what} in the state table {}", self.table)
    }

    fn corrupt(&self, what: &str, source: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Corrupt, format!("{} is corrupt ({source}): {RESTORE}", self.named(what)))
    }

    fn unread(&self, what: &str, source: serde_json::Error) -> Error {
        Error::unread(&self.named(what), source, RESTORE)
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(no_json)
}

fn no_json(source: serde_json::Error) -> Error {
    Error::new(ErrorKind::Io, "a document can't be written as JSON").caused_by(source)
}

fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

fn is_condition_failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}
