//! Rows of persons who are to be forgotten.

use std::collections::BTreeSet;

use staging::{
    ColumnType, DELETED_AT, DELETED_REASON, IS_DELETED, Person, PersonColumns, Pseudonyms, REMOVED,
    SHOWN_UPDATED_AT,
};

use super::modes::{BOTH, COLUMNS};
use super::{Bench, Cell, contact, contacts, merge, merge_as, read};
use crate::{AskedFor, Erase, Erased, Presence, TableMode};

use ColumnType::{BigInt, Boolean, Double, Json, Text, Timestamp};

fn columns(line: &str) -> PersonColumns {
    line.parse().expect("columns")
}

fn person(ids: &[u64], addresses: &[&str]) -> Person {
    let mut person = Person { ids: ids.iter().copied().collect(), ..Person::default() };
    addresses.iter().for_each(|address| _ = person.add_address(address));
    person
}

fn gone(table: &str, rows: u64, changed: u64) -> Erased {
    Erased { table: table.to_owned(), rows, changed }
}

async fn ids(bench: &dyn Bench, table: &str) -> Vec<i64> {
    let id = |row: Vec<Cell>| if let [Cell::BigInt(id)] = row[..] { id } else { panic!("{row:?}") };
    read(bench, table, &["id"]).await.into_iter().map(id).collect()
}

/// Checks the table, its deleted rows, its history and its snapshot.
pub(super) async fn rows_of_a_person_leave_all_tables(bench: &dyn Bench) {
    let more = [("email", Text), ("merged_vids", Json), ("more", Text)];
    let all = [COLUMNS, &more].concat();
    let row = |id: i64, updated: i64, email: &str, merged: Cell, others: Cell| {
        let alive = [Cell::text("name"), Cell::Boolean(false), Cell::Null, Cell::text(email), merged, others];
        contact(id, updated, updated + 1, &alive)
    };
    let other =
        |id: i64| row(id, 10, &format!("nada{id}@x.com"), Cell::text("[40,19]"), Cell::text("z@x.com"));
    let first = vec![
        row(1, 10, "Ada@X.com", Cell::Null, Cell::text("o'h_ara@x.com; b\\b@x.com")),
        row(9, 10, "old@x.com", Cell::Null, Cell::Null),
        other(2),
        other(12),
    ];
    let mut removed = row(9, 20, "old@x.com", Cell::Null, Cell::Null);
    (removed[5], removed[6]) = (Cell::Boolean(true), Cell::text("merged"));
    let second = vec![row(1, 20, "ada@x.com", Cell::text("[9,4]"), Cell::Null), removed];
    merge_as(bench, &[contacts("a", &all, first)], BOTH).await;
    merge_as(bench, &[contacts("b", &all, second)], BOTH).await;
    let snapshot = vec![contact(1, 30, 31, &[]), contact(2, 30, 31, &[])];
    let snapshot = contacts("s", &[], snapshot).of_collection("_snapshot_contacts");
    merge(bench, &[snapshot]).await;
    let ledger = bench.rows("_loaded_files").await;
    assert_eq!(ids(bench, "_deleted_contacts").await, [9]);

    let columns = columns("contacts! id# merged_vids[# email@ more;@ none@ none=1&id#");
    let erase = |person| Erase { columns: columns.clone(), person, pseudonyms: None, is_dry_run: false };
    let warehouse = bench.warehouse().await;
    let by_address = erase(person(&[], &["ADA@x.com"]));
    let known = warehouse.identify(&by_address).await.expect("identify");
    assert_eq!(known, person(&[1, 4, 9], &["ada@x.com", "o'h_ara@x.com", "b\\b@x.com"]));
    let by_other_address = erase(person(&[], &["O'H_ara@x.com"]));
    assert!(warehouse.identify(&by_other_address).await.expect("identify").ids.contains(&1));
    // Neither a part of an address nor of an id is one.
    let parts = erase(person(&[0], &["da@x.com", "ara@x.com", "hxara@x.com"]));
    assert_eq!(warehouse.identify(&parts).await.expect("identify"), parts.person);

    let erase = erase(known);
    let table = bench.rows("contacts").await;
    let counted = warehouse.erase(&Erase { is_dry_run: true, ..erase.clone() }).await.expect("count");
    assert_eq!(bench.rows("contacts").await, table);
    let erased = warehouse.erase(&erase).await.expect("erase");
    let mut expected = vec![
        gone("contacts", 1, 0),
        gone("_deleted_contacts", 1, 0),
        gone("contacts_history", 2, 0),
        gone("_snapshot_contacts", 1, 0),
    ];
    assert_eq!(counted, expected);
    assert_eq!(erased, expected);
    assert_eq!(ids(bench, "contacts").await, [2, 12]);
    assert_eq!(ids(bench, "_deleted_contacts").await, [0_i64; 0]);
    assert_eq!(ids(bench, "contacts_history").await, [2, 12]);
    assert_eq!(ids(bench, "_snapshot_contacts").await, [2]);
    assert_eq!(bench.rows("_loaded_files").await, ledger);

    expected.iter_mut().for_each(|table| table.rows = 0);
    assert_eq!(warehouse.erase(&erase).await.expect("erase"), expected);
    assert!(!warehouse.scrub(&["contacts", "none"], false).await.expect("scrub").is_empty());
    assert_eq!(ids(bench, "contacts").await, [2, 12]);
}

