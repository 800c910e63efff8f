//! Probes: one call to each family, which changes nothing. There are two rounds, since some calls take an id from the
//! answers of others.

use extract::Selection;
use futures::future::join_all;
use hubspot::families::{Family, Fill, Probe, Role, of_collections, of_custom_object, of_custom_schemas};
use hubspot::{Client, Error, ErrorKind};
use serde_json::Value;

/// A family, and the outcome of its probe.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) family: &'static Family,
    pub(super) availability: Availability,
    /// Selected collections that it fills.
    pub(super) fills: Vec<Fill>,
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

    pub(super) fn of<T>(answer: Result<T, &Error>) -> Availability {
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

/// Probes the families of Segment's collections, and of the further ones that are selected. A failure of one does not
/// stop the others.
pub(super) async fn probe(client: &Client, selection: &Selection) -> Vec<Probed> {
    let families = of_collections(|name| selection.collections.contains(name));
    let answers = join_all(families.iter().map(|family| async move {
        match family.probe {
            Probe::Call(call) => Some(client.send(&call()).await),
            Probe::OfFirst(..) | Probe::Never => None,
        }
    }))
    .await;
    let first_of = |name: &str| {
        let index = families.iter().position(|family| family.name == name)?;
        answers.get(index)?.as_ref()?.as_ref().ok().and_then(|body| first_id(body))
    };
    join_all(families.iter().zip(&answers).map(|(family, answer)| {
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
            let is_selected = |fill: &&Fill| selection.collections.contains(fill.collection);
            let fills = family.fills.iter().filter(is_selected).copied().collect();
            Probed { family, availability, fills }
        }
    }))
    .await
}

/// Probes the families of the custom objects that are selected, with the first of them. `schemas` is the answer to the
/// question which there are.
pub(super) async fn probe_custom_objects(
    client: &Client,
    selection: &Selection,
    schemas: Availability,
) -> Vec<Probed> {
    let custom = selection.type_ids.iter().filter(|(name, _)| selection.collections.contains(*name));
    let fills: Vec<Fill> =
        custom.clone().map(|(&collection, _)| Fill { collection, role: Role::Needed }).collect();
    let mut probed =
        vec![Probed { family: of_custom_schemas(), availability: schemas, fills: fills.clone() }];
    let Some((_, type_id)) = custom.into_iter().next() else { return probed };
    for (family, call) in of_custom_object(type_id) {
        let availability = Availability::of(client.send(&call).await.as_ref());
        probed.push(Probed { family, availability, fills: fills.clone() });
    }
    probed
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
