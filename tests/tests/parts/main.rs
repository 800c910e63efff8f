//! Incomplete answers of every kind, at every endpoint, in every mode: no run is green with a cell that is not
//! HubSpot's, a thing that could not be read keeps its row and is named, and later runs read it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod pipeline;

use std::collections::BTreeSet;

use extract::Outcome;
use fake_hubspot::{
    Behaviour, EventType, InPart, Label, Lack, Marketing, ObjectType, PagingWords, PerType, Poison,
    PoisonEffect, Processing, RefusedBatches, Settings, V1Contacts,
};
use hubspot::feeds::Mode;
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal, assert_equal, has_turn};

use self::pipeline::{FOR_EVER, Pipeline, Trouble, in_part, settings};

/// `true`: a run of `mode` calls the endpoint. Values of deals are read by id where their names don't fit a URL.
fn is_called(endpoint: &str, mode: Mode, is_wide: bool) -> bool {
    match endpoint {
        "objects.batch_read" => mode == Mode::Incremental || (is_wide && mode == Mode::Backfill),
        "contacts_v1.batch" => !mode.is_snapshot(),
        "associations.batch_read" | "lists.batch_memberships" => mode != Mode::Reconcile,
        _ => true,
    }
}

/// Days until each kind of incomplete answer had its turn, at each endpoint in each mode. Each has some of them on each day.
const DAYS: usize = 3;

const MODES: [Mode; 4] = [Mode::Backfill, Mode::Incremental, Mode::Reconcile, Mode::Refresh];

