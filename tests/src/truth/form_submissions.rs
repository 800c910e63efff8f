//! Form submissions: with v1 those that a live contact shows, without it those of all forms that HubSpot shows.

use std::collections::HashMap;

use duckdb::Connection;
use fake_hubspot::{Account, FormType, TruthSubmission};
use serde_json::json;

use super::Expectations;
use super::row::{Cell, Check, Findings, each_row};

pub(super) fn differences(
    database: &Connection,
    account: &Account,
    expectations: &Expectations<'_>,
) -> Findings {
    let form_names: HashMap<String, String> =
        account.truth_forms().into_iter().map(|form| (form.id, form.name)).collect();
    let mut expected: HashMap<String, TruthSubmission> = account
        .truth_form_submissions()
        .into_iter()
        .map(|submission| (submission.conversion_id.clone(), submission))
        .collect();
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.form_submissions", |row| {
        let id = row.text("id").unwrap_or_default();
        let Some(submission) = expected.remove(id) else {
            if !expectations.deleted_submissions.iter().any(|deleted| deleted == id) {
                findings.note(|| format!("{id}: in the table, or twice in it, but not in the account"));
            }
            return;
        };
        let mut check = row.check(id, &mut findings);
        check.is("conversion_id", id);
        check.is("form_id", submission.form_id.as_str());
        check.is("page_url", submission.page_url.as_deref());
        check.is("portal_id", account.settings().account_id);
        check.is("timestamp", Cell::Instant(submission.timestamp));
        check.is("_source_updated_at", Cell::Instant(submission.timestamp));
        check.are_null(&["_extra", "_unparsed"]);
        if expectations.has_v1 {
            check_of_contact(&mut check, &submission);
        } else {
            check_of_form(&mut check, &submission, &form_names[&submission.form_id]);
        }
    });
    let must_be_there = |submission: &&TruthSubmission| {
        if expectations.has_v1 {
            submission.contact.is_some()
        } else {
            submission.form_type != FormType::BlogComment
        }
    };
    for TruthSubmission { conversion_id, contact, .. } in expected.values().filter(must_be_there) {
        findings.note(|| format!("{conversion_id}: missing (contact: {contact:?})"));
    }
    findings
}

fn check_of_contact(check: &mut Check<'_>, submission: &TruthSubmission) {
    check.is("title", submission.title.as_str());
    let Some(contact) = submission.contact else {
        // No contact shows it any more: it is as the forms, or the contact of that time, told of it.
        return;
    };
    let form_type = submission.form_type.name().to_uppercase();
    check.is("contact_id", contact);
    check.is("form_type", submission.tells_form_type.then_some(form_type));
    check.is("page_id", submission.page_id.as_deref());
    check.is("page_title", submission.page_title.as_deref());
    check.is_json("contact_associated_by", &json!(["EMAIL"]));
    check.is_json("meta_data", &json!([]));
}

/// Checks the columns of the form, whose name is that of today.
fn check_of_form(check: &mut Check<'_>, submission: &TruthSubmission, form_name: &str) {
    let is_told = submission.form_type != FormType::BlogComment;
    check.holds("id", &"refused by HubSpot, for a blog comment", |_| is_told);
    check.is("form_type", submission.form_type.name().to_uppercase());
    check.is("title", form_name);
    check.is_json("values", &json!([{"name": "email", "value": submission.email, "objectTypeId": "0-1"}]));
}
