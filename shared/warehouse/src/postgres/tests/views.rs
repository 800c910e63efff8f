//! Views on columns whose type changes, and what depends on such columns besides.

use std::time::{Duration, Instant};

use staging::ColumnType;
use tokio_postgres::Client;

use super::server::{Server, VERSIONS};
use super::{PostgresBench, SMALL_BYTES};
use crate::conformance::{Bench, Cell, File, contact, contacts, merge, stage};

fn narrow() -> File {
    contacts("a", &[("amount", ColumnType::BigInt)], vec![contact(1, 10, 11, &[Cell::BigInt(7)])])
}

fn wide() -> File {
    contacts("b", &[("amount", ColumnType::Double)], vec![contact(2, 10, 11, &[Cell::Double(0.5)])])
}

/// Benches on each server, for a table that is written anew, and for one that gets a new column.
pub(super) async fn benches() -> Vec<PostgresBench> {
    let oldest_and_newest = VERSIONS.map(Server::of_version).into_iter().flatten().map(Server::socket_url);
    let mut benches = Vec::new();
    for url in super::server::url().into_iter().chain(oldest_and_newest) {
        for small_bytes in [SMALL_BYTES, 0] {
            benches.push(PostgresBench { small_bytes, ..PostgresBench::on(url.clone()).await });
        }
    }
    benches
}

