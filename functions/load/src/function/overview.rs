//! The page about all runs, in the bucket.

use lambda::{Failure, FailureKind};
use load::{Event, Of, overview};
use serde_json::{Value, json};

use super::Function;

/// The page's key, beside the folder of the schema.
const KEY: &str = "report/index.html";
/// A state keeps the reports of so many days.
const DAYS: u32 = 90;

impl Function {
    /// Writes the page, from the state alone: the warehouse may sleep. Twice replaces it. The answer says where it is.
    pub(super) async fn write_overview(&self, event: &Event) -> Result<Value, Failure> {
        let alone = Event { trigger: event.trigger.clone(), report: true, ..Event::default() };
        if *event != alone {
            return Err(lambda::refuse_event("report is about all runs, and goes without others"));
        }
        let of =
            Of { state: Some(&self.state), stack: Some(&self.config.stack), warehouse: None, days: DAYS };
        // It is no load: the alarm of failed ones is about rows.
        let failed = |error| Failure { is_measured: true, ..Failure::new(FailureKind::Run, error) };
        let page = overview(&of).await.map_err(failed)?;
        let bytes = page.html.len();
        let content_type = "text/html; charset=utf-8";
        let address = self.bucket.publish(KEY, page.html.into_bytes(), content_type).await;
        let address = address.map_err(failed)?;
        tracing::info!(address, bytes, "the page about all runs: {}", page.verdict);
        Ok(json!({"page": address, "bytes": bytes, "verdict": page.verdict}))
    }
}
