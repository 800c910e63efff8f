//! Numbers of records of all objects in one call, and the objects that the account could activate and has not: what a plan
//! of costs asks first. The numbers are some half a minute late, so nothing is compared with them that was read.
//!
//! Formats: <https://developers.hubspot.com/docs/api-reference/latest/crm/limits-tracking/guide>,
//! <https://developers.hubspot.com/docs/api-reference/latest/crm/crm-data-model/guide>.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::call::Call;
use crate::client::Client;
use crate::families::{CRM_OBJECTS, type_id_of};
use crate::version;

/// The numbers, as far as HubSpot tells them.
#[derive(Debug, Clone, Default)]
pub struct RecordCounts(Arc<Told>);

/// Objects are named by their `objectTypeId`.
#[derive(Debug, Default)]
struct Told {
    records: BTreeMap<String, u64>,
    /// Those that the account has not activated.
    off: BTreeSet<String>,
}

impl RecordCounts {
    /// Asks HubSpot, with two calls. What it does not answer, or not as documented, stays unknown.
    pub async fn read(client: &Client) -> RecordCounts {
        let ask = |path: String| async move {
            let answer = client.send(&Call::get(path)).await;
            let answer =
                answer.inspect_err(|failed| tracing::debug!("nothing is counted beforehand: {failed}"));
            serde_json::from_str::<Value>(&answer.ok()?).ok()
        };
        let version = version::LIMITS;
        let (records, enablement) = futures::future::join(
            ask(format!("/crm/limits/{version}/records")),
            ask(format!("/crm/object-library/{version}/enablement")),
        )
        .await;
        let (records, enablement) = (records.unwrap_or_default(), enablement.unwrap_or_default());
        RecordCounts(Arc::new(Told { records: counted(&records), off: turned_off(&enablement) }))
    }

    /// Returns the number of records of a collection; `None` where it is to be counted by a search. Whether the credential
    /// may read the records the number does not tell: it is taken for objects whose properties need the same scopes, and
    /// are read in any case.
    pub fn of(&self, collection: &str) -> Option<u64> {
        let object = CRM_OBJECTS.iter().find(|object| object.collection == collection)?;
        let [records, properties] = &object.families;
        let is_same = records.scopes == properties.scopes;
        self.0.records.get(object.type_id).copied().filter(|_| is_same)
    }

    /// `true`: the account could activate the object, and has not.
    pub fn is_off(&self, collection: &str) -> bool {
        type_id_of(collection).is_some_and(|type_id| self.0.off.contains(type_id))
    }
}

fn counted(answer: &Value) -> BTreeMap<String, u64> {
    let of_hubspot = answer.get("hubspotDefinedObjectTypes");
    let custom = answer.get("customObjectTypes").and_then(|custom| custom.get("byObjectType"));
    let objects = [of_hubspot, custom].into_iter().flatten().filter_map(Value::as_array).flatten();
    let count = |object: &Value| {
        let type_id = object.get("objectTypeId")?.as_str()?;
        Some((type_id.to_owned(), object.get("usage")?.as_u64()?))
    };
    objects.filter_map(count).collect()
}

fn turned_off(answer: &Value) -> BTreeSet<String> {
    let by_type = answer.get("enablementByObjectTypeId").and_then(Value::as_object);
    let is_off = |(_, is_on): &(&String, &Value)| **is_on == Value::Bool(false);
    by_type.into_iter().flatten().filter(is_off).map(|(type_id, _)| type_id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(records: &Value, enablement: &Value) -> RecordCounts {
        RecordCounts(Arc::new(Told { records: counted(records), off: turned_off(enablement) }))
    }

    #[test]
    fn what_is_told_as_documented_counts_and_nothing_else() {
        let records = json!({
            "hubspotDefinedObjectTypes": [
                {"objectTypeId": "0-5", "singularLabel": "Ticket", "usage": 12, "limit": 100, "percentage": 12.0},
                {"objectTypeId": "0-46", "usage": "many"},
                {"objectTypeId": "0-27"},
                {"usage": 7},
                null,
            ],
            "customObjectTypes": {"overallUsage": 3, "byObjectType": [{"objectTypeId": "2-9", "usage": 3}]},
        });
        let enablement = json!({"enablementByObjectTypeId": {"0-162": true, "0-410": false, "0-420": "no", "0-421": null}});
        let counts = told(&records, &enablement);
        assert_eq!(["tickets", "notes", "tasks"].map(|name| counts.of(name)), [Some(12), None, None]);
        assert_eq!(counted(&records)["2-9"], 3);
        let off =
            ["services", "courses", "listings", "appointments", "contacts"].map(|name| counts.is_off(name));
        assert_eq!(off, [false, true, false, false, false]);
        for odd in [Value::Null, json!([]), json!({"hubspotDefinedObjectTypes": {}, "customObjectTypes": []})]
        {
            let counts = told(&odd, &odd);
            assert!(counts.of("tickets").is_none() && !counts.is_off("courses"));
        }
    }
}
