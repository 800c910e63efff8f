//! Probes: one call to each family, which changes nothing. There are two rounds, since some calls take an id from the
//! answers of others.

use futures::future::join_all;
use hubspot::families::{FAMILIES, Family, Probe};
use hubspot::json::Body;
use hubspot::{Client, Error, ErrorKind};
use serde_json::Value;

/// A family, and the outcome of its probe.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) family: &'static Family,
    pub(super) availability: Availability,
}

/// The answer of a family to its probe, with the reason as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Availability {
    Answers,
    /// 403: a scope is missing, or the account's product lacks it.
    MissingScope(String),
    /// 404 or 410: HubSpot has switched it off.
    Gone(String),
    Failed(String),
    /// There is no probe, or no record to probe with.
    NotAsked(String),
}

impl Availability {
    /// `true`: it is known not to answer.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Availability::MissingScope(_) | Availability::Gone(_) | Availability::Failed(_))
    }

    /// Returns its name in reports.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Availability::Answers => "yes",
            Availability::MissingScope(_) => "missing scope",
            Availability::Gone(_) => "gone",
            Availability::Failed(_) => "failed",
            Availability::NotAsked(_) => "not asked",
        }
    }

    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Availability::Answers => None,
            Availability::MissingScope(reason)
            | Availability::Gone(reason)
            | Availability::Failed(reason)
            | Availability::NotAsked(reason) => Some(reason),
        }
    }

    fn of(answer: Result<&Body, &Error>) -> Availability {
        match answer {
            Ok(_) => Availability::Answers,
            Err(error) => match error.kind() {
                ErrorKind::MissingScope => Availability::MissingScope(error.to_string()),
                ErrorKind::NotFound => Availability::Gone(error.to_string()),
                _ => Availability::Failed(error.to_string()),
            },
        }
    }
}

/// Probes all families, in the order of [`FAMILIES`]. A failure of one does not stop the others.
pub(super) async fn probe(client: &Client) -> Vec<Probed> {
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
            let availability = match (answer, family.probe, id) {
                (Some(answer), ..) => Availability::of(answer.as_ref()),
                (None, Probe::OfFirst(_, call), Some(id)) => {
                    Availability::of(client.send(&call(&id)).await.as_ref())
                }
                (None, Probe::OfFirst(other, _), None) => {
                    Availability::NotAsked(format!("{other} shows nothing to ask about"))
                }
                (None, ..) => Availability::NotAsked("it is used, not asked".to_owned()),
            };
            Probed { family, availability }
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
