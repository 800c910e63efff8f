//! Single things that are answered badly.

use fake_hubspot::{ObjectType, Poison, PoisonEffect};

use crate::client::Fake;

const LIST: &str = "/crm/objects/2026-09/companies?limit=100";

/// Returns the third company's id, and a text in each answer that shows it.
fn third(fake: &Fake) -> (u64, String) {
    let id = fake.account().live_ids(ObjectType::Companies)[2];
    (id, format!("\"hs_object_id\":\"{id}\""))
}

#[tokio::test]
async fn one_record_refuses_what_would_show_it_and_nothing_else() {
    let fake = Fake::calm().await;
    let (id, _) = third(&fake);
    fake.server.poison(Poison::record(id, 500));
    assert_eq!(fake.get(LIST).await.status, 500);
    assert_eq!(fake.get(&format!("{LIST}&after={}", id + 1)).await.status, 200);
    assert_eq!(fake.get("/crm/objects/2026-09/companies?limit=2").await.status, 200);
    fake.server.heal();
    assert!(fake.get(LIST).await.ids().contains(&id));
}

#[tokio::test]
async fn it_may_be_so_a_few_times() {
    let fake = Fake::calm().await;
    let twice = Poison { times: 2, ..Poison::new("contacts_v1", "", PoisonEffect::Status(404)) };
    fake.server.poison(twice);
    let path = "/contacts/v1/contact/vids/batch?vid=1";
    for status in [404, 404, 200] {
        assert_eq!(fake.get(path).await.status, status);
    }
}

#[tokio::test]
async fn positions_are_refused_and_first_pages_are_not() {
    let fake = Fake::calm().await;
    fake.server.poison(Poison::positions("objects.list", "after"));
    assert_eq!(fake.get(LIST).await.status, 200);
    assert_eq!(fake.get(&format!("{LIST}&after=1")).await.status, 400);
}

#[tokio::test]
async fn entries_are_odd_in_each_way() {
    let fake = Fake::calm().await;
    let (id, shown) = third(&fake);
    fake.deviates(&["/results/# is not \"object\"", "/results/#/id is missing", "is no JSON"]);
    let effects = [PoisonEffect::Null, PoisonEffect::WithoutId, PoisonEffect::Deep(300)];
    for effect in effects {
        fake.server.heal();
        fake.server.poison(Poison::new("objects.list", shown.as_str(), effect));
        let text = fake.get(LIST).await.text;
        match effect {
            PoisonEffect::Deep(_) => assert!(text.contains(&r#"{"filterBranches":["#.repeat(300))),
            _ => assert!(!text.contains(&format!("\"id\":\"{id}\"")), "{effect:?}"),
        }
    }
    fake.server.heal();
    fake.server.poison(Poison::new("objects.list", shown.as_str(), PoisonEffect::OddByte));
    assert!(fake.get(LIST).await.text.contains('\u{fffd}'));
    fake.server.heal();
    fake.server.poison(Poison::new("objects.list", shown.as_str(), PoisonEffect::Torn));
    let answer = fake.get(LIST).await;
    assert!(answer.status == 200 && serde_json::from_str::<serde_json::Value>(&answer.text).is_err());
}
