//! Adoptions that something comes in the way of.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use duckdb::Connection;
use fake_hubspot::{Behaviour, ObjectType, Poison, PoisonEffect};
use serde_json::json;
use tests::{Sandbox, ended};

use super::{filled, moved, number, segment, settings};

/// Kills adoptions after more and more time, each where the last one got to.
#[tokio::test(flavor = "multi_thread")]
async fn killed_adoptions_go_on() {
    let moved = filled().await;
    let mut kills = 0;
    for delay in (20..).step_by(100) {
        let mut child = moved.sandbox.start(&["--adopt"]);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 5, "only {kills} kills");
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();
}

/// Leaves the schema as each step of an adoption leaves it.
#[tokio::test(flavor = "multi_thread")]
async fn an_adoption_goes_on_behind_each_step() {
    // Some tables are renamed, one of them by hand.
    let moved = filled().await;
    let rename = "ALTER TABLE hubspot.contacts RENAME TO contacts_of_segment; \
                  ALTER TABLE hubspot.contact_lists RENAME TO contact_lists_of_segment";
    moved.sandbox.database().execute_batch(rename).unwrap();
    // A load has filled ours, and nothing is brought in.
    moved.sandbox.sync(&["--collections", "contacts,contact_lists"]).await.complete();
    assert_eq!(
        number(
            &moved.sandbox.database(),
            "SELECT count(*) FROM hubspot.contacts WHERE _read_at < '2000-01-01'"
        ),
        0
    );
    let copy = moved.sandbox.path("copy.duckdb");
    std::fs::copy(moved.sandbox.path("warehouse.duckdb"), &copy).unwrap();
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();

    // Files are registered, and the warehouse is as it was before: as if it had ended before the merge. Loads know of the
    // rows that were there, and are told.
    std::fs::copy(&copy, moved.sandbox.path("warehouse.duckdb")).unwrap();
    moved.sandbox.sync(&["--adopt", "--accept-removals"]).await.complete();
    moved.assert_adopted();

    // A table is dropped: the rows are among the staged files.
    moved.sandbox.database().execute_batch("DROP TABLE hubspot.contacts").unwrap();
    moved.sandbox.sync(&[]).await.complete();
    moved.assert_adopted();

    // Its staged file is gone as well: a load says what to do, and that works.
    moved.sandbox.database().execute_batch("DROP TABLE hubspot.contacts").unwrap();
    remove_adopted(&moved.sandbox.path("state/files/hubspot/contacts"));
    let failed = moved.sandbox.sync(&[]).await;
    let reason = failed.report()["collections"]["contacts"]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("sync --adopt` does"), "{reason}");
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();

    // The state is lost: all is found anew.
    std::fs::remove_dir_all(moved.sandbox.path("state")).unwrap();
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();

    // A table is dropped and the state lost: the rows come from the table that is aside.
    moved.sandbox.database().execute_batch("DROP TABLE hubspot.deals").unwrap();
    std::fs::remove_dir_all(moved.sandbox.path("state")).unwrap();
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();
}

/// Removes the staged files with Segment's rows; there is one at least.
fn remove_adopted(folder: &Path) {
    let days = std::fs::read_dir(folder).unwrap().map(|day| day.unwrap().path());
    let files = days.flat_map(|day| std::fs::read_dir(day).unwrap().map(|file| file.unwrap().path()));
    let adopted: Vec<PathBuf> = files.filter(|file| file.to_str().unwrap().contains("-adopted-")).collect();
    assert!(!adopted.is_empty());
    adopted.into_iter().for_each(|file| std::fs::remove_file(file).unwrap());
}

