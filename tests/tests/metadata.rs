//! Tables that give ids their meaning: read whole by each run, staged where something changed, kept where HubSpot
//! forgets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is test code")]

use duckdb::Connection;
use fake_hubspot::{Account, Behaviour, Further, ObjectType, Settings};
use serde_json::Value;
use tests::{Sandbox, assert_definitions_equal, assert_metadata_equal};

const TABLES: &str = "object_schemas,pipelines,pipeline_stages,owners,owner_teams,account_users,roles,teams,team_users,\
                      forms,subscription_definitions,exchange_rates";

/// HubSpot's own objects that have pipelines, and custom ones.
const OBJECTS: [ObjectType; 7] = [
    ObjectType::Deals,
    ObjectType::Tickets,
    ObjectType::Leads,
    ObjectType::Orders,
    ObjectType::Services,
    ObjectType::Courses,
    ObjectType::Cars,
];

fn settings() -> Settings {
    let records = fake_hubspot::PerType { contacts: 20, companies: 5, deals: 5 };
    let settings = Settings { records, wide_deals: 0, ..Settings::default() };
    settings.with(ObjectType::Cars, Further { records: 3, custom_properties: 0 })
}

/// The tables of metadata, and some objects.
fn wanted() -> String {
    format!("{TABLES},deals,cars")
}

async fn synced(settings: &Settings, behaviour: Behaviour) -> Sandbox {
    let sandbox = Sandbox::new(settings, behaviour).await;
    sandbox.sync(&["--collections", &wanted()]).await.complete();
    sandbox
}

fn rows(report: &Value, collection: &str) -> u64 {
    report["collections"][collection]["rows"].as_u64().unwrap_or_else(|| panic!("{collection}: {report:#}"))
}

