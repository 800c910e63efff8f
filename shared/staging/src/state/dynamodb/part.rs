//! Large values of a document, and the references that stand in their places.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Values of more bytes become parts.
const LARGE_BYTES: usize = 32 << 10;
/// As many of a list of numbers have about as many.
const LARGE_NUMBERS: usize = LARGE_BYTES / 10;
pub(super) const PREFIX: &str = "part#";
/// The field that refers to a part, and the one that says in how many pieces it is.
const ID: &str = "$part";
const PIECES: &str = "$pieces";

/// One large value in items of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) pieces: usize,
}

impl Part {
    pub(super) fn reference(&self) -> Value {
        json!({ID: self.id, PIECES: self.pieces})
    }

    fn referred_to(value: &Map<String, Value>) -> Option<Part> {
        let id = value.get(ID)?.as_str()?.to_owned();
        Some(Part { id, pieces: usize::try_from(value.get(PIECES)?.as_u64()?).ok()? })
    }

    pub(super) fn sort_keys(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.pieces).map(|piece| format!("{PREFIX}{}#{piece:04}", self.id))
    }
}

/// The parts of a feed's cursor that are in the table.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// Those that the cursor refers to, by the hash of what they hold.
    pub(super) used: HashMap<u128, Part>,
    /// The sort keys of others.
    pub(super) strays: Vec<String>,
}

/// The outermost large values of a document.
pub(super) fn large_values(document: &mut Value) -> Vec<&mut Value> {
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
pub(super) fn each_object<'v>(document: &'v mut Value, each: &mut impl FnMut(&'v mut Value, Part)) {
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
