//! The large values of a cursor, such as the versions read lately and the ids of archived records, in items of their own:
//! a transaction has no room for all of them, and most are the same from checkpoint to checkpoint. They are put before
//! the transaction that refers to them, under names that nobody else gives, and removed behind one that does not refer to
//! them any more: only the holder of the lease does either.
//!
//! A crash leaves parts that nothing refers to; the feed's next checkpoint removes them.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use serde_json::Value;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::compression::{compressed, decompressed};
use super::items::{Item, blob, key, text, unbuilt};
use super::part::{PREFIX, Part, Parts, each_object, large_values};
use super::{BATCH, SortKeys, TableState};
use crate::error::Error;

/// An item may have 400 KB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const PIECE_BYTES: usize = 350 << 10;
impl TableState {
    /// Puts the large values that are not there yet, and leaves references to all in the document. What the table has
    /// once the document is saved comes back: for [`TableState::keep_parts`].
    pub(super) async fn put_parts(&self, partition: &str, document: &mut Value) -> Result<Parts, Error> {
        let known = self.parts.lock().unwrap_or_else(PoisonError::into_inner).get(partition).cloned();
        let known = match known {
            Some(known) => known,
            None => {
                Parts { strays: self.part_items(partition).await?.into_keys().collect(), ..Parts::default() }
            }
        };
        let (mut parts, mut new) = (Parts { strays: known.strays, ..Parts::default() }, Vec::new());
        for value in large_values(document) {
            let json = value.to_string();
            let hash = xxh3_128(json.as_bytes());
            let part = match known.used.get(&hash).or_else(|| parts.used.get(&hash)) {
                Some(part) => part.clone(),
                None => {
                    let bytes = compressed(&json)?;
                    let part =
                        Part { id: Uuid::now_v7().to_string(), pieces: bytes.chunks(PIECE_BYTES).count() };
                    for (sort, piece) in part.sort_keys().zip(bytes.chunks(PIECE_BYTES)) {
                        let mut item = key(partition, &sort);
                        item.insert("value".to_owned(), AttributeValue::B(Blob::new(piece)));
                        let put = PutRequest::builder().set_item(Some(item)).build().map_err(unbuilt)?;
                        new.push(WriteRequest::builder().put_request(put).build());
                    }
                    part
                }
            };
            *value = part.reference();
            parts.used.insert(hash, part);
        }
        for batch in new.chunks(BATCH) {
            self.write_batch(batch.to_vec()).await?;
        }
        let replaced = known.used.iter().filter(|(hash, _)| !parts.used.contains_key(hash));
        let replaced: Vec<String> = replaced.flat_map(|(_, part)| part.sort_keys()).collect();
        parts.strays.extend(replaced);
        Ok(parts)
    }

    /// The document that refers to these parts is saved: the others are removed. That they are not is no error: they are
    /// strays of the next checkpoint.
    pub(super) async fn keep_parts(&self, partition: &str, mut parts: Parts) {
        match self.remove(partition, &parts.strays).await {
            Ok(()) => parts.strays.clear(),
            Err(error) => tracing::warn!("parts of an earlier cursor stay for now: {error:#}"),
        }
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.to_owned(), parts);
    }

    /// Nothing is known of the parts any more: what was saved is not known.
    pub(super) fn forget_parts(&self, partition: &str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }

    /// Puts the parts in the place of the references to them. `false`: one of them is not there.
    pub(super) async fn read_parts(&self, partition: &str, document: &mut Value) -> Result<bool, Error> {
        let mut references = Vec::new();
        each_object(document, &mut |value, part| references.push((value, part)));
        if references.is_empty() {
            self.forget_parts(partition);
            return Ok(true);
        }
        let mut items = self.part_items(partition).await?;
        let mut parts = Parts::default();
        for (value, part) in references {
            let mut bytes = Vec::new();
            for sort in part.sort_keys() {
                let Some(item) = items.get(&sort) else { return Ok(false) };
                bytes.extend_from_slice(blob(item, "value")?);
            }
            let json = decompressed(&bytes).map_err(|source| self.corrupt(partition, source))?;
            parts.used.insert(xxh3_128(&json), part);
            *value = serde_json::from_slice(&json).map_err(|source| self.corrupt(partition, source))?;
        }
        let used: HashSet<String> = parts.used.values().flat_map(|part| part.sort_keys()).collect();
        items.retain(|sort, _| !used.contains(sort));
        parts.strays = items.into_keys().collect();
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.to_owned(), parts);
        Ok(true)
    }

    /// By their sort keys.
    async fn part_items(&self, partition: &str) -> Result<BTreeMap<String, Item>, Error> {
        let items = self.query(partition, SortKeys::StartingWith(PREFIX), None, true).await?;
        items.into_iter().map(|item| Ok((text(&item, "sk")?.to_owned(), item))).collect()
    }

    pub(super) async fn remove(&self, partition: &str, sorts: &[String]) -> Result<(), Error> {
        for batch in sorts.chunks(BATCH) {
            let delete = |sort: &String| {
                let delete =
                    DeleteRequest::builder().set_key(Some(key(partition, sort))).build().map_err(unbuilt)?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            };
            self.write_batch(batch.iter().map(delete).collect::<Result<_, Error>>()?).await?;
        }
        Ok(())
    }
}
