//! Contents of a generated account.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use fake_hubspot::{Account, ObjectType, PerType, Settings, TruthRecord};

use crate::client::{Fake, calm, small};

fn fixed(seed: u64) -> Settings {
    Settings { seed, start: DateTime::UNIX_EPOCH + TimeDelta::days(20_000), ..small() }
}

fn truth(settings: &Settings) -> Vec<TruthRecord> {
    let account = Account::generate(settings);
    ObjectType::CORE.into_iter().flat_map(|object| account.truth(object).collect::<Vec<_>>()).collect()
}

#[test]
fn the_same_seed_makes_the_same_account() {
    assert_eq!(truth(&fixed(1)), truth(&fixed(1)));
    assert_ne!(truth(&fixed(1)), truth(&fixed(2)));
}

#[test]
fn dates_are_plausible() {
    let settings = fixed(1);
    let newest = settings.start - settings.newest;
    for record in truth(&settings) {
        assert!(record.created_at <= record.updated_at && record.updated_at <= newest, "{record:?}");
        assert!(record.archived_at.is_none_or(|at| at >= record.updated_at && at <= newest), "{record:?}");
        assert_eq!(record.updated_at.timestamp_subsec_nanos() % 1_000_000, 0);
    }
    let recent = Settings { newest: Duration::ZERO, ..settings };
    assert!(truth(&recent).iter().any(|record| record.updated_at > newest));
}

#[test]
fn an_account_holds_everything_that_is_hard() {
    let truth = truth(&Settings { odd_values: 0.05, ..fixed(1) });
    let values: BTreeSet<&str> =
        truth.iter().flat_map(|record| record.properties.values()).flatten().map(String::as_str).collect();
    for odd in [
        "",
        "N/A",
        "1.0E+25",
        "1234;5678",
        "1577836800000",
        "20230-01-01",
        "253402300800000000",
        "TRUE",
        "yes",
    ] {
        assert!(values.contains(odd), "{odd:?}");
    }
    assert!(values.iter().any(|value| value.contains('😀')));
    assert!(values.iter().any(|value| value.contains('\u{0}')));
    assert!(values.iter().any(|value| value.contains('"')));
    assert!(values.iter().any(|value| value.len() == 65_536));
    assert!(
        truth.iter().any(|record| record.archived) && truth.iter().any(|record| record.merged_into.is_some())
    );
    let chained = truth.iter().filter_map(|record| record.properties["hs_merged_object_ids"].as_ref());
    assert!(chained.map(|ids| ids.split(';').count()).max() > Some(2));
}

#[test]
fn contacts_have_sixty_properties() {
    let account = Account::generate(&small());
    assert_eq!(account.truth(ObjectType::Contacts).next().unwrap().properties.len(), 60);
}

#[tokio::test]
async fn an_account_can_be_wider_than_a_url() {
    let custom_properties = PerType { contacts: 1_500, companies: 0, deals: 0 };
    let fake = Fake::start(&Settings { custom_properties, ..small() }, calm()).await;
    let definitions = fake.get("/crm/properties/2026-09/contacts").await.json();
    assert!(definitions["results"].as_array().unwrap().len() > 1_500);
}

#[tokio::test]
async fn an_empty_account_is_an_account() {
    let fake = Fake::start(&Settings { records: PerType::default(), ..small() }, calm()).await;
    for object in ObjectType::CORE {
        assert!(fake.list_all(object.plural(), "").await.is_empty());
        assert_eq!(fake.search(object.plural(), &serde_json::json!({})).await.json()["total"], 0);
    }
}

#[tokio::test]
async fn the_account_shows_its_details() {
    let fake = Fake::calm().await;
    for path in ["/account-info/2026-09/details", "/account-info/2026-03/details", "/account-info/v3/details"]
    {
        let details = fake.get(path).await.json();
        assert_eq!(
            (&details["portalId"], &details["timeZone"]),
            (&62_515.into(), &"America/New_York".into())
        );
        assert!(["-05:00", "-04:00"].contains(&details["utcOffset"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_can_read_them() {
    let fake = Fake::calm().await;
    let url = format!("{}/crm/properties/2026-09/contacts", fake.server.url());
    let plain = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let ask = async |accepted: &str| {
        let request = plain.get(&url).bearer_auth(crate::client::TOKEN).header("accept-encoding", accepted);
        let response = request.send().await.unwrap();
        (response.headers().get("content-encoding").cloned(), response.bytes().await.unwrap().len())
    };
    let (encoding, compressed) = ask("gzip, br").await;
    assert_eq!(encoding.unwrap(), "gzip");
    let (encoding, whole) = ask("identity").await;
    assert!(encoding.is_none() && whole > 4 * compressed);
}
