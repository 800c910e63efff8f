//! What is told about tables to those who write queries over them.

use staging::{Column, ColumnType, IS_DELETED};

use super::{Bench, Cell, contact, contacts, merge};

pub(super) async fn shapes_and_texts_of_tables(bench: &dyn Bench) {
    let warehouse = bench.warehouse().await;
    assert_eq!(warehouse.shapes(&["contacts", "deals"]).await.expect("shapes"), [None, None]);
    assert!(warehouse.texts("contacts", &["name"]).await.expect("texts").is_empty());

    let columns = &[
        ("name", ColumnType::Text),
        ("label", ColumnType::Text),
        ("amount", ColumnType::Double),
        (IS_DELETED, ColumnType::Boolean),
    ];
    let row = |id, name: &str, label: Cell, is_deleted| {
        contact(id, 10, 11, &[Cell::text(name), label, Cell::Double(0.5), Cell::Boolean(is_deleted)])
    };
    let rows = vec![
        row(1, "it's", Cell::Null, false),
        row(2, "größe", Cell::text("Size"), false),
        row(3, "gone", Cell::Null, true),
    ];
    merge(bench, &[contacts("a", columns, rows)]).await;

    let warehouse = bench.warehouse().await;
    let shapes = warehouse.shapes(&["deals", "contacts"]).await.expect("shapes");
    let [None, Some(shape)] = &shapes[..] else { panic!("{shapes:?}") };
    for (name, column_type) in columns {
        assert!(shape.columns.contains(&Column::new(bench.column(name), *column_type)), "{name}: {shape:?}");
    }
    assert!(shape.beside.is_empty());
    let mut texts = warehouse.texts("contacts", &["label", "name"]).await.expect("texts");
    texts.sort();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(texts, [vec![None, text("it's")], vec![text("Size"), text("größe")]]);
    assert!(warehouse.texts("contacts", &["name", "none"]).await.expect("texts").is_empty());
}
