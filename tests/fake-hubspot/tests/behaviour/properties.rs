//! Properties that a record shows, and their definitions.

use std::collections::BTreeMap;

use fake_hubspot::{Behaviour, Kind, ObjectType};
use serde_json::{Value, json};

use crate::client::{Fake, calm, small, some_id};

fn names(record: &Value) -> Vec<&str> {
    record["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

async fn first(fake: &Fake, query: &str) -> Value {
    fake.get(&format!("/crm/objects/2026-09/contacts?limit=1&{query}")).await.json()["results"][0].clone()
}

#[tokio::test]
async fn contacts_show_six_properties_by_default() {
    let fake = Fake::calm().await;
    let six = ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"];
    assert_eq!(names(&first(&fake, "").await), six);
}

#[tokio::test]
async fn only_named_properties_show_besides_the_three_that_always_do() {
    let fake = Fake::calm().await;
    let asked = first(&fake, "properties=phone,no_such_thing&properties=hs_calculated_merged_vids").await;
    let expected = ["createdate", "hs_calculated_merged_vids", "hs_object_id", "lastmodifieddate", "phone"];
    assert_eq!(names(&asked), expected);
    assert_eq!(asked["properties"]["hs_calculated_merged_vids"], Value::Null);
}

#[tokio::test]
async fn definitions_tell_hidden_calculated_and_read_only_ones() {
    let fake = Fake::calm().await;
    let answer = fake.get("/crm/properties/2026-09/contacts").await.json();
    let by_name: BTreeMap<_, _> =
        answer["results"].as_array().unwrap().iter().map(|p| (p["name"].as_str().unwrap(), p)).collect();
    let vids = by_name["hs_calculated_merged_vids"];
    assert_eq!(
        (&vids["hidden"], &vids["calculated"], &vids["hubspotDefined"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(by_name["lastmodifieddate"]["modificationMetadata"]["readOnlyValue"], true);
    assert_eq!(by_name["hs_is_contact"]["type"], "bool");
    assert!(!by_name.contains_key("health_notes"), "sensitive ones need a call of their own");
    let kinds: std::collections::BTreeSet<_> =
        by_name.values().map(|p| p["type"].as_str().unwrap()).collect();
    let all = ["bool", "date", "datetime", "enumeration", "json", "number", "phone_number", "string"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn sensitive_properties_need_a_scope() {
    let path = "/crm/properties/2026-09/contacts?dataSensitivity=sensitive";
    let fake = Fake::calm().await;
    assert_eq!(fake.get(path).await.json()["results"][0]["name"], "health_notes");
    assert!(names(&first(&fake, "properties=health_notes").await).contains(&"health_notes"));

    let fake = Fake::start(&small().without_scope("crm.objects.contacts.sensitive"), calm()).await;
    assert_eq!(fake.get(path).await.status, 403);
    assert!(!names(&first(&fake, "properties=health_notes").await).contains(&"health_notes"));
}

#[tokio::test]
async fn definitions_change_while_one_reads() {
    let fake = Fake::calm().await;
    let account = fake.account();
    let id = some_id(&fake, ObjectType::Deals);
    account.add_property(ObjectType::Deals, "risk", Kind::Number).unwrap();
    account.update(ObjectType::Deals, id, &[("risk", Some("7"))]).unwrap();
    let read = async || fake.get(&format!("/crm/objects/2026-09/deals/{id}?properties=risk")).await.json();
    assert_eq!(read().await["properties"]["risk"], "7");

    account.change_property_type(ObjectType::Deals, "risk", Kind::String).unwrap();
    assert_eq!(fake.get("/crm/properties/v3/deals/risk").await.status, 404, "the version stands elsewhere");
    assert_eq!(fake.get("/crm/v3/properties/deals/risk").await.json()["type"], "string");

    account.archive_property(ObjectType::Deals, "risk").unwrap();
    assert_eq!(read().await["properties"].get("risk"), None);
    let archived = fake.get("/crm/properties/2026-09/deals?archived=true").await.json();
    assert_eq!(archived["results"][0]["name"], "risk");
}

#[tokio::test]
async fn what_is_read_is_the_truth() {
    let fake = Fake::calm().await;
    for object in ObjectType::CORE {
        let truth: Vec<_> =
            fake.account().truth(object).filter(|r| r.merged_into.is_none() && !r.archived).collect();
        let properties: Vec<_> = truth[0].properties.keys().cloned().collect();
        let inputs: Vec<_> = truth.iter().take(100).map(|r| json!({"id": r.id.to_string()})).collect();
        let body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
        let answer = fake.post(&format!("/crm/objects/2026-09/{}/batch/read", object.plural()), &body).await;
        assert_eq!(answer.status, 200);
        let read: BTreeMap<_, _> = answer.json()["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| (record["id"].as_str().unwrap().to_owned(), record["properties"].clone()))
            .collect();
        for record in truth.iter().take(100) {
            assert_eq!(read[&record.id.to_string()], json!(record.properties));
        }
    }
}

#[tokio::test]
async fn batch_reads_tell_what_they_did_not_find() {
    let fake = Fake::calm().await;
    let merged_away = fake.account().merged_away(ObjectType::Contacts);
    let (gone, survivor) = merged_away.first_key_value().unwrap();
    let inputs = [gone.to_string(), survivor.to_string(), "2".to_owned()].map(|id| json!({"id": id}));
    let body = json!({"inputs": inputs, "properties": ["hs_merged_object_ids"], "propertiesWithHistory": []});
    let answer = fake.post("/crm/v3/objects/contacts/batch/read", &body).await;
    assert_eq!((answer.status, answer.ids()), (207, vec![*survivor]));
    let answer = answer.json();
    assert_eq!((&answer["status"], &answer["numErrors"]), (&json!("COMPLETE"), &json!(1)));
    assert_eq!(answer["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(answer["errors"][0]["context"]["ids"], json!(["2", gone.to_string()]));

    let too_many: Vec<_> = (0..101).map(|id| json!({"id": id.to_string()})).collect();
    for refused in [json!({"inputs": too_many}), json!({"properties": []}), json!([])] {
        assert_eq!(fake.post("/crm/v3/objects/contacts/batch/read", &refused).await.status, 400);
    }
}

#[tokio::test]
async fn archived_records_are_read_in_batches_of_their_own() {
    let fake = Fake::calm().await;
    let id = fake.account().archived_ids(ObjectType::Companies)[0];
    let body = json!({"inputs": [{"id": id.to_string()}]});
    assert_eq!(fake.post("/crm/v3/objects/companies/batch/read", &body).await.status, 207);
    assert_eq!(fake.post("/crm/v3/objects/companies/batch/read?archived=true", &body).await.ids(), [id]);
}

#[tokio::test]
async fn definitions_may_have_nulls() {
    let fake = Fake::start(&small(), Behaviour { definition_nulls: 1.0, ..calm() }).await;
    fake.deviates(&[
        "/results/#/archived is not \"boolean\"",
        "/results/#/calculated is not \"boolean\"",
        "/results/#/fieldType is not \"string\"",
        "/results/#/type is not \"string\"",
    ]);
    let answer = fake.get("/crm/properties/2026-09/contacts").await.json();
    let definitions = answer["results"].as_array().unwrap();
    for key in ["type", "fieldType", "calculated", "archived"] {
        assert!(definitions.iter().any(|definition| definition[key].is_null()), "{key}");
    }
    assert!(definitions.iter().all(|definition| definition["name"].is_string()));

    let fake = Fake::start(&small(), Behaviour { nameless_definition: true, ..calm() }).await;
    fake.deviates(&["/results/#/name is not \"string\""]);
    let answer = fake.get("/crm/properties/2026-09/contacts").await.json();
    let definitions = answer["results"].as_array().unwrap();
    assert_eq!(definitions.iter().filter(|definition| definition["name"].is_null()).count(), 1);
}

#[tokio::test]
async fn case_alone_may_tell_two_properties_apart() {
    let fake = Fake::calm().await;
    fake.account().add_property(ObjectType::Deals, "tier", Kind::String).unwrap();
    fake.account().add_property(ObjectType::Deals, "Tier", Kind::String).unwrap();
    let id = some_id(&fake, ObjectType::Deals);
    fake.account().update(ObjectType::Deals, id, &[("Tier", Some("a")), ("tier", Some("b"))]).unwrap();
    let read = fake.get(&format!("/crm/objects/2026-09/deals/{id}?properties=tier,Tier")).await.json();
    assert_eq!((&read["properties"]["Tier"], &read["properties"]["tier"]), (&json!("a"), &json!("b")));
}
