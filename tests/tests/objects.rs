//! Further objects of the CRM, and custom ones: read, kept up to date and compared like contacts, companies and deals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is test code")]

use fake_hubspot::{Account, Behaviour, Churn, Further, ObjectType, Settings};
use hubspot::feeds::known;
use serde_json::Value;
use tests::{
    Expectations, Sandbox, assert_association_types_equal, assert_associations_equal, assert_objects_equal,
    table_of,
};

/// Types with records; the others are empty.
const WITH_RECORDS: [ObjectType; 8] = [
    ObjectType::Tickets,
    ObjectType::LineItems,
    ObjectType::Notes,
    ObjectType::GoalTargets,
    ObjectType::Subscriptions,
    ObjectType::Cars,
    ObjectType::OwnTickets,
    ObjectType::Rentals,
];

fn settings(records: usize) -> Settings {
    let further = Further { records, custom_properties: 4 };
    let core = fake_hubspot::PerType { contacts: 60, companies: 20, deals: 20 };
    let settings = Settings { records: core, wide_deals: 0, ..Settings::default() };
    WITH_RECORDS.into_iter().fold(settings, |settings, object| settings.with(object, further))
}

fn further(account: &Account) -> Vec<ObjectType> {
    account.types().into_iter().filter(|object| !ObjectType::CORE.contains(object)).collect()
}

fn outcome<'r>(report: &'r Value, collection: &str) -> &'r Value {
    &report["collections"][collection]["outcome"]
}

fn reconciled() -> Expectations<'static> {
    Expectations { is_reconciled: true, ..Expectations::default() }
}

