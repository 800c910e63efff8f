//! Incomplete answers, refused batches, other spellings of the fields for paging, and requests that are not counted.

use fake_hubspot::{Behaviour, InPart, Lack, ObjectType, PagingWords, RefusedBatches};
use serde_json::{Value, json};

use crate::client::{Fake, calm, small};

const DEALS_TO_CONTACTS: &str = "/crm/associations/2026-09/deals/contacts/batch/read";
const MEMBERSHIPS: &str = "/crm/lists/2026-09/records/memberships/batch/read";

fn inputs(ids: &[u64]) -> Value {
    json!({"inputs": ids.iter().map(|id| json!({"id": id.to_string()})).collect::<Vec<_>>(), "properties": []})
}

fn of_contacts(ids: &[u64]) -> Value {
    let input = |id: &u64| json!({"objectTypeId": "0-1", "recordId": id.to_string()});
    json!({"inputs": ids.iter().map(input).collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_batch_is_incomplete_as_often_as_a_test_says() {
    let fake = Fake::calm().await;
    let ids = fake.account().live_ids(ObjectType::Contacts)[..3].to_vec();
    fake.deviates(&["/errors/#/context is missing", "/results is missing"]);
    let path = "/crm/objects/2026-09/contacts/batch/read";
    let part = |lack| InPart { endpoint: "objects.batch_read", lack, ids: vec![ids[1]], times: 1 };
    for (lack, status, expected) in [
        (Lack::Refused, 207, json!([1, "INTERNAL_ERROR", [ids[1].to_string()], "COMPLETE", 2])),
        (Lack::Nameless, 207, json!([1, "INTERNAL_ERROR", null, "COMPLETE", 2])),
        (Lack::Counted, 207, json!([1, null, null, "COMPLETE", 2])),
        (Lack::Silent, 200, json!([null, null, null, "COMPLETE", 2])),
        (Lack::Pending, 200, json!([null, null, null, "PENDING", 2])),
        (Lack::NoResults, 200, json!([null, null, null, "COMPLETE", null])),
    ] {
        fake.server.answer_in_part(part(lack));
        // An answer about others is whole.
        assert_eq!(fake.post(path, &inputs(&ids[..1])).await.status, 200);
        let answer = fake.post(path, &inputs(&ids)).await;
        let (code, body) = (answer.status, answer.json());
        let error = &body["errors"][0];
        let shown = body["results"].as_array().map(Vec::len);
        let told =
            json!([body["numErrors"], error["category"], error["context"]["ids"], body["status"], shown]);
        assert_eq!((code, told), (status, expected), "{lack:?}");
        assert_eq!(fake.post(path, &inputs(&ids)).await.ids().len(), 3);
    }
}

#[tokio::test]
async fn each_batch_and_list_has_its_parts() {
    let fake = Fake::calm().await;
    fake.deviates(&[
        "/* is not \"object\"",
        "/campaigns is missing",
        "/results/#/recordListMemberships is not \"array\"",
    ]);
    let contacts = fake.account().live_ids(ObjectType::Contacts);
    fake.server.answer_in_part(InPart {
        endpoint: "lists.batch_memberships",
        lack: Lack::Odd,
        ids: vec![contacts[0]],
        times: 1,
    });
    let body = fake.post(MEMBERSHIPS, &of_contacts(&contacts[..2])).await.json();
    assert_eq!(body["results"][0]["recordListMemberships"], Value::Null);
    for lack in [Lack::NullResults, Lack::Silent] {
        let ids = vec![contacts[0]];
        fake.server.answer_in_part(InPart { endpoint: "contacts_v1.batch", lack, ids, times: 1 });
        let path = format!("/contacts/v1/contact/vids/batch?vid={}&vid={}", contacts[0], contacts[1]);
        let body = fake.get(&path).await.json();
        assert!(body[contacts[0].to_string()].is_null() && body[contacts[1].to_string()].is_object());
    }
    fake.server.answer_in_part(InPart {
        endpoint: "campaigns.by_id",
        lack: Lack::NoResults,
        ids: Vec::new(),
        times: u32::MAX,
    });
    assert!(fake.get("/email/public/v1/campaigns/by-id").await.json().get("campaigns").is_none());
    fake.server.answer_whole();
    assert!(fake.get("/email/public/v1/campaigns/by-id").await.json()["campaigns"].is_array());
}

#[tokio::test]
async fn parts_come_by_chance_and_say_so() {
    let fake = Fake::start(&small(), Behaviour { parts: 1.0, ..calm() }).await;
    fake.deviates(&["/errors/#/context is missing", "/results is missing", "/results is not \"array\""]);
    let deals = fake.account().live_ids(ObjectType::Deals);
    for _ in 0..20 {
        let body = fake.post(DEALS_TO_CONTACTS, &inputs(&deals[..20])).await.json();
        let says_so = body["status"] != "COMPLETE"
            || !body["results"].is_array()
            || body["errors"]
                .as_array()
                .is_some_and(|errors| errors.iter().any(|error| error["category"] == "INTERNAL_ERROR"))
            || body["numErrors"].as_u64() > body["errors"].as_array().map(|errors| errors.len() as u64);
        assert!(says_so, "{body}");
    }
}

#[tokio::test]
async fn a_batch_is_refused_for_a_record_in_it() {
    let fake = Fake::calm().await;
    let contacts = fake.account().live_ids(ObjectType::Contacts);
    for status in [400, 500] {
        let poison = RefusedBatches {
            endpoint: "lists.batch_memberships".to_owned(),
            ids: [contacts[1]].into(),
            status,
        };
        fake.server.set_behaviour(Behaviour { refused_batches: Some(poison), ..calm() });
        assert_eq!(fake.post(MEMBERSHIPS, &of_contacts(&contacts[..3])).await.status, status);
        assert_eq!(fake.post(MEMBERSHIPS, &of_contacts(&contacts[2..3])).await.status, 200);
    }
    fake.server.set_behaviour(Behaviour { most_memberships: 2, ..calm() });
    assert_eq!(fake.post(MEMBERSHIPS, &of_contacts(&contacts[..3])).await.status, 400);
    assert_eq!(fake.post(MEMBERSHIPS, &of_contacts(&contacts[..2])).await.status, 200);
}

#[tokio::test]
async fn paging_has_other_words() {
    for (paging_words, more, last) in [
        (PagingWords::Dashed, Some("has-more"), json!({})),
        (PagingWords::Underscored, Some("has_more"), Value::Null),
        (PagingWords::Missing, None, json!({"next": null})),
    ] {
        let fake = Fake::start(&small(), Behaviour { paging_words, ..calm() }).await;
        fake.deviates(&["/hasMore is missing"]);
        match paging_words {
            PagingWords::Dashed => fake.deviates(&["/has-more is not told of"]),
            PagingWords::Underscored => {
                fake.deviates(&["/has_more is not told of", "/paging is not \"object\""]);
            }
            _ => fake.deviates(&["/paging/next is not \"object\""]),
        }
        let page = fake.get("/email/public/v1/campaigns/by-id?limit=2").await.json();
        assert!(page.get("hasMore").is_none() && page["offset"].is_string(), "{page}");
        assert!(more.is_none_or(|more| page[more] == true), "{page}");
        let forms = fake.get("/marketing/v3/forms?limit=100").await.json();
        assert_eq!(forms.get("paging"), Some(&last));
    }
}

#[tokio::test]
async fn a_position_and_a_filter_may_be_left_out_of_account() {
    let behaviour = Behaviour {
        associations_page: 2,
        ignores_association_after: true,
        ignores_list_type: true,
        ..calm()
    };
    let fake = Fake::start(&small(), behaviour).await;
    let truth = fake.account().truth(ObjectType::Deals);
    let deal = truth.into_iter().find(|deal| deal.associations.contacts.len() > 3).unwrap().id;
    let first = fake.post(DEALS_TO_CONTACTS, &inputs(&[deal])).await.json();
    let after = &first["results"][0]["paging"]["next"]["after"];
    let again = json!({"inputs": [{"id": deal.to_string(), "after": after}]});
    let again = fake.post(DEALS_TO_CONTACTS, &again).await.json();
    assert_eq!(first["results"], again["results"]);

    let body = json!({"objectTypeId": "0-1", "count": 500, "offset": 0, "listIds": []});
    let lists = fake.post("/crm/lists/2026-09/search", &body).await.json();
    let of_others = lists["lists"].as_array().unwrap().iter().filter(|list| list["objectTypeId"] != "0-1");
    assert!(of_others.count() > 0);
}