/// A run over a window that was cut off goes on with the next command, and is complete without the rest.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_window_that_goes_on_has_not_looked_for_is_not_brought_in() {
    let moved = filled().await;
    let refused = Poison::new("objects.batch_read", "", PoisonEffect::Status(401));
    moved.sandbox.server.poison(refused);
    let window = ["--warehouse", "none", "--collections", "deals", "--since", "2020-01-01"];
    let cut_off = moved.sandbox.sync(&[&window[..], &["--until", &Utc::now().to_rfc3339()]].concat()).await;
    assert_eq!(cut_off.code, Some(1), "{cut_off:#?}");
    moved.sandbox.server.heal();
    let adopt = ["--adopt", "--collections", "deals"];
    let gone_on = moved.sandbox.sync(&adopt).await.complete();
    let adopted = &gone_on["adopted"]["deals"];
    assert_eq!(adopted["step"], "waiting", "{gone_on:#}");
    assert!(adopted["reason"].as_str().unwrap().contains("the same command again"), "{gone_on:#}");
    let whole = moved.sandbox.sync(&adopt).await.complete();
    assert_eq!(whole["adopted"]["deals"]["brought_in"], 3, "{whole:#}");
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_table_that_can_not_be_put_aside_leaves_all_as_they_are() {
    let moved = filled().await;
    let database = moved.sandbox.database();
    let trouble = "ALTER TABLE hubspot.deals RENAME TO deals_elsewhere; \
                   CREATE VIEW hubspot.deals AS SELECT * FROM hubspot.deals_elsewhere; \
                   CREATE TABLE hubspot.companies_of_segment (id VARCHAR)";
    database.execute_batch(trouble).unwrap();
    drop(database);
    let refused = moved.sandbox.sync(&["--adopt"]).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    for words in ["deals is a view", "companies can't become companies_of_segment", "rename or drop"] {
        assert!(refused.stderr.contains(words), "no {words:?} in {}", refused.stderr);
    }
    let database = moved.sandbox.database();
    let aside = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE '%_of_segment'";
    assert_eq!(number(&database, aside), 1);
    assert!(!moved.sandbox.path("state").exists());
    // The next step.
    let mend = "DROP VIEW hubspot.deals; ALTER TABLE hubspot.deals_elsewhere RENAME TO deals; \
                DROP TABLE hubspot.companies_of_segment";
    database.execute_batch(mend).unwrap();
    drop(database);
    moved.sandbox.sync(&["--adopt"]).await.complete();
    moved.assert_adopted();
}

