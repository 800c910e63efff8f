//! Lists and memberships.

use std::collections::BTreeSet;

use fake_hubspot::{Account, Behaviour, ChangeError, Marketing, ObjectType, Processing, Settings, TruthList};
use serde_json::{Value, json};

use crate::client::{Fake, TOKEN, calm, read, small, some_id};

const SEARCH: &str = "/crm/lists/2026-09/search";
const ALL: &str = "/crm/lists/2026-09/all";
const CONTACTS: ObjectType = ObjectType::Contacts;

fn list(account: &Account, id: u64) -> TruthList {
    account.truth_lists().into_iter().find(|list| list.id == id).unwrap()
}

fn ids(page: &Value) -> Vec<u64> {
    let lists = page["lists"].as_array().unwrap();
    lists.iter().map(|list| list["listId"].as_str().unwrap().parse().unwrap()).collect()
}

async fn search(fake: &Fake, body: Value) -> Value {
    fake.post(SEARCH, &body).await.json()
}

#[tokio::test]
async fn a_search_pages_by_offset() {
    let fake = Fake::calm().await;
    let mut found = Vec::new();
    let mut offset = json!(0);
    loop {
        let page = search(&fake, json!({"count": 4, "offset": offset})).await;
        found.extend(ids(&page));
        if page["hasMore"] == false {
            assert_eq!(page["total"], found.len());
            break;
        }
        offset = page["offset"].clone();
    }
    assert_eq!(found, fake.account().list_ids());
    assert!(found.len() < fake.account().truth_lists().len(), "deleted ones aren't found");
}

#[tokio::test]
async fn a_search_has_limits() {
    let fake = Fake::calm().await;
    assert_eq!(ids(&search(&fake, json!({"query": ""})).await).len(), 14);
    for refused in
        [json!({"count": 501}), json!({"count": 0}), json!({"offset": 10_001}), json!({"sort": "SIZE"})]
    {
        assert_eq!(fake.post(SEARCH, &refused).await.status, 400, "{refused}");
    }
    assert_eq!(fake.post(SEARCH, &json!({"count": 500, "offset": 10_000})).await.status, 200);
}

#[tokio::test]
async fn a_null_body_is_refused_with_plain_strings() {
    let fake = Fake::calm().await;
    for path in [SEARCH, "/crm/v3/lists/search"] {
        let refused = fake.post(path, &Value::Null).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["errors"], json!(["The request body may not be null"]));
    }
    let empty = fake.http.post(format!("{}{SEARCH}", fake.server.url())).bearer_auth(TOKEN);
    assert_eq!(read(empty).await.unwrap().status, 400);
}

#[tokio::test]
async fn a_search_shows_the_properties_it_was_asked_for() {
    let fake = Fake::calm().await;
    let names = ["hs_list_size", "hs_last_record_added_at", "hs_folder_name", "no_such_property"];
    let page = search(&fake, json!({"count": 500, "additionalProperties": names})).await;
    for shown in page["lists"].as_array().unwrap() {
        let truth = list(fake.account(), shown["listId"].as_str().unwrap().parse().unwrap());
        let more = &shown["additionalProperties"];
        assert_eq!(more["hs_list_size"], truth.size.to_string());
        assert_eq!(more["hs_last_record_added_at"].is_null(), truth.last_added_at.is_none());
        assert!(more.get("no_such_property").is_none() && shown.get("filterBranch").is_none());
        assert_eq!(shown["name"], truth.name);
    }
    let plain = search(&fake, json!({"count": 1})).await;
    assert_eq!(plain["lists"][0]["additionalProperties"], json!({}));
}

#[tokio::test]
async fn searches_filter_and_sort() {
    let fake = Fake::calm().await;
    let found =
        search(&fake, json!({"processingTypes": ["DYNAMIC"], "objectTypeId": "0-1", "count": 500})).await;
    assert!(!ids(&found).is_empty());
    for id in ids(&found) {
        let truth = list(fake.account(), id);
        assert_eq!((truth.processing, truth.object), (Processing::Dynamic, CONTACTS));
    }
    assert_eq!(ids(&search(&fake, json!({"listIds": ["3", "1", "99"]})).await), [1, 3]);
    let newest_first = ids(&search(&fake, json!({"sort": "-HS_UPDATED_AT", "count": 500})).await);
    let dates: Vec<_> = newest_first.iter().map(|id| list(fake.account(), *id).updated_at).collect();
    assert!(dates.is_sorted_by(|one, next| one >= next));
}

#[tokio::test]
async fn filters_are_shown_for_named_lists_only() {
    let fake = Fake::calm().await;
    let none = fake.get("/crm/lists/2026-09?includeFilters=true").await;
    assert_eq!((none.status, none.json()), (200, json!({"lists": []})));
    for path in ["/crm/lists/2026-09", "/crm/v3/lists/"] {
        let lists =
            fake.get(&format!("{path}?listIds=1&listIds=2,3&listIds=99&includeFilters=true")).await.json();
        assert_eq!(ids(&lists), [1, 2, 3]);
        for shown in lists["lists"].as_array().unwrap() {
            let truth = list(fake.account(), shown["listId"].as_str().unwrap().parse().unwrap());
            assert_eq!(shown.get("filterBranch").cloned(), truth.filter_branch);
            assert_eq!(shown["size"], truth.size);
        }
    }
    let one = fake.get("/crm/lists/2026-09/1").await.json();
    assert!(one["list"].get("filterBranch").is_none());
}

