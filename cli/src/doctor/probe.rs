//! Asks each family once, and changes nothing. Two rounds: some calls take an id, which the answers of others show.

use futures::future::join_all;
use serde_json::Value;

use super::{FAMILIES, Family, Probe};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::json::Body;

/// A family, and what became of its probe.
#[derive(Debug)]
pub struct Probed {
    pub family: &'static Family,
    pub outcome: Outcome,
}

/// The texts say why, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Answers,
    /// 403: a scope is missing, or the account's product lacks it.
    MissingScope(String),
    /// 404 or 410: HubSpot has switched it off.
    Gone(String),
    Failed(String),
    /// Nothing to ask about, or nothing to ask.
    NotAsked(String),
}

impl Outcome {
    /// Whether it is known not to answer.
    pub fn is_missing(&self) -> bool {
        matches!(self, Outcome::MissingScope(_) | Outcome::Gone(_) | Outcome::Failed(_))
    }

    /// As it stands in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Answers => "yes",
            Outcome::MissingScope(_) => "missing scope",
            Outcome::Gone(_) => "gone",
            Outcome::Failed(_) => "failed",
            Outcome::NotAsked(_) => "not asked",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Answers => None,
            Outcome::MissingScope(reason)
            | Outcome::Gone(reason)
            | Outcome::Failed(reason)
            | Outcome::NotAsked(reason) => Some(reason),
        }
    }

    fn of(answer: Result<&Body, &Error>) -> Outcome {
        match answer {
            Ok(_) => Outcome::Answers,
            Err(error) => match error.kind() {
                ErrorKind::MissingScope => Outcome::MissingScope(error.to_string()),
                ErrorKind::NotFound => Outcome::Gone(error.to_string()),
                _ => Outcome::Failed(error.to_string()),
            },
        }
    }
}

/// What each family says, in the order of [`FAMILIES`]. One family's failure is its own.
pub async fn probe(client: &Client) -> Vec<Probed> {
    let answers = join_all(FAMILIES.iter().map(|family| async move {
        match family.probe {
            Probe::Call(call) => Some(client.send(&call()).await),
            Probe::OfFirst(..) | Probe::Never => None,
        }
    }))
    .await;
    let first_of = |name: &str| {
        let index = FAMILIES.iter().position(|family| family.name == name)?;
        answers.get(index)?.as_ref()?.as_ref().ok().and_then(|body| first_id(body))
    };
    join_all(FAMILIES.iter().zip(&answers).map(|(family, answer)| {
        let id = match family.probe {
            Probe::OfFirst(other, _) => first_of(other),
            Probe::Call(_) | Probe::Never => None,
        };
        async move {
            let outcome = match (answer, family.probe, id) {
                (Some(answer), ..) => Outcome::of(answer.as_ref()),
                (None, Probe::OfFirst(_, call), Some(id)) => {
                    Outcome::of(client.send(&call(&id)).await.as_ref())
                }
                (None, Probe::OfFirst(other, _), None) => {
                    Outcome::NotAsked(format!("{other} shows nothing to ask about"))
                }
                (None, ..) => Outcome::NotAsked("it is used, not asked".to_owned()),
            };
            Probed { family, outcome }
        }
    }))
    .await
}

fn first_id(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    match body.pointer("/results/0/id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_is_found_or_not() {
        assert_eq!(first_id(r#"{"results":[{"id":"7"},{"id":"8"}]}"#).as_deref(), Some("7"));
        assert_eq!(first_id(r#"{"results":[{"id":7}]}"#).as_deref(), Some("7"));
        assert_eq!(first_id(r#"{"results":[]}"#), None);
        assert_eq!(first_id("<html>"), None);
    }
}
