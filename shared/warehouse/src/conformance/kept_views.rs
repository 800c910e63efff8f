//! Views that are kept for others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use staging::ColumnType;

use super::{Bench, Cell, Row, contact, contacts, merge};
use crate::dialect::quote_identifier;
use crate::{KeptView, Kind};

const NAME: &[(&str, ColumnType)] = &[("name", ColumnType::Text)];
const FIRST: &str = "first";
const SECOND: &str = "se\"cond";

/// A view with these columns of the contacts, or expressions.
fn view(bench: &dyn Bench, name: &str, columns: &[&str]) -> KeptView {
    let columns: Vec<String> = columns
        .iter()
        .map(|name| match name.split_once(' ') {
            Some((name, alias)) => format!("{} AS {alias}", quote_identifier(&bench.column(name))),
            None => quote_identifier(&bench.column(name)),
        })
        .collect();
    let columns = columns.join(", ");
    let query =
        move |relation: &dyn Fn(&str) -> String| format!("SELECT {columns} FROM {}", relation("contacts"));
    KeptView { name: name.to_owned(), query: Arc::new(query) }
}

pub(super) async fn views_are_kept(bench: &dyn Bench) {
    let letters: String = bench.quoted("v").chars().filter(char::is_ascii_alphanumeric).collect();
    let schema = format!("{letters} views");
    let views = [view(bench, FIRST, &["id"]), view(bench, SECOND, &["id \"x\""])];
    let soon = Instant::now() + Duration::from_secs(600);
    let keep = async |views: &[KeptView]| bench.warehouse().await.keep_views(&schema, views, soon).await;
    if !bench.warehouse().await.keeps_views() {
        assert_eq!(keep(&views).await.expect_err("kept").kind(), Kind::Unsupported);
        return;
    }
    let made = async |views: &[KeptView]| {
        let kept = keep(views).await.expect("kept");
        assert!(kept.failed.is_empty(), "{kept:?}");
        kept.made
    };
    // Schemas are named like tables.
    let alone = |name: &str| {
        let quoted = bench.quoted(name);
        quoted.rsplit_once("\".").map_or(quoted.clone(), |(_, name)| name.to_owned())
    };
    let quoted = |name: &str| format!("{}.{}", alone(&schema), alone(name));
    let rows = async |name: &str| -> Vec<Row> {
        let copy = bench.quoted("copy");
        bench.execute(&format!("CREATE TABLE {copy} AS SELECT * FROM {}", quoted(name))).await;
        let rows = bench.rows("copy").await;
        bench.execute(&format!("DROP TABLE {copy}")).await;
        rows
    };
    let drop_all = async |names: &[&str]| {
        for name in names {
            bench.execute(&format!("DROP VIEW {}", quoted(name))).await;
        }
        bench.execute(&format!("DROP SCHEMA {}", alone(&schema))).await;
    };

    // Nothing is made before the schema is somebody's.
    assert_eq!(made(&views).await, 0);
    merge(bench, &[contacts("a", NAME, vec![contact(1, 10, 11, &[Cell::text("Ada")])])]).await;
    let late = bench.warehouse().await.keep_views(&schema, &views, Instant::now()).await.expect("kept");
    assert_eq!((late.made, late.left), (0, 2));
    assert_eq!(made(&views).await, 2);
    let x = [Row::from([("x".to_owned(), Cell::BigInt(1))])];
    assert_eq!(rows(SECOND).await, x);
    assert_eq!(made(&views).await, 0, "nothing is made twice");

    // A further column at the end, others before it, and one less.
    for columns in [&["id", "name"][..], &["name", "id"], &["name"]] {
        let changed = [view(bench, FIRST, columns), views[1].clone()];
        assert_eq!(made(&changed).await, 1, "{columns:?}");
        assert_eq!(made(&changed).await, 0, "{columns:?}");
    }
    let named = [view(bench, FIRST, &["name"]), views[1].clone()];
    assert_eq!(rows(FIRST).await, [Row::from([(bench.column("name"), Cell::text("Ada"))])]);

    // The table gets a wider column under them.
    let number = &[("name", ColumnType::Text), ("number", ColumnType::BigInt)];
    merge(bench, &[contacts("b", number, vec![contact(1, 20, 21, &[Cell::text("Eve"), Cell::BigInt(1)])])])
        .await;
    let of_number = |name: &str| [view(bench, FIRST, &["number"]), view(bench, name, &["id \"x\""])];
    assert_eq!(made(&of_number(SECOND)).await, 1);
    let number = &[("name", ColumnType::Text), ("number", ColumnType::Double)];
    merge(bench, &[contacts("c", number, vec![contact(1, 30, 31, &[Cell::text("Eve"), Cell::Double(0.5)])])])
        .await;
    assert_eq!(made(&named).await, 1);

    bench.execute(&format!("DROP VIEW {}", quoted(FIRST))).await;
    assert_eq!(made(&named).await, 1, "a missing view is made again");

    // One that can't be made leaves others alone, and stays as it was.
    let broken = [view(bench, SECOND, &["nothing"]), view(bench, "third", &["id"])];
    let kept = keep(&broken).await.expect("kept");
    let failed: Vec<&str> = kept.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((kept.made, &failed[..]), (1, &[SECOND][..]));
    assert_eq!(rows(SECOND).await, x);
    drop_all(&[FIRST, SECOND, "third"]).await;
    assert_eq!(made(&views).await, 2, "a dropped schema is made again");
    drop_all(&[FIRST, SECOND]).await;
}
