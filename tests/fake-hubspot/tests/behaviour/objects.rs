//! Further objects, and custom ones.

use fake_hubspot::{Behaviour, Further, ObjectType, Settings};

use crate::client::Fake;

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
