//! A feed's cursor, and the checkpoint that moves it together with the files it stands for.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use chrono::Utc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::compression::{compressed, decompress};
use super::items::{Item, blob, key, n, number, s, text, unbuilt};
use super::{CONFLICT_ATTEMPTS, SortKeys, TableState, no_json, now_ms, to_json};
use crate::error::{Error, ErrorKind};
use crate::file::{Retired, StagedFile};
use crate::state::lease::{Lease, fenced};
use crate::state::replacement::Replacement;

/// An item may have 400 KB, a transaction 4 MB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const ITEM_BYTES: usize = 350 << 10;
const MAX_ITEMS: usize = 8;
/// Files in a transaction, which may have 100 actions (same page): the lease's, and two for each file.
const MAX_STRUCK: usize = 49;
/// The same of files that are replaced: three for each.
const MAX_REPLACED: usize = 33;
const FILES: &str = "files";
/// The partitions that have an item for a registered file.
const FILE_PARTITIONS: [&str; 2] = [FILES, "pending"];
/// The partition of replaced files.
const RETIRED: &str = "retired";

impl TableState {
    pub(in crate::state) async fn cursor<C: DeserializeOwned>(&self, feed: &str) -> Result<Option<C>, Error> {
        // A checkpoint between two pages of the query would mix two cursors; only whoever reads without the lease can
        // meet one.
        for _ in 0..3 {
            let partition = feed_key(feed);
            let items = self.query(&partition, SortKeys::StartingWith("cursor"), None, true).await?;
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
                let mut document: Value = decompress(&bytes).map_err(|source| self.corrupt(feed, source))?;
                drop(bytes);
                if self.read_parts(&partition, &mut document).await? {
                    let cursor = serde_json::from_value(document);
                    return cursor
                        .map(Some)
                        .map_err(|source| self.unread(&format!("the cursor of {feed}"), source));
                }
            }
        }
        Err(self.corrupt(feed, "its parts are of different checkpoints"))
    }

    pub(in crate::state) async fn checkpoint<C: Serialize>(
        &self,
        lease: &Lease,
        cursor: &C,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        let checkpoint = Uuid::now_v7().to_string();
        let partition = feed_key(&lease.name);
        let mut document = serde_json::to_value(cursor).map_err(no_json)?;
        let parts = self.put_parts(&partition, &mut document).await?;
        let mut items = vec![self.renewal(lease)?];
        for item in cursor_items(&lease.name, &checkpoint, &document)? {
            items.push(self.put(item)?);
        }
        for file in files {
            let (sort, document) = (sort_key(file), to_json(file)?);
            for partition in FILE_PARTITIONS {
                let mut item = key(partition, &sort);
                item.insert("file".to_owned(), s(document.clone()));
                item.insert("feed".to_owned(), s(lease.name.as_str()));
                items.push(self.put(item)?);
            }
        }
        match self.transact(lease, &checkpoint, items).await {
            Ok(()) => {
                self.keep_parts(&partition, parts).await;
                Ok(())
            }
            Err(error) => {
                self.forget_parts(&partition);
                Err(error)
            }
        }
    }

    pub(in crate::state) async fn strike_off(
        &self,
        lease: &Lease,
        files: &[StagedFile],
    ) -> Result<(), Error> {
        for files in files.chunks(MAX_STRUCK) {
            let mut items = vec![self.renewal(lease)?];
            for file in files {
                let sort = sort_key(file);
                for partition in FILE_PARTITIONS {
                    items.push(self.delete(key(partition, &sort))?);
                }
            }
            self.transact(lease, &Uuid::now_v7().to_string(), items).await?;
        }
        Ok(())
    }

    pub(in crate::state) async fn replace_files(&self, replacement: &Replacement<'_>) -> Result<(), Error> {
        let Replacement { feed, load, old, new, .. } = *replacement;
        let since = Utc::now();
        // All new ones before the first old one goes.
        let mut items = vec![self.renewal(load)?];
        for file in new {
            let mut item = key(FILES, &sort_key(file));
            item.insert("file".to_owned(), s(to_json(file)?));
            item.insert("feed".to_owned(), s(feed));
            items.push(self.put(item)?);
        }
        self.transact(load, &Uuid::now_v7().to_string(), items).await?;
        for files in old.chunks(MAX_REPLACED) {
            let mut items = vec![self.renewal(load)?];
            for file in files {
                let sort = sort_key(file);
                for partition in FILE_PARTITIONS {
                    items.push(self.delete(key(partition, &sort))?);
                }
                let mut item = key(RETIRED, &format!("{feed}#{}", file.key));
                item.insert("retired".to_owned(), s(to_json(&Retired { file: file.clone(), since })?));
                items.push(self.put(item)?);
            }
            self.transact(load, &Uuid::now_v7().to_string(), items).await?;
        }
        Ok(())
    }

    pub(in crate::state) async fn retired(&self, feed: &str) -> Result<Vec<Retired>, Error> {
        let items = self.query(RETIRED, SortKeys::StartingWith(&format!("{feed}#")), None, true).await?;
        let retired = |item: &Item| {
            let document = serde_json::from_str(text(item, "retired")?);
            document.map_err(|source| self.unread("a replaced file", source))
        };
        items.iter().map(retired).collect()
    }

    pub(in crate::state) async fn set_removed(&self, feed: &str, keys: &[String]) -> Result<(), Error> {
        let sorts: Vec<String> = keys.iter().map(|key| format!("{feed}#{key}")).collect();
        self.remove(RETIRED, &sorts).await
    }

    /// Writes the items, all or none. `token` is of this call alone, which may be sent more than once.
    async fn transact(&self, lease: &Lease, token: &str, items: Vec<TransactWriteItem>) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            // A retry of a call whose answer was lost has its token: it is the same call.
            let written = self
                .client
                .transact_write_items()
                .client_request_token(token)
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

    fn delete(&self, key: Item) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key)).build().map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    fn put(&self, item: Item) -> Result<TransactWriteItem, Error> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).build().map_err(unbuilt)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// The key of a registered file in each of its partitions.
fn sort_key(file: &StagedFile) -> String {
    let milliseconds = file.staged_at.timestamp_millis();
    format!("{}#{milliseconds:013}#{}", file.collection, file.key)
}

/// The cursor, compressed, cut into items.
fn cursor_items<C: Serialize>(feed: &str, checkpoint: &str, cursor: &C) -> Result<Vec<Item>, Error> {
    let bytes = compressed(&to_json(cursor)?)?;
    let parts = bytes.len().div_ceil(ITEM_BYTES).max(1);
    if parts > MAX_ITEMS {
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
    Ok(bytes.chunks(ITEM_BYTES).enumerate().map(item).collect())
}

fn feed_key(feed: &str) -> String {
    format!("feed#{feed}")
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
