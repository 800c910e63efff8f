//! Associated ids of records: all pages of them, each id once, the primary one first.
//!
//! A list call brings them along, at no call of its own, but only the first page of each record's; where there is
//! more, and where records come by batch read, the associations endpoint is asked.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::records::{Associated, next_after};
use super::{ObjectFeed, ObjectType};
use crate::budget::Bucket;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner};
use crate::version;

/// Records in one call of the associations endpoint
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide>).
const MAX_INPUTS: usize = 1_000;
/// HubSpot's type ids of a primary company, from a deal and from a contact.
const PRIMARY_TYPES: [u64; 2] = [5, 1];

/// What the cursor calls the associations with this object, when they are refused.
pub(super) fn source(other: &str) -> String {
    format!("associations with {other}")
}

/// Whether the associations with `other` may be read.
pub(super) async fn answers(object: &ObjectType, client: &Client, other: &str) -> Result<bool> {
    let path = format!("/crm/associations/{}/{}/{other}/batch/read", version::ASSOCIATIONS, object.name);
    let body = json!({ "inputs": [{ "id": "1" }] }).to_string();
    match client.send(&Call::post(path, body, Bucket::Associations)).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.kind() == ErrorKind::MissingScope => Ok(false),
        // Answers, whatever it says of this one record.
        Err(refused) if matches!(refused.kind(), ErrorKind::BadRequest | ErrorKind::NotFound) => Ok(true),
        Err(failed) => Err(failed),
    }
}

/// One record's associated ids of one object, in the making.
#[derive(Debug, Default)]
struct Ends {
    primary: Vec<u64>,
    others: Vec<u64>,
}

impl Ends {
    fn add(&mut self, id: u64, is_primary: bool) {
        if is_primary {
            self.primary.push(id);
        } else {
            self.others.push(id);
        }
    }

    /// An id comes once for each of its labels, and in any order: each once, in an order that does not change.
    fn ids(mut self) -> Vec<u64> {
        self.primary.sort_unstable();
        self.primary.dedup();
        self.others.sort_unstable();
        self.others.dedup();
        self.others.retain(|id| self.primary.binary_search(id).is_err());
        self.primary.append(&mut self.others);
        self.primary
    }
}

/// The associations of many records with one object, and the records that have more of them.
#[derive(Debug, Default)]
struct Collected {
    by_record: HashMap<u64, Ends>,
    /// Records with a next page, and where it begins.
    unfinished: Vec<(u64, String)>,
}

impl ObjectFeed {
    /// What the answer of a list call says, completed.
    pub(super) async fn inline_associated(&self, body: &Body) -> Result<Associated> {
        let mut associated = Associated::new();
        if self.associations.is_empty() {
            return Ok(associated);
        }
        let mut by_object = inline(body)?;
        for &other in &self.associations {
            let mut collected = by_object.remove(other).unwrap_or_default();
            // A position within the list call's answer means nothing to the associations endpoint.
            let again: Vec<u64> =
                std::mem::take(&mut collected.unfinished).into_iter().map(|(id, _)| id).collect();
            for id in &again {
                collected.by_record.remove(id);
            }
            self.read_associations(other, &again, &mut collected).await?;
            put(&mut associated, other, collected);
        }
        Ok(associated)
    }

    /// The associations of these records, from the associations endpoint.
    pub(super) async fn associated(&self, ids: &[u64]) -> Result<Associated> {
        let mut associated = Associated::new();
        for &other in &self.associations {
            let mut collected = Collected::default();
            self.read_associations(other, ids, &mut collected).await?;
            put(&mut associated, other, collected);
        }
        Ok(associated)
    }

    async fn read_associations(
        &self,
        other: &'static str,
        ids: &[u64],
        collected: &mut Collected,
    ) -> Result<()> {
        let mut inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id.to_string() })).collect();
        let mut pages_left = 10_000;
        while !inputs.is_empty() {
            pages_left -= 1;
            if pages_left == 0 {
                let message = format!("the associations of {} with {other} have no end", self.object.name);
                return Err(Error::new(ErrorKind::Malformed, message));
            }
            let rest = inputs.split_off(inputs.len().min(MAX_INPUTS));
            let path = format!(
                "/crm/associations/{}/{}/{other}/batch/read",
                version::ASSOCIATIONS,
                self.object.name
            );
            let body = json!({ "inputs": inputs }).to_string();
            let answer = self.client.send(&Call::post(path, body, Bucket::Associations)).await;
            let answer = answer.map_err(|error| error.lost_if_refused(&source(other)))?;
            collect(&answer, collected)?;
            inputs = std::mem::take(&mut collected.unfinished)
                .into_iter()
                .map(|(id, after)| json!({ "id": id.to_string(), "after": after }))
                .chain(rest)
                .collect();
        }
        Ok(())
    }
}

fn put(associated: &mut Associated, other: &'static str, collected: Collected) {
    for (id, ends) in collected.by_record {
        associated.entry(id).or_default().insert(other, ends.ids());
    }
}

/// `results[].associations.<object>.{results[].{id,type}, paging}` of a list call.
fn inline(body: &str) -> Result<HashMap<String, Collected>> {
    let mut by_object: HashMap<String, Collected> = HashMap::new();
    Scanner::new(body).each_field(|key, value| match key.raw() {
        "results" => value.each_item(|record| inline_record(record, &mut by_object)),
        _ => value.skip(),
    })?;
    Ok(by_object)
}

