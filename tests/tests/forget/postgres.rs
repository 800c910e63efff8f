//! The same on PostgreSQL: rows, and with a full vacuum the bytes of the tables' own files.

use fake_hubspot::Behaviour;
use tests::{PostgresServer, Sandbox, postgres_texts};

use super::{CONTACTS, FIRST, SECOND, WITH, forget, note_event, rows, settings, with_ada};
use fake_hubspot::EventType;

/// Returns the tables in whose rows one of the texts is.
pub(crate) async fn in_tables(client: &tokio_postgres::Client, needles: &[String]) -> Vec<String> {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'hubspot'";
    let mut found = Vec::new();
    for table in postgres_texts(client, tables).await.into_iter().flatten().flatten() {
        for needle in needles {
            let count = format!(
                "SELECT count(*) FROM hubspot.\"{table}\" AS t WHERE strpos(lower(CAST(t.* AS text)), '{}') > 0",
                needle.to_lowercase()
            );
            let count = postgres_texts(client, &count).await.remove(0).remove(0).unwrap();
            if count != "0" {
                found.push(format!("{table}: {needle} in {count} rows"));
            }
        }
    }
    found
}

/// Returns the files of tables and indexes in whose bytes one of the texts is.
pub(crate) async fn in_relations(
    server: &PostgresServer,
    client: &tokio_postgres::Client,
    needles: &[String],
) -> Vec<String> {
    client.batch_execute("CHECKPOINT").await.unwrap();
    let paths = "SELECT pg_relation_filepath(c.oid) FROM pg_class AS c LEFT JOIN pg_class AS t ON t.reltoastrelid = c.oid \
                 JOIN pg_namespace AS n ON n.oid = coalesce(t.relnamespace, c.relnamespace) \
                 WHERE n.nspname = 'hubspot' AND pg_relation_filepath(c.oid) IS NOT NULL";
    let mut found = Vec::new();
    for path in postgres_texts(client, paths).await.into_iter().flatten().flatten() {
        let bytes = std::fs::read(server.folder().join("data").join(&path)).unwrap().to_ascii_lowercase();
        for needle in needles {
            let needle = needle.to_lowercase();
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(format!("{path}: {needle}"));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_person_is_left_in_postgres() {
    let Some(server) = PostgresServer::start_unless_skipped() else { return };
    let client = server.client().await;
    let url = server.url();
    let sandbox = Sandbox::new(&settings(), Behaviour::default()).await;
    let ada = with_ada(&sandbox, &["--warehouse", &url, "--hard-delete", "contact_identities"]).await;
    let account = sandbox.account();
    account.purge(CONTACTS, *ada.ids.last().unwrap()).unwrap();
    let with = [WITH.as_slice(), &["--warehouse", &url, "--hard-delete", "contact_identities"]].concat();
    sandbox.sync(&[with.as_slice(), &["--mode", "reconcile"]].concat()).await.complete();
    let needles = ada.needles();
    let before = in_tables(&client, &needles).await;
    assert!(before.iter().any(|found| found.starts_with("_deleted_contact_identities")), "{before:#?}");
    assert!(!in_relations(&server, &client, &needles).await.is_empty());

    let arguments = ["--email", SECOND, "--warehouse", &url, "--yes", "--vacuum-full", "--report", "json"];
    let forgotten = forget(&sandbox, &arguments).await;
    let report = forgotten.complete();
    assert!(rows(&report, "email_events") >= 5 && rows(&report, "contact_identities") >= 2, "{report:#}");
    assert_eq!(in_tables(&client, &needles).await, Vec::<String>::new());
    assert_eq!(in_relations(&server, &client, &needles).await, Vec::<String>::new());
    assert_eq!(super::in_files(&sandbox.path("state"), &needles), Vec::<String>::new());

    note_event(account, FIRST, EventType::Click);
    let report = sandbox.sync(&with).await.complete();
    assert!(report["collections"]["email_events"]["forgotten"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(in_tables(&client, &needles).await, Vec::<String>::new());
}