/// Returns everything about the relations of a schema whose names end in `_view` that must not change.
pub(super) async fn described(bench: &PostgresBench) -> Vec<String> {
    let sql = "SELECT format('%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s', c.relname, c.relkind, pg_get_userbyid(c.relowner),
            c.relacl, c.reloptions, c.relispopulated, obj_description(c.oid, 'pg_class'),
            (SELECT string_agg(concat_ws(':', a.attname, a.attacl, col_description(c.oid, a.attnum),
               pg_get_expr(f.adbin, f.adrelid)), ',' ORDER BY a.attnum)
             FROM pg_attribute AS a LEFT JOIN pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
             WHERE a.attrelid = c.oid AND a.attnum > 0),
            (SELECT string_agg(pg_get_indexdef(i.indexrelid) || obj_description(i.indexrelid, 'pg_class'), ',')
             FROM pg_index AS i WHERE i.indrelid = c.oid),
            (SELECT string_agg(pg_get_triggerdef(t.oid), ',') FROM pg_trigger AS t WHERE t.tgrelid = c.oid),
            pg_get_viewdef(c.oid))
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname LIKE '%\\_view' ORDER BY c.relname";
    let rows = bench.client.query(sql, &[&bench.schema]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Makes a role of this bench's own, and returns its quoted name.
pub(super) async fn role(bench: &PostgresBench, name: &str) -> String {
    let role = crate::quote_identifier(&format!("{name} of {}", bench.schema));
    bench
        .execute(&format!("CREATE ROLE {role}; GRANT USAGE, CREATE ON SCHEMA {} TO {role}", schema(bench)))
        .await;
    role
}

pub(super) fn schema(bench: &PostgresBench) -> String {
    crate::quote_identifier(&bench.schema)
}

pub(super) async fn drop_roles(bench: &PostgresBench, roles: &[&String]) {
    for role in roles {
        bench.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    }
}

async fn number(client: &Client, sql: &str) -> f64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn views_on_a_widened_column_are_made_again_as_they_were() {
    for bench in benches().await {
        merge(&bench, &[narrow()]).await;
        let (dbt, reader) = (role(&bench, "dbt").await, role(&bench, "reader").await);
        let (table, schema) = (bench.quoted("contacts"), schema(&bench));
        bench
            .execute(&format!(
                "GRANT SELECT ON {table} TO {dbt};
                 ALTER DEFAULT PRIVILEGES FOR ROLE {dbt} GRANT INSERT ON TABLES TO {reader};
                 COMMENT ON COLUMN {table}.amount IS 'it''s money'; GRANT SELECT (amount) ON {table} TO {reader};
                 SET ROLE {dbt}; SET search_path = {schema};
                 CREATE VIEW amounts_view WITH (security_barrier) AS SELECT id, amount, amount + amount AS \"Twice\"
                   FROM contacts WHERE amount IS NOT NULL WITH LOCAL CHECK OPTION;
                 ALTER VIEW amounts_view ALTER COLUMN amount SET DEFAULT 1;
                 REVOKE INSERT ON amounts_view FROM {reader}; GRANT SELECT ON amounts_view TO PUBLIC;
                 COMMENT ON VIEW amounts_view IS 'dbt made it'; COMMENT ON COLUMN amounts_view.amount IS 'in euros';
                 CREATE VIEW outer_view AS SELECT o.\"Twice\" FROM amounts_view AS o JOIN contacts USING (id);
                 GRANT SELECT ON outer_view TO {reader} WITH GRANT OPTION;
                 GRANT UPDATE (\"Twice\") ON outer_view TO {reader};
                 CREATE MATERIALIZED VIEW sums_view AS SELECT id, sum(\"Twice\") AS total FROM amounts_view GROUP BY id;
                 CREATE UNIQUE INDEX sums_by_id ON sums_view (id); COMMENT ON INDEX sums_by_id IS 'for refreshes';
                 CREATE MATERIALIZED VIEW empty_view AS SELECT total FROM sums_view WITH NO DATA;
                 CREATE VIEW last_view AS SELECT total FROM sums_view UNION ALL SELECT \"Twice\" FROM outer_view;
                 CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
                 CREATE TRIGGER quiet INSTEAD OF INSERT ON outer_view FOR EACH ROW EXECUTE FUNCTION nothing();
                 RESET ROLE; RESET search_path"
            ))
            .await;
        let before = described(&bench).await;
        assert_eq!(before.len(), 5);
        merge(&bench, &[wide()]).await;
        let after = described(&bench).await;
        assert_eq!(after, before);
        let twice = format!("SELECT sum(\"Twice\") FROM {}", bench.quoted("outer_view"));
        assert_eq!(number(&bench.client, &twice).await, 15.0);
        let sql = format!("SELECT CAST(sum(total) AS double precision) FROM {}", bench.quoted("sums_view"));
        assert_eq!(number(&bench.client, &sql).await, 14.0, "as of the widening");
        let sql = format!(
            "SELECT CAST((col_description(a.attrelid, a.attnum) = 'it''s money' AND cardinality(a.attacl) > 0) \
             AS integer) * 1.0::float8 FROM pg_attribute AS a WHERE a.attrelid = '{table}'::regclass \
             AND a.attname = 'amount'"
        );
        assert_eq!(number(&bench.client, &sql).await, 1.0, "comment and grant of the column");
        drop_roles(&bench, &[&dbt, &reader]).await;
        bench.close().await;
    }
}

/// Makes a materialised view whose query takes some time, on a view on the table.
async fn make_slow_view(bench: &PostgresBench, seconds: f64) {
    let (table, inner, slow) =
        (bench.quoted("contacts"), bench.quoted("inner_view"), bench.quoted("slow_view"));
    bench
        .execute(&format!(
            "CREATE VIEW {inner} AS SELECT id, amount FROM {table};
             CREATE MATERIALIZED VIEW {slow} AS SELECT i.id, i.amount, CAST(pg_sleep({seconds}) AS text) AS slept
               FROM {inner} AS i;
             CREATE UNIQUE INDEX slow_by_id ON {slow} (id); COMMENT ON VIEW {inner} IS 'mine'"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_materialised_view_that_is_filled_again() {
    const SECONDS: f64 = 1.5;
    for bench in benches().await {
        merge(&bench, &[narrow()]).await;
        make_slow_view(&bench, SECONDS).await;
        let before = described(&bench).await;
        let reader = super::client(&bench.url).await;
        let (table, slow) = (bench.quoted("contacts"), bench.quoted("slow_view"));
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let reading = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while stopped.try_recv().is_err() {
                let started = Instant::now();
                let sql = format!(
                    "SELECT (SELECT count(amount) FROM {table}) + (SELECT count(amount) FROM {slow})"
                );
                let rows: i64 = reader.query_one(&sql, &[]).await.unwrap().get(0);
                assert!(rows >= 2, "{rows}");
                longest = longest.max(started.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            longest
        });
        let started = Instant::now();
        merge(&bench, &[wide()]).await;
        assert!(started.elapsed().as_secs_f64() > SECONDS, "the view was filled");
        stop.send(()).unwrap();
        let longest = reading.await.unwrap();
        assert!(longest.as_secs_f64() < SECONDS / 2.0, "{longest:?}");
        assert_eq!(described(&bench).await, before);
        let sql = format!("SELECT sum(amount) FROM {}", bench.quoted("slow_view"));
        assert_eq!(number(&bench.client, &sql).await, 7.0);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_changes_while_another_is_filled_is_taken_as_it_is() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge(&bench, &[narrow()]).await;
    make_slow_view(&bench, 1.0).await;
    let changed = super::client(&bench.url).await;
    let (table, inner) = (bench.quoted("contacts"), bench.quoted("inner_view"));
    let changing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let sql =
            format!("CREATE OR REPLACE VIEW {inner} AS SELECT id, amount, amount AS again FROM {table}");
        changed.batch_execute(&sql).await.unwrap();
    });
    merge(&bench, &[wide()]).await;
    changing.await.unwrap();
    let sql = format!("SELECT sum(again) FROM {}", bench.quoted("inner_view"));
    assert_eq!(number(&bench.client, &sql).await, 7.5);
    assert_eq!(described(&bench).await.len(), 2);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_a_load_left_when_it_was_cut_off_are_dropped() {
    for bench in benches().await {
        merge(&bench, &[narrow()]).await;
        make_slow_view(&bench, 0.0).await;
        let before = described(&bench).await;
        let (table, left) = (bench.quoted("contacts"), bench.quoted("_widening:slow_view"));
        bench
            .execute(&format!(
                "ALTER TABLE {table} ADD COLUMN \"_widening:amount\" double precision;
                 CREATE MATERIALIZED VIEW {left} AS SELECT \"_widening:amount\" AS amount FROM {table}"
            ))
            .await;
        merge(&bench, &[wide()]).await;
        assert_eq!(described(&bench).await, before);
        assert_eq!(number(&bench.client, &format!("SELECT sum(amount) FROM {table}")).await, 7.5);
        bench.close().await;
    }
}

/// Promise: no property value is in an error, or in a log.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_views_and_triggers_show_no_value() {
    let half = || {
        contacts("a", &[("amount", ColumnType::Double)], vec![contact(1, 10, 11, &[Cell::Double(4711.5)])])
    };
    let views = ["CAST(amount AS integer)", "CAST(CAST(amount AS text) AS regclass)", "shown(amount)"];
    for value in views {
        let Some(bench) = PostgresBench::new().await else { return };
        let (table, view, shown) = (bench.quoted("contacts"), bench.quoted("rounded"), bench.quoted("shown"));
        merge(&bench, &[contacts("z", &[("amount", ColumnType::Double)], vec![])]).await;
        bench
            .execute(&format!(
                "CREATE FUNCTION {shown}(amount double precision) RETURNS text LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE undefined_table USING MESSAGE = amount; END $$"
            ))
            .await;
        let value = value.replace("shown", &shown);
        bench
            .execute(&format!("CREATE MATERIALIZED VIEW {view} AS SELECT id, {value} AS n FROM {table}"))
            .await;
        merge(&bench, &[half()]).await;
        // A column of the wider type stands beside it, and a comment says what was in the way.
        merge(&bench, &[text()]).await;
        let said = "SELECT string_agg(col_description(attrelid, attnum), ' ') FROM pg_attribute \
                    WHERE attrelid = to_regclass($1)";
        let said: String = bench.client.query_one(said, &[&table]).await.unwrap().get(0);
        assert!(said.contains("could not be changed to text") && !said.contains("4711"), "{value}: {said}");
        bench.close().await;
    }
    let Some(bench) = PostgresBench::new().await else { return };
    let table = bench.quoted("contacts");
    merge(&bench, &[contacts("b", &[("amount", ColumnType::Double)], vec![])]).await;
    let refused = bench.quoted("refused");
    bench
        .execute(&format!(
            "CREATE FUNCTION {refused}() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION '% is not wanted', NEW.amount; END $$; \
             CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {refused}()"
        ))
        .await;
    assert_shows_no_value(&bench.warehouse().await.merge(&stage(&bench, &[half()])).await.unwrap_err());
    bench.close().await;
}

fn text() -> File {
    contacts("t", &[("amount", ColumnType::Text)], vec![contact(2, 10, 11, &[Cell::text("x")])])
}

fn assert_shows_no_value(error: &crate::Error) {
    let shown = format!("{error:?}");
    assert!(shown.contains("the words may quote values"), "{shown}");
    assert!(!shown.contains("4711"), "{shown}");
}