/// Checks rows of an address that somebody else has since: only those of the time before are deleted.
pub(super) async fn rows_of_a_later_time_stay(bench: &dyn Bench) {
    let all = [("email", Text), ("others", Json), ("happened", Timestamp)];
    let row = |id: i64, email: &str, others: &str, happened: Cell| {
        contact(id, 10, 11, &[Cell::text(email), Cell::text(others), happened])
    };
    let rows = vec![
        row(1, "ada@x.com", "[]", Cell::Timestamp(4_999)),
        row(2, "ada@x.com", "[]", Cell::Timestamp(5_000)),
        row(3, "ada@x.com", "[]", Cell::Null),
        row(4, "bo@x.com", "[\"ada@x.com\"]", Cell::Timestamp(1_000)),
    ];
    merge(bench, &[contacts("a", &all, rows)]).await;
    let of_removed = columns("contacts email@ others[@ happened~").of_removed(5_000).expect("columns");
    let erase = Erase {
        columns: of_removed,
        person: person(&[], &["ada@x.com"]),
        pseudonyms: None,
        is_dry_run: false,
    };
    let erased = bench.warehouse().await.erase(&erase).await.expect("erase");
    assert_eq!(erased.first(), Some(&gone("contacts", 1, 0)));
    assert_eq!(ids(bench, "contacts").await, [2, 3, 4]);
}

