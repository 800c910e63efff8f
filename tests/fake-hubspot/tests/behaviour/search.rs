//! Results of searches, their lag, and the limit of their pages.

use std::time::Duration;

use fake_hubspot::{Behaviour, IndexLag, ObjectType, PerType, Settings};
use serde_json::{Value, json};

use crate::client::{Fake, calm, filters, ids, small, some_id};

#[tokio::test]
async fn filters_and_sorts_find_what_the_truth_holds() {
    let fake = Fake::calm().await;
    let mut live: Vec<_> =
        fake.account().truth(ObjectType::Deals).filter(|r| r.merged_into.is_none() && !r.archived).collect();
    live.sort_by_key(|record| record.updated_at);
    let (from, to) = (live[20].updated_at, live[50].updated_at);
    let mut body = json!({
        "filterGroups": [{"filters": [{
            "propertyName": "hs_lastmodifieddate", "operator": "BETWEEN",
            "value": from.timestamp_millis().to_string(), "highValue": to.to_rfc3339(),
        }]}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "limit": 200,
    });
    let mut expected: Vec<_> =
        live.iter().filter(|r| r.updated_at >= from && r.updated_at <= to).map(|r| r.id).collect();
    expected.sort_unstable();
    let found = fake.search("deals", &body).await;
    assert_eq!(found.ids(), expected);
    assert_eq!(found.json()["total"], expected.len());

    let half = expected[expected.len() / 2];
    let beyond = json!({"propertyName": "hs_object_id", "operator": "GT", "value": half.to_string()});
    body["filterGroups"][0]["filters"].as_array_mut().unwrap().push(beyond);
    assert_eq!(fake.search("deals", &body).await.ids(), expected[expected.len() / 2 + 1..]);
}

#[tokio::test]
async fn every_operator_works() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, ObjectType::Contacts);
    let company = [("company", Some("Fjord & Sons"))];
    fake.account().update(ObjectType::Contacts, id, &company).unwrap();
    let matches = async |filter: Value| {
        let this = json!({"propertyName": "hs_object_id", "operator": "EQ", "value": id});
        let body = json!({"filterGroups": [{"filters": [this, filter]}]});
        fake.search("contacts", &body).await.json()["total"] == 1
    };
    let on = |operator: &str, value: &str| json!({"propertyName": "company", "operator": operator, "value": value});
    for (filter, expected) in [
        (on("EQ", "fjord & sons"), true),
        (on("NEQ", "fjord & sons"), false),
        (on("CONTAINS_TOKEN", "fj*"), true),
        (on("CONTAINS_TOKEN", "jord"), false),
        (on("NOT_CONTAINS_TOKEN", "sons"), false),
        (on("GTE", "fjord"), true),
        (on("LT", "fjord"), false),
        (json!({"propertyName": "company", "operator": "IN", "values": ["a", "fjord & sons"]}), true),
        (json!({"propertyName": "company", "operator": "NOT_IN", "values": ["a"]}), true),
        (json!({"propertyName": "company", "operator": "HAS_PROPERTY"}), true),
        (json!({"propertyName": "company", "operator": "NOT_HAS_PROPERTY"}), false),
    ] {
        assert_eq!(matches(filter.clone()).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn groups_are_alternatives() {
    let fake = Fake::calm().await;
    let all = fake.account().live_ids(ObjectType::Companies);
    let one = |id: u64| json!({"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": id.to_string()}]});
    let found = fake.search("companies", &json!({"filterGroups": [one(all[3]), one(all[1])]})).await;
    assert_eq!(found.ids(), [all[1], all[3]]);
}

#[tokio::test]
async fn paging_ends_at_ten_thousand() {
    let bulk_import = PerType { contacts: 10_300, ..PerType::default() };
    let fake = Fake::start(&Settings { bulk_import, ..small() }, calm()).await;
    let page =
        async |after: u64| fake.search("contacts", &json!({"limit": 200, "after": after.to_string()})).await;
    let last = page(9_800).await;
    assert_eq!(ids(&last.json()).len(), 200);
    assert_eq!(last.json()["paging"]["next"]["after"], "10000");
    assert!(last.json()["total"].as_u64().unwrap() > 10_000);
    assert_eq!(page(10_000).await.status, 400);
}

#[tokio::test]
async fn a_crowded_millisecond_is_read_by_id() {
    let bulk_import = PerType { contacts: 10_300, ..PerType::default() };
    let fake = Fake::start(&Settings { bulk_import, ..small() }, calm()).await;
    let crowd: Vec<_> = {
        let truth: Vec<_> = fake.account().truth(ObjectType::Contacts).collect();
        let at =
            truth.iter().filter(|r| r.created_at == r.updated_at).max_by_key(|r| r.id).unwrap().updated_at;
        truth.into_iter().filter(|r| r.updated_at == at && !r.archived && r.merged_into.is_none()).collect()
    };
    assert!(crowd.len() > 9_000);
    let at = crowd[0].updated_at.timestamp_millis().to_string();
    let (mut read, mut beyond) = (Vec::new(), "0".to_owned());
    loop {
        let mut body = filters(&[("lastmodifieddate", "EQ", &at), ("hs_object_id", "GT", &beyond)]);
        body["sorts"] = json!(["hs_object_id"]);
        let page = fake.search("contacts", &body).await.ids();
        let Some(last) = page.last() else { break };
        beyond = last.to_string();
        read.extend(page);
    }
    assert_eq!(read, crowd.iter().map(|record| record.id).collect::<Vec<_>>());
}

