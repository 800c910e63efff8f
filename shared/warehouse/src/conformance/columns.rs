//! Columns: their values, types and names.

use staging::{Column, ColumnType, Table};

use super::{Bench, Cell, contact, contacts, merge, read};
use crate::quote_identifier;

use ColumnType::{BigInt, Boolean, Date, Double, Json, Text, Timestamp};

const DAY: i64 = 86_400_000;

pub(super) async fn every_type_keeps_its_values(bench: &dyn Bench) {
    let columns: &[(&str, ColumnType)] = &[
        ("text", Text),
        ("big", BigInt),
        ("double", Double),
        ("boolean", Boolean),
        ("date", Date),
        ("time", Timestamp),
        ("json", Json),
    ];
    let chrono_max = chrono::DateTime::<chrono::Utc>::MAX_UTC.timestamp_millis();
    let chrono_min = chrono::DateTime::<chrono::Utc>::MIN_UTC.timestamp_millis();
    let rows = [
        vec![Cell::Null; 7],
        vec![
            Cell::text(""),
            Cell::BigInt(i64::MIN),
            Cell::Double(f64::MIN),
            Cell::Boolean(false),
            Cell::Date(-719_162),
            Cell::Timestamp(chrono_min),
            Cell::text("{}"),
        ],
        vec![
            Cell::text("it's \"quoted\", \\ and\n\u{1F600} \u{0}"),
            Cell::BigInt(i64::MAX),
            Cell::Double(1.0e25),
            Cell::Boolean(true),
            Cell::Date(2_932_896),
            Cell::Timestamp(chrono_max),
            Cell::text("{\"a\": [1, null, \"x\"]}, which does not parse"),
        ],
        vec![
            Cell::text("x".repeat(60_000)),
            Cell::BigInt(-1),
            Cell::Double(f64::INFINITY),
            Cell::Boolean(true),
            Cell::Date(0),
            Cell::Timestamp(1_700_000_000_123),
            Cell::text("null"),
        ],
    ];
    let staged = rows.iter().enumerate().map(|(id, cells)| contact(id as i64, 10, 11, cells)).collect();
    merge(bench, &[contacts("a", columns, staged)]).await;
    let names: Vec<&str> = ["id"].into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    let expected: Vec<Vec<Cell>> = rows
        .into_iter()
        .enumerate()
        .map(|(id, cells)| {
            [Cell::BigInt(id as i64)]
                .into_iter()
                .chain(cells.into_iter().map(|cell| bench.stored(cell)))
                .collect()
        })
        .collect();
    assert_eq!(read(bench, "contacts", &names).await, expected);
}

pub(super) async fn long_text(bench: &dyn Bench) {
    let text = Cell::text("x".repeat(100_000));
    let rows = vec![contact(1, 10, 11, std::slice::from_ref(&text))];
    merge(bench, &[contacts("a", &[("text", Text)], rows)]).await;
    assert_eq!(read(bench, "contacts", &["text"]).await, [[text]]);
}

pub(super) async fn new_column(bench: &dyn Bench) {
    merge(bench, &[contacts("a", &[], vec![contact(1, 10, 11, &[]), contact(2, 10, 11, &[])])]).await;
    merge(bench, &[contacts("b", &[("city", Text)], vec![contact(2, 12, 13, &[Cell::text("Ulm")])])]).await;
    assert_eq!(
        read(bench, "contacts", &["id", "city"]).await,
        [[Cell::BigInt(1), Cell::Null], [Cell::BigInt(2), Cell::text("Ulm")]]
    );
}

/// Checks a removed column within one batch and across two.
pub(super) async fn removed_column_stays(bench: &dyn Bench) {
    let with = contacts(
        "a",
        &[("city", Text)],
        vec![contact(1, 10, 11, &[Cell::text("Ulm")]), contact(2, 10, 11, &[Cell::text("Rom")])],
    );
    let without = contacts("b", &[], vec![contact(2, 12, 13, &[]), contact(3, 12, 13, &[])]).of_run("run-2");
    for (collection, batches) in [
        ("one_by_one", vec![vec![with.clone()], vec![without.clone()]]),
        ("in_one", vec![vec![without.clone(), with.clone()]]),
    ] {
        for batch in batches {
            let files: Vec<_> = batch.into_iter().map(|file| file.of_collection(collection)).collect();
            merge(bench, &files).await;
        }
        assert_eq!(
            read(bench, collection, &["id", "_run_id", "city"]).await,
            [
                [Cell::BigInt(1), Cell::text("run-1"), Cell::text("Ulm")],
                [Cell::BigInt(2), Cell::text("run-2"), Cell::text("Rom")],
                [Cell::BigInt(3), Cell::text("run-2"), Cell::Null],
            ],
            "{collection}"
        );
    }
}