/// Checks rows that are known by an address alone, in a table with its past: they stay, and tell nobody's address.
pub(super) async fn rows_stay_under_a_pseudonym(bench: &dyn Bench) {
    let all = [
        ("email", Text),
        ("others", Json),
        ("place", Text),
        ("lat", Double),
        ("happened", Timestamp),
        ("requester", Text),
    ];
    let row = |id: i64, updated: i64, email: &str, others: &str, happened: i64| {
        let (place, lat) = (Cell::text("Turin"), Cell::Double(45.1));
        let by = if id == 4 { Cell::text("ADA@x.com ") } else { Cell::text("zoe@x.com") };
        let cells = [Cell::text(email), Cell::text(others), place, lat, Cell::Timestamp(happened), by];
        contact(id, updated, 11, &cells)
    };
    let first = vec![
        row(1, 10, " Ada@x.com", "[\"bo@x.com\"]", 1),
        row(2, 10, "bo@x.com", "[\"z@x.com\",\"ADA@x.com\"]", 2),
        row(3, 10, "o'ha@x.com", "[\"o'ha@x.com\"]", 3),
        row(4, 10, "nada@x.com", "[\"nada@x.com\"]", 4),
    ];
    let events = |key: &str, rows| contacts(key, &all, rows).of_collection("email_events");
    merge_as(bench, &[events("a", first)], BOTH).await;
    merge_as(bench, &[events("b", vec![row(1, 20, "ada@x.com", "[]", 1)])], BOTH).await;
    let ada = person(&[1], &["ada@x.com", "o'ha@x.com"]);
    let pseudonyms =
        Pseudonyms::new(&ada.addresses, |address| format!("{}@forgotten.invalid", address.len()));
    let columns = columns("email_events email@ others[@ requester-@ happened~ place! lat! none!");
    let erase = Erase { columns, person: ada, pseudonyms: Some(pseudonyms), is_dry_run: false };
    let warehouse = bench.warehouse().await;
    let before = bench.rows("email_events").await;
    let counted = warehouse.erase(&Erase { is_dry_run: true, ..erase.clone() }).await.expect("count");
    assert_eq!(bench.rows("email_events").await, before);
    let erased = warehouse.erase(&erase).await.expect("erase");
    assert_eq!(erased[0], gone("email_events", 0, 4));
    // Its versions have hashes of what they were.
    assert_eq!(erased[1], gone("email_events_history", 5, 0));
    assert_eq!(counted, erased);
    let names = ["id", "email", "others", "place", "lat", "happened"];
    let stays = |id: i64, email: &str, happened: i64| {
        let email = Cell::text(email);
        vec![Cell::BigInt(id), email, Cell::Null, Cell::Null, Cell::Null, Cell::Timestamp(happened)]
    };
    let rows = read(bench, "email_events", &names).await;
    assert_eq!(rows[2], stays(3, "10@forgotten.invalid", 3));
    assert_eq!(rows[0], stays(1, "9@forgotten.invalid", 1));
    let mut of_others = stays(2, "bo@x.com", 2);
    (of_others[3], of_others[4]) = (Cell::text("Turin"), Cell::Double(45.1));
    assert_eq!(rows[1], of_others, "the row is another's: the list goes alone");
    assert_eq!(rows[3][1], Cell::text("nada@x.com"));
    let requesters = read(bench, "email_events", &["id", "requester"]).await;
    let zoe = Cell::text("zoe@x.com");
    let left: Vec<&Cell> = requesters.iter().map(|row| &row[1]).collect();
    assert_eq!(left, [&Cell::Null, &zoe, &Cell::Null, &Cell::Null]);
    assert_eq!(ids(bench, "email_events_history").await, [0_i64; 0]);
    let erased = warehouse.erase(&erase).await.expect("erase");
    assert!(erased.iter().all(|table| table.rows + table.changed == 0), "{erased:?}");

    // By the time before the contact was gone.
    let of_removed = erase.columns.of_removed(4).expect("columns");
    let nada = person(&[], &["nada@x.com"]);
    let pseudonyms = Some(Pseudonyms::new(&nada.addresses, |_| "n@forgotten.invalid".to_owned()));
    let erase = Erase { columns: of_removed, person: nada, pseudonyms, is_dry_run: false };
    assert_eq!(warehouse.erase(&erase).await.expect("erase")[0], gone("email_events", 0, 0));
}

