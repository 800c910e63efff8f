//! State in one DynamoDB table, with a partition key `pk` and a sort key `sk`.
//!
//! | `pk` | `sk` | holds | written by |
//! |---|---|---|---|
//! | `account` | `account` | the HubSpot account that everything here belongs to | the first run |
//! | `lease` | feed, or `load-<collection>` | version, owner, and when it is free again | both |
//! | `feed#<feed>` | `cursor`, `cursor#<n>` | the cursor, compressed, in as many items as it takes | extract |
//! | `files` | `<collection>#<staged at>#<key>` | every file that was ever registered | extract |
//! | `pending` | the same | those that are not merged yet | extract puts, load removes |
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

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, Put, TransactWriteItem, Update, WriteRequest};
use chrono::Utc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Hold, Lease, RunRecord, Shared, busy, fenced};
use crate::error::{Error, ErrorKind};
use crate::file::StagedFile;

type Item = HashMap<String, AttributeValue>;

/// An item may have 400 KB, a transaction 4 MB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const PART_BYTES: usize = 350 << 10;
const MAX_PARTS: usize = 9;
/// `BatchWriteItem` takes so many.
const BATCH: usize = 25;
const RECORD_DAYS: i64 = 90;
/// The partition that lists the names under which runs are recorded.
const RECORDED: &str = "recorded";
/// A transaction meets the renewal of its lease, or is met by it, now and then.
const CONFLICT_ATTEMPTS: u32 = 12;

#[derive(Debug, Clone)]
pub struct TableState {
    client: Client,
    table: String,
}

