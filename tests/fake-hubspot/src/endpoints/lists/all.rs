//! All lists, by their ids. A page token holds the filters that it was given out for.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BY_DEFAULT, MOST, with_properties};
use crate::account::{List, Processing};
use crate::endpoints::{Answer, Call, Reply};
use crate::http::problem::Problem;

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct All {
    processing_types: Vec<Processing>,
    additional_properties: Vec<String>,
    object_type_id: Option<String>,
    after: Option<String>,
    count: usize,
}

impl Default for All {
    fn default() -> Self {
        Self {
            processing_types: Vec::new(),
            additional_properties: Vec::new(),
            object_type_id: None,
            after: None,
            count: BY_DEFAULT,
        }
    }
}

/// The content of a page token.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    list_id: u64,
    object_type_id: Option<String>,
    processing_types: Vec<Processing>,
}

pub(super) fn all(call: &Call<'_>) -> Answer {
    if !call.behaviour.has_all_lists {
        return Err(Problem::unknown_path());
    }
    let body = call.request.body.trim_ascii();
    let mut all: All = if body.is_empty() { All::default() } else { call.request.json()? };
    if !(1..=MOST).contains(&all.count) {
        return Err(Problem::validation(format!("count must be between 1 and {MOST}, not {}", all.count)));
    }
    let from = match all.after.as_deref().map(|after| all.position(after)) {
        None => 0,
        Some(Some(list_id)) => list_id,
        Some(None) => return Err(Problem::invalid_cursor()),
    };
    let filter = all.object_type_id.clone();
    all.object_type_id.take_if(|_| call.behaviour.ignores_list_type);
    let state = call.account().read();
    let lists: Vec<&List> = state
        .lists
        .current()
        .filter(|list| list.id > from && all.shows(list) && call.is_listed(list.id))
        .collect();
    let (lists, has_more) = call.page(lists.into_iter(), all.count);
    let mut answer = json!({"results": with_properties(&lists, &state, &all.additional_properties)});
    if let Some(last) = lists.last().filter(|_| has_more) {
        let (list_id, processing_types) = (last.id, all.processing_types);
        let position = Position { list_id, object_type_id: filter, processing_types };
        answer["paging"] = json!({"next": {"after": page_token(&json!(position))}});
    }
    Ok(Reply::json(&answer))
}

impl All {
    fn shows(&self, list: &List) -> bool {
        (self.processing_types.is_empty() || self.processing_types.contains(&list.processing))
            && self.object_type_id.as_deref().is_none_or(|id| id == list.object.id())
    }

    /// Returns the last list of the page before, if the page token was given out for these filters.
    fn position(&self, after: &str) -> Option<u64> {
        let bytes: Option<Vec<u8>> = (0..after.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(after.get(at..at + 2)?, 16).ok())
            .collect();
        let position: Position = serde_json::from_slice(&bytes?).ok()?;
        let is_same = position.object_type_id == self.object_type_id
            && position.processing_types == self.processing_types;
        is_same.then_some(position.list_id)
    }
}

/// Makes a page token. HubSpot's are such a text in base64, which nobody should rely on.
fn page_token(position: &Value) -> String {
    position.to_string().bytes().fold(String::new(), |mut token, byte| {
        // Writing to a text can't fail.
        let _ = write!(token, "{byte:02x}");
        token
    })
}