/// Changes every kind of thing that HubSpot changes in records.
fn churn(account: &Account) {
    for object in WITH_RECORDS {
        let live = account.live_ids(object);
        let edits: Vec<&u64> = live.iter().step_by(7).collect();
        for id in edits {
            account.touch(object, *id).unwrap();
        }
        account.archive(object, live[1]).unwrap();
        account.restore(object, account.archived_ids(object)[0]).unwrap();
        account.merge(object, live[2], live[3]).unwrap();
        account.purge(object, live[4]).unwrap();
        account.add_property(object, "brand_new", fake_hubspot::Kind::Number).unwrap();
        account.set_calculated(object, live[5], "brand_new", Some("17")).unwrap();
        account.create(object, &[("brand_new", Some("18"))]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_equals_the_account_at_first_and_after_changes() {
    let sandbox = Sandbox::new(&settings(230), Behaviour::default()).await;
    let first = sandbox.sync(&["--collections", "all", "--verbose"]).await;
    assert!(!first.stderr.contains("WARN"), "{}", first.stderr);
    let report = first.complete();
    let account = sandbox.account();
    assert_objects_equal(&further(account), &sandbox.database(), account, &Expectations::default());
    assert_eq!(outcome(&report, "car_rentals"), "complete");
    assert_eq!(report["unavailable"], Value::Null);

    churn(account);
    // The client asks five searches a second, and the empty ones have nothing to tell.
    let named = WITH_RECORDS.map(table_of).join(",");
    sandbox.sync(&["--collections", &named]).await.complete();
    assert_objects_equal(&WITH_RECORDS, &sandbox.database(), account, &Expectations::default());
    let report = sandbox.sync(&["--collections", &named, "--mode", "refresh"]).await.complete();
    assert_objects_equal(&WITH_RECORDS, &sandbox.database(), account, &reconciled());
    assert!(!report["collections"]["notes"]["reconciled"].as_array().unwrap().is_empty());
}

/// Checks what `docs/dictionary.md` promises: three calls for each object, and one more for the sensitive properties that
/// three of them have.
#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_object_costs_three_calls_and_stages_nothing() {
    let sandbox = Sandbox::new(&settings(30), Behaviour::default()).await;
    let account = sandbox.account();
    let objects = further(account);
    let named: Vec<&str> = objects.iter().map(|object| table_of(*object)).collect();
    let collections = ["--collections", &named.join(",")];
    sandbox.sync(&collections).await.complete();
    sandbox.server.reset_counters();

    let report = sandbox.sync(&collections).await.complete();
    let rows =
        report["collections"].as_object().unwrap().values().map(|report| report["rows"].as_u64().unwrap());
    assert_eq!((rows.clone().count(), rows.sum::<u64>()), (objects.len(), 0));
    let with_sensitive =
        objects.iter().filter(|object| object.is_custom() || **object == ObjectType::Tickets);
    // The account, and the schemas of custom objects: those in use, and the deleted ones.
    let expected = 3 * objects.len() + with_sensitive.count() + 1 + 2;
    let calls = sandbox.server.counters().endpoints;
    assert_eq!(calls.values().sum::<u64>(), expected as u64, "{calls:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_credential_lacks_is_no_failure_until_it_was_there_once() {
    let settings = Settings { absent: [ObjectType::Projects].into(), ..settings(30) };
    let settings = settings.without_scope("tickets").without_scope("crm.schemas.custom");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let report = sandbox.sync(&["--collections", "all"]).await.complete();
    let reason = report["unavailable"]["tickets"].as_str().unwrap();
    assert!(reason.contains("tickets"), "{reason}");
    let reason = report["unavailable"]["projects"].as_str().unwrap();
    assert!(reason.contains("Unable to infer object type"), "{reason}");
    let reason = report["unavailable"]["custom objects"].as_str().unwrap();
    assert!(reason.contains("crm.schemas.custom.read"), "{reason}");
    assert_eq!(outcome(&report, "notes"), "complete");

    // Somebody who names it wants it.
    let ended = sandbox.sync(&["--collections", "tickets,notes"]).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(outcome(&ended.report(), "tickets"), "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_object_is_read_as_soon_as_it_exists_and_missed_when_it_is_gone() {
    let settings = Settings { further: [].into(), ..settings(0) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    // Of all the others, none.
    let hubspots = known().flat_map(|feed| feed.collections()).copied();
    let others: Vec<&str> = hubspots.filter(|name| *name != "notes").collect();
    let all = ["--collections", "all", "--without", &others.join(",")];
    sandbox.sync(&all).await.complete();
    let account = sandbox.account();
    account.create_custom_object(ObjectType::Cars, Further { records: 40, custom_properties: 1 });
    sandbox.sync(&all).await.complete();
    assert_objects_equal(&[ObjectType::Cars], &sandbox.database(), account, &Expectations::default());
    let report = sandbox.sync(&["--collections", "cars"]).await.complete();
    assert_eq!(outcome(&report, table_of(ObjectType::Cars)), "complete");

    for id in account.live_ids(ObjectType::Cars) {
        account.archive(ObjectType::Cars, id).unwrap();
    }
    account.delete_custom_object(ObjectType::Cars).unwrap();
    let ended = sandbox.sync(&all).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let report = ended.report();
    assert_eq!(outcome(&report, "cars"), "skipped");
    let reason = report["collections"]["cars"]["reason"].as_str().unwrap();
    assert!(reason.contains("--without cars"), "{reason}");
    let left_out = format!("{},cars", others.join(","));
    sandbox.sync(&["--collections", "all", "--without", &left_out]).await.complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_recommends_what_a_new_account_has_records_of() {
    let settings = Settings { absent: [ObjectType::Projects].into(), ..settings(230) };
    let sandbox = Sandbox::new(&settings.without_scope("tickets"), Behaviour::default()).await;
    let plan = tests::ended(sandbox.subcommand("plan", &["--report", "json"])).await.complete();
    let recommended = &plan["recommended"];
    let names = recommended["collections"].as_str().unwrap();
    let expected =
        "segment,line_items,notes,goals,commerce_subscriptions,metadata,cars,custom_tickets,car_rentals";
    assert_eq!(names, expected, "{recommended:#}");
    assert!(recommended["unavailable"]["tickets"].as_str().unwrap().contains("tickets"));
    assert!(recommended["unavailable"]["projects"].is_string(), "{recommended:#}");
    let notes = sandbox.account().live_ids(ObjectType::Notes).len();
    assert_eq!(recommended["records"]["notes"].as_u64(), Some(notes as u64));
    assert!(recommended["empty"].as_array().unwrap().contains(&"calls".into()));
    // What it costs is what a plan of these costs.
    let planned = |arguments: &[&str]| tests::ended(sandbox.subcommand("plan", arguments));
    let whole = planned(&["--report", "json", "--collections", names]).await.complete();
    assert_eq!(whole["recommended"], Value::Null);
    let of_metadata = whole["feeds"]["metadata"]["calls"].as_u64().unwrap();
    assert_eq!(recommended["calls_of_a_run"].as_u64(), Some(7 * 3 + of_metadata));
    let sum = plan["calls"].as_u64().unwrap() + recommended["calls"].as_u64().unwrap();
    assert_eq!(whole["calls"].as_u64(), Some(sum));
    let text = planned(&[]).await.stdout;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(&format!("recommended for a new account: --collections {names}")), "{text}");
    // However many they are, they can be pasted.
    assert!(names.len() > 80, "{names}");
    assert!(text.lines().any(|line| line.trim() == format!("--collections {names}")), "{text}");
}

/// Checks that one call counts all objects for a plan, and that a search does where it does not answer, or not for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_counts_by_one_call_where_it_is_answered() {
    let settings = Settings { absent: [ObjectType::Courses, ObjectType::Listings].into(), ..settings(40) };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let plan = async |behaviour: Behaviour| {
        sandbox.server.set_behaviour(behaviour);
        sandbox.server.reset_counters();
        let plan = tests::ended(sandbox.subcommand("plan", &["--report", "json"])).await.complete();
        (plan, sandbox.server.counters().endpoints.get("objects.search").copied().unwrap_or_default())
    };
    let (counted, searches) = plan(Behaviour::default()).await;
    // Contacts, companies, deals and custom objects have a scope for their properties and one for their records.
    assert_eq!(searches, 3 + 3, "{counted:#}");
    assert_eq!(counted["recommended"]["off"], serde_json::json!(["courses", "listings"]));
    let further = further(sandbox.account()).len() as u64;
    let without_limits = Behaviour { counts_records: false, ..Behaviour::default() };
    let (searched, searches) = plan(without_limits.clone()).await;
    assert_eq!((&searched["feeds"], searches), (&counted["feeds"], 3 + further));
    assert_eq!(searched["recommended"], counted["recommended"]);

    // Objects without records need not be listed, nor all the others.
    let uncounted =
        Behaviour { counts_empty: false, uncounted: [ObjectType::Notes].into(), ..Behaviour::default() };
    let empty = counted["recommended"]["empty"].as_array().unwrap().len() as u64;
    let (partly, searches) = plan(uncounted).await;
    assert_eq!((&partly["recommended"], searches), (&counted["recommended"], 3 + 3 + empty + 1));

    let not_in_product = ["limits", "object_library"].map(str::to_owned).into();
    let (refused, _) = plan(Behaviour { not_in_product, ..without_limits }).await;
    let unavailable = &refused["recommended"]["unavailable"];
    assert!(unavailable["courses"].is_string() && refused["recommended"]["off"] == serde_json::json!([]));
    assert_eq!(refused["recommended"]["collections"], counted["recommended"]["collections"]);

    sandbox.server.set_behaviour(Behaviour::default());
    let named = tests::ended(sandbox.subcommand("plan", &["--collections", "courses,services"])).await;
    assert!(named.stderr.contains("courses is not activated in the account"), "{named:#?}");
    assert!(!named.stderr.contains("services"), "{named:#?}");
}

/// A typing error in what is left out must not read it; a name that was read once, and that HubSpot shows no more, may be
/// left out, as the report says.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_read_or_exists_can_be_left_out() {
    let sandbox = Sandbox::new(&settings(3), Behaviour::default()).await;
    for names in ["all,-emals", "all,-"] {
        let ended = sandbox.sync(&["--collections", names]).await;
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains("unknown collection"), "{}", ended.stderr);
    }
    let hubspots: Vec<&str> = known().flat_map(|feed| feed.collections()).copied().collect();
    let others = hubspots.iter().filter(|name| **name != "notes").copied().collect::<Vec<_>>().join(",");
    let all = format!("{others},associations,properties,property_options");
    sandbox.sync(&["--collections", "all", "--without", &all]).await.complete();
    // The credential may not see schemas any more: nobody knows which objects were deleted.
    let behaviour = Behaviour { not_in_product: ["schemas".to_owned()].into(), ..Behaviour::default() };
    sandbox.server.set_behaviour(behaviour);
    let ended = sandbox.sync(&["--collections", "all", "--without", &all]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let cars = table_of(ObjectType::Cars);
    let reason = ended.report()["collections"][cars]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&format!("--without {cars}")), "{reason}");
    let custom = [ObjectType::Cars, ObjectType::OwnTickets, ObjectType::Rentals].map(table_of).join(",");
    sandbox.sync(&["--collections", "all", "--without", &format!("{all},{custom}")]).await.complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_what_several_feeds_fill_is_that_of_their_runs() {
    let sandbox = Sandbox::new(&settings(3), Behaviour::default()).await;
    sandbox.sync(&["--collections", "deals,contacts,notes,associations,properties"]).await.complete();
    let mut status = std::process::Command::new(sandbox.command(&[]).get_program());
    status.args(["status", "--report", "json", "--state"]).arg(sandbox.path("state"));
    let output = status.output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    for name in ["associations", "properties"] {
        let status = &status["collections"][name];
        assert_eq!(status["outcome"], "complete", "{status}");
        assert!(status["rows"].as_u64().unwrap() > 0 && status["lag_seconds"].is_f64(), "{status}");
    }
    assert_eq!(status["collections"]["notes"]["outcome"], "complete");
}

/// Twelve types of HubSpot's own and three custom ones.
const OF_A_LARGE_ACCOUNT: [ObjectType; 15] = [
    ObjectType::Contacts,
    ObjectType::Companies,
    ObjectType::Deals,
    ObjectType::Tickets,
    ObjectType::Products,
    ObjectType::LineItems,
    ObjectType::Quotes,
    ObjectType::Leads,
    ObjectType::Calls,
    ObjectType::Notes,
    ObjectType::Tasks,
    ObjectType::Orders,
    ObjectType::Cars,
    ObjectType::OwnTickets,
    ObjectType::Rentals,
];

/// Checks an account with 10,000 records of each of its types, with everything that is read beside them: minutes, and
/// more memory than a small machine has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: cargo test --profile ci --workspace --test objects -- --ignored"]
async fn ten_thousand_records_of_each_type_equal_the_account_and_take_little_memory() {
    let core = fake_hubspot::PerType { contacts: 10_000, companies: 10_000, deals: 10_000 };
    let settings = Settings { records: core, wide_deals: 0, ..Settings::default() };
    let further = Further { records: 10_000, custom_properties: 4 };
    let further = OF_A_LARGE_ACCOUNT[3..].iter().fold(settings, |all, object| all.with(*object, further));
    let sandbox = Sandbox::new(&further, Behaviour::default()).await;
    let account = sandbox.account();
    let cost = |report: &Value| {
        let cost = |name: &str| report[name].as_f64().unwrap();
        let memory = cost("peak_memory_bytes") / f64::from(1 << 20);
        eprintln!(
            "{:.1} s, {:.1} CPU s, {memory:.0} MiB, {} collections",
            cost("seconds"),
            cost("cpu_seconds"),
            report["collections"].as_object().unwrap().len()
        );
        memory
    };
    let all = ["--collections", "all"];
    let other = sandbox.path("other-state").display().to_string();
    let staged = [&all[..], &["--warehouse", "none", "--state", &other]].concat();
    let report = sandbox.sync(&staged).await.complete();
    assert!(cost(&report) < 80.0, "all feeds, one after the other");
    let report = sandbox.sync(&all).await.complete();
    cost(&report);
    let equal = |expectations: &Expectations<'_>| {
        let database = sandbox.database();
        assert_objects_equal(&OF_A_LARGE_ACCOUNT, &database, account, expectations);
        assert_associations_equal(&OF_A_LARGE_ACCOUNT, &database, account);
        assert_association_types_equal(&OF_A_LARGE_ACCOUNT, &database, account);
    };
    equal(&Expectations::default());
    for (seed, object) in OF_A_LARGE_ACCOUNT.into_iter().enumerate() {
        Churn { per_second: 1.0, seed: seed as u64 }.burst_of(object, account, 500);
    }
    sandbox.sync(&all).await.complete();
    cost(&sandbox.sync(&[&all[..], &["--mode", "refresh"]].concat()).await.complete());
    sandbox.sync(&all).await.complete();
    equal(&reconciled());
}