/// Keeps a lease alive until it is dropped.
#[derive(Debug)]
pub(super) struct Renewal(tokio::task::JoinHandle<()>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl TableState {
    /// How long a lease outlives its owner. It is renewed four times as often.
    pub const LEASE_LIFE: Duration = Duration::from_secs(32);

    pub(super) fn new(client: Client, table: &str) -> TableState {
        TableState { client, table: table.to_owned() }
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

    pub(super) async fn lease(&self, name: &str) -> Result<Lease, Error> {
        let now_ms = now_ms();
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("lease", name)))
            .update_expression(
                "SET revision = if_not_exists(revision, :zero) + :one, free_at_ms = :free, held_by = :owner",
            )
            .condition_expression("attribute_not_exists(free_at_ms) OR free_at_ms < :now")
            .expression_attribute_values(":zero", n(0))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":free", n(now_ms + Self::LEASE_LIFE.as_millis() as i64))
            .expression_attribute_values(":owner", s(Uuid::now_v7().to_string()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew)
            .send()
            .await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) if is_condition_failed(&error) => return Err(busy(name)),
            Err(error) => return Err(self.failed("be written", error)),
        };
        let version = number(&taken.attributes.unwrap_or_default(), "revision")?;
        let renewal = Renewal(tokio::spawn(self.clone().renew(name.to_owned(), version)));
        Ok(Lease { name: name.to_owned(), version, hold: Hold::Table(renewal) })
    }

    pub(super) async fn is_leased(&self, name: &str) -> Result<bool, Error> {
        let item = self.get("lease", name).await?;
        let free_at_ms = item.map(|item| number::<i64>(&item, "free_at_ms")).transpose()?;
        Ok(free_at_ms.is_some_and(|free_at_ms| free_at_ms >= now_ms()))
    }

    /// Renews the lease until it is another's. A renewal that fails otherwise is tried again: the lease may live on.
    async fn renew(self, name: String, version: u64) {
        loop {
            tokio::time::sleep(Self::LEASE_LIFE / 4).await;
            match self.set_free_at(&name, version, now_ms() + Self::LEASE_LIFE.as_millis() as i64).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(lease.name = name, "the lease was taken over by another run");
                    return;
                }
                Err(error) => tracing::warn!(lease.name = name, "the lease is not renewed: {error:#}"),
            }
        }
    }

    pub(super) async fn release(&self, lease: &Lease) {
        if let Hold::Table(renewal) = &lease.hold {
            renewal.0.abort();
        }
        if let Err(error) = self.set_free_at(&lease.name, lease.version, 0).await {
            tracing::warn!(lease.name = lease.name, "the lease is not given back, it expires: {error:#}");
        }
    }

    /// False: the lease is another's by now.
    async fn set_free_at(&self, name: &str, version: u64, free_at_ms: i64) -> Result<bool, Error> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key("lease", name)))
            .update_expression("SET free_at_ms = :free")
            .condition_expression("revision = :version")
            .expression_attribute_values(":free", n(free_at_ms))
            .expression_attribute_values(":version", n(version))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failed(&error) => Ok(false),
            Err(error) => Err(self.failed("be written", error)),
        }
    }

    pub(super) async fn cursor<C: DeserializeOwned>(&self, feed: &str) -> Result<Option<C>, Error> {
        // A checkpoint between two pages of the query would mix two cursors; only whoever reads without the lease can
        // meet one.
        for _ in 0..3 {
            let items = self.query(&feed_key(feed), Some("cursor"), None, true).await?;
            let Some(head) = items.first() else { return Ok(None) };
            let parts = number::<usize>(head, "parts")?;
            let checkpoint = text(head, "checkpoint")?;
            let mut bytes = Vec::new();
            let mut found = 0;
            for item in items.iter().take(parts) {
                if text(item, "checkpoint")? == checkpoint {
                    bytes.extend_from_slice(blob(item, "value")?);
                    found += 1;
                }
            }
            if found == parts {
                return decompress(&bytes).map(Some).map_err(|source| self.corrupt(feed, source));
            }
        }
        Err(self.corrupt(feed, "its parts are of different checkpoints"))
    }

    pub(super) async fn checkpoint<C: Serialize>(
        &self,
        lease: &Lease,
        cursor: &C,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        let checkpoint = Uuid::now_v7().to_string();
        let mut items = vec![self.renewal(lease)?];
        for item in cursor_items(&lease.name, &checkpoint, cursor)? {
            items.push(self.put(item)?);
        }
        for file in files {
            let milliseconds = file.staged_at.timestamp_millis();
            let sort = format!("{}#{milliseconds:013}#{}", file.collection, file.key);
            let document = to_json(file)?;
            for partition in ["files", "pending"] {
                let mut item = key(partition, &sort);
                item.insert("file".to_owned(), s(document.clone()));
                items.push(self.put(item)?);
            }
        }
        let mut attempt = 0;
        loop {
            // A retry of a call whose answer was lost has its token: it is the same call.
            let written = self
                .client
                .transact_write_items()
                .client_request_token(&checkpoint[..36])
                .set_transact_items(Some(items.clone()))
                .send()
                .await;
            let Err(error) = written else { return Ok(()) };
            match cancelled(&error) {
                Some(Cancelled::Condition) => return Err(fenced(&lease.name)),
                Some(Cancelled::Conflict) if attempt < CONFLICT_ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(20 << attempt.min(6))).await;
                }
                _ => return Err(self.failed("be written", error)),
            }
        }
    }

    fn renewal(&self, lease: &Lease) -> Result<TransactWriteItem, Error> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key("lease", &lease.name)))
            .update_expression("SET free_at_ms = :free")
            .condition_expression("revision = :version")
            .expression_attribute_values(":free", n(now_ms() + Self::LEASE_LIFE.as_millis() as i64))
            .expression_attribute_values(":version", n(lease.version))
            .build()
            .map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn put(&self, item: Item) -> Result<TransactWriteItem, Error> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build().map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    pub(super) async fn files(&self, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        self.staged("files", collection).await
    }

    pub(super) async fn pending(&self, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        self.staged("pending", collection).await
    }

    async fn staged(&self, partition: &str, collection: Option<&str>) -> Result<Vec<StagedFile>, Error> {
        let prefix = collection.map(|collection| format!("{collection}#"));
        let items = self.query(partition, prefix.as_deref(), None, true).await?;
        items.iter().map(|item| self.file(item)).collect()
    }

    fn file(&self, item: &Item) -> Result<StagedFile, Error> {
        serde_json::from_str(text(item, "file")?).map_err(|source| self.corrupt("a staged file", source))
    }

    pub(super) async fn set_merged(&self, collection: &str, keys: &[String]) -> Result<(), Error> {
        let merged: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let mut removed = Vec::new();
        for item in self.query("pending", Some(&format!("{collection}#")), None, true).await? {
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
            serde_json::from_str(text(&item, "value")?).map_err(|source| self.corrupt(name, source))?;
        Ok(Shared { version: number(&item, "revision")?, value })
    }

    pub(super) async fn swap_shared<T: Serialize>(
        &self,
        name: &str,
        next: &Shared<T>,
    ) -> Result<bool, Error> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(key("shared", name)))
            .item("revision", n(next.version + 1))
            .item("value", s(to_json(&next.value)?))
            .condition_expression("attribute_not_exists(revision) OR revision = :version")
            .expression_attribute_values(":version", n(next.version))
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if is_condition_failed(&error) => Ok(false),
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
        let items = self.query(RECORDED, None, None, true).await?;
        items.iter().map(|item| text(item, "sk").map(str::to_owned)).collect()
    }

    pub(super) async fn records(&self, name: &str, limit: usize) -> Result<Vec<RunRecord>, Error> {
        let items = self.query(&format!("run#{name}"), None, Some(limit), false).await?;
        let record = |item: &Item| {
            let report = serde_json::from_str(text(item, "report")?)
                .map_err(|source| self.corrupt("a run's report", source))?;
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
        prefix: Option<&str>,
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
        query = match prefix {
            None => query.key_condition_expression("pk = :pk"),
            Some(prefix) => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", s(prefix)),
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
            _ => "try again",
        };
        let reason = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            _ => DisplayErrorContext(&error).to_string(),
        };
        Error::new(ErrorKind::Io, format!("the state table {table} can't {verb} ({reason}): {advice}"))
    }

    fn corrupt(&self, what: &str, source: impl std::fmt::Display) -> Error {
        let message = format!(
            "{what} in the state table {} is corrupt ({source}): restore the table to a point in time, or remove the \
             item and read everything again in mode backfill (merging twice is harmless)",
            self.table
        );
        Error::new(ErrorKind::Corrupt, message)
    }
}