/// Tries every kind of incomplete answer at these endpoints, for ever and once, in all modes, each with its pipeline.
async fn all_parts<P: Future<Output = Pipeline>>(
    endpoints: &[&'static str],
    object: ObjectType,
    is_wide: bool,
    pipeline: impl Fn() -> P,
) {
    let cells = endpoints.iter().flat_map(|&endpoint| MODES.map(|mode| (endpoint, mode)));
    let cells = cells.filter(|(endpoint, mode)| is_called(endpoint, *mode, is_wide));
    let lives = cells.map(|(endpoint, mode)| {
        let pipeline = pipeline();
        async move { parts_of(pipeline.await, endpoint, mode, object).await }
    });
    futures::future::join_all(lives).await;
}

async fn parts_of(pipeline: Pipeline, endpoint: &'static str, mode: Mode, object: ObjectType) {
    let poor = pipeline.sandbox.account().live_ids(object)[3];
    let truth = pipeline.rows(true);
    let for_ever =
        Lack::ALL.into_iter().filter(|lack| has_lack(endpoint, *lack)).map(|lack| (lack, FOR_EVER));
    let lacks = for_ever.chain([(Lack::Refused, 1), (Lack::NoResults, 1)]).enumerate();
    for (_, (lack, times)) in lacks.filter(|(n, _)| has_turn(n + endpoint.len() + mode as usize, DAYS)) {
        let trouble = in_part(endpoint, lack, &[poor], times);
        let outcome = pipeline.live_through(&trouble, mode, object, &truth).await;
        let expected = match times {
            1 => ": Complete",
            _ if endpoint.contains("batch") => ": Incomplete",
            // What a list does not tell of a record, its other calls may.
            _ if matches!(lack, Lack::Odd | Lack::Hollow | Lack::Thin | Lack::Undated) => ": ",
            _ => ": Failed",
        };
        assert!(outcome.contains(expected), "{expected}, but {outcome}");
    }
}

async fn deals(is_wide: bool) -> Pipeline {
    // A list shows one association of each deal, so that all modes ask the endpoint for the rest.
    let behaviour = Behaviour { inline_associations: 1, associations_page: 2, ..Behaviour::default() };
    let custom_properties = PerType { contacts: 1, companies: 1, deals: if is_wide { 400 } else { 1 } };
    let settings = Settings { custom_properties, ..settings() };
    let pipeline = Pipeline::new(&settings, behaviour, "deals").await;
    let account = pipeline.sandbox.account();
    let (deals, contacts) = (account.live_ids(ObjectType::Deals), account.live_ids(ObjectType::Contacts));
    for contact in &contacts[..5] {
        let contact = (ObjectType::Contacts, *contact);
        account.associate((ObjectType::Deals, deals[3]), contact, Label::Unlabeled).unwrap();
    }
    account.touch_many_in_one_ms(ObjectType::Deals, deals.len());
    assert_eq!(pipeline.run(Some(Mode::Backfill)).await.outcome, Outcome::Complete);
    pipeline
}

async fn contacts() -> Pipeline {
    let pipeline = Pipeline::new(&settings(), Behaviour::default(), "contacts").await;
    let account = pipeline.sandbox.account();
    account.touch_many_in_one_ms(ObjectType::Contacts, account.live_ids(ObjectType::Contacts).len());
    assert_eq!(pipeline.run(Some(Mode::Backfill)).await.outcome, Outcome::Complete);
    pipeline
}

/// `true`: a run can notice this kind at the endpoint. A list that leaves out records without a sign is noticed by a
/// count only, which has tests of its own.
fn has_lack(endpoint: &str, lack: Lack) -> bool {
    match lack {
        Lack::Silent => endpoint.contains("batch") && endpoint != "contacts_v1.batch",
        Lack::Thin | Lack::Undated => matches!(endpoint, "objects.list" | "objects.batch_read"),
        _ => true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_batch_of_deals_is_taken_for_the_whole() {
    all_parts(&["associations.batch_read"], ObjectType::Deals, false, || deals(false)).await;
    all_parts(&["objects.batch_read"], ObjectType::Deals, true, || deals(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_list_of_records_is_taken_for_the_whole() {
    let endpoints = ["objects.list", "objects.search", "properties.list"];
    all_parts(&endpoints, ObjectType::Deals, false, || deals(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_contact_details_is_taken_for_the_whole() {
    let endpoints = ["contacts_v1.batch", "lists.batch_memberships", "objects.list"];
    all_parts(&endpoints, ObjectType::Contacts, false, contacts).await;
}

/// Checks records that changed without a new modified date and can't be read: they are not reported as equal.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_not_equal_over_what_could_not_be_read() {
    let behaviour = Behaviour { inline_associations: 1, ..Behaviour::default() };
    for (feed, endpoint) in [("deals", "associations.batch_read"), ("contacts", "lists.batch_memberships")] {
        let pipeline = Pipeline::new(&settings(), behaviour.clone(), feed).await;
        let account = pipeline.sandbox.account();
        let (deals, contacts) = (account.live_ids(ObjectType::Deals), account.live_ids(ObjectType::Contacts));
        let list = account
            .truth_lists()
            .into_iter()
            .find(|list| list.object == ObjectType::Contacts && list.processing == Processing::Manual);
        let list = list.map_or_else(
            || account.create_list(ObjectType::Contacts, "by hand", Processing::Manual),
            |list| list.id,
        );
        let poor = if feed == "deals" { deals[3] } else { contacts[3] };
        for lack in [Lack::Refused, Lack::Silent, Lack::Pending, Lack::NoResults] {
            let before = pipeline.rows(true);
            for contact in &contacts[..3] {
                let link = ((ObjectType::Deals, poor), (ObjectType::Contacts, *contact));
                if feed == "deals" && !account.dissociate(link.0, link.1) {
                    account.associate(link.0, link.1, Label::Unlabeled).unwrap();
                }
            }
            if feed == "contacts" && !account.remove_from_list(list, poor).unwrap() {
                account.add_to_list(list, poor).unwrap();
            }
            pipeline.begin(&in_part(endpoint, lack, &[poor], FOR_EVER));
            let (is_green, outcome) = pipeline.is_green(Mode::Refresh).await;
            assert!(!is_green && !outcome.contains("Equal"), "{endpoint} {lack:?}: {outcome}");
            let key = format!("{feed}/{poor}");
            assert_eq!(pipeline.rows(true)[&key], before[&key], "{endpoint} {lack:?}: {outcome}");
            pipeline.end();
            let _ = pipeline.is_green(Mode::Refresh).await;
            let (is_green, outcome) = pipeline.is_green(Mode::Refresh).await;
            assert!(is_green, "{endpoint} {lack:?}: {outcome}");
            assert_ne!(pipeline.rows(true)[&key], before[&key], "{endpoint} {lack:?}: {outcome}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_the_other_lists_is_taken_for_the_whole() {
    let gone = Behaviour { v1_contacts: V1Contacts::Gone, ..Behaviour::default() };
    let without_all_lists = Behaviour { has_all_lists: false, ..Behaviour::default() };
    for (feed, behaviour, endpoints) in [
        ("contact_lists", Behaviour::default(), &["lists.all", "lists.list"][..]),
        ("contact_lists", without_all_lists, &["lists.search", "lists.list"]),
        ("email_campaigns", Behaviour::default(), &["campaigns.by_id", "campaigns.recent", "campaigns.get"]),
        ("email_events", Behaviour::default(), &["email_events.list"]),
        ("contacts", gone, &["forms.list", "form_submissions.list"]),
        (
            "subscription_timeline",
            Behaviour::default(),
            &["subscriptions.timeline", "subscriptions.get", "objects.list"],
        ),
    ] {
        let address_calls = if feed == "subscription_timeline" { 1_000 } else { 0 };
        let pipeline = Pipeline::with_address_calls(&settings(), behaviour, feed, address_calls).await;
        let truth = pipeline.rows(true);
        for &endpoint in endpoints {
            for mode in [Mode::Backfill, Mode::Incremental] {
                let lacks = [
                    (Lack::NoResults, 1),
                    (Lack::Refused, FOR_EVER),
                    (Lack::Counted, FOR_EVER),
                    (Lack::Pending, FOR_EVER),
                    (Lack::NullResults, FOR_EVER),
                    (Lack::Odd, FOR_EVER),
                    (Lack::Hollow, FOR_EVER),
                ];
                let lacks = lacks.into_iter().enumerate();
                for (_, (lack, times)) in
                    lacks.filter(|(n, _)| has_turn(n + endpoint.len() + mode as usize, DAYS))
                {
                    let is_single = matches!(endpoint, "campaigns.get" | "subscriptions.get");
                    if is_single && (times == 1 || matches!(lack, Lack::Refused | Lack::Counted)) {
                        continue;
                    }
                    // What is not asked for can't be answered in part.
                    let is_of_backfill = matches!(endpoint, "lists.list" | "campaigns.get");
                    let is_called = !is_of_backfill || mode == Mode::Backfill;
                    pipeline.begin(&in_part(endpoint, lack, &[], times));
                    let (is_green, outcome) = pipeline.is_green(mode).await;
                    pipeline.end();
                    let outcome = format!("{endpoint} {lack:?} {mode:?}: {outcome}");
                    // The search stands in for the list of all, and may show everything.
                    if endpoint != "lists.all" {
                        assert_eq!(is_green, times == 1 || !is_called, "{outcome}");
                    }
                    assert_eq!(pipeline.rows(true), truth, "{outcome}");
                    pipeline.come_to_rest(&outcome).await;
                    assert_eq!(pipeline.rows(true), truth, "{outcome}");
                }
            }
        }
    }
}

/// Checks a campaign that comes without its counters: it keeps those that it had, whichever campaigns the run reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_without_counters_keeps_its_row() {
    let pipeline = Pipeline::new(&settings(), Behaviour::default(), "email_campaigns").await;
    let truth = pipeline.rows(true);
    let ids: Vec<u64> = truth.keys().filter_map(|key| key.rsplit('/').next()?.parse().ok()).collect();
    for mode in [Mode::Backfill, Mode::Incremental] {
        if mode == Mode::Incremental {
            let account = pipeline.sandbox.account();
            let opened = EventType::Open;
            account.record_email_event(opened, "reader@example.com", ids[2], account.now()).unwrap();
        }
        pipeline.begin(&in_part("campaigns.get", Lack::Thin, &[ids[2]], FOR_EVER));
        let (_, outcome) = pipeline.is_green(mode).await;
        pipeline.end();
        assert!(
            outcome.starts_with("Incomplete") && outcome.contains(&ids[2].to_string()),
            "{mode:?}: {outcome}"
        );
        assert_eq!(pipeline.rows(true), truth, "{mode:?}: {outcome}");
        pipeline.come_to_rest(&outcome).await;
    }
}

/// Checks an address that could not be read: it is read again until HubSpot shows its contact.
#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_address_is_not_released_by_an_answer_that_leaves_its_contact_out() {
    let feed = "subscription_timeline";
    let pipeline = Pipeline::with_address_calls(&settings(), Behaviour::default(), feed, 1_000).await;
    let account = pipeline.sandbox.account();
    let contact = account.live_ids(ObjectType::Contacts)[3];
    account.update(ObjectType::Contacts, contact, &[("email", Some("held@example.com"))]).unwrap();
    let server = &pipeline.sandbox.server;
    server.poison(Poison {
        in_request: "held%40example.com".to_owned(),
        ..Poison::new("subscriptions.get", "", PoisonEffect::Status(400))
    });
    assert!(!pipeline.is_green(Mode::Incremental).await.0);
    server.heal();
    for lack in Lack::ALL.into_iter().filter(|lack| !matches!(lack, Lack::Thin | Lack::Undated)) {
        pipeline.begin(&in_part("objects.batch_read", lack, &[contact], FOR_EVER));
        let (is_green, outcome) = pipeline.is_green(Mode::Incremental).await;
        pipeline.end();
        assert!(!is_green && outcome.contains(&contact.to_string()), "{lack:?}: {outcome}");
    }
    assert!(pipeline.is_green(Mode::Incremental).await.0);
    let known = "SELECT count(*) FROM hubspot.email_subscriptions WHERE email = 'held@example.com'";
    let known: u64 = pipeline.world.database().query_row(known, [], |row| row.get(0)).unwrap();
    assert_eq!(known, 1);
}

/// Endpoints whose answers the tests of this file make incomplete.
const TRIED: [&str; 18] = [
    "associations.batch_read",
    "campaigns.by_id",
    "campaigns.get",
    "campaigns.recent",
    "contacts_v1.batch",
    "email_events.list",
    "form_submissions.list",
    "forms.list",
    "lists.all",
    "lists.batch_memberships",
    "lists.list",
    "lists.search",
    "objects.batch_read",
    "objects.list",
    "objects.search",
    "properties.list",
    "subscriptions.get",
    "subscriptions.timeline",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_with_rows_is_tried_with_incomplete_answers() {
    let behaviour = Behaviour { inline_associations: 1, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings(), behaviour).await;
    sandbox.sync(&["--address-calls", "1000"]).await.complete();
    let account = sandbox.account();
    for object in ObjectType::CORE {
        account.touch_many_in_one_ms(object, 3);
    }
    sandbox.sync(&[]).await.complete();
    sandbox.server.set_behaviour(Behaviour {
        v1_contacts: V1Contacts::Gone,
        has_all_lists: false,
        ..sandbox.server.behaviour()
    });
    account.touch_many_in_one_ms(ObjectType::Contacts, 3);
    sandbox.sync(&["--collections", "contacts,form_submissions,contact_lists"]).await.report();
    let counters = sandbox.server.counters();
    let called: BTreeSet<&str> = counters.endpoints.into_keys().collect();
    let of_no_row = ["account.daily_usage", "account.details", "unknown"];
    let called: Vec<&str> = called.into_iter().filter(|endpoint| !of_no_row.contains(endpoint)).collect();
    assert_eq!(called, TRIED);
}

/// Checks a batch that is refused for one of its records: it is halved until the record is found; all others are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_batch_is_refused_for_is_set_aside_alone() {
    let behaviour = || Behaviour { inline_associations: 1, ..Behaviour::default() };
    for (feed, object, endpoint) in [
        ("deals", ObjectType::Deals, "objects.batch_read"),
        ("deals", ObjectType::Deals, "associations.batch_read"),
        ("contacts", ObjectType::Contacts, "lists.batch_memberships"),
        ("contacts", ObjectType::Contacts, "contacts_v1.batch"),
    ] {
        let pipeline = Pipeline::new(&settings(), behaviour(), feed).await;
        let ids = pipeline.sandbox.account().live_ids(object);
        let poison = RefusedBatches { endpoint: endpoint.to_owned(), ids: [ids[4]].into(), status: 400 };
        let before = pipeline.rows(false);
        pipeline.sandbox.account().touch_many_in_one_ms(object, ids.len());
        pipeline.begin(&Trouble::RefusedBatches(poison));
        let (_, outcome) = pipeline.is_green(Mode::Incremental).await;
        assert!(
            outcome.starts_with("Incomplete") && outcome.contains(&ids[4].to_string()),
            "{endpoint}: {outcome}"
        );
        let during = pipeline.rows(false);
        let moved: BTreeSet<u64> = ids
            .iter()
            .copied()
            .filter(|id| during.get(&format!("{feed}/{id}")) != before.get(&format!("{feed}/{id}")))
            .collect();
        let others: BTreeSet<u64> = ids.iter().copied().filter(|id| *id != ids[4]).collect();
        assert_eq!(moved, others, "{endpoint}");
        pipeline.end();
        assert_eq!(pipeline.run(None).await.outcome, Outcome::Complete, "{endpoint}");
    }
}

/// Checks memberships that are refused, or accepted in small batches only: contacts are delivered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn memberships_are_read_in_batches_that_are_accepted() {
    let settings = Settings { records: PerType { contacts: 130, companies: 2, deals: 2 }, ..settings() };
    let sandbox = Sandbox::new(&settings, Behaviour { most_memberships: 30, ..Behaviour::default() }).await;
    sandbox.sync(&["--collections", "contacts"]).await.complete();
    let asked =
        sandbox.server.log().into_iter().filter(|request| request.endpoint == "lists.batch_memberships");
    let refused = asked.filter(|request| request.status == 400).count();
    assert!(refused <= 4, "{refused} batches were refused");

    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let everybody =
        RefusedBatches { endpoint: "lists.batch_memberships".to_owned(), ids: [].into(), status: 400 };
    sandbox.server.set_behaviour(Behaviour { refused_batches: Some(everybody), ..Behaviour::default() });
    let report = sandbox.sync(&["--collections", "contacts"]).await.complete();
    let degraded = report["collections"]["contacts"]["degraded"].to_string();
    assert!(degraded.contains("list_membership is not read"), "{report:#}");
    assert_eq!(
        report["collections"]["contacts"]["rows"],
        sandbox.account().truth(ObjectType::Contacts).count()
    );
}

/// Checks an associations endpoint that answers the first page for ever.
#[tokio::test(flavor = "multi_thread")]
async fn associations_that_ignore_a_position_are_not_read_for_ever() {
    let behaviour = Behaviour {
        inline_associations: 1,
        associations_page: 2,
        ignores_association_after: true,
        ..Behaviour::default()
    };
    let sandbox = Sandbox::new(&settings(), behaviour.clone()).await;
    let ended = sandbox.sync(&["--collections", "deals"]).await;
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let report = ended.report();
    assert_eq!(report["collections"]["deals"]["outcome"], "incomplete", "{report:#}");
    assert!(sandbox.server.counters().endpoints["associations.batch_read"] < 12);
    sandbox.server.set_behaviour(Behaviour { ignores_association_after: false, ..behaviour });
    sandbox.sync(&["--collections", "deals"]).await.complete();
}

/// Checks a 207 that lacks a deal's companies: they are read again, and never taken for none.
#[tokio::test(flavor = "multi_thread")]
async fn companies_that_could_not_be_read_are_not_none() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let deals_alone = ["--collections", "deals"];
    sandbox.sync(&deals_alone).await.complete();
    let account = sandbox.account();
    let deal = account.truth(ObjectType::Deals).find(|deal| !deal.associations.companies.is_empty());
    let deal = deal.unwrap().id;
    let companies = || -> String {
        let sql = format!("SELECT associated_company_ids FROM hubspot.deals WHERE id = {deal}");
        sandbox.database().query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let before = companies();
    for (times, outcome) in [(1, "complete"), (FOR_EVER, "incomplete"), (0, "complete")] {
        account.touch_many_in_one_ms(ObjectType::Deals, account.live_ids(ObjectType::Deals).len());
        let (endpoint, lack) = ("associations.batch_read", Lack::Refused);
        sandbox.server.answer_whole();
        sandbox.server.answer_in_part(InPart { endpoint, lack, ids: vec![deal], times });
        let report = sandbox.sync(&deals_alone).await.report();
        assert_eq!(report["collections"]["deals"]["outcome"], outcome, "{report:#}");
        assert_eq!(companies(), before, "{report:#}");
    }
}

/// Checks `has-more` in place of `hasMore`: the first run reads all pages, and the next one nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_page_with_has_more_in_other_letters_is_not_the_last() {
    let marketing = Marketing {
        campaigns: 520,
        email_events: 1_800,
        subscription_changes: 1_100,
        ..settings().marketing
    };
    let settings = Settings { marketing, ..settings() };
    let behaviour = Behaviour { paging_words: PagingWords::Dashed, ..Behaviour::default() };
    let sandbox = Sandbox::new(&settings, behaviour).await;
    let tables = ["email_events", "email_subscription_event_changes", "email_campaigns"];
    let counts = || {
        tables.map(|table| -> u64 {
            let sql = format!("SELECT count(*) FROM hubspot.{table}");
            sandbox.database().query_row(&sql, [], |row| row.get(0)).unwrap()
        })
    };
    let these = ["--collections", &tables.join(",")];
    sandbox.sync(&these).await.complete();
    let first = counts();
    assert!(first[0] > 1_000 && first[1] > 1_000 && first[2] == 520, "{first:?}");
    sandbox.server.set_behaviour(Behaviour::default());
    sandbox.sync(&these).await.complete();
    assert_eq!(counts(), first);
}

/// Checks an event without a time: it is named, and the others of its page are delivered.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_time_holds_back_no_other() {
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let (endpoint, lack) = ("email_events.list", Lack::Hollow);
    sandbox.server.answer_in_part(InPart { endpoint, lack, ids: Vec::new(), times: FOR_EVER });
    let events = ["--collections", "email_events"];
    let report = sandbox.sync(&events).await.report();
    assert_eq!(report["collections"]["email_events"]["outcome"], "incomplete", "{report:#}");
    sandbox.server.answer_whole();
    sandbox.sync(&events).await.complete();
    let without: Vec<&str> = COLLECTIONS.into_iter().filter(|name| *name != "email_events").collect();
    let expectations = Expectations { without: &without, ..Expectations::default() };
    assert_all_equal(&sandbox.database(), sandbox.account(), &expectations);
}

/// Checks that all pages are read, whatever the spelling of the fields for paging.
#[tokio::test(flavor = "multi_thread")]
async fn paging_is_read_in_other_spellings_too() {
    let settings = Settings {
        marketing: Marketing {
            campaigns: 520,
            email_events: 1_300,
            subscription_changes: 1_100,
            lists: 510,
            ..Marketing::default()
        },
        ..settings()
    };
    for paging_words in [PagingWords::Dashed, PagingWords::Underscored, PagingWords::Missing] {
        let sandbox = Sandbox::new(&settings, Behaviour { paging_words, ..Behaviour::default() }).await;
        sandbox.sync(&[]).await.complete();
        assert_equal(&sandbox.database(), sandbox.account());
    }
    let gone = Behaviour {
        v1_contacts: V1Contacts::Gone,
        paging_words: PagingWords::Dashed,
        ..Behaviour::default()
    };
    let sandbox = Sandbox::new(&settings, gone).await;
    sandbox.sync(&["--collections", "contacts,form_submissions"]).await.complete();
}

/// Checks lists of companies, which are not delivered as contact lists though the search shows them.
#[tokio::test(flavor = "multi_thread")]
async fn lists_of_other_objects_are_told_apart() {
    let sandbox =
        Sandbox::new(&settings(), Behaviour { ignores_list_type: true, ..Behaviour::default() }).await;
    sandbox.sync(&["--collections", "contact_lists"]).await.complete();
    let count = "SELECT count(*) FROM hubspot.contact_lists";
    let rows: usize = sandbox.database().query_row(count, [], |row| row.get(0)).unwrap();
    let of_contacts =
        sandbox.account().truth_lists().into_iter().filter(|list| list.object == ObjectType::Contacts);
    assert_eq!(rows, of_contacts.count());
}
