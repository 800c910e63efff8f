//! The reads that are left of contacts v1.

use std::collections::BTreeSet;

use fake_hubspot::{Behaviour, ObjectType, V1Contacts};
use serde_json::{Value, json};

use crate::client::{Fake, calm, small, some_id};

const CONTACTS: ObjectType = ObjectType::Contacts;
const BATCH: &str = "/contacts/v1/contact/vids/batch";

fn query(vids: &[u64]) -> String {
    vids.iter().map(|vid| format!("vid={vid}&")).collect()
}

async fn contact(fake: &Fake, vid: u64, query: &str) -> Value {
    fake.get(&format!("{BATCH}?vid={vid}&{query}")).await.json()[vid.to_string()].clone()
}

#[tokio::test]
async fn a_batch_is_keyed_by_vid() {
    let fake = Fake::calm().await;
    let vids = &fake.account().live_ids(CONTACTS)[..100];
    let answer = fake.get(&format!("{BATCH}?{}property=email", query(vids))).await.json();
    assert_eq!(answer.as_object().unwrap().len(), 100);
    for contact in fake.account().truth_v1_contacts().filter(|contact| vids.contains(&contact.vid)) {
        let shown = &answer[contact.vid.to_string()];
        assert_eq!((&shown["vid"], &shown["canonical-vid"]), (&json!(contact.vid), &json!(contact.vid)));
        assert_eq!(shown["merged-vids"], json!(contact.merged_vids));
        assert_eq!(shown["form-submissions"].as_array().unwrap().len(), contact.form_submissions.len());
        for gone in ["addedAt", "profile-token", "profile-url", "list-memberships"] {
            assert!(shown.get(gone).is_none(), "{gone}");
        }
    }
    let many: Vec<u64> = (0..101).collect();
    assert_eq!(fake.get(&format!("{BATCH}?{}", query(&many))).await.status, 400);
}

#[tokio::test]
async fn unknown_ids_are_ignored() {
    let fake = Fake::calm().await;
    let (live, account) = (some_id(&fake, CONTACTS), fake.account());
    let merged = *account.merged_away(CONTACTS).keys().next().unwrap();
    let vids = [2, merged, account.archived_ids(CONTACTS)[0], live];
    let answer = fake.get(&format!("{BATCH}?{}", query(&vids))).await;
    assert_eq!(answer.status, 200);
    let keys: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, [live.to_string()]);
    assert_eq!(fake.get(BATCH).await.json(), json!({}));
}