/// The cursor, compressed, cut into items.
fn cursor_items<C: Serialize>(feed: &str, checkpoint: &str, cursor: &C) -> Result<Vec<Item>, Error> {
    let json = to_json(cursor)?;
    let bytes = zstd::encode_all(json.as_bytes(), 3)
        .map_err(|source| Error::new(ErrorKind::Io, "the cursor can't be compressed").caused_by(source))?;
    let parts = bytes.len().div_ceil(PART_BYTES).max(1);
    if parts > MAX_PARTS {
        let message = format!(
            "the cursor of {feed} has {} bytes, more than a transaction takes: nothing is lost, but no run can go on; \
             please report it",
            bytes.len()
        );
        return Err(Error::new(ErrorKind::Io, message));
    }
    let item = |(part, value): (usize, &[u8])| {
        let sort = if part == 0 { "cursor".to_owned() } else { format!("cursor#{part}") };
        let mut item = key(&feed_key(feed), &sort);
        item.insert("checkpoint".to_owned(), s(checkpoint));
        item.insert("parts".to_owned(), n(parts));
        item.insert("value".to_owned(), AttributeValue::B(Blob::new(value)));
        item
    };
    Ok(bytes.chunks(PART_BYTES).enumerate().map(item).collect())
}

fn decompress<C: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<C> {
    Ok(serde_json::from_slice(&zstd::decode_all(bytes)?)?)
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|source| Error::new(ErrorKind::Io, "a document can't be written as JSON").caused_by(source))
}

fn feed_key(feed: &str) -> String {
    format!("feed#{feed}")
}

fn key(partition: &str, sort: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(partition)), ("sk".to_owned(), s(sort))])
}

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str, Error> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(unlike(name)),
    }
}

fn number<N: std::str::FromStr>(item: &Item, name: &str) -> Result<N, Error> {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().map_err(|_| unlike(name)),
        _ => Err(unlike(name)),
    }
}

fn blob<'i>(item: &'i Item, name: &str) -> Result<&'i [u8], Error> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
        _ => Err(unlike(name)),
    }
}

fn unlike(name: &str) -> Error {
    let message = format!(
        "an item of the state table lacks its attribute {name}: something else writes to the table; restore it to a \
         point in time"
    );
    Error::new(ErrorKind::Corrupt, message)
}

fn unbuilt(source: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::new(ErrorKind::Io, "a request to the state table can't be built").caused_by(source)
}

fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

fn is_condition_failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}

enum Cancelled {
    /// The lease's version is not ours.
    Condition,
    /// Another write to one of the items was under way.
    Conflict,
}

fn cancelled(error: &SdkError<TransactWriteItemsError>) -> Option<Cancelled> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            let mut codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
            let is = |code: &str| code == "ConditionalCheckFailed";
            if codes.clone().any(is) {
                Some(Cancelled::Condition)
            } else if codes.any(|code| {
                matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
            }) {
                Some(Cancelled::Conflict)
            } else {
                None
            }
        }
        TransactWriteItemsError::TransactionInProgressException(_) => Some(Cancelled::Conflict),
        _ => None,
    }
}