fn inline_record(
    record: &mut Scanner<'_>,
    by_object: &mut HashMap<String, Collected>,
) -> Result<(), Malformed> {
    // The id may stand behind the associations.
    let mut whole = record.clone();
    let mut id = None;
    whole.each_field(|key, value| match key.raw() {
        "id" => {
            id = Some(value.id()?);
            Ok(())
        }
        _ => value.skip(),
    })?;
    record.each_field(|key, value| {
        let (Some(id), "associations", true) = (id, key.raw(), value.is_nested()) else {
            return value.skip();
        };
        value.each_field(|other, value| {
            let collected = by_object.entry(other.text().into_owned()).or_default();
            value.each_field(|key, value| match key.raw() {
                "results" => value.each_item(|end| {
                    let (end, is_primary) = inline_end(end)?;
                    collected.by_record.entry(id).or_default().add(end, is_primary);
                    Ok(())
                }),
                "paging" => {
                    collected.unfinished.extend(next_after(value)?.map(|after| (id, after)));
                    Ok(())
                }
                _ => value.skip(),
            })
        })
    })
}

/// `{id, type}`; the primary company's type is `deal_to_company`, any other's ends in `_unlabeled` or a label.
fn inline_end(end: &mut Scanner<'_>) -> Result<(u64, bool), Malformed> {
    let mut missing = end.clone();
    let (mut id, mut is_primary) = (None, false);
    end.each_field(|key, value| {
        match key.raw() {
            "id" => id = Some(value.id()?),
            "type" => {
                let label = value.string_or_null()?;
                is_primary = label
                    .is_some_and(|label| matches!(label.raw(), "deal_to_company" | "contact_to_company"));
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    id.map_or_else(|| missing.id(), Ok).map(|id| (id, is_primary))
}

/// An answer of the associations endpoint. Records without associations are absent, or among its `errors`.
fn collect(body: &str, collected: &mut Collected) -> Result<()> {
    Scanner::new(body).each_field(|key, value| match key.raw() {
        "results" => value.each_item(|result| collect_record(result, collected)),
        _ => value.skip(),
    })?;
    Ok(())
}

fn collect_record(result: &mut Scanner<'_>, collected: &mut Collected) -> Result<(), Malformed> {
    let mut missing = result.clone();
    let (mut from, mut ends, mut after) = (None, Vec::new(), None);
    result.each_field(|key, value| {
        match key.raw() {
            "from" => value.each_field(|key, value| {
                match key.raw() {
                    "id" => from = Some(value.id()?),
                    _ => value.skip()?,
                }
                Ok::<_, Malformed>(())
            })?,
            "to" => value.each_item(|end| {
                ends.push(associated_end(end)?);
                Ok::<_, Malformed>(())
            })?,
            "paging" => after = next_after(value)?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    let from = from.map_or_else(|| missing.id(), Ok)?;
    let known = collected.by_record.entry(from).or_default();
    ends.into_iter().for_each(|(id, is_primary)| known.add(id, is_primary));
    collected.unfinished.extend(after.map(|after| (from, after)));
    Ok(())
}

/// `{toObjectId, associationTypes: [{category, typeId, label}]}`; the id comes as text and as a number.
fn associated_end(end: &mut Scanner<'_>) -> Result<(u64, bool), Malformed> {
    let mut missing = end.clone();
    let (mut id, mut is_primary) = (None, false);
    end.each_field(|key, value| {
        match key.raw() {
            "toObjectId" | "id" => id = Some(value.id()?),
            "associationTypes" if value.is_nested() => value.each_item(|kind| {
                is_primary |= is_primary_type(kind)?;
                Ok::<_, Malformed>(())
            })?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    id.map_or_else(|| missing.id(), Ok).map(|id| (id, is_primary))
}

fn is_primary_type(kind: &mut Scanner<'_>) -> Result<bool, Malformed> {
    let (mut type_id, mut is_hubspots) = (None, true);
    kind.each_field(|key, value| {
        match key.raw() {
            "typeId" => type_id = value.scalar()?.and_then(|id| id.raw().parse::<u64>().ok()),
            "category" => {
                is_hubspots =
                    value.string_or_null()?.is_none_or(|category| category.raw() == "HUBSPOT_DEFINED");
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(is_hubspots && type_id.is_some_and(|id| PRIMARY_TYPES.contains(&id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(collected: Collected, record: u64) -> Vec<u64> {
        collected.by_record.into_iter().find(|(id, _)| *id == record).unwrap().1.ids()
    }

    #[test]
    fn a_company_comes_once_and_the_primary_one_first() {
        let body = r#"{"results":[{"from":{"id":"7"},"to":[
            {"toObjectId":30,"associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":341,"label":null}]},
            {"toObjectId":"40","associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":341},
                                                   {"category":"HUBSPOT_DEFINED","typeId":5,"label":"Primary"}]},
            {"toObjectId":"30","associationTypes":[{"category":"USER_DEFINED","typeId":5,"label":"Partner"}]},
            {"toObjectId":"20","associationTypes":[]}],
            "paging":{"next":{"after":"3"}}}],"errors":[{"status":"error"}]}"#;
        let mut collected = Collected::default();
        collect(body, &mut collected).unwrap();
        assert_eq!(collected.unfinished, [(7, "3".to_owned())]);
        assert_eq!(ids(collected, 7), [40, 20, 30]);
    }

    #[test]
    fn a_list_call_brings_associations_along() {
        let body = r#"{"results":[{"associations":{"companies":{"results":[
            {"id":"9","type":"deal_to_company_unlabeled"},{"id":"8","type":"deal_to_company_unlabeled"},
            {"id":"9","type":"deal_to_company"}],"paging":{"next":{"after":"x"}}}},"id":"1"},{"id":"2"}]}"#;
        let mut by_object = inline(body).unwrap();
        let companies = by_object.remove("companies").unwrap();
        assert_eq!(companies.unfinished, [(1, "x".to_owned())]);
        assert_eq!(ids(companies, 1), [9, 8]);
    }
}