#[tokio::test]
async fn the_list_of_all_goes_on_after_the_last_vid() {
    let fake = Fake::calm().await;
    let mut vids = Vec::new();
    let mut offset = json!(0);
    loop {
        let path = format!("/contacts/v1/lists/all/contacts/all?count=90&vidOffset={offset}");
        let page = fake.get(&path).await.json();
        for contact in page["contacts"].as_array().unwrap() {
            assert!(contact["addedAt"].is_i64());
            assert!(contact["form-submissions"].as_array().unwrap().len() <= 1, "the newest only");
            vids.push(contact["vid"].as_u64().unwrap());
        }
        if page["has-more"] == false {
            break;
        }
        offset = page["vid-offset"].clone();
    }
    assert_eq!(vids, fake.account().live_ids(CONTACTS));
    let default = fake.get("/contacts/v1/lists/all/contacts/all").await.json();
    assert_eq!(default["contacts"].as_array().unwrap().len(), 20);
    let most = fake.get("/contacts/v1/lists/all/contacts/all?count=500").await.json();
    assert_eq!(most["contacts"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn properties_have_values_and_dates_are_milliseconds() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    let truth = fake.account().truth(CONTACTS).find(|record| record.id == id).unwrap();
    let shown = contact(&fake, id, "property=email&property=lastmodifieddate&property=no_such").await;
    let modified = truth.updated_at.timestamp_millis().to_string();
    assert_eq!(shown["properties"]["lastmodifieddate"], json!({"value": modified}));
    let names: BTreeSet<&str> = shown["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(names.is_subset(&["email", "lastmodifieddate"].into()));
    let history = contact(&fake, id, "property=lastmodifieddate&propertyMode=value_and_history").await;
    assert_eq!(history["properties"]["lastmodifieddate"]["versions"][0]["value"], modified);
}

#[tokio::test]
async fn the_primary_email_is_the_only_one_that_says_so() {
    let fake = Fake::calm().await;
    for truth in fake.account().truth_v1_contacts().take(60) {
        let shown = contact(&fake, truth.vid, "property=email").await;
        let profiles = shown["identity-profiles"].as_array().unwrap();
        assert_eq!(profiles.len(), truth.profiles.len());
        let identities = profiles.iter().flat_map(|profile| profile["identities"].as_array().unwrap());
        let primary: Vec<&Value> =
            identities.filter(|identity| identity.get("is-primary").is_some()).collect();
        match &shown["properties"]["email"]["value"] {
            Value::Null => assert!(primary.is_empty()),
            email => {
                assert_eq!(primary.len(), 1);
                assert_eq!((&primary[0]["value"], &primary[0]["type"]), (email, &json!("EMAIL")));
            }
        }
        assert!((0..200).contains(&(truth.profiles[0].saved_at_timestamp - truth.added_at)));
    }
}

#[tokio::test]
async fn a_new_email_is_a_new_identity() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, CONTACTS);
    let before = contact(&fake, id, "").await["identity-profiles"].clone();
    fake.account().update(CONTACTS, id, &[("email", Some("changed@example.com"))]).unwrap();
    let after = contact(&fake, id, "").await["identity-profiles"][0].clone();
    assert_eq!(after["identities"][0]["value"], "changed@example.com");
    assert!(after["saved-at-timestamp"].as_i64() > before[0]["saved-at-timestamp"].as_i64());
    let saved = after["saved-at-timestamp"].clone();
    fake.account().update(CONTACTS, id, &[("firstname", Some("Ada"))]).unwrap();
    assert_eq!(contact(&fake, id, "").await["identity-profiles"][0]["saved-at-timestamp"], saved);
}

#[tokio::test]
async fn a_merged_contact_shows_a_profile_for_each_that_it_came_from() {
    let fake = Fake::calm().await;
    let all = fake.account().live_ids(CONTACTS);
    let first = fake.account().merge(CONTACTS, all[40], all[41]).unwrap();
    let second = fake.account().merge(CONTACTS, first, all[42]).unwrap();
    let shown = contact(&fake, second, "").await;
    let vids: BTreeSet<u64> = shown["identity-profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["vid"].as_u64().unwrap())
        .collect();
    assert_eq!(vids, [all[40], all[41], all[42], first, second].into());
    assert_eq!(shown["identity-profiles"][0]["vid"], second);
    assert_eq!(shown["merged-vids"].as_array().unwrap().len(), 4);
    let audits: Vec<u64> = shown["merge-audits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["vid-to-merge"].as_u64().unwrap())
        .collect();
    assert_eq!(audits, [first, all[42]], "those of the last merge");
    let leads = shown.to_string().matches("LEAD_GUID").count();
    assert_eq!(leads, 3, "one for each contact that was one");
    let by_old_id = fake.get(&format!("/contacts/v1/contact/vid/{}/profile", all[41])).await.json();
    assert_eq!(by_old_id["vid"], second);
}

#[tokio::test]
async fn submissions_come_as_many_as_asked_for() {
    let fake = Fake::calm().await;
    let truth = fake.account().truth_v1_contacts().find(|one| one.form_submissions.len() > 1).unwrap();
    let times: Vec<i64> = truth.form_submissions.iter().map(|one| one.timestamp).collect();
    for (mode, expected) in
        [("none", &[][..]), ("all", &times), ("newest", &times[..1]), ("oldest", &times[1..])]
    {
        let shown = contact(&fake, truth.vid, &format!("formSubmissionMode={mode}")).await;
        let shown = shown["form-submissions"].as_array().unwrap();
        let shown: Vec<i64> = shown.iter().map(|one| one["timestamp"].as_i64().unwrap()).collect();
        assert_eq!(shown, expected, "{mode}");
    }
    assert_eq!(fake.get(&format!("{BATCH}?vid=1&formSubmissionMode=some")).await.status, 400);
}

#[tokio::test]
async fn keys_of_a_submission_are_optional() {
    let fake = Fake::calm().await;
    let mut seen = BTreeSet::new();
    for vids in fake.account().live_ids(CONTACTS).chunks(100) {
        let contacts = fake.get(&format!("{BATCH}?{}", query(vids))).await.json();
        for submission in
            contacts.as_object().unwrap().values().flat_map(|one| one["form-submissions"].as_array().unwrap())
        {
            let has = |key| submission.get(key).is_some();
            assert!(has("conversion-id") && has("form-id") && has("timestamp") && has("title"));
            seen.insert((has("page-url"), has("page-title"), has("form-type")));
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[tokio::test]
async fn the_lists_of_v1_are_gone() {
    let fake = Fake::calm().await;
    for path in [
        "/contacts/v1/lists",
        "/contacts/v1/lists/1",
        "/contacts/v1/lists/1/contacts/all",
        "/contacts/v1/lists/static",
    ] {
        let gone = fake.get(path).await;
        assert_eq!((gone.status, gone.text.contains("<html>")), (404, true), "{path}");
    }
    let unknown = fake.get("/contacts/v1/contact/vid/2/profile").await;
    assert_eq!((unknown.status, &unknown.json()["message"]), (404, &json!("contact does not exist")));
    assert!(unknown.json().get("category").is_none());
}

#[tokio::test]
async fn all_of_v1_may_be_gone_or_forbidden() {
    for (v1_contacts, status) in [(V1Contacts::Gone, 404), (V1Contacts::Forbidden, 403)] {
        let fake = Fake::start(&small(), Behaviour { v1_contacts, ..calm() }).await;
        for path in [
            "/contacts/v1/contact/vids/batch?vid=1",
            "/contacts/v1/lists/all/contacts/all",
            "/contacts/v1/contact/vid/1/profile",
        ] {
            let refused = fake.get(path).await;
            assert_eq!((refused.status, refused.text.contains("<html>")), (status, status == 404), "{path}");
        }
    }
    let fake = Fake::calm().await;
    fake.post("/_fake/behaviour", &json!({"v1_contacts": "gone"})).await;
    assert_eq!(fake.get(BATCH).await.status, 404);
}

#[tokio::test]
async fn v1_may_be_behind_the_records() {
    let lag = std::time::Duration::from_millis(400);
    let fake = Fake::start(&small(), Behaviour { v1_lag: lag, ..calm() }).await;
    let account = fake.account();
    let (old, new) = (some_id(&fake, CONTACTS), account.create(CONTACTS, &[]).unwrap());
    let count = async |vid| contact(&fake, vid, "").await["form-submissions"].as_array().map(Vec::len);
    let before = count(old).await.unwrap();
    let submission = account.submit_form(old, &account.form_ids()[0]).unwrap();
    assert_eq!((count(old).await, count(new).await), (Some(before), None));
    let record = account.truth(CONTACTS).find(|record| record.id == old).unwrap();
    let conversions = record.properties["num_conversion_events"].as_deref().unwrap();
    assert_eq!(conversions, (before + 1).to_string(), "the record tells of it");

    tokio::time::sleep(lag + std::time::Duration::from_millis(50)).await;
    assert_eq!((count(old).await, count(new).await), (Some(before + 1), Some(0)));
    assert_eq!(contact(&fake, old, "").await["form-submissions"][0]["conversion-id"], json!(submission));
}
