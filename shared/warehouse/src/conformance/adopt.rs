//! Tables that another program made are put aside, and what ours lacks of them is read.

use staging::ColumnType;

use super::{Bench, Cell, contact, contacts, merge};
use crate::{Kind, LeftOver, Maker};

const ASIDE: &str = "contacts_of_another";

/// A table with texts, as another program makes it, and two further rows: one of a record that has been read since, and
/// one without a key.
async fn make(bench: &dyn Bench, table: &str) {
    let columns = ["id", "email", "score"].map(|name| crate::quote_identifier(&bench.column(name)));
    let [id, email, score] = columns;
    let quoted = bench.quoted(table);
    bench
        .execute(&format!("CREATE TABLE {quoted} ({id} VARCHAR(99), {email} VARCHAR(99), {score} BIGINT)"))
        .await;
    // BigQuery doubles no quotes.
    let its = "'it' || CHR(39) || 's'";
    let rows = format!(
        "('2', 'ada@example.com', 7), ('10', {its}, NULL), ('1', 'x', 1), (NULL, 'nobody', 2), ('10', 'b', 3)"
    );
    bench.execute(&format!("INSERT INTO {quoted} VALUES {rows}")).await;
}

fn page(bench: &dyn Bench, after: Option<&str>, most: u64) -> LeftOver {
    LeftOver {
        table: ASIDE.to_owned(),
        held_by: "contacts".to_owned(),
        key: vec![(bench.column("id"), "id".to_owned())],
        columns: ["score", "email"].map(|name| bench.column(name)).to_vec(),
        after: after.map(str::to_owned),
        most,
    }
}

/// Brings the schema about.
async fn merge_one(bench: &dyn Bench, collection: &str) {
    let row = contact(1, 10, 11, &[Cell::text("new")]);
    let file = contacts(collection, &[("email", ColumnType::Text)], vec![row]).of_collection(collection);
    merge(bench, &[file]).await;
}

pub(super) async fn tables_of_others_are_put_aside(bench: &dyn Bench) {
    let warehouse = bench.warehouse().await;
    assert_eq!(warehouse.makers(&["contacts", ASIDE]).await.expect("makers"), [None, None]);
    merge_one(bench, "deals").await;
    make(bench, "contacts").await;
    let before = bench.rows("contacts").await;
    let makers = warehouse.makers(&["deals", "contacts", ASIDE]).await.expect("makers");
    assert_eq!(makers, [Some(Maker::Load), Some(Maker::Another), None]);

    let refused = warehouse.put_aside("deals", "deals_of_another").await.expect_err("it is ours");
    assert_eq!(refused.kind(), Kind::Unsupported, "{refused:?}");
    warehouse.put_aside("contacts", ASIDE).await.expect("put aside");
    assert!(!bench.has_table("contacts").await);
    warehouse.put_aside("contacts", ASIDE).await.expect("twice");
    assert_eq!(bench.rows(ASIDE).await, before);
    assert_eq!(warehouse.makers(&["contacts", ASIDE]).await.expect("makers"), [None, Some(Maker::Another)]);

    merge_one(bench, "contacts").await;
    warehouse.put_aside("contacts", ASIDE).await.expect("when ours is there");
    let text = |text: &str| Some(text.to_owned());
    let [b, its] = [("3", "b"), ("", "it's")].map(|(score, email)| {
        vec![text("10"), Some(score.to_owned()).filter(|score| !score.is_empty()), text(email)]
    });
    let mut rows = warehouse.left_over(&page(bench, None, 2)).await.expect("a page");
    rows.sort_by(|a, b| b[1].cmp(&a[1]));
    assert_eq!(rows, [b, its], "ours holds 1, and texts are in order");
    let rows = warehouse.left_over(&page(bench, Some("10"), 2)).await.expect("a page");
    assert_eq!(rows, [[text("2"), text("7"), text("ada@example.com")]]);
    assert!(warehouse.left_over(&page(bench, Some("it's"), 2)).await.expect("a page").is_empty());
    assert_eq!(warehouse.keyless(ASIDE, &[&bench.column("id")]).await.expect("a count"), 1);
    let odd = LeftOver { columns: vec!["none".to_owned()], ..page(bench, None, 2) };
    assert!(warehouse.left_over(&odd).await.is_err());
    assert_eq!(bench.rows(ASIDE).await, before, "looking changes nothing");
}

pub(super) async fn views_and_taken_names_are_refused(bench: &dyn Bench) {
    merge_one(bench, "deals").await;
    make(bench, "contacts").await;
    make(bench, ASIDE).await;
    let warehouse = bench.warehouse().await;
    let refused = warehouse.put_aside("contacts", ASIDE).await.expect_err("the name is taken").to_string();
    assert!(refused.contains(ASIDE) && refused.contains("rename or drop"), "{refused}");
    bench.execute(&format!("DROP TABLE {}", bench.quoted("contacts"))).await;
    let [view, table] = ["contacts", ASIDE].map(|name| bench.quoted(name));
    bench.execute(&format!("CREATE VIEW {view} AS SELECT * FROM {table}")).await;
    assert_eq!(warehouse.makers(&["contacts"]).await.expect("makers"), [Some(Maker::AnotherView)]);
    let refused = warehouse.put_aside("contacts", "elsewhere").await.expect_err("a view").to_string();
    assert!(refused.contains("contacts is a view"), "{refused}");
}