/// Checks rows that name two records, those that name addresses in JSON, and those about something else.
pub(super) async fn rows_that_name_a_person_leave_or_lose_the_id(bench: &dyn Bench) {
    let nobody = person(&[1], &["ada@x.com"]);
    let none =
        Erase { columns: columns("deals id#"), person: nobody.clone(), pseudonyms: None, is_dry_run: false };
    assert_eq!(bench.warehouse().await.erase(&none).await.expect("erase"), []);

    let link = |id: i64, from: &str, from_id: i64, to: &str, to_id: i64| {
        contact(id, 10, 11, &[Cell::text(from), Cell::BigInt(from_id), Cell::text(to), Cell::BigInt(to_id)])
    };
    let links = vec![
        link(1, "contacts", 1, "companies", 5),
        link(2, "deals", 1, "contacts", 1),
        link(3, "deals", 1, "contacts", 11),
        link(4, "companies", 1, "deals", 1),
    ];
    let ends = [("from_object", Text), ("from_id", BigInt), ("to_object", Text), ("to_id", BigInt)];
    merge(bench, &[contacts("l", &ends, links).of_collection("associations")]).await;
    let events = [r#"["bo@x.com","Ada@x.com"]"#, r#"["nada@x.com"]"#];
    let events = events.iter().zip(1..).map(|(cc, id)| contact(id, 10, 11, &[Cell::text(*cc)])).collect();
    merge(bench, &[contacts("e", &[("cc", Json)], events).of_collection("email_events")]).await;
    let lists = ["[1]", "[1,11]", "[11,1,21]", "[11,1]", "[11,21]"];
    let deals = lists.iter().zip(1..).map(|(list, id)| contact(id, 10, 11, &[Cell::text(*list)]));
    let deals = deals.chain([contact(9, 10, 11, &[Cell::Null])]).collect();
    merge(bench, &[contacts("d", &[("vids", Json)], deals).of_collection("deals")]).await;

    let warehouse = bench.warehouse().await;
    let erase = async |line: &str| {
        let erase =
            Erase { columns: columns(line), person: nobody.clone(), pseudonyms: None, is_dry_run: false };
        warehouse.erase(&erase).await.expect("erase")
    };
    let of_links = "associations from_object=contacts&from_id# to_object=contacts&to_id#";
    assert_eq!(erase(of_links).await, [gone("associations", 2, 0)]);
    assert_eq!(ids(bench, "associations").await, [3, 4]);
    assert_eq!(erase("email_events cc[@").await, [gone("email_events", 1, 0)]);
    assert_eq!(ids(bench, "email_events").await, [2]);
    assert_eq!(erase("deals vids-#").await, [gone("deals", 0, 4)]);
    let left = ["[]", "[11]", "[11,21]", "[11]", "[11,21]"].iter().zip(1..);
    let left: Vec<Vec<Cell>> = left.map(|(list, id)| vec![Cell::BigInt(id), Cell::text(*list)]).collect();
    assert_eq!(read(bench, "deals", &["id", "vids"]).await[..5], left);
    assert_eq!(erase("deals vids-#").await, [gone("deals", 0, 0)]);
    // Many at once, in more than one statement.
    let many = person(&(11..=30).collect::<Vec<u64>>(), &[]);
    let erase = Erase { columns: columns("deals vids-#"), person: many, pseudonyms: None, is_dry_run: false };
    assert_eq!(warehouse.erase(&erase).await.expect("erase"), [gone("deals", 0, 6)]);
    let lists = read(bench, "deals", &["vids"]).await;
    assert!(lists[1..].iter().all(|list| list == &[Cell::text("[]")]), "{lists:?}");
}

/// Checks contacts that are in the table or beside it, with what the snapshot shows of them.
pub(super) async fn what_is_removed_from_hubspot_is_known(bench: &dyn Bench) {
    let row = |id: i64, read: i64, reason: Option<&str>, deleted_at: Option<i64>| {
        let is_deleted = Cell::Boolean(reason.is_some());
        let deleted_at = deleted_at.map_or(Cell::Null, Cell::Timestamp);
        contact(id, 10, read, &[is_deleted, reason.map_or(Cell::Null, Cell::text), deleted_at])
    };
    let columns = [(IS_DELETED, Boolean), (DELETED_REASON, Text), (DELETED_AT, Timestamp)];
    let rows = vec![
        row(1, 100, None, None),
        row(2, 100, Some(REMOVED), None),
        row(3, 600, Some(REMOVED), None),
        row(4, 100, Some("archived"), Some(50)),
        row(5, 100, Some("archived"), Some(70)),
        row(6, 100, Some("merged"), None),
        // HubSpot shows these two again.
        row(7, 100, Some(REMOVED), None),
        row(8, 100, Some("archived"), Some(50)),
        row(9, 100, None, None),
    ];
    let shown = [(SHOWN_UPDATED_AT, Timestamp), (IS_DELETED, Boolean)];
    let snapshot = |key: &str, ids: &[i64], read: i64| {
        let row = |id: &i64| contact(*id, None, read, &[Cell::Timestamp(10), Cell::Boolean(*id == 8)]);
        contacts(key, &shown, ids.iter().map(row).collect()).of_collection("_snapshot_contacts")
    };
    let ask = async |asked: AskedFor| {
        let presence = Presence { collection: "contacts".to_owned(), snapshot_ms: 1_000, asked };
        let ids = bench.warehouse().await.presence(&presence).await.expect("presence");
        ids.into_iter().collect::<Vec<u64>>()
    };
    let removed = || AskedFor::Removed { read_before_ms: 500, archived_before_ms: 60 };
    assert_eq!(ask(removed()).await, [0_u64; 0]);
    merge(bench, &[snapshot("before", &[1, 2, 3, 4], 900)]).await;
    merge(bench, &[snapshot("now", &[1, 7, 8], 1_001)]).await;
    for (key, mode) in [("soft", TableMode::default()), ("hard", BOTH)] {
        merge_as(bench, &[contacts(key, &columns, rows.clone())], mode).await;
        assert_eq!(ask(removed()).await, [2, 4], "{key}");
        let all: BTreeSet<u64> = (1..=1_300).collect();
        assert_eq!(ask(AskedFor::Shown(all)).await, [1, 7, 8, 9], "{key}");
        assert_eq!(ask(AskedFor::Shown([2, 9].into())).await, [9], "{key}");
    }
}
