//! Columns whose type can't be changed, and the columns that stand beside them.

use staging::ColumnType;

use super::views::{benches, described, drop_roles, role, schema};
use super::{PostgresBench, client};
use crate::conformance::{Bench, Cell, File, contact, contacts, merge, merge_as, stage};
use crate::{Kind, TableMode};

const HISTORY: TableMode = TableMode { hard_delete: false, history: true };

/// A file of one contact, whose amount has this value.
fn amount(key: &str, id: i64, updated: i64, cell: Cell) -> File {
    let column_type = match &cell {
        Cell::BigInt(_) => ColumnType::BigInt,
        Cell::Double(_) => ColumnType::Double,
        _ => ColumnType::Text,
    };
    contacts(key, &[("amount", column_type)], vec![contact(id, updated, updated + 1, &[cell])])
}

/// Returns columns of a table as text, in the order of the ids.
async fn texts(bench: &PostgresBench, columns: &str, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT concat_ws('|', {columns}) FROM {} ORDER BY id, _source_updated_at",
        bench.quoted(table)
    );
    bench.client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

const BOTH: &str = "id, coalesce(amount::text, '-'), coalesce(amount$text, '-')";

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_the_new_type_breaks_stays_and_a_column_stands_beside() {
    for bench in benches().await {
        merge(&bench, &[amount("a", 1, 10, Cell::BigInt(7))]).await;
        let (view, table) = (bench.quoted("sum_view"), bench.quoted("contacts"));
        bench.execute(&format!("CREATE VIEW {view} AS SELECT sum(amount) AS total FROM {table}")).await;
        merge(&bench, &[amount("b", 2, 10, Cell::Double(0.5))]).await;
        let before = described(&bench).await;

        merge(&bench, &[amount("c", 3, 10, Cell::text("a lot"))]).await;
        assert_eq!(described(&bench).await, before);
        assert_eq!(texts(&bench, BOTH, "contacts").await, ["1|7|7", "2|0.5|0.5", "3|-|a lot"]);

        // The next runs go on with it, whatever the type in the files, and find nothing to change.
        let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass($1)";
        let count = async || -> i64 { bench.client.query_one(columns, &[&table]).await.unwrap().get(0) };
        let now = count().await;
        merge(&bench, &[amount("d", 1, 20, Cell::text("12.5"))]).await;
        merge(&bench, &[amount("e", 2, 20, Cell::BigInt(3))]).await;
        merge(&bench, &[contacts("f", &[], vec![contact(3, 20, 21, &[])])]).await;
        assert_eq!(texts(&bench, BOTH, "contacts").await, ["1|12.5|12.5", "2|3|3", "3|-|a lot"]);
        assert_eq!(count().await, now);
        let comment = "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = to_regclass($1) \
             AND attname = 'amount$text'";
        let comment: String = bench.client.query_one(comment, &[&table]).await.unwrap().get(0);
        assert!(comment.contains("sum_view"), "{comment}");
        let extent = bench.warehouse().await.extent("contacts").await.unwrap().unwrap();
        assert_eq!(extent.beside, [("amount".to_owned(), "amount$text".to_owned())]);

        // The way back, as docs/warehouses/postgresql.md has it.
        bench
            .execute(&format!(
                "DROP VIEW {view}; ALTER TABLE {table} DROP COLUMN amount;
                 ALTER TABLE {table} RENAME COLUMN amount$text TO amount"
            ))
            .await;
        merge(&bench, &[amount("g", 4, 10, Cell::Double(1.5))]).await;
        assert_eq!(texts(&bench, "id, amount", "contacts").await, ["1|12.5", "2|3", "3|a lot", "4|1.5"]);
        assert_eq!(bench.warehouse().await.extent("contacts").await.unwrap().unwrap().beside, []);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_is_wider_still_gets_one_more_column() {
    for bench in benches().await {
        merge(&bench, &[amount("a", 1, 10, Cell::BigInt(7))]).await;
        let (function, table) = (bench.quoted("of_rows"), bench.quoted("contacts"));
        let view = bench.quoted("rows_view");
        bench
            .execute(&format!(
                "CREATE VIEW {view} AS SELECT amount FROM {table};
                 CREATE FUNCTION {function}({view}) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
            ))
            .await;
        merge(&bench, &[amount("b", 2, 10, Cell::Double(0.5)), amount("c", 3, 10, Cell::Double(8.0))]).await;
        merge(&bench, &[amount("d", 4, 10, Cell::text("x"))]).await;
        merge(&bench, &[amount("e", 5, 10, Cell::text("9"))]).await;
        let all = "id, coalesce(amount::text, '-'), coalesce(amount$double::text, '-'), amount$text";
        let expected = ["1|7|7|7", "2|-|0.5|0.5", "3|8|8|8", "4|-|-|x", "5|9|9|9"];
        assert_eq!(texts(&bench, all, "contacts").await, expected);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_new_type_does_not_fit_is_left_and_the_other_columns_are_widened() {
    for bench in benches().await {
        let two = |key, id, cells: [Cell; 2]| {
            let is = if matches!(cells[0], Cell::Text(_)) { ColumnType::Text } else { ColumnType::BigInt };
            contacts(key, &[("amount", is), ("score", is)], vec![contact(id, 10, 11, &cells)])
        };
        merge(&bench, &[two("a", 1, [Cell::BigInt(7), Cell::BigInt(8)])]).await;
        let table = bench.quoted("contacts");
        bench.execute(&format!("ALTER TABLE {table} ADD CHECK (amount > 0)")).await;
        merge(&bench, &[two("b", 2, [Cell::text("x"), Cell::text("y")])]).await;
        let all = format!("{BOTH}, score");
        assert_eq!(texts(&bench, &all, "contacts").await, ["1|7|7|8", "2|-|x|y"]);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_the_key_is_named() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge(&bench, &[amount("a", 1, 10, Cell::BigInt(7))]).await;
    let (table, view, function) =
        (bench.quoted("contacts"), bench.quoted("ids_view"), bench.quoted("of_ids"));
    bench
        .execute(&format!(
            "ALTER TABLE {table} ALTER COLUMN id TYPE integer; CREATE VIEW {view} AS SELECT id FROM {table};
             CREATE FUNCTION {function}({view}) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        ))
        .await;
    let error = bench.warehouse().await.merge(&stage(&bench, &[amount("b", 2, 10, Cell::BigInt(7))])).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(format!("{error:?}").contains("ids_view"), "{error:?}");
    // The next step that the message names.
    bench.execute(&format!("DROP VIEW {view} CASCADE")).await;
    merge(&bench, &[amount("c", 2, 10, Cell::BigInt(7))]).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_has_the_columns_of_its_table() {
    for in_history in [false, true] {
        for bench in benches().await {
            merge_as(
                &bench,
                &[amount("a", 1, 10, Cell::Double(7.0)), amount("b", 2, 10, Cell::Double(8.0))],
                HISTORY,
            )
            .await;
            let on = bench.quoted(if in_history { "contacts_history" } else { "contacts" });
            let view = bench.quoted("sum_view");
            bench.execute(&format!("CREATE VIEW {view} AS SELECT sum(amount) AS total FROM {on}")).await;
            // Half a change: a crash came before the history got its column.
            merge_as(&bench, &[amount("c", 1, 20, Cell::text("x"))], HISTORY).await;
            let history = bench.quoted("contacts_history");
            bench.execute(&format!("ALTER TABLE {history} DROP COLUMN amount$text")).await;
            merge_as(&bench, &[amount("d", 1, 30, Cell::text("9"))], HISTORY).await;
            assert_eq!(texts(&bench, BOTH, "contacts").await, ["1|9|9", "2|8|8"]);
            assert_eq!(texts(&bench, BOTH, "contacts_history").await, ["1|7|7", "1|-|-", "1|9|9", "2|8|8"]);

            // A read that shows what is known is no version: the hash is that of before.
            let written = bench.written("contacts_history").await;
            merge_as(
                &bench,
                &[contacts(
                    "e",
                    &[("amount", ColumnType::Text)],
                    vec![contact(2, 10, 50, &[Cell::text("8")])],
                )],
                HISTORY,
            )
            .await;
            assert_eq!(bench.written("contacts_history").await, written);
            bench.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_begins_with_the_columns_of_its_table() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge(&bench, &[amount("a", 1, 10, Cell::Double(7.0))]).await;
    let (view, table) = (bench.quoted("sum_view"), bench.quoted("contacts"));
    bench.execute(&format!("CREATE VIEW {view} AS SELECT sum(amount) AS total FROM {table}")).await;
    merge(&bench, &[amount("b", 2, 10, Cell::text("x"))]).await;
    merge_as(&bench, &[amount("c", 1, 20, Cell::text("8"))], HISTORY).await;
    assert_eq!(texts(&bench, BOTH, "contacts_history").await, ["1|7|7", "1|8|8", "2|-|x"]);
    let again = contacts("d", &[("amount", ColumnType::Text)], vec![contact(2, 10, 50, &[Cell::text("x")])]);
    let written = bench.written("contacts_history").await;
    merge_as(&bench, &[again], HISTORY).await;
    assert_eq!(bench.written("contacts_history").await, written);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_somebody_else_is_left_alone() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge(&bench, &[amount("a", 1, 10, Cell::BigInt(7))]).await;
    let (load, dbt) = (role(&bench, "load").await, role(&bench, "dbt").await);
    let database: String =
        bench.client.query_one("SELECT quote_ident(current_database())", &[]).await.unwrap().get(0);
    let table = bench.quoted("contacts");
    bench
        .execute(&format!(
            "ALTER ROLE {load} LOGIN; GRANT CREATE, TEMPORARY ON DATABASE {database} TO {load};
             ALTER SCHEMA {schema} OWNER TO {load}; ALTER TABLE {table} OWNER TO {load};
             ALTER TABLE {} OWNER TO {load}; ALTER TABLE {} OWNER TO {load}; GRANT SELECT ON {table} TO {dbt};
             GRANT CREATE ON SCHEMA {schema} TO {dbt};
             SET ROLE {dbt}; CREATE VIEW {schema}.their_view AS SELECT amount FROM {table}; RESET ROLE",
            bench.quoted("_loaded_files"),
            bench.quoted("_account"),
            schema = schema(&bench),
        ))
        .await;
    let name = format!("load of {}", bench.schema);
    let name = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
    let url = bench.url.replace("user=postgres", &format!("user={name}"));
    if url == bench.url {
        eprintln!("SKIPPED: no way to sign in to this server as another user");
        return;
    }
    let as_load = PostgresBench { url, client: client(&bench.url).await, ..bench };
    merge(&as_load, &[amount("b", 2, 10, Cell::Double(0.5))]).await;
    assert!(described(&as_load).await[0].contains("dbt of"));
    let both = "id, coalesce(amount::text, '-'), amount$double";
    assert_eq!(texts(&as_load, both, "contacts").await, ["1|7|7", "2|-|0.5"]);

    // With the right to make the view again, a column is widened.
    as_load.execute(&format!("GRANT {dbt} TO {load}")).await;
    as_load.execute(&format!("ALTER TABLE {table} DROP COLUMN amount$double")).await;
    merge(&as_load, &[amount("c", 3, 10, Cell::Double(1.5))]).await;
    assert_eq!(texts(&as_load, "id, amount", "contacts").await, ["1|7", "2", "3|1.5"]);
    as_load.execute(&format!("REASSIGN OWNED BY {load} TO postgres")).await;
    drop_roles(&as_load, &[&dbt, &load]).await;
    as_load.close().await;
}
