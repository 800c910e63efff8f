//! The times at which calls were sent. An answer holds nothing older, so they are the versions of what it shows: not the
//! time of the answer, since calls wait and are repeated, and a run beside this one may read something newer meanwhile.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::Utc;

/// The most by which a time may be ahead of the clock: a clock that was set back is followed.
const MAX_AHEAD_MS: i64 = 1_000;

tokio::task_local! {
    /// The earliest time of the calls of what is fetched.
    static FIRST_MS: Cell<Option<i64>>;
}

/// Runs a fetch. Returns the time of the first of the calls that were answered in it, too.
pub(crate) async fn first_of<T>(fetch: impl Future<Output = T>) -> (T, Option<i64>) {
    let fetch = async {
        let fetched = fetch.await;
        (fetched, FIRST_MS.with(Cell::get))
    };
    FIRST_MS.scope(Cell::new(None), fetch).await
}

/// Notes the time of a call that was answered.
pub(super) fn note(sent_ms: i64) {
    // Calls outside of a fetch are of no page.
    let _ = FIRST_MS.try_with(|first_ms| {
        first_ms.set(Some(first_ms.get().map_or(sent_ms, |first_ms| first_ms.min(sent_ms))));
    });
}

/// The time now, by our clock: another one for each call of this process, so that no two pages have the same version.
pub(crate) fn now_ms() -> i64 {
    static LAST_MS: AtomicI64 = AtomicI64::new(0);
    let now_ms = Utc::now().timestamp_millis();
    let last_ms =
        LAST_MS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last_ms| Some(after(last_ms, now_ms)));
    last_ms.map_or(now_ms, |last_ms| after(last_ms, now_ms))
}

fn after(last_ms: i64, now_ms: i64) -> i64 {
    let is_near = (now_ms..now_ms.saturating_add(MAX_AHEAD_MS)).contains(&last_ms);
    if is_near { last_ms + 1 } else { now_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fetch_is_as_old_as_its_first_call() {
        let calls = async {
            for sent_ms in [7, 5, 9] {
                note(sent_ms);
            }
        };
        assert_eq!(first_of(calls).await.1, Some(5));
        assert_eq!(first_of(async {}).await.1, None);
        note(3);
    }

    #[test]
    fn no_two_times_are_the_same() {
        assert_ne!(now_ms(), now_ms());
        assert_eq!(after(10, 10), 11);
        assert_eq!(after(12, 10), 13);
        assert_eq!(after(9, 10), 10);
    }

    #[test]
    fn a_clock_that_was_set_back_is_followed() {
        assert_eq!(after(5_000, 1_000), 1_000);
    }
}
