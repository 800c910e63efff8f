//! Changes of records while a client reads, and their effect on the modified date.

use fake_hubspot::{Account, ChangeError, Churn, Label, ObjectType, Operation, Settings, TruthRecord};
use serde_json::{Value, json};

use crate::client::{Fake, calm, filters, small, some_id};

const CONTACTS: ObjectType = ObjectType::Contacts;

async fn read(fake: &Fake, id: u64) -> Value {
    let names = "firstname,hs_merged_object_ids,hs_calculated_merged_vids,hs_all_contact_vids";
    fake.get(&format!("/crm/objects/2026-09/contacts/{id}?properties={names}")).await.json()
}

fn record(fake: &Fake, id: u64) -> TruthRecord {
    fake.account().truth(CONTACTS).find(|record| record.id == id).unwrap()
}

#[tokio::test]
async fn an_update_moves_the_modified_date() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    let before = record(&fake, id).updated_at;
    fake.account().update(CONTACTS, id, &[("firstname", Some("Ada")), ("lastname", None)]).unwrap();
    let after = record(&fake, id);
    assert!(after.updated_at > before);
    assert_eq!(
        (after.properties["firstname"].as_deref(), after.properties["lastname"].as_deref()),
        (Some("Ada"), None)
    );
    let read = read(&fake, id).await;
    assert_eq!(read["updatedAt"], read["properties"]["lastmodifieddate"]);
}

#[tokio::test]
async fn a_recalculation_does_not() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    let before = record(&fake, id);
    fake.account().set_calculated(CONTACTS, id, "hubspotscore", Some("101")).unwrap();
    let after = record(&fake, id);
    assert_eq!(
        (after.updated_at, after.properties["hubspotscore"].as_deref()),
        (before.updated_at, Some("101"))
    );
}

#[tokio::test]
async fn archiving_and_restoring_keep_the_modified_date() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    let before = record(&fake, id);
    fake.account().archive(CONTACTS, id).unwrap();
    assert!(!fake.list_all("contacts", "").await.contains(&id));
    assert!(fake.list_all("contacts", "archived=true").await.contains(&id));
    assert_eq!(fake.get(&format!("/crm/objects/2026-09/contacts/{id}")).await.status, 404);
    let archived = fake.get(&format!("/crm/objects/2026-09/contacts/{id}?archived=true")).await.json();
    assert_eq!(archived["archived"], true);
    assert_eq!(record(&fake, id).updated_at, before.updated_at);
    assert!(matches!(fake.account().update(CONTACTS, id, &[]), Err(ChangeError::UnknownRecord { .. })));

    fake.account().restore(CONTACTS, id).unwrap();
    assert!(fake.list_all("contacts", "").await.contains(&id));
    assert_eq!(record(&fake, id), before);
}

#[tokio::test]
async fn a_purge_leaves_nothing() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    fake.account().purge(CONTACTS, id).unwrap();
    for query in ["", "archived=true"] {
        assert!(!fake.list_all("contacts", query).await.contains(&id));
    }
    assert_eq!(fake.get(&format!("/crm/objects/2026-09/contacts/{id}?archived=true")).await.status, 404);
    assert!(fake.account().truth(CONTACTS).all(|record| record.id != id));
    assert!(fake.account().purged_ids(CONTACTS).contains(&id));
}

#[tokio::test]
async fn a_merge_mints_a_new_id() {
    let fake = Fake::calm().await;
    let all = fake.account().live_ids(CONTACTS);
    let (primary, merged) = (all[30], all[31]);
    let survivor = fake.account().merge(CONTACTS, primary, merged).unwrap();
    assert!(survivor > *all.last().unwrap());
    for query in ["", "archived=true"] {
        let listed = fake.list_all("contacts", query).await;
        assert!(!listed.contains(&primary) && !listed.contains(&merged));
    }
    for old in [primary, merged] {
        let resolved = read(&fake, old).await;
        assert_eq!(resolved["id"], survivor.to_string(), "asked for singly, old ids lead to the survivor");
        let body = json!({"inputs": [{"id": old.to_string()}]});
        assert_eq!(fake.post("/crm/v3/objects/contacts/batch/read", &body).await.status, 207);
        assert_eq!(fake.account().merged_away(CONTACTS)[&old], survivor);
    }
    let properties = &read(&fake, survivor).await["properties"];
    assert_eq!(properties["hs_merged_object_ids"], format!("{primary};{merged}"));
    let vids = properties["hs_calculated_merged_vids"].as_str().unwrap();
    assert!(vids.starts_with(&format!("{primary}:")) && vids.contains(&format!(";{merged}:")));
    let found = fake.search("contacts", &filters(&[("hs_object_id", "EQ", &primary.to_string())])).await;
    assert_eq!(found.json()["total"], 0);
}

