//! The conformance suite on a twin of BigQuery: its SQL is parsed as BigQuery's and executed in DuckDB with the same
//! meaning. Only BigQuery itself can show that it accepts the SQL.

mod emulator;
mod faults;
mod golden;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use staging::ColumnType;

use super::auth::Auth;
use super::dialect::{BIGQUERY, identifier};
use crate::conformance::modes::BOTH;
use crate::conformance::{Bench, Cell, contact, contacts, merge, read, stage};
use crate::twin::{self, SCHEMA, TwinBench, wide_contacts_are_merged};
use crate::{Kind, LocatedFile, Location, Reads, TableMode, connect};

const KEY: &str = include_str!("../snowflake/tests/key.pem");
const PUBLIC_KEY: &str = include_str!("../snowflake/tests/key.pub");

/// The key of the twin's service account.
fn key(twin: &twin::Twin) -> Value {
    json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key-1",
        "private_key": KEY,
        "client_email": "loader@project.iam.gserviceaccount.com",
        "token_uri": format!("{}/token", twin.endpoint()),
    })
}

/// Starts a twin; `None` if tests are to go on without twins.
async fn bench() -> Option<TwinBench> {
    let twin = twin::of("bigquery")?;
    let public: String = PUBLIC_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let mut bench = TwinBench::open(twin, [identifier, BIGQUERY.column_name], json!({"key": public}));
    bench.reads = Reads::Local;
    bench.stored = stored;
    bench.url = url(&bench, "location=EU");
    bench.key = Some(key(twin).to_string().into());
    Some(bench)
}

/// The first and the last time that there is.
fn stored(cell: Cell) -> Cell {
    match cell {
        Cell::Timestamp(ms) => Cell::Timestamp(ms.clamp(-62_135_596_800_000, 253_402_300_799_999)),
        other => other,
    }
}

fn url(bench: &TwinBench, more: &str) -> String {
    format!("bigquery://{}?endpoint={}&{more}", bench.name, bench.twin.endpoint())
}