fn one<T: duckdb::types::FromSql>(database: &Connection, query: &str) -> T {
    database.query_row(query, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{query}: {error}"))
}

/// Everything that a definition can go through.
fn churn(account: &Account) {
    account.rename_stage(ObjectType::Deals, "appointmentscheduled", "First call").unwrap();
    account.delete_stage(ObjectType::Deals, "87654399").unwrap();
    account.delete_pipeline(ObjectType::Tickets, "12345679").unwrap();
    account.delete_pipeline(ObjectType::Cars, "default").unwrap();
    account.archive_owner(41_000_007).unwrap();
    account.rename_owner(41_000_014, "Married").unwrap();
    account.remove_user(9_001).unwrap();
    account.delete_team(701).unwrap();
    account.set_exchange_rate("EUR", "1.11");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_equals_the_account_at_first_and_after_changes() {
    let sandbox = synced(&settings(), Behaviour { mixed_owners: true, ..Behaviour::default() }).await;
    let account = sandbox.account();
    assert_metadata_equal(&sandbox.database(), account, &OBJECTS);

    churn(account);
    let report = sandbox.sync(&["--collections", &wanted()]).await.complete();
    let database = sandbox.database();
    assert_metadata_equal(&database, account, &OBJECTS);
    assert_eq!(rows(&report, "forms"), 0, "nothing of it changed");
    // HubSpot forgets what was deleted; old deals still name it.
    let label: String = one(&database, "SELECT label FROM hubspot.pipeline_stages WHERE id = '87654399'");
    assert_eq!(label, "Due");
    let why: String = one(
        &database,
        "SELECT deleted_reason FROM hubspot.pipelines WHERE object = 'tickets' AND id = '12345679'",
    );
    assert_eq!(why, "removed");
    let stages: i64 = one(
        &database,
        "SELECT count(*) FROM hubspot.pipeline_stages WHERE object = 'tickets' AND pipeline_id = '12345679' \
         AND is_deleted",
    );
    assert_eq!(stages, 2);
    // A stage that was renamed keeps its id, and deals their meaning.
    let label: String = one(
        &database,
        "SELECT label FROM hubspot.pipeline_stages WHERE object = 'deals' AND id = 'appointmentscheduled'",
    );
    assert_eq!(label, "First call");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_becomes_empty_and_is_filled_again_equals_the_account() {
    let sandbox = synced(&settings(), Behaviour::default()).await;
    let account = sandbox.account();
    for pipeline in ["default", "12345680"] {
        account.delete_pipeline(ObjectType::Cars, pipeline).unwrap();
    }
    let report = sandbox.sync(&["--collections", &wanted()]).await.complete();
    assert_eq!((rows(&report, "pipelines"), rows(&report, "pipeline_stages")), (1, 1), "a tombstone of each");
    assert_metadata_equal(&sandbox.database(), account, &OBJECTS);
    let report = sandbox.sync(&["--collections", &wanted()]).await.complete();
    assert_eq!(rows(&report, "pipelines"), 0);
}

/// Checks the promise of `docs/dictionary.md`: a call or two for each list, and nothing staged.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_run_stages_nothing_in_a_handful_of_calls() {
    let settings = settings();
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&["--collections", TABLES]).await.complete();
    sandbox.server.reset_counters();
    let report = sandbox.sync(&["--collections", TABLES]).await.complete();
    let staged: u64 = TABLES.split(',').map(|table| rows(&report, table)).sum();
    assert_eq!(staged, 0);
    let calls = sandbox.server.counters().endpoints;
    // The account; schemas, owners and forms in two lists each; five others; pipelines of eight objects of HubSpot's and
    // of a custom one.
    assert_eq!(calls.values().sum::<u64>(), 1 + 3 * 2 + 5 + 8 + 1, "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_credential_lacks_is_named_and_leaves_the_others_alone() {
    let settings = settings().without_scope("settings.currencies").without_scope("crm.objects.owners");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let ended = sandbox.sync(&["--collections", &wanted()]).await;
    assert_eq!(ended.code, Some(1), "somebody has named them");
    let report = ended.report();
    for (table, scope) in
        [("owners", "crm.objects.owners.read"), ("exchange_rates", "settings.currencies.read")]
    {
        assert_eq!(report["collections"][table]["outcome"], "skipped");
        let reason = report["collections"][table]["reason"].as_str().unwrap();
        assert!(reason.contains(scope), "{reason}");
    }
    assert_eq!(report["collections"]["pipelines"]["outcome"], "complete");
    assert!(rows(&report, "roles") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_later_stays_as_it_was_and_is_incomplete() {
    let sandbox = synced(&settings(), Behaviour::default()).await;
    churn(sandbox.account());
    let behaviour = Behaviour {
        not_in_product: ["owners".to_owned(), "pipelines".to_owned()].into(),
        ..Behaviour::default()
    };
    sandbox.server.set_behaviour(behaviour);
    let ended = sandbox.sync(&["--collections", &wanted()]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let report = ended.report();
    for table in ["owners", "owner_teams", "pipelines", "pipeline_stages"] {
        assert_eq!(
            (rows(&report, table), &report["collections"][table]["outcome"]),
            (0, &"incomplete".into())
        );
        let reason = report["collections"][table]["reason"].as_str().unwrap();
        assert!(reason.contains("earlier run has read"), "{table}: {reason}");
    }
    assert_eq!(report["collections"]["forms"]["outcome"], "complete");
    let live: i64 = one(&sandbox.database(), "SELECT count(*) FROM hubspot.owners WHERE NOT is_deleted");
    assert_eq!(live, 12);
    sandbox.server.set_behaviour(Behaviour::default());
    sandbox.sync(&["--collections", &wanted()]).await.complete();
    assert_metadata_equal(&sandbox.database(), sandbox.account(), &OBJECTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_stages_everything_again() {
    let sandbox = synced(&settings(), Behaviour::default()).await;
    let report = sandbox.sync(&["--collections", TABLES, "--mode", "backfill"]).await.complete();
    assert_eq!((rows(&report, "owners"), rows(&report, "teams")), (12, 2));
    assert_metadata_equal(&sandbox.database(), sandbox.account(), &OBJECTS);
}

/// The definitions of each object are read with its records, and cost no call.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_of_properties_equal_the_account_at_first_and_after_changes() {
    let objects = [ObjectType::Contacts, ObjectType::Companies, ObjectType::Cars];
    let alone = ["--collections", "contacts,companies,cars"];
    let with_definitions = ["--collections", "contacts,companies,cars,properties,property_options"];
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    sandbox.sync(&alone).await.complete();
    sandbox.server.reset_counters();
    sandbox.sync(&alone).await.complete();
    let calls = sandbox.server.counters().endpoints;
    sandbox.sync(&with_definitions).await.complete();
    let account = sandbox.account();
    assert_definitions_equal(&sandbox.database(), account, &objects);
    sandbox.server.reset_counters();
    let report = sandbox.sync(&with_definitions).await.complete();
    assert_eq!(sandbox.server.counters().endpoints, calls);
    assert_eq!((rows(&report, "properties"), rows(&report, "property_options")), (0, 0));

    account.add_property(ObjectType::Cars, "brand_new", fake_hubspot::Kind::Bool).unwrap();
    let custom = |object| {
        let mut definitions = account.truth_definitions(object).into_iter();
        definitions.find(|definition| !definition.hubspot_defined).unwrap().name
    };
    let archived = custom(ObjectType::Companies);
    account.archive_property(ObjectType::Companies, &archived).unwrap();
    let changed = custom(ObjectType::Contacts);
    account.change_property_type(ObjectType::Contacts, &changed, fake_hubspot::Kind::Json).unwrap();
    let report = sandbox.sync(&with_definitions).await.complete();
    assert!(rows(&report, "properties") > 0);
    let database = sandbox.database();
    assert_definitions_equal(&database, account, &objects);
    let why: String = one(
        &database,
        &format!(
            "SELECT deleted_reason FROM hubspot.properties WHERE object = 'companies' AND name = '{archived}'"
        ),
    );
    assert_eq!(why, "removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_sees_less_deletes_no_definition() {
    let custom = fake_hubspot::PerType { contacts: 0, companies: 60, deals: 0 };
    let sandbox =
        Sandbox::new(&Settings { custom_properties: custom, ..settings() }, Behaviour::default()).await;
    let collections = ["--collections", "companies,metadata"];
    sandbox.sync(&collections).await.complete();
    let live = "SELECT count(*) FROM hubspot.properties WHERE NOT is_deleted";
    let before: i64 = one(&sandbox.database(), live);
    let account = sandbox.account();
    let of_account = || account.truth_definitions(ObjectType::Companies);
    for custom in of_account().iter().filter(|definition| !definition.hubspot_defined) {
        account.archive_property(ObjectType::Companies, &custom.name).unwrap();
    }
    let left = of_account().len() as i64;
    assert!(left < before / 2, "{left} of {before}");
    let ended = sandbox.sync(&collections).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let reason = ended.report()["collections"]["properties"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("--accept-removals"), "{reason}");
    assert_eq!(one::<i64>(&sandbox.database(), live), before);

    sandbox.sync(&["--collections", "companies,metadata", "--accept-removals"]).await.complete();
    assert_eq!(one::<i64>(&sandbox.database(), live), left);
}

/// A version is the time of a read, by our clock. One that is wrong must not outlast every later read.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_with_a_clock_ahead_is_replaced_by_the_next_change() {
    let sandbox = synced(&settings(), Behaviour::default()).await;
    let cursor = sandbox.path("state").join("feeds/metadata.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&cursor).unwrap()).unwrap();
    let day_ahead = chrono::Utc::now().timestamp_millis() + 24 * 3_600_000;
    let lists = find(&mut state, "lists").unwrap().as_object_mut().unwrap();
    assert!(lists.len() > 10, "{lists:?}");
    for list in lists.values_mut() {
        list["read_ms"] = day_ahead.into();
    }
    std::fs::write(&cursor, serde_json::to_vec(&state).unwrap()).unwrap();
    let ahead = "UPDATE hubspot.pipeline_stages SET _read_at = to_timestamp($1::DOUBLE / 1000)";
    sandbox.database().execute(ahead, [day_ahead]).unwrap();

    sandbox.account().rename_stage(ObjectType::Deals, "closedwon", "Offer").unwrap();
    sandbox.account().delete_stage(ObjectType::Deals, "87654399").unwrap();
    sandbox.sync(&["--collections", &wanted()]).await.complete();
    assert_metadata_equal(&sandbox.database(), sandbox.account(), &OBJECTS);
}

/// The value of a field of this name, wherever it is.
fn find<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    let Value::Object(fields) = value else { return None };
    if fields.contains_key(name) {
        return fields.get_mut(name);
    }
    fields.values_mut().find_map(|value| find(value, name))
}