#[tokio::test]
async fn an_unknown_list_is_named() {
    let fake = Fake::calm().await;
    let missing = fake.get("/crm/lists/2026-09/-1").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["message"], "List does not exist with ID -1.");
    assert_eq!(missing.json()["subCategory"], "ListError.LIST_ID_DOES_NOT_EXIST");
}

#[tokio::test]
async fn memberships_page_to_the_end() {
    let fake = Fake::calm().await;
    let expected: BTreeSet<u64> =
        fake.account().truth_memberships().iter().filter(|one| one.list == 1).map(|one| one.record).collect();
    for path in ["/crm/lists/2026-09/1/memberships", "/crm/v3/lists/1/memberships/join-order"] {
        let mut members = Vec::new();
        let mut times = Vec::new();
        let mut after = String::new();
        loop {
            let page = fake.get(&format!("{path}?limit=50&after={after}")).await.json();
            for member in page["results"].as_array().unwrap() {
                members.push(member["recordId"].as_str().unwrap().parse::<u64>().unwrap());
                let joined = member["membershipTimestamp"].as_str().unwrap();
                times.push(chrono::DateTime::parse_from_rfc3339(joined).unwrap());
            }
            assert_eq!(page["total"], expected.len());
            match page["paging"]["next"]["after"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        assert!(members.len() > 100 && members.iter().copied().collect::<BTreeSet<_>>() == expected);
        assert!(if path.ends_with("order") { times.is_sorted() } else { members.is_sorted() });
        assert_eq!(fake.get(&format!("{path}?limit=251")).await.status, 400);
    }
}

#[tokio::test]
async fn a_batch_shows_the_lists_of_records() {
    let fake = Fake::calm().await;
    let contacts = fake.account().live_ids(CONTACTS);
    let input = |id: &u64| json!({"objectTypeId": "0-1", "recordId": id.to_string()});
    let inputs: Vec<Value> = contacts[..99].iter().chain([&2]).map(input).collect();
    let batch = "/crm/lists/2026-09/records/memberships/batch/read";
    let results = fake.post(batch, &json!({"inputs": inputs})).await.json()["results"].clone();
    let truth = fake.account().truth_memberships();
    for (contact, result) in contacts[..99].iter().chain([&2]).zip(results.as_array().unwrap()) {
        let lists: Vec<String> = result["recordListMemberships"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["listId"].as_str().unwrap().to_owned())
            .collect();
        let of_contact = truth.iter().filter(|one| one.object == CONTACTS && one.record == *contact);
        assert_eq!(lists, of_contact.map(|one| one.list.to_string()).collect::<Vec<_>>());
    }
    let too_many: Vec<Value> = contacts[..101].iter().map(input).collect();
    assert_eq!(fake.post(batch, &json!({"inputs": too_many})).await.status, 400);
    let single =
        fake.get(&format!("/crm/lists/2026-09/records/0-1/{}/memberships", contacts[5])).await.json();
    assert_eq!(single["results"], results[5]["recordListMemberships"]);
}

#[tokio::test]
async fn ids_of_v1_mean_other_lists() {
    let fake = Fake::calm().await;
    let mapped = fake.post("/crm/lists/2026-09/idmapping", &json!(["3", "4", "999"])).await.json();
    assert_eq!(mapped["missingLegacyListIds"], json!(["999"]));
    for pair in mapped["legacyListIdsToIdsMapping"].as_array().unwrap() {
        assert_ne!(pair["listId"], pair["legacyListId"]);
    }
    let one = fake.get("/crm/v3/lists/idmapping?legacyListId=3").await.json();
    assert_eq!(one, mapped["legacyListIdsToIdsMapping"][0]);
}

#[tokio::test]
async fn membership_changes_leave_no_date() {
    let fake = Fake::calm().await;
    let account = fake.account();
    let list_id = account.create_list(CONTACTS, "by hand", Processing::Manual);
    let contact = some_id(&fake, CONTACTS);
    let (before, record) = (list(account, list_id), || account.truth(CONTACTS).find(|one| one.id == contact));
    let modified = record().unwrap().updated_at;
    account.add_to_list(list_id, contact).unwrap();
    assert_eq!(list(account, list_id).size, 1);
    assert!(account.remove_from_list(list_id, contact).unwrap());
    assert!(!account.remove_from_list(list_id, contact).unwrap());
    let after = list(account, list_id);
    assert_eq!((after.updated_at, after.version, after.size), (before.updated_at, before.version, 0));
    assert!(after.last_added_at.is_some() && after.last_removed_at >= after.last_added_at);
    assert_eq!(record().unwrap().updated_at, modified);
    account.rename_list(list_id, "renamed").unwrap();
    assert!(list(account, list_id).updated_at > before.updated_at);
}

#[tokio::test]
async fn deleted_lists_vanish_until_they_are_restored() {
    let fake = Fake::calm().await;
    let account = fake.account();
    account.delete_list(1).unwrap();
    assert!(matches!(account.delete_list(1), Err(ChangeError::UnknownList { id: 1 })));
    assert_eq!(fake.get("/crm/lists/2026-09/1").await.status, 404);
    assert_eq!(fake.get("/crm/lists/2026-09?listIds=1").await.json(), json!({"lists": []}));
    assert!(!ids(&search(&fake, json!({"count": 500})).await).contains(&1));
    assert!(account.truth_memberships().iter().all(|one| one.list != 1));
    assert!(list(account, 1).deleted_at.is_some());
    account.restore_list(1).unwrap();
    assert_eq!(fake.get("/crm/lists/2026-09/1").await.status, 200);
    assert!(account.restore_list(1).is_err(), "it isn't deleted");
}

#[tokio::test]
async fn a_merged_contact_is_where_either_was() {
    let settings = Settings { marketing: Marketing { lists: 0, ..Marketing::default() }, ..small() };
    let fake = Fake::start(&settings, calm()).await;
    let (account, contacts) = (fake.account(), fake.account().live_ids(CONTACTS));
    let (one, other) = (contacts[20], contacts[21]);
    let lists: Vec<u64> =
        ["a", "b"].into_iter().map(|name| account.create_list(CONTACTS, name, Processing::Manual)).collect();
    account.add_to_list(lists[0], one).unwrap();
    account.add_to_list(lists[1], other).unwrap();
    let survivor = account.merge(CONTACTS, one, other).unwrap();
    let members: Vec<_> = account.truth_memberships().iter().map(|one| (one.list, one.record)).collect();
    assert_eq!(members, [(lists[0], survivor), (lists[1], survivor)]);
}

#[tokio::test]
async fn all_lists_go_by_their_ids() {
    let fake = Fake::calm().await;
    let ids = |page: &Value| -> Vec<u64> {
        let lists = page["results"].as_array().unwrap();
        lists.iter().map(|list| list["listId"].as_str().unwrap().parse().unwrap()).collect()
    };
    let (mut found, mut body) = (Vec::new(), json!({"count": 4, "objectTypeId": "0-1"}));
    loop {
        let page = fake.post(ALL, &body).await.json();
        found.extend(ids(&page));
        let after = &page["paging"]["next"]["after"];
        if after.is_null() {
            break;
        }
        body["after"] = after.clone();
    }
    let is_shown = |list: &TruthList| list.object == CONTACTS && list.deleted_at.is_none();
    let expected: Vec<u64> =
        fake.account().truth_lists().iter().filter(|list| is_shown(list)).map(|list| list.id).collect();
    assert_eq!(found, expected);
    assert_eq!(ids(&fake.post(ALL, &json!({})).await.json()).len(), 14);

    // A word for the next page belongs to the filters that it was given out for.
    for refused in [json!({"after": body["after"]}), json!({"after": "59"}), json!({"count": 501})] {
        assert_eq!(fake.post(ALL, &refused).await.status, 400, "{refused}");
    }
    let refused = fake.post(ALL, &json!({"after": "é"})).await.json();
    assert_eq!(refused["subCategory"], "ListError.INVALID_CURSOR");
}

#[tokio::test]
async fn an_older_account_has_no_call_for_all_lists() {
    let fake = Fake::start(&small(), Behaviour { has_all_lists: false, ..calm() }).await;
    assert_eq!(fake.post(ALL, &json!({})).await.status, 404);
    assert_eq!(fake.post(SEARCH, &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_list_may_be_shown_by_its_id_alone_deleted_or_not() {
    let fake = Fake::calm().await;
    let [unlisted, deleted, ..] = fake.account().list_ids()[..] else { panic!() };
    fake.account().delete_list(deleted).unwrap();
    let by_id = async |id: u64| fake.get(&format!("/crm/lists/2026-09/{id}")).await;
    assert_eq!(by_id(deleted).await.status, 404);
    let behaviour = Behaviour { unlisted: [unlisted].into(), shows_deleted_lists: true, ..calm() };
    fake.server.set_behaviour(behaviour);
    let listed = ids(&search(&fake, json!({"count": 500})).await);
    assert!(!listed.contains(&unlisted) && !listed.contains(&deleted));
    assert!(by_id(deleted).await.json()["list"]["deletedAt"].is_string());
    assert_eq!(by_id(unlisted).await.json()["list"]["deletedAt"], json!(null));
}

#[tokio::test]
async fn what_the_credential_does_not_see_is_there_for_others() {
    let fake = Fake::calm().await;
    let before = fake.account().list_ids();
    fake.server.set_behaviour(Behaviour { hidden: 0.5, ..fake.server.behaviour() });
    let seen = ids(&search(&fake, json!({"count": 500})).await);
    assert!(!seen.is_empty() && seen.len() < before.len());
    for id in before {
        let status = fake.get(&format!("/crm/lists/2026-09/{id}")).await.status;
        assert_eq!(status, if seen.contains(&id) { 200 } else { 404 });
    }
}