/// Scratch tables that are there.
fn scratch(bench: &TwinBench) -> usize {
    let sql = "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '\\_merge%' ESCAPE '\\'";
    bench.call("rows", json!({"sql": sql}))["rows"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    twin::conforms(&[], bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_scratch_table_is_left() {
    let Some(bench) = bench().await else { return };
    let rows = |n: i64| (0..n).map(|id| contact(id, 1, 1, &[])).collect();
    merge(&bench, &[contacts("a", &[], rows(3)), contacts("b", &[], rows(5))]).await;
    assert_eq!(scratch(&bench), 0);
    assert_eq!(read(&bench, "contacts", &["id"]).await.len(), 5);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dataset_may_be_in_the_url() {
    let Some(mut bench) = bench().await else { return };
    bench.url = format!("bigquery://{}/Crm?endpoint={}&location=EU", bench.name, bench.twin.endpoint());
    merge(&bench, &[contacts("a", &[], vec![contact(1, 1, 1, &[])])]).await;
    let rows = bench.call("rows", json!({"sql": "SELECT id FROM \"Crm\".contacts"}));
    assert_eq!(rows["rows"], json!([["1"]]));
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_in_s3_are_refused() {
    let Some(bench) = bench().await else { return };
    let [local] = stage(&bench, &[contacts("a", &[], vec![])]).try_into().unwrap();
    let location = Location::S3 { bucket: "b".to_owned(), key: "a.parquet".to_owned(), bytes: 1 };
    let error = bench.warehouse().await.merge(&[LocatedFile { location, ..local }]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("fetch it first"), "{error}");
    bench.close();
}

/// Checks a file of several parts, one of which comes in half.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_is_sent_in_parts() {
    let Some(bench) = bench().await else { return };
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = || -> String { (0..9_000).map(|_| random.alphanumeric()).collect() };
    let rows = (0..1_200).map(|id| contact(id, 1, 1, &[Cell::text(text())])).collect();
    let file = contacts("a", &[("text", ColumnType::Text)], rows);
    let staged = stage(&bench, std::slice::from_ref(&file));
    assert!(std::fs::metadata(staged[0].path().unwrap()).unwrap().len() > 9 << 20);
    bench.twin.call("lose", &json!({"containing": "bytes 8388608-", "at": format!("/{}/", bench.name)}));
    assert_eq!(bench.warehouse().await.merge(&staged).await.unwrap().inserted, 1_200);
    let last = read(&bench, "contacts", &["id", "text"]).await.pop().unwrap();
    assert_eq!(last[1], file.rows[1_199][4]);
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_of_700_columns_are_merged() {
    for mode in [TableMode::default(), BOTH] {
        let Some(bench) = bench().await else { return };
        wide_contacts_are_merged(&bench, mode).await;
        bench.close();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_learns_why() {
    let Some(bench) = bench().await else { return };
    let staged = stage(&bench, &[contacts("a", &[], vec![contact(1, 1, 1, &[])])]);
    let mut other = key(bench.twin);
    other["client_email"] = "somebody@project.iam.gserviceaccount.com".into();
    let own = key(bench.twin);
    for (url, key, words, source) in [
        (bench.url.clone(), &other, "google does not take this one", "Invalid JWT Signature"),
        (bench.url.replace(&bench.name, "elsewhere"), &own, "check project, dataset", "Not found: Project"),
        (bench.url.replace("=EU", "=US"), &own, "check project, dataset and location", "Not found"),
    ] {
        let warehouse = connect(&url, SCHEMA, Some(key.to_string().into()), None).await.unwrap();
        let error = warehouse.merge(&staged).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error:?}");
        let shown = format!("{error:?}");
        assert!(shown.contains(words) && shown.contains(source), "{shown}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
    bench.close();
}

/// Checks a person's credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_load() {
    let Some(mut bench) = bench().await else { return };
    let person = json!({
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "hush",
        "refresh_token": "1//refresh",
        "token_uri": format!("{}/token", bench.twin.endpoint()),
    });
    bench.key = Some(person.to_string().into());
    merge(&bench, &[contacts("a", &[], vec![contact(1, 1, 1, &[])])]).await;
    bench.close();
}

/// Checks the role of a Lambda function, which stands for a service account.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_aws_is_let_in() {
    let Some(bench) = bench().await else { return };
    let endpoint = bench.twin.endpoint();
    let role = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/aws/providers/hubspot",
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": format!("{endpoint}/sts"),
        "service_account_impersonation_url": format!("{endpoint}/impersonate/loader"),
        "credential_source": {"environment_id": "aws1"},
    });
    let mut auth = Auth::new(Some(&role.to_string().into()), false).unwrap();
    let token = async |auth: &Auth| auth.token(&reqwest::Client::new(), false).await;
    // As Lambda has it.
    let variable = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        "AWS_SESSION_TOKEN" => Some("the/session+token==".to_owned()),
        "AWS_REGION" => Some("eu-central-1".to_owned()),
        _ => None,
    };
    auth.variable = variable;
    let first = token(&auth).await.unwrap().unwrap();
    assert!(first.expose_secret().starts_with("ya29."));
    assert_eq!(token(&auth).await.unwrap().unwrap().expose_secret(), first.expose_secret(), "it is kept");

    let mut other = Auth::new(Some(&role.to_string().into()), false).unwrap();
    other.variable =
        |name: &str| Some(if name == "AWS_REGION" { "eu-west-1" } else { "AKIDEXAMPLE" }.to_owned());
    let refusal = token(&other).await.unwrap_err();
    assert!(format!("{refusal:?}").contains("Invalid subject token"), "{refusal:?}");
    other.variable = |_| None;
    assert!(token(&other).await.unwrap_err().to_string().contains("there is no AWS_ACCESS_KEY_ID"));
    bench.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_columns_than_a_table_can_have_are_refused() {
    let Some(bench) = bench().await else { return };
    let names: Vec<String> = (0..10_000).map(|n| format!("p{n}")).collect();
    let columns: Vec<(&str, ColumnType)> =
        names.iter().map(|name| (name.as_str(), ColumnType::Text)).collect();
    let file = contacts("a", &columns, vec![]);
    let error = bench.warehouse().await.merge(&stage(&bench, &[file])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("has no room for the column"), "{error}");
    assert!(!bench.has_table("contacts").await);
    bench.close();
}
