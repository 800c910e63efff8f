//! Answers of HubSpot that can be read in two ways: the owner of a column, deletions, modified dates, numbers and
//! dates.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use fake_hubspot::{Behaviour, Kind, ObjectType, PerType, Settings};
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal, assert_equal};

const COMPANIES: ObjectType = ObjectType::Companies;

fn small() -> Settings {
    Settings { records: PerType { contacts: 120, companies: 80, deals: 60 }, ..Settings::default() }
}

/// Returns the texts of one column, by record.
fn texts(sandbox: &Sandbox, table: &str, column: &str) -> BTreeMap<u64, String> {
    let query =
        format!("SELECT id, CAST({column} AS VARCHAR) FROM hubspot.{table} WHERE {column} IS NOT NULL");
    let database = sandbox.database();
    let mut statement = database.prepare(&query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn reconciled() -> Expectations<'static> {
    Expectations { is_reconciled: true, ..Expectations::default() }
}

fn records() -> Expectations<'static> {
    Expectations { without: &COLLECTIONS[3..], ..reconciled() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_stays_with_the_property_that_had_it_first() {
    let sandbox = Sandbox::new(&small(), Behaviour::default()).await;
    let account = sandbox.account();
    let ids = account.live_ids(COMPANIES);
    let set = |id: u64, name: &str, value: &str| {
        account.update(COMPANIES, id, &[(name, Some(value))]).unwrap();
    };
    account.add_property(COMPANIES, "zone", Kind::String).unwrap();
    set(ids[0], "zone", "north");
    set(ids[1], "zone", "south");
    sandbox.sync(&[]).await.complete();

    account.add_property(COMPANIES, "Zone", Kind::String).unwrap();
    set(ids[1], "Zone", "another");
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox.database(), account);
    assert_eq!(
        texts(&sandbox, "companies", "property_Zone"),
        BTreeMap::from([(ids[1], "another".to_owned())])
    );

    // Which of the two is there makes no difference, nor does the mode.
    account.archive_property(COMPANIES, "Zone").unwrap();
    set(ids[0], "zone", "west");
    sandbox.sync(&["--mode", "backfill"]).await.complete();
    account.archive_property(COMPANIES, "zone").unwrap();
    account.add_property(COMPANIES, "Zone", Kind::String).unwrap();
    set(ids[2], "Zone", "third");
    sandbox.sync(&[]).await.complete();
    let of_zone = texts(&sandbox, "companies", "zone");
    assert_eq!(of_zone, BTreeMap::from([(ids[0], "west".to_owned()), (ids[1], "south".to_owned())]));
    account.add_property(COMPANIES, "zone", Kind::String).unwrap();
    sandbox.sync(&[]).await.complete();
    sandbox.sync(&["--mode", "refresh"]).await.complete();
    assert_equal(&sandbox.database(), account);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_hubspot_lists_as_live_is_live_whichever_names_it_as_merged() {
    let settings = Settings { merged: 0.2, merges_undone: 0.4, ..small() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    assert!(ObjectType::CORE.iter().all(|object| !account.unmerged_ids(*object).is_empty()));
    sandbox.sync(&[]).await.complete();
    assert_all_equal(&sandbox.database(), account, &Expectations::default());

    // The survivor is read again; and one more merge is undone, which only a comparison of all ids can see.
    for object in ObjectType::CORE {
        let survivors: Vec<u64> = account
            .truth(object)
            .filter(|record| record.properties["hs_merged_object_ids"].is_some() && !record.archived)
            .map(|record| record.id)
            .filter(|id| account.live_ids(object).contains(id))
            .collect();
        for id in survivors {
            let name = if object == ObjectType::Contacts { "firstname" } else { "hubspot_owner_id" };
            account.update(object, id, &[(name, Some("7"))]).unwrap();
        }
        let undone =
            account.merged_away(object).into_keys().find(|id| account.undo_merge(object, *id).is_ok());
        assert!(undone.is_some());
    }
    sandbox.sync(&[]).await.complete();
    for mode in ["reconcile", "refresh", "backfill"] {
        sandbox.sync(&["--mode", mode]).await.complete();
        assert_all_equal(&sandbox.database(), account, &records());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modified_date_that_moves_without_updated_at_is_a_change() {
    let settings = Settings { updated_at_behind: 1.0, ..small() };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let account = sandbox.account();
    // Near the watermark, so that the next runs look back over it.
    let id = account.live_ids(COMPANIES)[5];
    for (number, mode) in ["incremental", "incremental", "reconcile"].into_iter().enumerate() {
        if number == 0 {
            account.update(COMPANIES, id, &[("city", Some("Ulm"))]).unwrap();
            sandbox.sync(&[]).await.complete();
        }
        let city = format!("Ulm {number}");
        if mode == "reconcile" {
            // Too old for any search.
            account.set_clock_offset(TimeDelta::hours(-40));
        }
        account.update(COMPANIES, id, &[("city", Some(&city))]).unwrap();
        account.set_clock_offset(TimeDelta::zero());
        sandbox.sync(&["--mode", mode]).await.complete();
        assert_all_equal(&sandbox.database(), account, &records());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_numbers_are_exact_or_beside() {
    let sandbox = Sandbox::new(&Settings { odd_values: 0.0, ..small() }, Behaviour::default()).await;
    let account = sandbox.account();
    let ids = account.live_ids(COMPANIES);
    account.add_property(COMPANIES, "ext_id", Kind::Number).unwrap();
    let values = [
        ("9007199254740992", Some("9007199254740992"), false),
        ("9007199254740993", None, true),
        ("12345678901234567890", None, true),
        ("-9007199254740993.0", None, true),
        ("1152921504606846976", Some("1152921504606846976"), false),
        ("0.5", Some("0"), false),
        // The nearest double, and the text.
        ("0.1234567890123456789", Some("0"), true),
    ];
    for (id, (value, ..)) in ids.iter().zip(values) {
        account.update(COMPANIES, *id, &[("ext_id", Some(value))]).unwrap();
    }
    let report = sandbox.sync(&["--collections", "companies"]).await.complete();
    let held = texts(&sandbox, "companies", "CAST(trunc(ext_id) AS DECIMAL(38,0))");
    let beside = texts(&sandbox, "companies", "_unparsed");
    for (id, (value, exact, is_beside)) in ids.iter().zip(values) {
        assert_eq!(held.get(id).map(String::as_str), exact, "{value}");
        assert_eq!(beside.get(id).cloned(), is_beside.then(|| format!("{{\"ext_id\":\"{value}\"}}")));
    }
    assert_eq!(report["collections"]["companies"]["unparsed_values"], 4);
    // As docs/tables.md says.
    let ids_of = texts(&sandbox, "companies", "coalesce(_unparsed->>'ext_id', CAST(ext_id AS BIGINT)::text)");
    assert_eq!(ids_of[&ids[0]], values[0].0);
    assert_eq!(ids_of[&ids[2]], values[2].0);
}

#[tokio::test(flavor = "multi_thread")]
async fn milliseconds_with_a_fraction_and_days_around_1970_are_dates() {
    let sandbox = Sandbox::new(&Settings { odd_values: 0.0, ..small() }, Behaviour::default()).await;
    let account = sandbox.account();
    let ids = account.live_ids(COMPANIES);
    account.add_property(COMPANIES, "day", Kind::Date).unwrap();
    account.add_property(COMPANIES, "moment", Kind::Datetime).unwrap();
    let values = [
        ("1633996800000.0", "2021-10-12"),
        ("1.6339968E12", "2021-10-12"),
        ("86400000", "1970-01-02"),
        ("0", "1970-01-01"),
        ("-86400000", "1969-12-31"),
    ];
    for (id, (value, _)) in ids.iter().zip(values) {
        account.update(COMPANIES, *id, &[("day", Some(value)), ("moment", Some(value))]).unwrap();
    }
    let report = sandbox.sync(&["--collections", "companies"]).await.complete();
    for column in ["day", "CAST(moment AT TIME ZONE 'UTC' AS DATE)"] {
        let days = texts(&sandbox, "companies", column);
        for (id, (value, day)) in ids.iter().zip(values) {
            assert_eq!(days.get(id).map(String::as_str), Some(day), "{column}: {value}");
        }
    }
    assert_eq!(report["collections"]["companies"]["unparsed_values"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_with_nulls_is_a_column_all_the_same() {
    let settings =
        Settings { custom_properties: PerType { contacts: 40, companies: 40, deals: 40 }, ..small() };
    let behaviour = Behaviour { definition_nulls: 1.0, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings, behaviour).await;
    sandbox.sync(&[]).await.complete();
    assert_all_equal(&sandbox.database(), sandbox.account(), &Expectations::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_without_a_name_is_set_aside() {
    let behaviour = Behaviour { nameless_definition: true, ..Behaviour::default() };
    let sandbox = Sandbox::new(&small(), behaviour).await;
    let ended = sandbox.sync(&["--collections", "companies"]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stdout.contains("property definitions of companies have no name"), "{}", ended.stdout);
    let others: Vec<&str> = COLLECTIONS.into_iter().filter(|collection| *collection != "companies").collect();
    let expectations = Expectations { without: &others, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);

    sandbox.server.set_behaviour(Behaviour { nameless_definition: false, ..sandbox.server.behaviour() });
    sandbox.sync(&["--collections", "companies"]).await.complete();
}

/// Checks that records lose their values, which happens without a new modified date, between two runs or earlier.
#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_is_made_again_keeps_no_old_value() {
    let sandbox = Sandbox::new(&small(), Behaviour::default()).await;
    let account = sandbox.account();
    let id = account.live_ids(ObjectType::Deals)[3];
    let fill = |name: &str| {
        account.update(ObjectType::Deals, id, &[(name, Some("of before"))]).unwrap();
    };
    for name in ["plan", "region"] {
        account.add_property(ObjectType::Deals, name, Kind::String).unwrap();
        fill(name);
    }
    sandbox.sync(&[]).await.complete();
    account.archive_property(ObjectType::Deals, "region").unwrap();
    sandbox.sync(&[]).await.complete();

    for name in ["plan", "region"] {
        account.remake_property(ObjectType::Deals, name).unwrap();
    }
    let report = sandbox.sync(&[]).await.complete();
    assert_eq!(report["collections"]["deals"]["mode"], "backfill", "{report:#}");
    assert_equal(&sandbox.database(), account);
    let report = sandbox.sync(&[]).await.complete();
    assert_eq!(report["collections"]["deals"]["mode"], "incremental", "{report:#}");
}