#[tokio::test]
async fn equal_sort_values_come_in_no_useful_order() {
    let fake = Fake::calm().await;
    let touched = fake.account().touch_many_in_one_ms(ObjectType::Contacts, 50);
    let sorts = json!([{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}]);
    let mut found = fake.search("contacts", &json!({"sorts": sorts, "limit": 50})).await.ids();
    assert!(!found.is_sorted());
    found.sort_unstable();
    assert_eq!(found, touched);
}

#[tokio::test]
async fn the_index_stays_behind_the_records() {
    let lag = IndexLag { least: Duration::from_millis(300), ..IndexLag::up_to(Duration::from_millis(400)) };
    let fake = Fake::start(&small(), Behaviour { index_lag: lag, ..calm() }).await;
    let account = fake.account();
    let id = some_id(&fake, ObjectType::Contacts);
    let before = account.truth(ObjectType::Contacts).find(|record| record.id == id).unwrap();
    account.update(ObjectType::Contacts, id, &[("firstname", Some("Changed"))]).unwrap();
    let created = account.create(ObjectType::Contacts, &[("firstname", Some("Changed"))]).unwrap();

    let found = async || fake.search("contacts", &filters(&[("firstname", "EQ", "Changed")])).await.ids();
    assert!(found().await.is_empty());
    let old_place = filters(&[
        ("lastmodifieddate", "EQ", &before.updated_at.timestamp_millis().to_string()),
        ("hs_object_id", "EQ", &id.to_string()),
    ]);
    let old = fake.search("contacts", &old_place).await.json();
    assert_eq!(old["results"][0]["properties"]["firstname"], json!(before.properties["firstname"]));
    let body = json!({"inputs": [{"id": id.to_string()}], "properties": ["firstname"]});
    let fresh = fake.post("/crm/v3/objects/contacts/batch/read", &body).await.json();
    assert_eq!(fresh["results"][0]["properties"]["firstname"], "Changed", "only search lags");

    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(found().await, [id, created]);
    assert_eq!(fake.search("contacts", &old_place).await.json()["total"], 0);
}

#[tokio::test]
async fn archived_records_are_not_found() {
    let fake = Fake::calm().await;
    let id = fake.account().archived_ids(ObjectType::Deals)[0].to_string();
    assert_eq!(fake.search("deals", &filters(&[("hs_object_id", "EQ", &id)])).await.json()["total"], 0);
}

#[tokio::test]
async fn contacts_have_no_hs_lastmodifieddate_to_search_by() {
    let fake = Fake::calm().await;
    let body = filters(&[("hs_lastmodifieddate", "GT", "1000")]);
    assert_eq!(fake.search("contacts", &body).await.json()["total"], 0);
}

#[tokio::test]
async fn short_pages_say_that_there_is_more() {
    let fake = Fake::start(&small(), Behaviour { short_pages: 1.0, ..calm() }).await;
    let (mut read, mut after) = (Vec::new(), json!("0"));
    while !after.is_null() {
        let page = fake.search("contacts", &json!({"limit": 100, "after": after})).await.json();
        read.extend(ids(&page));
        after = page["paging"]["next"]["after"].clone();
    }
    assert_eq!(read, fake.account().live_ids(ObjectType::Contacts));
}

#[tokio::test]
async fn searching_from_1970_fails() {
    let fake = Fake::calm().await;
    assert_eq!(fake.search("deals", &filters(&[("hs_lastmodifieddate", "GTE", "0")])).await.status, 500);
    assert_eq!(fake.search("deals", &filters(&[("hs_lastmodifieddate", "GTE", "1000")])).await.status, 200);
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let fake = Fake::calm().await;
    let filter = json!({"propertyName": "amount", "operator": "GT", "value": "1"});
    let group = |filters: usize| json!({"filters": vec![filter.clone(); filters]});
    for body in [
        json!({"limit": 201}),
        json!({"limit": 0}),
        json!({"after": "next"}),
        json!({"filterGroups": vec![group(1); 6]}),
        json!({"filterGroups": [group(7)]}),
        json!({"filterGroups": vec![group(4); 5]}),
        json!({"sorts": ["amount", "dealname"]}),
        json!({"sorts": ["no_such_property"]}),
        filters(&[("no_such_property", "EQ", "1")]),
        filters(&[("amount", "EQ", "much")]),
        filters(&[("amount", "ABOUT", "1")]),
        json!({"properties": vec!["some_property_name"; 200]}),
        json!(null),
    ] {
        let refused = fake.search("deals", &body).await;
        assert_eq!(
            (refused.status, &refused.json()["category"]),
            (400, &json!("VALIDATION_ERROR")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_index_stands_still_at_times() {
    let standstill = Duration::from_millis(1_000);
    // From the start on: it is the end of a period of which nothing else is left.
    let lag = IndexLag { standstill, period: standstill, ..IndexLag::none() };
    let fake = Fake::start(&small(), Behaviour { index_lag: lag, ..calm() }).await;
    let id = some_id(&fake, ObjectType::Contacts);
    fake.account().update(ObjectType::Contacts, id, &[("firstname", Some("Changed"))]).unwrap();
    let found = async || fake.search("contacts", &filters(&[("firstname", "EQ", "Changed")])).await.ids();
    assert!(found().await.is_empty());
    tokio::time::sleep(standstill).await;
    assert_eq!(found().await, [id]);
}