/// Names with capitals are the same names to DuckDB; tables may have no rows; and a table may lack its key.
#[tokio::test(flavor = "multi_thread")]
async fn odd_tables_are_adopted_too() {
    let moved = moved().await;
    let database = moved.sandbox.database();
    let columns: Vec<String> = (0..1_500).map(|n| format!("\"Property_{n}\" VARCHAR")).collect();
    let make = format!(
        "CREATE SCHEMA hubspot; CREATE TABLE hubspot.\"Deals\" (\"ID\" VARCHAR, \"Amount\" VARCHAR, {}); \
         INSERT INTO hubspot.\"Deals\" (\"ID\", \"Amount\", \"Property_7\") VALUES ('990000002', '12.5', 'seven'); \
         CREATE TABLE hubspot.contacts (id VARCHAR, email VARCHAR); \
         CREATE TABLE hubspot.email_events (id VARCHAR, type VARCHAR); \
         INSERT INTO hubspot.email_events VALUES ('x', 'OPEN')",
        columns.join(", ")
    );
    database.execute_batch(&make).unwrap();
    drop(database);
    let report = moved.sandbox.sync(&["--adopt"]).await.complete();
    let adopted = &report["adopted"];
    assert_eq!(adopted.as_object().unwrap().len(), 3);
    assert_eq!(adopted["deals"]["columns_aside"].as_array().unwrap().len(), 1_500);
    assert_eq!(
        (&adopted["contacts"]["step"], &adopted["contacts"]["rows"]),
        (&json!("brought_in"), &json!(0))
    );
    let events = &adopted["email_events"];
    assert_eq!((&events["step"], &events["rows"]), (&json!("aside"), &json!(1)));
    assert!(events["reason"].as_str().unwrap().contains("no column created"), "{events:#}");
    let database = moved.sandbox.database();
    assert_eq!(
        number(&database, "SELECT count(*) FROM hubspot.deals WHERE id = 990000002 AND amount = 12.5"),
        1
    );
    assert_eq!(
        number(&database, "SELECT count(*) FROM hubspot.\"Deals_of_segment\" WHERE \"Property_7\" = 'seven'"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_deleted_rows_get_none() {
    let moved = filled().await;
    let report = moved.sandbox.sync(&["--adopt", "--hard-delete", "all"]).await.complete();
    let adopted = &report["adopted"];
    for name in ["contacts", "companies", "deals", "email_campaigns"] {
        assert_eq!(
            (&adopted[name]["step"], &adopted[name]["brought_in"]),
            (&json!("aside"), &json!(0)),
            "{name}"
        );
        assert!(adopted[name]["reason"].as_str().unwrap().contains("--hard-delete"), "{adopted:#}");
    }
    assert_eq!(adopted["email_events"]["step"], "brought_in");
    let database = moved.sandbox.database();
    let old = "SELECT count(*) FROM hubspot.contacts WHERE properties_firstname_value = 'Segment''s name'";
    assert_eq!(number(&database, old), 0);
    let aside = moved.tables["contacts"].rows.len() as i64;
    assert_eq!(number(&database, "SELECT count(*) FROM hubspot.contacts_of_segment"), aside);
}

/// A collection that HubSpot does not show stays Segment's.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_left_as_it_is() {
    let settings = settings().without_scope("crm.objects.deals.read");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let tables = segment::tables(sandbox.account());
    segment::fill(&sandbox.database(), &tables);
    let ended = sandbox.sync(&["--adopt"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["collections"]["deals"]["outcome"], "skipped");
    assert_eq!(report["adopted"]["deals"]["step"], "left");
    assert!(
        report["adopted"]["deals"]["renamed_to"].is_null() && report["adopted"]["deals"]["drop"].is_null()
    );
    assert_eq!(report["adopted"]["contacts"]["step"], "brought_in");
    let database = sandbox.database();
    let deals = tables["deals"].rows.len() as i64;
    assert_eq!(number(&database, "SELECT count(*) FROM hubspot.deals"), deals);
    drop(database);
    // It can be left out, and the others are as ever.
    sandbox.sync(&["--without", "deals"]).await.complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_that_others_load_is_adopted_by_a_command_of_its_own() {
    let moved = filled().await;
    let warehouse = format!("duckdb:{}", moved.sandbox.path("warehouse.duckdb").display());
    let adopt = async |more: &[&str]| {
        let mut command = moved.sandbox.subcommand("doctor", &[]);
        command = {
            let mut adopt = std::process::Command::new(command.get_program());
            adopt.arg("adopt").args(["--report", "json"]).args(more).env_clear();
            adopt
        };
        ended(command).await
    };
    for (lacking, said) in [
        (&["--stack", "hubspot"][..], "--bucket <NAME>"),
        (&["--stack", "hubspot", "--bucket", "staged"], "adopt --warehouse URL"),
        (&["--state", "adopted", "--bucket", "staged"], "cannot be used with"),
    ] {
        let refused = adopt(lacking).await;
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }

    let first = adopt(&["--warehouse", &warehouse]).await.complete();
    assert_eq!(first.as_object().unwrap().len(), 11);
    assert_eq!(first["contacts"]["step"], "waiting");
    assert!(first["contacts"]["reason"].as_str().unwrap().contains("--state"), "{first:#}");
    // One table is ours, and no load has recorded a complete run.
    let folder = moved.sandbox.path("adopted");
    let rest = ["--warehouse", &warehouse, "--state", folder.to_str().unwrap()];
    let scarce =
        ["--collections", "deals", "--history", "deals", "--since", "2020-01-01", "--until", "2020-01-02"];
    moved.sandbox.sync(&scarce).await.complete();
    let early = adopt(&rest).await.complete();
    assert_eq!(early["deals"]["step"], "waiting");
    assert!(early["deals"]["reason"].as_str().unwrap().contains("_runs"), "{early:#}");
    // A run over a window is complete, and has not looked for the others.
    let account = moved.sandbox.account();
    account.set_clock_offset(-TimeDelta::minutes(30));
    account.touch(ObjectType::Deals, account.live_ids(ObjectType::Deals)[0]).unwrap();
    account.set_clock_offset(TimeDelta::zero());
    let hour_ago = (Utc::now() - TimeDelta::hours(1)).to_rfc3339();
    let windowed =
        moved.sandbox.sync(&["--collections", "deals", "--history", "deals", "--since", &hour_ago]).await;
    assert!(windowed.complete()["collections"]["deals"]["rows"].as_u64().unwrap() > 0);
    let windowed = adopt(&rest).await.complete();
    assert_eq!(windowed["deals"]["step"], "waiting", "{windowed:#}");
    for words in ["--since", "`hubspot-source sync`", "the same command again"] {
        assert!(windowed["deals"]["reason"].as_str().unwrap().contains(words), "{windowed:#}");
    }
    let from_segment = "SELECT count(*) FROM hubspot.deals WHERE _read_at < '2000-01-01'";
    assert_eq!(number(&moved.sandbox.database(), from_segment), 0);
    // Whoever loads, with a history.
    moved.sandbox.sync(&["--history", "deals"]).await.complete();
    let second = adopt(&rest).await.complete();
    assert_eq!((&second["deals"]["step"], &second["deals"]["brought_in"]), (&json!("brought_in"), &json!(3)));
    moved.assert_adopted();
    let database = moved.sandbox.database();
    let past = "SELECT count(*) FROM hubspot.deals_history WHERE deleted_reason = 'removed'";
    assert_eq!(number(&database, past), 3);
    drop(database);
    assert_eq!(adopt(&rest).await.complete(), second);
    moved.sandbox.sync(&["--history", "deals", "--mode", "reconcile"]).await.complete();
    moved.assert_adopted();

    let empty = moved.sandbox.path("empty.duckdb");
    Connection::open(&empty).unwrap().execute_batch("CREATE SCHEMA hubspot").unwrap();
    let none = adopt(&["--warehouse", &format!("duckdb:{}", empty.display())]).await.complete();
    assert_eq!(none, json!({}));
}
