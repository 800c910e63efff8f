//! Single things that HubSpot answers badly, each time or a few times: each answer that would show them is a refusal
//! or a failure, or has bytes that are no text, or an entry that is not readable.

use serde_json::Value;

use super::problem::Problem;
use crate::endpoints::{Answer, Reply};

/// One thing that is answered badly. Nothing else is, except what shares an answer with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Endpoints such as `campaigns.get`; `campaigns` stands for all those of the family.
    pub endpoints: Vec<&'static str>,
    /// Text in the path and query of the calls concerned; `""` for all.
    pub in_request: String,
    /// Text in the answers concerned, such as `"id":"7"`; `""` for all.
    pub in_answer: String,
    pub effect: PoisonEffect,
    /// Number of answers that are bad.
    pub times: u32,
}

/// Way in which a thing is answered badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoisonEffect {
    /// A refusal (400, 403, 404) or a failure.
    Status(u16),
    /// The last byte of that text is not valid UTF-8.
    OddByte,
    /// The body ends in the middle, and its length says that it is complete.
    Torn,
    /// The connection ends before the body does.
    Cut,
    /// The entry that shows it is `null`.
    Null,
    /// The entry that shows it has no id.
    WithoutId,
    /// The entry's filters are nested to this depth.
    Deep(usize),
}

impl Poison {
    /// Makes a poison that lasts for ever.
    pub fn new(endpoint: &'static str, in_answer: impl Into<String>, effect: PoisonEffect) -> Self {
        Self {
            endpoints: vec![endpoint],
            in_request: String::new(),
            in_answer: in_answer.into(),
            effect,
            times: u32::MAX,
        }
    }

    /// Poisons a record in all endpoints that would show it, with its values or without.
    pub fn record(id: u64, status: u16) -> Self {
        let endpoints = vec!["objects.list", "objects.batch_read", "objects.get"];
        Self {
            endpoints,
            ..Self::new("", format!("\"hs_object_id\":\"{id}\""), PoisonEffect::Status(status))
        }
    }

    /// Refuses offsets that an endpoint gave out before.
    pub fn positions(endpoint: &'static str, parameter: &str) -> Self {
        Self { in_request: format!("{parameter}="), ..Self::new(endpoint, "", PoisonEffect::Status(400)) }
    }

    fn is_about(&self, endpoint: &str, target: &str, body: &[u8]) -> bool {
        let is_asked = |named: &&'static str| {
            endpoint == *named || endpoint.strip_prefix(named).is_some_and(|call| call.starts_with('.'))
        };
        self.times > 0
            && self.endpoints.iter().any(is_asked)
            && target.contains(&self.in_request)
            && place(body, &self.in_answer).is_some()
    }

    /// Spoils an answer that shows the thing.
    fn spoil(&self, reply: Reply) -> Answer {
        let Reply { status, mut body } = reply;
        match self.effect {
            PoisonEffect::Status(status) => return Err(Problem::of_status(status)),
            PoisonEffect::Cut => {}
            PoisonEffect::Torn => body.truncate(body.len() / 2),
            PoisonEffect::OddByte => {
                if let Some(place) = place(&body, &self.in_answer).filter(|_| !self.in_answer.is_empty()) {
                    body[place + self.in_answer.len() - 1] = 0xff;
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
                if place(entry.to_string().as_bytes(), &self.in_answer).is_some() {
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

/// Makes the text that stands for filters nested too deep for a tree, until the body is written.
fn placeholder(levels: usize) -> String {
    format!("-{levels} deep-")
}

/// Spoils an answer with each poison that concerns it. `true`: the connection ends before the answer does.
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

fn place(body: &[u8], in_answer: &str) -> Option<usize> {
    if in_answer.is_empty() {
        return Some(0);
    }
    body.windows(in_answer.len()).position(|window| window == in_answer.as_bytes())
}