#[tokio::test]
async fn chained_merges_keep_the_first_ids_in_one_property_only() {
    let fake = Fake::calm().await;
    let all = fake.account().live_ids(CONTACTS);
    let first = fake.account().merge(CONTACTS, all[40], all[41]).unwrap();
    let second = fake.account().merge(CONTACTS, first, all[42]).unwrap();
    let properties = read(&fake, all[40]).await["properties"].clone();
    let gone = format!("{};{};{first};{}", all[40], all[41], all[42]);
    assert_eq!(properties["hs_merged_object_ids"], gone);
    assert_eq!(properties["hs_all_contact_vids"], format!("{second};{gone}"));
    let vids = properties["hs_calculated_merged_vids"].as_str().unwrap();
    assert!(vids.contains(&format!("{first}:")) && !vids.contains(&format!("{}:", all[40])));
    assert_eq!(fake.account().merged_away(CONTACTS)[&all[41]], second);
}

#[tokio::test]
async fn the_old_way_the_primary_keeps_its_id() {
    let fake = Fake::start(&Settings { merge_keeps_primary_id: true, ..small() }, calm()).await;
    let all = fake.account().live_ids(CONTACTS);
    assert_eq!(fake.account().merge(CONTACTS, all[60], all[61]).unwrap(), all[60]);
    assert_eq!(read(&fake, all[61]).await["id"], all[60].to_string());
    let merged = record(&fake, all[60]).properties["hs_merged_object_ids"].clone().unwrap();
    assert!(merged.ends_with(&all[61].to_string()) && !merged.contains(&all[60].to_string()));
}

#[tokio::test]
async fn a_merge_hands_over_the_links() {
    let fake = Fake::calm().await;
    let all = fake.account().live_ids(CONTACTS);
    let (primary, merged) = (all[10], all[11]);
    let company = (ObjectType::Companies, some_id(&fake, ObjectType::Companies));
    fake.account().associate((CONTACTS, merged), company, Label::Unlabeled).unwrap();
    let mut expected =
        [record(&fake, primary).associations.deals, record(&fake, merged).associations.deals].concat();
    expected.sort_unstable();
    expected.dedup();
    let survivor = fake.account().merge(CONTACTS, primary, merged).unwrap();
    let links = record(&fake, survivor).associations;
    assert_eq!(links.deals, expected);
    assert!(links.companies.iter().any(|(id, _)| *id == company.1));
    assert!(links.companies.iter().filter(|(_, is_primary)| *is_primary).count() <= 1);
}

#[tokio::test]
async fn new_records_are_listed_at_the_end() {
    let fake = Fake::calm().await;
    let id = fake.account().create(CONTACTS, &[("email", Some("new@example.com"))]).unwrap();
    assert_eq!(fake.list_all("contacts", "").await.last(), Some(&id));
    let unknown = fake.account().create(CONTACTS, &[("no_such_property", None)]);
    assert!(matches!(unknown, Err(ChangeError::UnknownProperty { .. })));
    let own = fake.account().create(CONTACTS, &[("createdate", Some("2020-01-01"))]);
    assert!(matches!(own, Err(ChangeError::ReadOnlyProperty { .. })));
}

#[tokio::test]
async fn the_clock_can_be_set_back() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    fake.account().set_clock_offset(chrono::TimeDelta::hours(-2));
    fake.account().update(CONTACTS, id, &[("firstname", Some("Past"))]).unwrap();
    let ago = chrono::Utc::now() - record(&fake, id).updated_at;
    assert!((119..=121).contains(&ago.num_minutes()));
}

#[tokio::test]
async fn tests_in_other_languages_can_do_the_same() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    let operations = json!([
        {"do": "update", "object": "contacts", "id": id, "values": {"firstname": "Ada", "lastname": null}},
        {"do": "create", "object": "deals", "values": {"dealname": "new"}},
        {"do": "archive", "object": "contacts", "id": id},
    ]);
    let done = fake.post("/_fake/mutate", &operations).await;
    let deal = fake.account().live_ids(ObjectType::Deals).last().copied().unwrap();
    assert_eq!((done.status, &done.json()["results"]), (200, &json!([[], [deal], []])));
    assert_eq!(fake.post("/_fake/mutate", &operations[2]).await.status, 400, "it is archived already");

    let truth = fake.get("/_fake/truth/contacts").await;
    let lines: Vec<Value> = truth.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), fake.account().truth(CONTACTS).count());
    let line = lines.iter().find(|line| line["id"] == id).unwrap();
    assert_eq!((&line["archived"], &line["properties"]["firstname"]), (&json!(true), &json!("Ada")));
    assert_eq!(fake.server.counters().requests, 0, "none of this is counted");
}

