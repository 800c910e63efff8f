//! The page about all runs, in the bucket.

use serde_json::json;

use super::{cloud, event};

const KEY: &str = "report/index.html";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_in_the_bucket_is_about_the_runs_of_the_stack() {
    let cloud = cloud().await;
    let write = async || {
        let written = cloud.invoke("load", &event("load-report")).await;
        assert!(!written.is_error, "{written:#?}");
        written.answer
    };
    let empty = write().await;
    assert_eq!(empty["verdict"], "No run is recorded yet.");
    cloud.invoke("companies", &event("extract-schedule")).await.complete();
    cloud.invoke("load", &event("load-schedule")).await.complete();
    let loads = cloud.log("load").matches("duckdb").count();

    let written = write().await;
    let (content_type, page) = cloud.object(KEY).await;
    assert_eq!(written["bytes"], page.len());
    assert!(written["page"].as_str().unwrap().ends_with(&format!("/{KEY}")), "{written:#}");
    assert_eq!(content_type, "text/html; charset=utf-8");
    let verdict = written["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("The table is complete"), "{verdict}");
    assert!(page.contains("The table is complete") && page.contains("the state of the stack"), "{page}");
    assert!(page.contains("companies") && page.contains("Content-Security-Policy"));
    assert_eq!(cloud.log("load").matches("duckdb").count(), loads, "the warehouse sleeps");

    // A page is no run, and no staged file: loads go on as before.
    let replayed = cloud.invoke("load", &event("load-replay")).await.complete();
    assert_eq!(replayed["pending_files"], 0, "{replayed:#}");
    let refused = cloud.invoke("load", &json!({"report": true, "replay": true})).await;
    assert!(refused.is_error && refused.answer["errorType"] == "Event", "{refused:#?}");
}
