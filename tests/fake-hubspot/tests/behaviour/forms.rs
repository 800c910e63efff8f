//! Forms and submissions.

use std::collections::BTreeSet;

use fake_hubspot::{FormType, ObjectType, TruthForm, TruthSubmission};
use serde_json::{Value, json};

use crate::client::{Fake, some_id};

const FORMS: &str = "/marketing/v3/forms";

async fn forms(fake: &Fake, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let page = fake.get(&format!("{FORMS}?{query}&limit=2&after={after}")).await.json();
        all.extend(page["results"].as_array().unwrap().iter().cloned());
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return all,
        }
    }
}

async fn submissions(fake: &Fake, form: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/form-integrations/v1/submissions/forms/{form}?limit=50&after={after}");
        let page = fake.get(&path).await.json();
        all.extend(page["results"].as_array().unwrap().iter().cloned());
        match page["paging"]["next"]["after"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return all,
        }
    }
}

fn form_of(fake: &Fake, kind: FormType) -> TruthForm {
    fake.account().truth_forms().into_iter().find(|form| form.form_type == kind).unwrap()
}

fn truth(fake: &Fake, form: &str) -> Vec<TruthSubmission> {
    fake.account().truth_form_submissions().into_iter().filter(|one| one.form_id == form).collect()
}

#[tokio::test]
async fn only_hubspot_forms_are_listed_unless_asked() {
    let fake = Fake::calm().await;
    let types = |forms: &[Value]| -> BTreeSet<String> {
        forms.iter().map(|form| form["formType"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&forms(&fake, "").await), ["hubspot".to_owned()].into());
    assert_eq!(
        types(&forms(&fake, "formTypes=all").await),
        FormType::ALL.map(|kind| kind.name().to_owned()).into()
    );
    assert_eq!(types(&forms(&fake, "formTypes=flow,captured").await).len(), 2);
    let archived = forms(&fake, "formTypes=all&archived=true").await;
    assert!(!archived.is_empty() && archived.iter().all(|form| form["archivedAt"].is_string()));
    let listed = forms(&fake, "formTypes=all").await.len() + archived.len();
    assert_eq!(listed, fake.account().truth_forms().len());
}

#[tokio::test]
async fn submissions_come_newest_first() {
    let fake = Fake::calm().await;
    let form = form_of(&fake, FormType::Hubspot);
    let read = submissions(&fake, &form.id).await;
    let times: Vec<i64> = read.iter().map(|one| one["submittedAt"].as_i64().unwrap()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next));
    let ids: BTreeSet<&str> = read.iter().map(|one| one["conversionId"].as_str().unwrap()).collect();
    let expected = truth(&fake, &form.id);
    assert_eq!(ids, expected.iter().map(|one| one.conversion_id.as_str()).collect());
    assert!(expected.len() > 20);
}

#[tokio::test]
async fn both_ways_tell_the_same_conversion_id() {
    let fake = Fake::calm().await;
    let form = form_of(&fake, FormType::Captured);
    let of_form = truth(&fake, &form.id).into_iter().find(|one| one.contact.is_some()).unwrap();
    let vid = of_form.contact.unwrap();
    let contact = fake.get(&format!("/contacts/v1/contact/vid/{vid}/profile")).await.json();
    let shown = contact["form-submissions"].as_array().unwrap();
    let shown = shown.iter().find(|one| one["conversion-id"] == of_form.conversion_id).unwrap();
    assert_eq!((&shown["form-id"], &shown["title"]), (&json!(form.id), &json!(form.name)));
    assert!(
        submissions(&fake, &form.id).await.iter().any(|one| one["conversionId"] == of_form.conversion_id)
    );
}

#[tokio::test]
async fn a_page_holds_fifty_submissions_at_most() {
    let fake = Fake::calm().await;
    let path = format!("/form-integrations/v1/submissions/forms/{}", form_of(&fake, FormType::Flow).id);
    assert_eq!(fake.get(&format!("{path}?limit=51")).await.status, 400);
    assert_eq!(fake.get(&path).await.json()["results"].as_array().unwrap().len(), 20);
    let unknown = "/form-integrations/v1/submissions/forms/00000000-0000-4000-8000-000000000000";
    assert_eq!(fake.get(unknown).await.status, 404);
}

#[tokio::test]
async fn blog_comments_can_not_be_read() {
    let fake = Fake::calm().await;
    let form = form_of(&fake, FormType::BlogComment);
    let refused = fake.get(&format!("/form-integrations/v1/submissions/forms/{}", form.id)).await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["errorType"]),
        (400, &json!("FORM_TYPE_NOT_ALLOWED"))
    );
    assert!(!truth(&fake, &form.id).is_empty(), "contacts have them nevertheless");
}

#[tokio::test]
async fn a_submission_modifies_its_contact() {
    let fake = Fake::calm().await;
    let id = some_id(&fake, ObjectType::Contacts);
    let record = || fake.account().truth(ObjectType::Contacts).find(|record| record.id == id).unwrap();
    let (before, form) = (record(), form_of(&fake, FormType::Hubspot));
    let conversion = fake.account().submit_form(id, &form.id).unwrap();
    let after = record();
    assert!(after.updated_at > before.updated_at);
    assert_eq!(after.properties["recent_conversion_event_name"].as_deref(), Some(&*form.name));
    let calculated = after.properties["hs_calculated_form_submissions"].clone().unwrap();
    assert!(calculated.starts_with(&form.id));
    assert_eq!(submissions(&fake, &form.id).await[0]["conversionId"], conversion);
    fake.account().delete_submission(&conversion).unwrap();
    assert_ne!(submissions(&fake, &form.id).await[0]["conversionId"], conversion);
    assert_eq!(record().updated_at, after.updated_at, "nothing tells of it");
}

#[tokio::test]
async fn a_form_keeps_what_a_contact_that_is_gone_submitted() {
    let fake = Fake::calm().await;
    let form = form_of(&fake, FormType::Hubspot);
    let id = some_id(&fake, ObjectType::Contacts);
    let conversion = fake.account().submit_form(id, &form.id).unwrap();
    fake.account().purge(ObjectType::Contacts, id).unwrap();
    let truth = truth(&fake, &form.id).into_iter().find(|one| one.conversion_id == conversion).unwrap();
    assert_eq!(truth.contact, None);
    assert_eq!(submissions(&fake, &form.id).await[0]["conversionId"], conversion);
}