#[test]
fn churn_makes_the_same_changes_from_the_same_account() {
    let settings =
        Settings { start: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000), ..small() };
    let changes = |seed| Churn { per_second: 1.0, seed }.burst(&Account::generate(&settings), 400);
    let done = changes(5);
    assert_eq!(done, changes(5));
    assert_ne!(done, changes(6));
    let merges = done.iter().filter(|operation| matches!(operation, Operation::Merge { .. })).count();
    assert!(merges > 0 && done.len() > 300);
}

#[tokio::test]
async fn churn_goes_on_until_it_is_stopped() {
    let fake = Fake::calm().await;
    fake.post("/_fake/churn", &json!({"per_second": 200.0, "seed": 1})).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let stopped = fake.http.delete(format!("{}/_fake/churn", fake.server.url())).send().await.unwrap();
    let stopped: Value = serde_json::from_str(&stopped.text().await.unwrap()).unwrap();
    assert!(stopped["done"].as_array().unwrap().len() > 10);
}

#[tokio::test]
async fn a_merge_that_is_undone_leaves_its_trace_in_the_survivor() {
    let fake = Fake::calm().await;
    let account = fake.account();
    let ids = account.live_ids(CONTACTS);
    let survivor = account.merge(CONTACTS, ids[2], ids[3]).unwrap();
    account.undo_merge(CONTACTS, ids[3]).unwrap();
    assert!(account.undo_merge(CONTACTS, survivor).is_err(), "it was not merged");
    let merged = read(&fake, survivor).await["properties"]["hs_merged_object_ids"].clone();
    assert_eq!(merged, json!(format!("{};{}", ids[2], ids[3])));
    assert!(fake.list_all("contacts", "").await.contains(&ids[3]));
    assert_eq!(read(&fake, ids[3]).await["id"], json!(ids[3].to_string()));
    assert!(record(&fake, ids[3]).is_unmerged && record(&fake, ids[3]).merged_into.is_none());
}

/// Returns the ids of contacts, of which the fourth was merged into the third and taken out again, and their survivor.
async fn with_an_undone_merge() -> (Fake, Vec<u64>, u64) {
    let fake = Fake::calm().await;
    let ids = fake.account().live_ids(CONTACTS);
    let survivor = fake.account().merge(CONTACTS, ids[2], ids[3]).unwrap();
    fake.account().undo_merge(CONTACTS, ids[3]).unwrap();
    (fake, ids, survivor)
}

#[tokio::test]
async fn what_is_merged_once_more_is_named_by_its_new_survivor_alone() {
    let (fake, ids, first) = with_an_undone_merge().await;
    let account = fake.account();
    let before = record(&fake, first).updated_at;
    let second = account.merge(CONTACTS, ids[4], ids[3]).unwrap();
    let merged = |id| record(&fake, id).properties["hs_merged_object_ids"].clone();
    assert_eq!(merged(first), Some(ids[2].to_string()));
    assert_eq!(merged(second), Some(format!("{};{}", ids[4], ids[3])));
    assert!(record(&fake, first).updated_at > before, "a changed property modifies its record");
}

#[tokio::test]
async fn an_archived_record_names_what_it_did_until_it_is_restored() {
    let (fake, ids, first) = with_an_undone_merge().await;
    let account = fake.account();
    let before = record(&fake, first).updated_at;
    account.archive(CONTACTS, first).unwrap();
    let archived = record(&fake, first);
    account.merge(CONTACTS, ids[4], ids[3]).unwrap();
    assert_eq!(record(&fake, first), archived);
    account.restore(CONTACTS, first).unwrap();
    assert_eq!(record(&fake, first).properties["hs_merged_object_ids"], Some(ids[2].to_string()));
    assert!(record(&fake, first).updated_at > before, "its values differ from those that were read");
}

#[tokio::test]
async fn updated_at_may_stay_behind_the_modified_date() {
    let fake = Fake::start(&Settings { updated_at_behind: 1.0, ..small() }, calm()).await;
    let id = some_id(&fake, CONTACTS);
    let before = read(&fake, id).await;
    fake.account().update(CONTACTS, id, &[("firstname", Some("Ada"))]).unwrap();
    let after = read(&fake, id).await;
    assert_eq!(after["updatedAt"], before["updatedAt"]);
    assert!(
        after["properties"]["lastmodifieddate"].as_str() > before["properties"]["lastmodifieddate"].as_str()
    );
    let since = record(&fake, id).updated_at.timestamp_millis().to_string();
    let body = filters(&[("lastmodifieddate", "GTE", &since)]);
    assert_eq!(fake.search("contacts", &body).await.ids(), [id]);
}
