//! Follows a function's work through the state, until its last invocation has reported.

use std::time::{Duration, Instant};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use staging::State;

const INTERVAL: Duration = Duration::from_secs(2);
/// Time after which an invoked function that has not begun is taken for failed. It begins within seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest time that one invocation takes before it reports, where no lease shows that it runs.
const LONGEST_INVOCATION: Duration = Duration::from_secs(960);

/// The work that is followed.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) state: &'a State,
    /// Name of its reports in the state.
    pub(super) name: &'a str,
    /// Lease that an invocation holds while it runs.
    pub(super) lease: Option<&'a str>,
    /// Run id before the work: reports of earlier runs belong to other work.
    pub(super) after: &'a str,
}

/// Waits for the report of the last invocation, and calls `show` repeatedly to update the bar.
pub(super) async fn to_the_end(
    work: &Work<'_>,
    bar: &ProgressBar,
    show: impl AsyncFn(&ProgressBar, &[Value]) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    let (mut seen_at_work, mut reported) = (Instant::now(), 0);
    loop {
        let records = work.state.records(work.name, 100).await?;
        let reports: Vec<Value> = records
            .into_iter()
            .filter(|record| record.run_id.as_str() > work.after)
            .map(|record| record.report)
            .collect();
        if let Some(last) = reports.first()
            && last["goes_on"] != true
        {
            return Ok(last.clone());
        }
        let (is_at_work, patience) = match work.lease {
            Some(lease) => (work.state.is_leased(lease).await?, PATIENCE),
            None => (reports.len() > reported, LONGEST_INVOCATION),
        };
        reported = reports.len();
        if is_at_work {
            seen_at_work = Instant::now();
        } else if seen_at_work.elapsed() > patience {
            bail!(
                "the function {} has not reported for {} s: look at its log and at the dead-letter queue",
                work.name,
                patience.as_secs()
            );
        }
        show(bar, &reports).await?;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Makes a progress bar from 0 to 1,000, which is shown on a terminal only.
pub(super) fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(1_000);
    if let Ok(style) = ProgressStyle::with_template(
        "{spinner:.cyan} {prefix:.bold} [{wide_bar:.cyan/blue}] {percent} % {msg} [{elapsed}]",
    ) {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}