pub(super) async fn user_columns_stay(bench: &dyn Bench) {
    merge(bench, &[contacts("a", &[], vec![contact(1, 10, 11, &[]), contact(2, 10, 11, &[])])]).await;
    let table = bench.quoted("contacts");
    bench.execute(&format!("ALTER TABLE {table} ADD COLUMN note VARCHAR DEFAULT 'new'")).await;
    bench.execute(&format!("ALTER TABLE {table} ADD COLUMN score INTEGER")).await;
    bench.execute(&format!("UPDATE {table} SET note = 'mine', score = 7")).await;
    let rows = vec![contact(2, 12, 13, &[]), contact(3, 12, 13, &[])];
    merge(bench, &[contacts("b", &[], rows)]).await;
    assert_eq!(
        read(bench, "contacts", &["id", "note", "score"]).await,
        [
            [Cell::BigInt(1), Cell::text("mine"), Cell::BigInt(7)],
            [Cell::BigInt(2), Cell::text("mine"), Cell::BigInt(7)],
            [Cell::BigInt(3), Cell::text("new"), Cell::Null],
        ]
    );

    // A property of the same name appears: the column takes its values, and is widened for them.
    merge(bench, &[contacts("c", &[("score", Double)], vec![contact(3, 14, 15, &[Cell::Double(0.5)])])])
        .await;
    assert_eq!(
        read(bench, "contacts", &["id", "score"]).await,
        [
            [Cell::BigInt(1), Cell::Double(7.0)],
            [Cell::BigInt(2), Cell::Double(7.0)],
            [Cell::BigInt(3), Cell::Double(0.5)],
        ]
    );
}

/// Checks two types of one column, in either order and in one batch: the table is the same.
pub(super) async fn widened_types(bench: &dyn Bench) {
    let text = |text: &str| Cell::text(text);
    let cases: Vec<[(ColumnType, Cell, Cell); 2]> = vec![
        [(BigInt, Cell::BigInt(7), Cell::Double(7.0)), (Double, Cell::Double(0.5), Cell::Double(0.5))],
        [
            (Date, Cell::Date(2), Cell::Timestamp(2 * DAY)),
            (Timestamp, Cell::Timestamp(123), Cell::Timestamp(123)),
        ],
        [(BigInt, Cell::BigInt(-7), text("-7")), (Text, text("x"), text("x"))],
        [(Double, Cell::Double(2.0), text("2")), (Text, text("x"), text("x"))],
        [(Double, Cell::Double(0.25), text("0.25")), (Boolean, Cell::Boolean(false), text("false"))],
        [(Boolean, Cell::Boolean(true), text("true")), (Text, text("x"), text("x"))],
        [(Date, Cell::Date(1), text("1970-01-02")), (BigInt, Cell::BigInt(5), text("5"))],
        [
            (Timestamp, Cell::Timestamp(1_700_000_000_123), text("2023-11-14T22:13:20.123Z")),
            (Text, text("x"), text("x")),
        ],
        [(Timestamp, Cell::Timestamp(DAY), text("1970-01-02")), (Json, text("{}"), text("{}"))],
        [(Json, text("[1]"), text("[1]")), (Text, text("not json"), text("not json"))],
        [(Json, text("[1]"), text("[1]")), (BigInt, Cell::Null, Cell::Null)],
    ];
    for (n, [first, second]) in cases.into_iter().enumerate() {
        let first_file = contacts("first", &[("v", first.0)], vec![contact(1, 10, 11, &[first.1])]);
        let second_file = contacts("second", &[("v", second.0)], vec![contact(2, 10, 11, &[second.1])]);
        let ways = [
            ("forth", vec![vec![&first_file], vec![&second_file]]),
            ("back", vec![vec![&second_file], vec![&first_file]]),
            ("at_once", vec![vec![&first_file, &second_file]]),
        ];
        for (way, batches) in ways {
            let collection = format!("widened_{n}_{way}");
            for batch in batches {
                let files: Vec<_> =
                    batch.into_iter().map(|file| file.clone().of_collection(&collection)).collect();
                merge(bench, &files).await;
            }
            let expected = [[Cell::BigInt(1), first.2.clone()], [Cell::BigInt(2), second.2.clone()]];
            assert_eq!(read(bench, &collection, &["id", "v"]).await, expected, "{collection}");
        }
    }
}

/// Checks that keys still match after their column became text.
pub(super) async fn widened_primary_key(bench: &dyn Bench) {
    merge(bench, &[contacts("a", &[], vec![contact(1, 10, 11, &[]), contact(2, 10, 11, &[])])]).await;
    let mut file = contacts("b", &[], vec![contact(2, 12, 13, &[]), contact(3, 12, 13, &[])]);
    file.table.columns[0] = Column::new("id", Text);
    file.rows[0][0] = Cell::text("2");
    file.rows[1][0] = Cell::text("x-3");
    let merged = merge(bench, &[file]).await;
    assert_eq!((merged.inserted, merged.updated), (1, 1));
    assert_eq!(
        read(bench, "contacts", &["id"]).await,
        [[Cell::text("1")], [Cell::text("2")], [Cell::text("x-3")]]
    );
}

