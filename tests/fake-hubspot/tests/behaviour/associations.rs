//! Links: batches, pages, labels, and what a link changes.

use std::collections::BTreeMap;

use fake_hubspot::{Behaviour, Label, ObjectType, TruthAssociations};
use serde_json::{Value, json};

use crate::client::{Fake, calm, small, some_id};

const DEALS_TO_CONTACTS: &str = "/crm/associations/2026-09/deals/contacts/batch/read";

fn truth(fake: &Fake, object: ObjectType) -> BTreeMap<u64, TruthAssociations> {
    let records =
        fake.account().truth(object).filter(|record| record.merged_into.is_none() && !record.archived);
    records.map(|record| (record.id, record.associations)).collect()
}

fn inputs(ids: impl IntoIterator<Item = u64>) -> Value {
    json!({"inputs": ids.into_iter().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>()})
}

fn entry_ids(to: &Value) -> Vec<u64> {
    to.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["toObjectId"].as_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_holds_what_is_linked_and_names_what_is_not() {
    let fake = Fake::calm().await;
    let truth = truth(&fake, ObjectType::Deals);
    let answer = fake.post(DEALS_TO_CONTACTS, &inputs(truth.keys().copied())).await;
    assert_eq!(answer.status, 207);
    let answer = answer.json();
    let mut read = BTreeMap::new();
    for result in answer["results"].as_array().unwrap() {
        read.insert(result["from"]["id"].as_str().unwrap().parse::<u64>().unwrap(), entry_ids(&result["to"]));
    }
    let alone: Vec<_> =
        truth.iter().filter(|(_, links)| links.contacts.is_empty()).map(|(id, _)| *id).collect();
    assert!(!alone.is_empty());
    for (id, links) in truth.iter().filter(|(_, links)| !links.contacts.is_empty()) {
        assert_eq!(read.remove(id).as_ref(), Some(&links.contacts));
    }
    assert!(read.is_empty());
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!((errors.len(), &answer["numErrors"]), (alone.len(), &json!(alone.len())));
    assert_eq!(errors[0]["subCategory"], "crm.associations.NO_ASSOCIATIONS_FOUND");
    assert_eq!(errors[0]["context"]["fromObjectId"], json!([alone[0].to_string()]));
}

#[tokio::test]
async fn ids_are_text_today_and_were_numbers() {
    let fake = Fake::calm().await;
    let id = fake.account().live_ids(ObjectType::Deals)[0];
    let today = fake.post(DEALS_TO_CONTACTS, &inputs([id])).await.json();
    let before = fake.post("/crm/v4/associations/deals/contacts/batch/read", &inputs([id])).await.json();
    assert!(today["results"][0]["to"][0]["toObjectId"].is_string());
    assert!(before["results"][0]["to"][0]["toObjectId"].is_u64());
    assert_eq!(before["results"][0]["from"]["id"], id.to_string());
}

#[tokio::test]
async fn long_lists_page_by_input() {
    let fake = Fake::start(&small(), Behaviour { associations_page: 30, ..calm() }).await;
    let wide = fake.account().live_ids(ObjectType::Deals)[0];
    let (mut read, mut after) = (Vec::new(), Value::Null);
    loop {
        let body = json!({"inputs": [{"id": wide.to_string(), "after": after}]});
        let result = fake.post(DEALS_TO_CONTACTS, &body).await.json()["results"][0].clone();
        assert!(entry_ids(&result["to"]).len() <= 30);
        read.extend(entry_ids(&result["to"]));
        match result["paging"]["next"].get("after") {
            Some(next) => after = next.clone(),
            None => break,
        }
    }
    assert!(read.len() > 300);
    assert_eq!(read, truth(&fake, ObjectType::Deals)[&wide].contacts);
}

#[tokio::test]
async fn a_primary_company_is_named_twice() {
    let fake = Fake::calm().await;
    let deal = some_id(&fake, ObjectType::Deals);
    let company = some_id(&fake, ObjectType::Companies);
    let other = fake.account().live_ids(ObjectType::Companies)[0];
    for (company, label) in [(other, Label::Unlabeled), (company, Label::Primary)] {
        fake.account().associate((ObjectType::Deals, deal), (ObjectType::Companies, company), label).unwrap();
    }
    let text = json!(company.to_string());
    let path = "/crm/associations/2026-09/deals/companies/batch/read";
    let types = async || {
        let result = fake.post(path, &inputs([deal])).await.json()["results"][0]["to"].clone();
        let entries = result.as_array().unwrap().iter().filter(|entry| entry["toObjectId"] == text);
        entries.map(|entry| entry["associationTypes"].clone()).collect::<Vec<_>>()
    };
    let primary = json!({"category": "HUBSPOT_DEFINED", "typeId": 5, "label": "Primary"});
    let unlabeled = json!({"category": "HUBSPOT_DEFINED", "typeId": 341, "label": null});
    assert_eq!(types().await, [json!([primary, unlabeled])]);

    fake.server.set_behaviour(Behaviour { repeat_associations_per_label: true, ..calm() });
    assert_eq!(types().await, [json!([primary]), json!([unlabeled])]);

    let listed = fake.get(&format!("/crm/v3/objects/deals/{deal}?associations=companies")).await.json();
    let named: Vec<_> = listed["associations"]["companies"]["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["id"] == text)
        .map(|entry| entry["type"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["deal_to_company", "deal_to_company_unlabeled"]);
}

#[tokio::test]
async fn the_types_of_a_pair_have_ids_within_a_category_and_a_label_for_each_direction() {
    let fake = Fake::calm().await;
    let labels = async |from: &str, to: &str| {
        let path = format!("/crm/associations/2026-09/{from}/{to}/labels");
        fake.get(&path).await.json()["results"].as_array().unwrap().clone()
    };
    let to_companies = labels("contacts", "companies").await;
    let ids: Vec<&Value> = to_companies.iter().map(|label| &label["typeId"]).collect();
    assert_eq!(ids, [1, 279, 1]);
    assert_eq!(to_companies[0]["category"], "HUBSPOT_DEFINED");
    assert_eq!(
        (&to_companies[2]["category"], &to_companies[2]["label"]),
        (&json!("USER_DEFINED"), &json!("Decision maker"))
    );
    let back = labels("0-2", "0-1").await;
    assert_eq!((&back[2]["typeId"], &back[2]["label"]), (&json!(2), &json!("Decided by")));
    assert_eq!(fake.get("/crm/associations/2026-09/contacts/boats/labels").await.status, 400);
}

#[tokio::test]
async fn lists_show_a_first_part_of_long_lists() {
    let fake = Fake::start(&small(), Behaviour { inline_associations: 20, ..calm() }).await;
    let page = fake.get("/crm/objects/2026-09/deals?limit=100&associations=contacts,companies").await.json();
    let wide = &page["results"][0]["associations"]["contacts"];
    assert!(wide["results"].as_array().unwrap().len() >= 20);
    assert!(wide["paging"]["next"]["after"].is_string());
    let records = page["results"].as_array().unwrap();
    let alone = |record: &&Value| {
        let id: u64 = record["id"].as_str().unwrap().parse().unwrap();
        let links = &truth(&fake, ObjectType::Deals)[&id];
        links.contacts.is_empty() && links.companies.is_empty()
    };
    assert_eq!(records.iter().find(alone).unwrap().get("associations"), None);
}

#[tokio::test]
async fn links_of_one_record_can_be_read() {
    let fake = Fake::calm().await;
    let wide = fake.account().live_ids(ObjectType::Deals)[0];
    let path = format!("/crm/objects/2026-09/deals/{wide}/associations/companies?limit=2");
    let page = fake.get(&path).await.json();
    assert_eq!(entry_ids(&page["results"]).len(), 2);
    let after = page["paging"]["next"]["after"].as_str().unwrap();
    let next = fake.get(&format!("{path}&after={after}")).await.json();
    let expected: Vec<_> =
        truth(&fake, ObjectType::Deals)[&wide].companies.iter().map(|(id, _)| *id).collect();
    assert_eq!([entry_ids(&page["results"]), entry_ids(&next["results"])].concat(), expected[..4]);
}

#[tokio::test]
async fn a_link_changes_counts_but_no_modified_date() {
    let fake = Fake::calm().await;
    let deal = *fake.account().live_ids(ObjectType::Deals).last().unwrap();
    let contact = some_id(&fake, ObjectType::Contacts);
    let (deal, contact) = ((ObjectType::Deals, deal), (ObjectType::Contacts, contact));
    let read = || fake.account().truth(ObjectType::Deals).find(|record| record.id == deal.1).unwrap();
    fake.account().dissociate(deal, contact);
    let before = read();
    fake.account().associate(deal, contact, Label::Unlabeled).unwrap();
    let after = read();
    assert_eq!(after.updated_at, before.updated_at);
    assert_eq!(after.associations.contacts.len(), before.associations.contacts.len() + 1);
    assert_ne!(after.properties["num_associated_contacts"], before.properties["num_associated_contacts"]);
    assert!(fake.account().dissociate(deal, contact));
    assert_eq!(read().associations, before.associations);
}

#[tokio::test]
async fn a_thousand_inputs_are_enough() {
    let fake = Fake::calm().await;
    assert_eq!(fake.post(DEALS_TO_CONTACTS, &inputs(0..1_000)).await.status, 207);
    assert_eq!(fake.post(DEALS_TO_CONTACTS, &inputs(0..1_001)).await.status, 400);
}
