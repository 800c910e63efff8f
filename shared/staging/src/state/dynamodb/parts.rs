//! The large values of a cursor, such as the versions read lately and the ids of archived records, in items of their own:
//! a transaction has no room for all of them, and most are the same from checkpoint to checkpoint. They are put before
//! the transaction that refers to them, under names that nobody else gives, and removed behind one that does not refer to
//! them any more: only the holder of the lease does either.
//!
//! A crash leaves parts that nothing refers to; the feed's next checkpoint removes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::PoisonError;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use serde_json::{Map, Value, json};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::checkpoint::{compressed, decompressed};
use super::items::{Item, blob, key, text, unbuilt};
use super::{BATCH, TableState};
use crate::error::Error;

/// Values of more bytes become parts.
const LARGE_BYTES: usize = 32 << 10;
/// As many of a list of numbers have about as many.
const LARGE_NUMBERS: usize = LARGE_BYTES / 10;
/// An item may have 400 KB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
const PIECE_BYTES: usize = 350 << 10;
const PREFIX: &str = "part#";
/// The field that refers to a part, and the one that says in how many pieces it is.
const ID: &str = "$part";
const PIECES: &str = "$pieces";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    id: String,
    pieces: usize,
}

impl Part {
    fn reference(&self) -> Value {
        json!({ID: self.id, PIECES: self.pieces})
    }

    fn referred_to(value: &Map<String, Value>) -> Option<Part> {
        let id = value.get(ID)?.as_str()?.to_owned();
        Some(Part { id, pieces: usize::try_from(value.get(PIECES)?.as_u64()?).ok()? })
    }

    fn sort_keys(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.pieces).map(|piece| format!("{PREFIX}{}#{piece:04}", self.id))
    }
}

/// The parts of a feed's cursor that are in the table.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// Those that the cursor refers to, by the hash of what they hold.
    used: HashMap<u128, Part>,
    /// The sort keys of others.
    strays: Vec<String>,
}

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
        let items = self.query(partition, Some(PREFIX), None, true).await?;
        items.into_iter().map(|item| Ok((text(&item, "sk")?.to_owned(), item))).collect()
    }

    async fn remove(&self, partition: &str, sorts: &[String]) -> Result<(), Error> {
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

/// The outermost of them.
fn large_values(document: &mut Value) -> Vec<&mut Value> {
    let is_large = match &*document {
        Value::String(text) => text.len() > LARGE_BYTES,
        Value::Array(items) => items.len() > LARGE_NUMBERS && items.iter().all(Value::is_number),
        _ => false,
    };
    match document {
        large if is_large => vec![large],
        Value::Array(items) => items.iter_mut().flat_map(large_values).collect(),
        Value::Object(fields) => fields.values_mut().flat_map(large_values).collect(),
        _ => Vec::new(),
    }
}

/// Calls `each` with every reference to a part.
fn each_object<'v>(document: &'v mut Value, each: &mut impl FnMut(&'v mut Value, Part)) {
    let part = document.as_object().and_then(Part::referred_to);
    match (part, document) {
        (Some(part), value) => each(value, part),
        (None, Value::Array(items)) => items.iter_mut().for_each(|item| each_object(item, each)),
        (None, Value::Object(fields)) => fields.values_mut().for_each(|field| each_object(field, each)),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_of_numbers_are_large() {
        let text = "x".repeat(LARGE_BYTES + 1);
        let numbers: Vec<usize> = (0..=LARGE_NUMBERS).collect();
        let mut document =
            json!({"a": text, "b": [{"c": numbers}, "short", 7], "d": [[1, 2], "y".repeat(9)]});
        let before = document.clone();
        let values: Vec<Value> = large_values(&mut document).into_iter().map(Value::take).collect();
        assert_eq!(values, [before["a"].clone(), before["b"][0]["c"].clone()]);
    }

    #[test]
    fn a_reference_is_found_again() {
        let part = Part { id: "x".to_owned(), pieces: 2 };
        let mut document = json!({"a": [part.reference()], "b": {ID: 7}, "c": {ID: "y"}});
        let mut found = Vec::new();
        each_object(&mut document, &mut |_, part| found.push(part));
        assert_eq!(found, std::slice::from_ref(&part));
        assert_eq!(part.sort_keys().collect::<Vec<_>>(), ["part#x#0000", "part#x#0001"]);
    }
}
