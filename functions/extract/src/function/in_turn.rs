//! The further feeds in a process without Lambda: each is read when the one before has ended.

use extract::{Event, FurtherReport};
use hubspot::feeds::Feed;
use lambda::{Failure, Invocation};
use serde_json::{Map, Value, json};

use super::Function;

impl Function {
    /// Reads the feeds in their order, as far as the time goes. A feed that fails leaves the others alone. Returns the runs'
    /// reports, also of those that were not begun, which the next start reads.
    pub(super) async fn read_in_turn(
        &self,
        feeds: Vec<(&'static dyn Feed, Event)>,
        invocation: &Invocation,
        report: &mut FurtherReport,
    ) -> Map<String, Value> {
        let mut runs = Map::new();
        for (feed, event) in feeds {
            let name = feed.name().to_owned();
            if invocation.is_over() {
                runs.insert(
                    name,
                    json!({"outcome": "stopped", "reason": "not begun: the time is over, or a signal came"}),
                );
                continue;
            }
            tracing::info!(feed.name = name, "reading a further feed");
            report.started.push(name.clone());
            let run = self.read_one(feed, &event, &invocation.begun_now()).await;
            let run = run.unwrap_or_else(|failure| {
                tracing::error!(feed.name = name, error_type = failure.kind.name(), "{:#}", failure.error);
                failure.into_report()
            });
            runs.insert(name, run);
        }
        runs
    }

    async fn read_one(
        &self,
        feed: &'static dyn Feed,
        event: &Event,
        invocation: &Invocation,
    ) -> Result<Value, Failure> {
        let options = event.options().map_err(lambda::refuse_event)?;
        match self.client(invocation).await {
            Ok(client) => self.run(feed, client, event, options, invocation).await,
            Err(failure) => Err(self.not_begun(event, failure, invocation).await),
        }
    }
}
