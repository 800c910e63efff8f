//! Pages of records and their first ids.

use fake_hubspot::{Behaviour, ObjectType, PerType, Settings};

use crate::client::{Fake, calm, ids, small};

#[tokio::test]
async fn pages_ascend_and_cover_all() {
    let fake = Fake::calm().await;
    for object in ObjectType::CORE {
        let listed = fake.list_all(object.plural(), "").await;
        assert!(listed.is_sorted());
        assert_eq!(listed, fake.account().live_ids(object));
        assert_eq!(fake.list_all(object.id(), "").await, listed, "a type has several names");
    }
}

#[tokio::test]
async fn every_version_answers_the_same() {
    let fake = Fake::calm().await;
    let dated = fake.get("/crm/objects/2026-09/contacts?limit=3").await.text;
    assert_eq!(fake.get("/crm/objects/2026-03/contacts?limit=3").await.text, dated);
    assert_eq!(fake.get("/crm/v3/objects/contacts?limit=3").await.text, dated);
    for unknown in ["/crm/objects/2025-09/contacts", "/crm/v4/objects/contacts", "/crm/v3/contacts"] {
        assert_eq!(fake.get(unknown).await.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn after_is_the_last_id_plus_one() {
    let fake = Fake::calm().await;
    let page = fake.get("/crm/objects/2026-09/contacts?limit=2").await.json();
    assert_eq!(page["paging"]["next"]["after"], (ids(&page)[1] + 1).to_string());
    let link = page["paging"]["next"]["link"].as_str().unwrap();
    assert!(link.contains("/crm/objects/v3/"), "a path that nobody should follow: {link}");
}

#[tokio::test]
async fn the_last_page_has_no_paging() {
    let fake = Fake::calm().await;
    let last = *fake.account().live_ids(ObjectType::Deals).last().unwrap();
    let page = fake.get(&format!("/crm/objects/2026-09/deals?after={last}")).await.json();
    assert_eq!((ids(&page), page.get("paging")), (vec![last], None));
}

#[tokio::test]
async fn a_hand_made_after_is_an_inclusive_lower_bound() {
    let fake = Fake::calm().await;
    let all = fake.account().live_ids(ObjectType::Contacts);
    let gap = all.windows(2).find(|pair| pair[0] > 1_451 && pair[1] - pair[0] > 2).unwrap();
    for after in [gap[0] + 1, gap[1]] {
        let page = fake.get(&format!("/crm/objects/2026-09/contacts?limit=1&after={after}")).await;
        assert_eq!(page.ids(), [gap[1]]);
    }
}

#[tokio::test]
async fn where_it_is_not_a_bound_only_values_that_were_given_out_count() {
    let fake = Fake::start(&small(), Behaviour { after_is_lower_bound: false, ..calm() }).await;
    let all = fake.account().live_ids(ObjectType::Contacts);
    assert_eq!(fake.list_all("contacts", "").await, all);
    let hand_made = fake.get(&format!("/crm/objects/2026-09/contacts?limit=1&after={}", all[77])).await;
    assert_eq!(hand_made.ids(), [all[0]]);
}

#[tokio::test]
async fn short_pages_leave_nothing_out() {
    let fake = Fake::start(&small(), Behaviour { short_pages: 0.7, ..calm() }).await;
    assert_eq!(fake.list_all("contacts", "").await, fake.account().live_ids(ObjectType::Contacts));
    assert!(fake.server.counters().requests > 6, "four pages would do otherwise");
}

#[tokio::test]
async fn archived_records_have_a_list_of_their_own() {
    let fake = Fake::calm().await;
    let archived = fake.list_all("contacts", "archived=true").await;
    assert!(!archived.is_empty());
    assert_eq!(archived, fake.account().archived_ids(ObjectType::Contacts));
    let page = fake.get("/crm/objects/2026-09/contacts?archived=true&limit=1").await.json();
    let record = &page["results"][0];
    assert_eq!(record["archived"], true);
    assert!(record["archivedAt"].as_str() > record["updatedAt"].as_str());
}

#[tokio::test]
async fn limits_outside_the_range_are_refused() {
    let fake = Fake::calm().await;
    for query in ["limit=101", "limit=0", "limit=x", "limit=51&propertiesWithHistory=email", "after=x"] {
        let refused = fake.get(&format!("/crm/objects/2026-09/contacts?{query}")).await;
        assert_eq!(
            (refused.status, &refused.json()["category"]),
            (400, &"VALIDATION_ERROR".into()),
            "{query}"
        );
    }
    assert_eq!(fake.get("/crm/objects/2026-09/contacts").await.ids().len(), 10);
    assert_eq!(fake.get("/crm/objects/2026-09/unicorns").await.status, 400);
}

#[tokio::test]
async fn a_url_can_be_too_long() {
    let fake = Fake::calm().await;
    let names = vec!["some_property_name"; 500].join(",");
    assert_eq!(fake.get(&format!("/crm/objects/2026-09/contacts?properties={names}")).await.status, 414);
}

#[tokio::test]
async fn unknown_paths_get_a_page_of_html() {
    let fake = Fake::calm().await;
    let page = fake.get("/crm/objects/2026-09").await;
    assert_eq!((page.status, page.text.contains("<html>")), (404, true));
}

#[tokio::test]
async fn a_bulk_import_lies_in_one_millisecond() {
    let bulk_import = PerType { contacts: 120, ..PerType::default() };
    let fake = Fake::start(&Settings { bulk_import, ..small() }, calm()).await;
    let mut by_time = std::collections::HashMap::<_, usize>::new();
    for record in fake.account().truth(ObjectType::Contacts) {
        *by_time.entry(record.updated_at).or_default() += 1;
    }
    assert!(by_time.values().max().unwrap() > &100);
}
