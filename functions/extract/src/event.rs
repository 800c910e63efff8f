//! The event that the function is invoked with. The files in `events/` are examples of every way.

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use hubspot::feeds::{Mode, Window};
use serde::{Deserialize, Serialize};

use crate::Options;

/// An empty one is what the schedule sends: what is due. A field that is not known is an error, so that a misspelt
/// `since` can't read everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// The invoker; for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The feed to read, for the function that reads all further feeds; without one, it starts each that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// `backfill` or `incremental`; without one, an unfinished run goes on, and else what is due is read. `reconcile` or
    /// `refresh` stages a snapshot, to be compared with the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Only what changed or happened since this day or instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only what changed or happened until this day or instant; later runs are not moved by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Calls that may be spent on subscriptions of addresses outside the timeline.
    #[serde(skip_serializing_if = "is_zero")]
    pub address_calls: u64,
    /// Lists and campaigns that HubSpot stopped to show are gone, however many they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_removals: bool,
    /// Invocations of the same work before this one.
    #[serde(skip_serializing_if = "is_none_before")]
    pub continuation: u32,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_none_before(number: &u32) -> bool {
    *number == 0
}

impl Event {
    /// # Errors
    /// When `since` or `until` is no instant, or the window is empty.
    pub fn options(&self) -> anyhow::Result<Options> {
        let window = window(("since", self.since.as_deref()), ("until", self.until.as_deref()))?;
        if !window.is_whole() && self.mode.is_some_and(Mode::is_snapshot) {
            bail!("a snapshot is of everything: leave out since and until");
        }
        Ok(Options {
            mode: self.mode,
            window,
            address_calls: self.address_calls,
            accepts_removals: self.accept_removals,
            ..Options::default()
        })
    }

    /// The event with which the run goes on that this one began: an unfinished run does, if nothing else is asked for.
    /// A snapshot is a run of its own.
    pub fn next(&self) -> Event {
        Event {
            trigger: Some("continuation".to_owned()),
            feed: self.feed.clone(),
            mode: self.mode.filter(|mode| mode.is_snapshot()),
            address_calls: self.address_calls,
            accept_removals: self.accept_removals,
            continuation: self.continuation.saturating_add(1),
            ..Event::default()
        }
    }

    /// `true`: it is the schedule's, and asks for nothing but the due work.
    pub fn is_of_schedule(&self) -> bool {
        *self == Event { trigger: Some("schedule".to_owned()), ..Event::default() }
    }

    /// The event with which one of many feeds is started: everything else is the same.
    pub fn of_feed(&self, feed: &str) -> Event {
        Event { feed: Some(feed.to_owned()), ..self.clone() }
    }
}

/// A window from two named texts.
///
/// # Errors
/// When a text is no instant, or nothing lies between the two.
pub fn window(since: (&str, Option<&str>), until: (&str, Option<&str>)) -> anyhow::Result<Window> {
    let instant = |(name, text): (&str, Option<&str>)| text.map(|text| instant_ms(name, text)).transpose();
    let (since_ms, until_ms) = (instant(since)?, instant(until)?);
    if let (Some(since_ms), Some(until_ms)) = (since_ms, until_ms)
        && since_ms >= until_ms
    {
        bail!("{} is not before {}: nothing would be read", since.0, until.0);
    }
    if since_ms.is_some_and(|since_ms| since_ms > Utc::now().timestamp_millis()) {
        bail!("{} lies in the future: nothing would be read, now or later", since.0);
    }
    Ok(Window { since_ms, until_ms })
}

/// A day (its midnight, UTC) or an instant, in milliseconds.
pub fn instant_ms(name: &str, text: &str) -> anyhow::Result<i64> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    }
    let instant = DateTime::parse_from_rfc3339(text).with_context(|| {
        format!("{name} {text:?} is neither a day nor an instant: write 2026-09-01 or 2026-09-01T12:00:00Z")
    })?;
    Ok(instant.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_instants_are_understood() {
        assert_eq!(instant_ms("--since", "2026-09-01").unwrap(), 1_788_220_800_000);
        assert_eq!(instant_ms("--since", "2026-09-01T02:00:00+02:00").unwrap(), 1_788_220_800_000);
        let error = instant_ms("--since", "yesterday").unwrap_err().to_string();
        assert!(error.contains("--since \"yesterday\""), "{error}");
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let error =
            serde_json::from_str::<Event>(r#"{"mode": "backfill", "sinse": "2026-09-01"}"#).unwrap_err();
        assert!(error.to_string().contains("sinse"), "{error}");
        assert_eq!(serde_json::from_str::<Event>("{}").unwrap(), Event::default());
    }

    #[test]
    fn a_run_goes_on_as_it_is_and_not_from_its_start() {
        let text = r#"{"mode": "backfill", "since": "2026-09-01", "address_calls": 7}"#;
        let next = serde_json::from_str::<Event>(text).unwrap().next();
        assert_eq!((next.mode, next.since.as_deref(), next.continuation), (None, None, 1));
        assert_eq!(next.address_calls, 7);
        assert_eq!(next.next().continuation, 2);
        let last = Event { continuation: u32::MAX, ..Event::default() };
        assert_eq!(last.next().continuation, u32::MAX);
        let snapshot = serde_json::from_str::<Event>(r#"{"mode": "reconcile"}"#).unwrap().of_feed("notes");
        let next = snapshot.next();
        assert_eq!((next.mode, next.feed.as_deref()), (Some(Mode::Reconcile), Some("notes")));
    }

    #[test]
    fn a_snapshot_has_no_window() {
        let event = serde_json::from_str::<Event>(r#"{"mode": "refresh", "since": "2026-09-01"}"#).unwrap();
        assert!(event.options().unwrap_err().to_string().contains("snapshot"));
    }
}
