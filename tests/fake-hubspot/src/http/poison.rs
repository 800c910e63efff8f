//! Single things that HubSpot answers badly, each time or a few times: a refusal or a failure of whatever would show
//! them, bytes that are no text, an entry that is none.

use serde_json::Value;

use super::problem::Problem;
use crate::endpoints::{Answer, Reply};

/// One thing that goes wrong. Nothing else is hurt, but what is answered together with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Endpoints such as `campaigns.get`; all those of a family for `campaigns`.
    pub endpoints: Vec<&'static str>,
    /// A part of path and query that calls have which it is about; `""` for all.
    pub asked: String,
    /// A part of the answer that it is about, word for word, such as `"id":"7"`; `""` for all.
    pub shown: String,
    pub effect: PoisonEffect,
    /// Answers that do so.
    pub times: u32,
}

/// How a thing is answered badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoisonEffect {
    /// 400, 403, 404, or a failure.
    Status(u16),
    /// The last byte of what is shown is none of UTF-8.
    OddByte,
    /// The body ends in the middle, and says that it is whole.
    Torn,
    /// The connection ends before the body does.
    Cut,
    /// The entry that shows it is `null`.
    Null,
    /// The entry that shows it has no id.
    WithoutId,
    /// Filters of the entry nest so deep.
    Deep(usize),
}

impl Poison {
    /// For ever.
    pub fn new(endpoint: &'static str, shown: impl Into<String>, effect: PoisonEffect) -> Self {
        Self { endpoints: vec![endpoint], asked: String::new(), shown: shown.into(), effect, times: u32::MAX }
    }

    /// A record, wherever it would be shown with its values or without.
    pub fn record(id: u64, status: u16) -> Self {
        let endpoints = vec!["objects.list", "objects.batch_read", "objects.get"];
        Self {
            endpoints,
            ..Self::new("", format!("\"hs_object_id\":\"{id}\""), PoisonEffect::Status(status))
        }
    }

    /// Positions that the calls of an endpoint were given before are refused.
    pub fn positions(endpoint: &'static str, parameter: &str) -> Self {
        Self { asked: format!("{parameter}="), ..Self::new(endpoint, "", PoisonEffect::Status(400)) }
    }

    fn is_about(&self, endpoint: &str, target: &str, body: &[u8]) -> bool {
        let is_asked = |named: &&'static str| {
            endpoint == *named || endpoint.strip_prefix(named).is_some_and(|call| call.starts_with('.'))
        };
        self.times > 0
            && self.endpoints.iter().any(is_asked)
            && target.contains(&self.asked)
            && place(body, &self.shown).is_some()
    }

    /// What becomes of an answer that it is about.
    fn spoil(&self, reply: Reply) -> Answer {
        let Reply { status, mut body } = reply;
        match self.effect {
            PoisonEffect::Status(status) => return Err(Problem::of_status(status)),
            PoisonEffect::Cut => {}
            PoisonEffect::Torn => body.truncate(body.len() / 2),
            PoisonEffect::OddByte => {
                if let Some(place) = place(&body, &self.shown).filter(|_| !self.shown.is_empty()) {
                    body[place + self.shown.len() - 1] = 0xff;
                }
            }
            PoisonEffect::Null | PoisonEffect::WithoutId | PoisonEffect::Deep(_) => {
                body = self.with_odd_entry(&body);
            }
        }
        Ok(Reply { status, body })
    }

    fn with_odd_entry(&self, body: &[u8]) -> Vec<u8> {
        let Ok(mut answer) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
        for field in answer.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
            // A list of entries, or an entry by its id.
            let entries = match field {
                Value::Array(entries) => &mut entries[..],
                entry => std::slice::from_mut(entry),
            };
            for entry in entries {
                if place(entry.to_string().as_bytes(), &self.shown).is_some() {
                    self.spoil_entry(entry);
                }
            }
        }
        answer.to_string().into_bytes()
    }

    fn spoil_entry(&self, entry: &mut Value) {
        match self.effect {
            PoisonEffect::Null => *entry = Value::Null,
            PoisonEffect::Deep(levels) => entry["filterBranch"] = placeholder(levels).into(),
            _ => {
                if let Some(fields) = entry.as_object_mut() {
                    fields.retain(|name, _| !matches!(name.as_str(), "id" | "listId" | "conversionId"));
                }
            }
        }
    }
}

/// Stands for filters, which would nest too deep for a tree.
fn placeholder(levels: usize) -> String {
    format!("-{levels} deep-")
}

/// Spoils an answer with each thing that it is about. `true`: the connection ends before the answer does.
pub(super) fn spoil(poisons: &mut [Poison], endpoint: &str, target: &str, answer: Answer) -> (Answer, bool) {
    let mut is_cut = false;
    let answer = answer.and_then(|reply| spoil_reply(poisons, endpoint, target, reply, &mut is_cut));
    (answer, is_cut)
}

fn spoil_reply(
    poisons: &mut [Poison],
    endpoint: &str,
    target: &str,
    mut reply: Reply,
    is_cut: &mut bool,
) -> Answer {
    for poison in &mut *poisons {
        if poison.is_about(endpoint, target, &reply.body) {
            poison.times -= 1;
            *is_cut |= matches!(poison.effect, PoisonEffect::Cut);
            reply = poison.spoil(reply)?;
        }
    }
    for poison in poisons {
        if let PoisonEffect::Deep(levels) = poison.effect {
            let (open, close) = (r#"{"filterBranches":["#.repeat(levels), "]}".repeat(levels));
            let quoted = format!("\"{}\"", placeholder(levels));
            reply.body =
                String::from_utf8_lossy(&reply.body).replace(&quoted, &format!("{open}{close}")).into();
        }
    }
    Ok(reply)
}

fn place(body: &[u8], shown: &str) -> Option<usize> {
    if shown.is_empty() {
        return Some(0);
    }
    body.windows(shown.len()).position(|window| window == shown.as_bytes())
}
