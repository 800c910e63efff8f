//! Views that are kept for others.

use std::sync::Arc;

use staging::ColumnType;

use super::{Bench, Cell, Row, contact, contacts, merge};
use crate::dialect::quote_identifier;
use crate::{KeptView, Kind};

const NAME: &[(&str, ColumnType)] = &[("name", ColumnType::Text)];

fn view(name: &str, columns: &'static str) -> KeptView {
    let query =
        move |relation: &dyn Fn(&str) -> String| format!("SELECT {columns} FROM {}", relation("contacts"));
    KeptView { name: name.to_owned(), query: Arc::new(query) }
}

pub(super) async fn views_are_kept(bench: &dyn Bench) {
    let letters: String = bench.quoted("v").chars().filter(char::is_ascii_alphanumeric).collect();
    let (schema, views) =
        (format!("{letters} views"), [view("first", "\"id\""), view("se\"cond", "\"id\" AS \"x\"")]);
    let keep = async |views: &[KeptView]| bench.warehouse().await.keep_views(&schema, views).await;
    if !bench.warehouse().await.keeps_views() {
        assert_eq!(keep(&views).await.expect_err("kept").kind(), Kind::Unsupported);
        return;
    }
    let made = async |views: &[KeptView]| {
        let kept = keep(views).await.expect("kept");
        assert!(kept.failed.is_empty(), "{kept:?}");
        kept.made
    };
    let quoted = |name: &str| format!("{}.{}", quote_identifier(&schema), quote_identifier(name));
    let rows = async |name: &str| -> Vec<Row> {
        let copy = bench.quoted("copy");
        bench.execute(&format!("CREATE TABLE {copy} AS SELECT * FROM {}", quoted(name))).await;
        let rows = bench.rows("copy").await;
        bench.execute(&format!("DROP TABLE {copy}")).await;
        rows
    };

    // Nothing is made before the schema is somebody's.
    assert_eq!(made(&views).await, 0);
    merge(bench, &[contacts("a", NAME, vec![contact(1, 10, 11, &[Cell::text("Ada")])])]).await;
    assert_eq!(made(&views).await, 2);
    let x = [Row::from([("x".to_owned(), Cell::BigInt(1))])];
    assert_eq!(rows("se\"cond").await, x);
    assert_eq!(made(&views).await, 0, "nothing is made twice");

    // A further column at the end, others before it, and one less.
    for columns in ["\"id\", \"name\"", "\"name\", \"id\"", "\"name\""] {
        assert_eq!(made(&[view("first", columns), views[1].clone()]).await, 1, "{columns}");
    }
    assert_eq!(rows("first").await, [Row::from([("name".to_owned(), Cell::text("Ada"))])]);

    bench.execute(&format!("DROP VIEW {}", quoted("first"))).await;
    assert_eq!(made(&[view("first", "\"name\""), views[1].clone()]).await, 1, "a missing view is made again");

    // One that can't be made leaves others alone, and stays as it was.
    let broken = [view("se\"cond", "\"nothing\""), view("third", "\"id\"")];
    let kept = keep(&broken).await.expect("kept");
    let failed: Vec<&str> = kept.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((kept.made, &failed[..]), (1, &["se\"cond"][..]));
    assert_eq!(rows("se\"cond").await, x);
    bench.execute(&format!("DROP SCHEMA {} CASCADE", quote_identifier(&schema))).await;
    assert_eq!(made(&views).await, 2, "a dropped schema is made again");
    bench.execute(&format!("DROP SCHEMA {} CASCADE", quote_identifier(&schema))).await;
}