/// Checks that a column widened in two steps holds the same values as one widened in one.
pub(super) async fn text_is_the_same_either_way(bench: &dyn Bench) {
    for (collection, narrow, wide) in [
        ("numbers", (BigInt, Cell::BigInt(7)), (Double, Cell::Double(0.5))),
        ("times", (Date, Cell::Date(365)), (Timestamp, Cell::Timestamp(123))),
    ] {
        let narrow = contacts("narrow", &[("v", narrow.0)], vec![contact(1, 10, 11, &[narrow.1])]);
        let wide = contacts("wide", &[("v", wide.0)], vec![contact(2, 10, 11, &[wide.1])]);
        let text = contacts("text", &[("v", Text)], vec![contact(3, 10, 11, &[Cell::text("x")])]);
        let mut tables = Vec::new();
        for (n, order) in
            [[&narrow, &wide, &text], [&narrow, &text, &wide], [&text, &wide, &narrow]].iter().enumerate()
        {
            let collection = format!("{collection}_{n}");
            for &file in order {
                merge(bench, &[file.clone().of_collection(&collection)]).await;
            }
            tables.push(read(bench, &collection, &["id", "v"]).await);
        }
        assert_eq!(tables[0], tables[1]);
        assert_eq!(tables[0], tables[2]);
    }
}

pub(super) async fn hostile_names(bench: &dyn Bench) {
    let long = "l".repeat(200);
    let names = [
        "select",
        "order",
        "rowid",
        "a\"b",
        "it's",
        "a.b",
        "a b",
        " ",
        "é",
        "名前",
        "\u{1F600}",
        "--",
        ";",
        "$1",
        "?",
        "%s",
        "{x}",
        "file_index",
        "file_row_number",
        "filename",
        "c0",
        "k0",
        "n",
        "t",
        "staged",
        "old_row",
        "line\nbreak",
        "back\\slash",
        long.as_str(),
    ];
    let columns: Vec<(&str, ColumnType)> = names.iter().map(|&name| (name, Text)).collect();
    let row = |id: i64, version: i64| {
        let cells: Vec<Cell> = (0..names.len()).map(|n| Cell::text(format!("{id} {version} {n}"))).collect();
        contact(id, version, version, &cells)
    };
    for collection in ["select", "a\"b; drop table x; --", "größe 名前", long.as_str()] {
        let file = contacts("a", &columns, vec![row(1, 10), row(2, 10)]).of_collection(collection);
        merge(bench, &[file]).await;
        let file =
            contacts("b", &columns, vec![row(2, 11), row(2, 11), row(3, 11)]).of_collection(collection);
        assert_eq!(merge(bench, std::slice::from_ref(&file)).await.merged_rows, 2);
        // A tie and a kept column use the names once more.
        merge(bench, &[file.named("c")]).await;
        merge(bench, &[contacts("d", &[], vec![contact(3, 12, 12, &[])]).of_collection(collection)]).await;

        let wanted: Vec<&str> = ["id"].into_iter().chain(names).collect();
        let expected = [(1, 10), (2, 11), (3, 11)]
            .map(|(id, version)| [vec![Cell::BigInt(id)], row(id, version)[4..].to_vec()].concat());
        assert_eq!(read(bench, collection, &wanted).await, expected, "{}", quote_identifier(collection));
        let loaded = bench.warehouse().await.loaded(collection).await.expect("loaded");
        assert_eq!(loaded.len(), 4);
    }
}

pub(super) async fn names_equal_but_for_case(bench: &dyn Bench) {
    merge(bench, &[contacts("a", &[("Größe", Text)], vec![contact(1, 10, 11, &[Cell::text("L")])])]).await;
    let mut file = contacts("b", &[("GRÖSSE", Text), ("GRÖßE", Text)], vec![]);
    file.rows = vec![contact(2, 10, 11, &[Cell::text("S"), Cell::text("M")])];
    file.table.columns[0].name = "ID".to_owned();
    file.table = Table::new("contacts", &["ID"], file.table.columns).expect("table");
    merge(bench, &[file.clone().named("c"), file]).await;
    assert_eq!(
        read(bench, "contacts", &["id", "Größe", "GRÖSSE"]).await,
        [[Cell::BigInt(1), Cell::text("L"), Cell::Null], [Cell::BigInt(2), Cell::text("M"), Cell::text("S")],]
    );
}

pub(super) async fn fifteen_hundred_columns(bench: &dyn Bench) {
    let names: Vec<String> = (0..1500).map(|n| format!("property_{n}")).collect();
    let columns: Vec<(&str, ColumnType)> = names.iter().map(|name| (name.as_str(), Text)).collect();
    let rows = |version: i64| {
        let row = |id: i64| {
            let cells: Vec<Cell> = (0..1500).map(|n| Cell::text(format!("{id} {version} {n}"))).collect();
            contact(id, version, version, &cells)
        };
        (0..200).map(row).collect::<Vec<_>>()
    };
    merge(bench, &[contacts("narrow", &columns[..20], vec![])]).await;
    assert_eq!(merge(bench, &[contacts("a", &columns, rows(10))]).await.inserted, 200);
    assert_eq!(merge(bench, &[contacts("b", &columns, rows(11))]).await.updated, 200);
    let last = read(bench, "contacts", &["id", "property_1499"]).await;
    assert_eq!(last[199], [Cell::BigInt(199), Cell::text("199 11 1499")]);
}
