//! Views on columns whose type changes, and what depends on such columns besides.

use staging::ColumnType;
use tokio_postgres::Client;

use super::server::{Server, VERSIONS};
use super::{PostgresBench, SMALL_BYTES, client};
use crate::Kind;
use crate::conformance::{Bench, Cell, File, contact, contacts, merge, stage};

fn narrow() -> File {
    contacts("a", &[("amount", ColumnType::BigInt)], vec![contact(1, 10, 11, &[Cell::BigInt(7)])])
}

fn wide() -> File {
    contacts("b", &[("amount", ColumnType::Double)], vec![contact(2, 10, 11, &[Cell::Double(0.5)])])
}

fn text() -> File {
    contacts("c", &[("amount", ColumnType::Text)], vec![contact(3, 10, 11, &[Cell::text("x")])])
}

/// Benches on each server, for a table that is written anew, and for one that gets a new column.
async fn benches() -> Vec<PostgresBench> {
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
async fn described(bench: &PostgresBench) -> Vec<String> {
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
async fn role(bench: &PostgresBench, name: &str) -> String {
    let role = crate::quote_identifier(&format!("{name} of {}", bench.schema));
    bench
        .execute(&format!("CREATE ROLE {role}; GRANT USAGE, CREATE ON SCHEMA {} TO {role}", schema(bench)))
        .await;
    role
}

fn schema(bench: &PostgresBench) -> String {
    crate::quote_identifier(&bench.schema)
}

async fn drop_roles(bench: &PostgresBench, roles: &[&String]) {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_the_new_type_breaks_is_named_and_stays() {
    for bench in benches().await {
        merge(&bench, &[narrow()]).await;
        let (view, table) = (bench.quoted("sum_view"), bench.quoted("contacts"));
        bench.execute(&format!("CREATE VIEW {view} AS SELECT sum(amount) AS total FROM {table}")).await;
        merge(&bench, &[wide()]).await;
        let before = described(&bench).await;

        let files = stage(&bench, &[text()]);
        let error = bench.warehouse().await.merge(&files).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
        assert!(error.to_string().contains("sum_view"), "{error}");
        assert_eq!(described(&bench).await, before);
        assert_eq!(bench.rows("contacts").await.len(), 2);

        // The next step that the message names.
        bench.execute(&format!("DROP VIEW {view}")).await;
        assert_eq!(bench.warehouse().await.merge(&files).await.unwrap().inserted, 1);
        bench.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_somebody_else_is_named() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge(&bench, &[narrow()]).await;
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
    let files = stage(&as_load, &[wide()]);
    let error = as_load.warehouse().await.merge(&files).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("their_view"), "{error}");

    // The next step that the message names.
    as_load.execute(&format!("GRANT {dbt} TO {load}")).await;
    assert_eq!(as_load.warehouse().await.merge(&files).await.unwrap().inserted, 1);
    assert!(described(&as_load).await[0].contains("dbt of"));
    as_load.execute(&format!("REASSIGN OWNED BY {load} TO postgres")).await;
    drop_roles(&as_load, &[&dbt, &load]).await;
    as_load.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_on_a_view_stands_in_the_way_and_is_named() {
    let Some(bench) = PostgresBench::new().await else { return };
    merge(&bench, &[narrow()]).await;
    let (view, table) = (bench.quoted("rows_view"), bench.quoted("contacts"));
    let function = bench.quoted("of_rows");
    bench
        .execute(&format!(
            "CREATE VIEW {view} AS SELECT amount FROM {table};
             CREATE FUNCTION {function}({view}) RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        ))
        .await;
    let error = bench.warehouse().await.merge(&stage(&bench, &[wide()])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("rows_view"), "{error}");
    assert!(format!("{error:?}").contains("of_rows"), "{error:?}");
    bench.close().await;
}
