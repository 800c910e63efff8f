//! All eleven collections: tables after a first sync, after the next one, and with scopes missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod addresses;
mod campaigns;
mod changes;
mod events;
mod list_members;
mod lists;
mod memberships;
mod people;
mod refusals;
mod removals;
mod tools;
mod trouble;
mod v1;

use fake_hubspot::{Account, ObjectType};
use serde_json::Value;
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal};

const CONTACTS: ObjectType = ObjectType::Contacts;

/// Properties that change without a new modified date: only a read of all records sees that.
const CALCULATED: [&str; 4] = ["num_associated_contacts", "num_associated_deals", "hubspotscore", "hs_acv"];

/// Edits all deals. A deal's associations change when a contact is archived or merged, without a new modified date; an
/// edit makes them be read again.
fn touch_all_deals(account: &Account) {
    let deals = account.live_ids(ObjectType::Deals).len();
    account.touch_many_in_one_ms(ObjectType::Deals, deals);
}

#[track_caller]
fn assert_equal(sandbox: &Sandbox) {
    assert_all_equal(&sandbox.database(), sandbox.account(), &Expectations::default());
}

/// Checks a sync that finds nothing new.
async fn assert_writes_nothing(sandbox: &Sandbox) {
    let report = sandbox.sync(&[]).await.complete();
    for name in COLLECTIONS {
        let collection = &report["collections"][name];
        assert_eq!((&collection["rows"], &collection["merged_rows"]), (&0.into(), &0.into()), "{name}");
    }
}

#[track_caller]
fn degraded(report: &Value, collection: &str) -> Vec<String> {
    let texts = report["collections"][collection]["degraded"].as_array();
    let texts = texts.unwrap_or_else(|| panic!("{collection} says nothing of being degraded: {report:#}"));
    texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Returns the first row's value, as text.
fn value(sandbox: &Sandbox, query: &str) -> Option<String> {
    let query = format!("SELECT CAST(value AS VARCHAR) FROM ({query}) AS found (value)");
    sandbox
        .database()
        .query_row(&query, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}
