//! Further objects, and custom ones.

use fake_hubspot::{Behaviour, Further, ObjectType, Settings};

use serde_json::json;

use crate::client::{Fake, some_id};

fn settings() -> Settings {
    let further = Further { records: 30, custom_properties: 2 };
    let types = [ObjectType::Tickets, ObjectType::Notes, ObjectType::Cars, ObjectType::OwnTickets];
    types.into_iter().fold(Settings::default(), |settings, object| settings.with(object, further))
}

#[tokio::test]
async fn an_object_answers_to_its_plural_its_singular_and_its_id() {
    let fake = Fake::start(&settings(), Behaviour::default()).await;
    for name in ["tickets", "ticket", "0-5", "notes", "0-46", "2-3444025", "p_cars"] {
        assert_eq!(fake.get(&format!("/crm/objects/2026-09/{name}")).await.ids().len(), 10, "{name}");
    }
    assert!(fake.get("/crm/objects/2026-09/appointments").await.ids().is_empty(), "HubSpot's own are there");
    for unknown in ["cars", "Cars", "unicorns", "2-1", "2-3444031"] {
        let refused = fake.get(&format!("/crm/objects/2026-09/{unknown}")).await;
        let message = format!("Unable to infer object type from: {unknown}");
        assert_eq!((refused.status, &refused.json()["message"]), (400, &message.into()));
    }
}

#[tokio::test]
async fn a_bare_name_is_never_a_custom_object() {
    let fake = Fake::start(&settings(), Behaviour::default()).await;
    let ids = |path: &'static str| {
        let fake = &fake;
        async move { fake.get(&format!("/crm/objects/2026-09/{path}?limit=100")).await.ids() }
    };
    let (tickets, own) = (ids("tickets").await, ids("p_tickets").await);
    assert!(!tickets.is_empty() && !own.is_empty() && tickets != own);
}

#[tokio::test]
async fn schemas_are_those_in_use_or_the_deleted_ones() {
    let fake = Fake::start(&settings(), Behaviour::default()).await;
    let schemas = |query: &'static str| {
        let fake = &fake;
        async move {
            fake.get(&format!("/crm-object-schemas/2026-09/schemas{query}")).await.json()["results"].clone()
        }
    };
    let present = schemas("").await;
    assert_eq!(present[0]["objectTypeId"], "2-3444025");
    assert_eq!(present[0]["fullyQualifiedName"], "p62515_cars");
    assert!(present[0]["properties"].as_array().unwrap().iter().any(|property| property["name"] == "year"));
    assert!(schemas("?includePropertyDefinitions=false").await[0]["properties"].is_null());
    assert_eq!(schemas("?archived=true").await.as_array().unwrap().len(), 0);

    let account = fake.account();
    account.delete_custom_object(ObjectType::Cars).unwrap_err();
    for id in account.live_ids(ObjectType::Cars) {
        account.archive(ObjectType::Cars, id).unwrap();
    }
    account.delete_custom_object(ObjectType::Cars).unwrap();
    assert_eq!(schemas("?archived=true").await[0]["name"], "cars");
    assert_eq!(fake.get("/crm/objects/2026-09/2-3444025").await.status, 400);
}

#[tokio::test]
async fn each_object_needs_its_scope() {
    let settings = settings().without_scope("tickets").without_scope("crm.objects.custom");
    let fake = Fake::start(&settings, Behaviour::default()).await;
    for (path, status) in [("tickets", 403), ("2-3444025", 403), ("notes", 200), ("quotes", 200)] {
        assert_eq!(fake.get(&format!("/crm/objects/2026-09/{path}")).await.status, status, "{path}");
    }
}

/// <https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis>, and the specification of
/// `ValueWithTimestamp`.
#[tokio::test]
async fn a_past_is_told_newest_first_by_list_get_and_batch_read() {
    let fake = Fake::calm().await;
    let (account, id) = (fake.account(), some_id(&fake, ObjectType::Deals));
    for stage in ["first", "second", ""] {
        account.update(ObjectType::Deals, id, &[("dealstage", Some(stage))]).unwrap();
    }
    account.update(ObjectType::Deals, id, &[("dealstage", None)]).unwrap();
    account.update(ObjectType::Deals, id, &[("dealstage", Some("last"))]).unwrap();
    let asked = "propertiesWithHistory=dealstage,no_such&properties=dealstage";
    let single = fake.get(&format!("/crm/objects/2026-09/deals/{id}?{asked}")).await.json();
    let past = single["propertiesWithHistory"].as_object().unwrap();
    assert_eq!(past.keys().collect::<Vec<_>>(), ["dealstage"]);
    let past = past["dealstage"].as_array().unwrap();
    let values: Vec<&str> = past.iter().map(|entry| entry["value"].as_str().unwrap()).collect();
    assert_eq!(values[..4], ["last", "", "second", "first"]);
    assert_eq!(single["properties"]["dealstage"], "last");
    let times: Vec<&str> = past.iter().map(|entry| entry["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert!(past.iter().all(|entry| entry["sourceType"].is_string()));

    let after = format!("/crm/objects/2026-09/deals?limit=1&after={id}&{asked}");
    assert_eq!(
        fake.get(&after).await.json()["results"][0]["propertiesWithHistory"]["dealstage"],
        single["propertiesWithHistory"]["dealstage"]
    );
    let body =
        json!({"inputs": [{"id": id.to_string()}], "properties": [], "propertiesWithHistory": ["dealstage"]});
    let read = fake.post("/crm/objects/2026-09/deals/batch/read", &body).await.json();
    assert_eq!(
        read["results"][0]["propertiesWithHistory"]["dealstage"],
        single["propertiesWithHistory"]["dealstage"]
    );

    let truth = account.truth_past(ObjectType::Deals, "dealstage");
    let truth: Vec<_> = truth.iter().filter(|value| value.id == id).collect();
    let told: Vec<&str> = truth.iter().rev().map(|value| value.value.as_str()).collect();
    assert_eq!(told, values);
    assert!(
        truth.windows(2).all(|pair| pair[0].until == Some(pair[1].at))
            && truth.last().unwrap().until.is_none()
    );
}

#[tokio::test]
async fn fifty_records_tell_their_past_at_a_time() {
    let fake = Fake::calm().await;
    fake.account().give_past(ObjectType::Deals, &["dealstage", "amount"], 4).unwrap();
    let ids = fake.account().live_ids(ObjectType::Deals);
    let read = async |count: usize, with: &[&str]| {
        let inputs: Vec<_> = ids[..count].iter().map(|id| json!({"id": id.to_string()})).collect();
        let body = json!({"inputs": inputs, "properties": [], "propertiesWithHistory": with});
        fake.post("/crm/objects/2026-09/deals/batch/read", &body).await
    };
    let answer = read(50, &["dealstage", "amount"]).await;
    assert_eq!(answer.ids().len(), 50);
    for record in answer.json()["results"].as_array().unwrap() {
        let past = &record["propertiesWithHistory"];
        assert_eq!(
            (past["dealstage"].as_array().unwrap().len(), past["amount"].as_array().unwrap().len()),
            (4, 4)
        );
    }
    assert_eq!(read(51, &["dealstage"]).await.status, 400);
    assert_eq!(read(51, &[]).await.status, 200);
    let list = async |limit: u32| {
        fake.get(&format!("/crm/objects/2026-09/deals?limit={limit}&propertiesWithHistory=amount"))
            .await
            .status
    };
    assert_eq!((list(50).await, list(51).await), (200, 400));
}
