//! Programs that nobody here wrote: pysail executes merges, Spark's SQL on Delta tables (`judges/databricks.py` says what it
//! lacks); minilake takes the calls (`judges/databricks_calls.py`).

use super::super::api::Api;
use super::super::url;
use super::bench_of;
use crate::conformance::cases_of;
use crate::twin::{judge, started, tool};

/// Cases that say nothing on pysail, with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("a user's columns stay", BY_HAND),
    ("two set keys", BY_HAND),
    ("history outlives its table", BY_HAND),
    ("foreign rows are found", BY_HAND),
    ("a dropped table is loaded again", BY_HAND),
    ("tables of others are put aside", BY_HAND),
    ("views and taken names are refused", BY_HAND),
    ("views are kept", BY_HAND),
    ("extreme values have one text everywhere", "a double's text is not Java's there"),
    ("a backfill of unchanged rows adds nothing to the history", "nobody counts the rows that are written"),
    ("many runs", "pysail ends at a statement of so many rows"),
    ("a description that is not the file's", "as on the twin"),
    ("two merges of the same files at once", "as on the twin"),
];
const BY_HAND: &str = "the test changes a table by hand, in words that pysail does not have";

/// Parts of the names of the cases that are run unless `PYSAIL_CASES` is `all`.
const RUN: &[&str] = &[
    "merging twice",
    "NULL clears",
    "composite primary key",
    "what a newer read of a set lacks",
    "an older read of a set revives",
    "new column",
    "widened primary key",
    "names equal but for case",
    "the mode may change",
    "what is deleted writes nothing",
    "hard deletes leave no past",
    "every difference",
    "runs are recorded",
    "counts and ledger",
    "what is forgotten",
    "one file replaces",
    "no primary key value",
    "rows that share",
    "a failure half way",
];

#[tokio::test(flavor = "multi_thread")]
async fn pysail_executes_merges() {
    for (_, case) in cases_of(RUN, NOT_RUN, "PYSAIL_CASES") {
        let Some(twin) = judge("pysail", "judges/databricks.py") else { return };
        let bench = bench_of(twin);
        case(&bench).await;
        bench.close();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn minilake_takes_the_calls() {
    let Some((line, _program)) = started(&tool("minilake"), "judges/databricks_calls.py", &[]) else {
        return;
    };
    let (port, id) = line.split_once(' ').expect("a port and a warehouse");
    let url = format!("databricks://h/hub?warehouse={id}&endpoint=http://127.0.0.1:{port}");
    let api = Api::new(url::target(&url).unwrap(), Some(&"token".to_owned().into())).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let rows = api
        .query("SELECT 1 AS a, NULL AS b, 'x' AS c UNION ALL SELECT 2, 'y', 'z' ORDER BY a")
        .await
        .unwrap();
    assert_eq!(rows, [[text("1"), None, text("x")], [text("2"), text("y"), text("z")]]);
    // What is sent without waiting for its end.
    api.execute("CREATE SCHEMA hub.s").await.unwrap();
    api.execute("CREATE TABLE hub.s.t (a BIGINT)").await.unwrap();
    api.execute("INSERT INTO hub.s.t SELECT 7").await.unwrap();
    assert_eq!(api.query("SELECT a FROM hub.s.t").await.unwrap(), [[text("7")]]);
    // A failure is its answer's status there, and not the statement's.
    let error = api.query("SELECT * FROM hub.s.nothing").await.unwrap_err();
    assert!(format!("{error:?}").contains("nothing does not exist"), "{error:?}");
}
