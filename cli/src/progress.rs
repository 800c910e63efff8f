//! Progress of a feed, on stderr while it runs; nothing where stderr is no terminal.

use std::sync::Arc;
use std::time::Duration;

use extract::Progress;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// A progress line, shown until it is dropped.
#[derive(Debug)]
pub(crate) struct Line {
    bar: ProgressBar,
    watch: tokio::task::JoinHandle<()>,
}

impl Line {
    pub(crate) fn start(feed: &str, progress: &Arc<Progress>) -> Line {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {prefix:.bold} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        bar.set_prefix(feed.to_owned());
        let (shown, progress) = (bar.clone(), Arc::clone(progress));
        let watch = tokio::spawn(async move {
            loop {
                let rows = progress.rows();
                let rate = rows as f64 / shown.elapsed().as_secs_f64().max(0.001);
                shown.set_message(format!("{} rows, {rate:.0} a second", HumanCount(rows)));
                shown.tick();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Line { bar, watch }
    }

    /// Shows another step of the work from now on.
    pub(crate) fn say(&self, message: &'static str) {
        self.watch.abort();
        self.bar.set_message(message);
        self.bar.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.watch.abort();
        self.bar.finish_and_clear();
    }
}
