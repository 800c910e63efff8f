//! Staged files that somebody removes: what a load says of it, and that the way out works.

use std::path::Path;

use fake_hubspot::{Behaviour, ObjectType};
use tests::{
    Expectations, Sandbox, assert_all_equal, assert_associations_equal, assert_history_equal,
    assert_memberships_of_equal,
};

const COLLECTIONS: &str = "segment,owners,pipelines,pipeline_stages,properties,associations,association_types,\
                           list_memberships,property_history";
const PAST: &str = "deals:dealstage;contacts:lifecyclestage";

/// Removes all staged files below a folder; answers with their number.
fn remove_files(folder: &Path) -> usize {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            removed += remove_files(&path);
        } else {
            std::fs::remove_file(&path).unwrap();
            removed += 1;
        }
    }
    removed
}

/// The table is dropped, or the whole warehouse, and the staged files are gone too: loads fail and say what to do, and
/// that does it, whatever kind of feed filled the table.
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_replaces_files_that_were_removed() {
    let sandbox = Sandbox::new(&super::settings(), Behaviour::default()).await;
    let account = sandbox.account();
    account.give_past(ObjectType::Deals, &["dealstage"], 3).unwrap();
    let all = ["--collections", COLLECTIONS, "--property-history", PAST];
    sandbox.sync(&all).await.complete();
    let tables = |database: &duckdb::Connection| {
        let mut counts = database
            .prepare(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'hubspot' ORDER BY 1",
            )
            .unwrap();
        let names = counts.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
        let names: Vec<String> = names.filter(|name| !name.starts_with('_')).collect();
        let count = |name: String| {
            let sql = format!("SELECT count(*) FROM hubspot.{name} WHERE NOT is_deleted");
            let live = database.query_row(&sql, [], |row| row.get::<_, u64>(0));
            let all = format!("SELECT count(*) FROM hubspot.{name}");
            (name, live.unwrap_or_else(|_| database.query_row(&all, [], |row| row.get(0)).unwrap()))
        };
        names.into_iter().map(count).collect::<Vec<_>>()
    };
    let before = tables(&sandbox.database());
    assert!(remove_files(&sandbox.path("state/files/hubspot")) > 15);

    // Nobody has to know it while the tables are there.
    sandbox.sync(&all).await.complete();
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    for _ in 0..2 {
        let lost = sandbox.sync(&all).await;
        assert_eq!(lost.code, Some(1), "{}", lost.stderr);
        let report = lost.report();
        let said = report["collections"]["deals"]["reason"].as_str().unwrap_or_default();
        let text = format!("{said}{}", lost.stderr);
        assert!(text.contains("--mode backfill"), "{report:#}");
    }
    let backfill = [&all[..], &["--mode", "backfill"]].concat();
    let filled = sandbox.sync(&backfill).await.complete();
    let said = filled["collections"]["deals"]["degraded"].to_string();
    assert!(said.contains("1 staged files had been removed"), "{filled:#}");
    let is_equal = || {
        let database = sandbox.database();
        assert_all_equal(&database, account, &Expectations::default());
        assert_associations_equal(&ObjectType::CORE, &database, account);
        assert_memberships_of_equal(&ObjectType::CORE, &database, account);
        let past = [(ObjectType::Deals, "dealstage"), (ObjectType::Contacts, "lifecyclestage")];
        assert_history_equal(&past, true, &database, account);
        assert_eq!(tables(&database), before);
    };
    is_equal();
    let idle = sandbox.sync(&all).await.complete();
    assert_eq!(super::merged_rows(&idle), 0, "{idle:#}");

    // From what is staged now, everything can be filled again.
    std::fs::remove_file(sandbox.path("warehouse.duckdb")).unwrap();
    sandbox.sync(&all).await.complete();
    is_equal();
}
