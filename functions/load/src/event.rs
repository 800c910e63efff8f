//! The event that the function is invoked with. The files in `events/` are examples of every way.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::{LostRows, Scope};

/// An event. The schedule's is empty, and means all pending files. An unknown field is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// The invoker, for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Collections to load; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collections: Option<Vec<String>>,
    /// Merge every staged file that the warehouse does not hold, whatever loads have reported: rebuilds tables that
    /// were dropped, without a call to HubSpot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// Accepts missing rows as removed: those that somebody deleted from a table, and records that HubSpot shows no
    /// more, however many they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_removals: bool,
    /// Confirms that contacts are forgotten whom HubSpot shows nowhere any more, however many they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_forgetting: bool,
    /// Load nothing; have the warehouse rewrite its files and remove old ones, where it does not do so by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maintain: bool,
    /// Load nothing; write the page about all runs into the bucket.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub report: bool,
    /// Load nothing; forget these persons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forget: Option<Asked>,
    /// Load nothing; make the staged files of each collection as few as can be, whatever their sizes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compact: bool,
    /// Invocations of the same work before this one.
    #[serde(skip_serializing_if = "is_zero")]
    pub continuation: u32,
}

/// Persons who are to be forgotten, and how.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<String>,
    /// Ids of contacts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<u64>,
    /// Count, and remove nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Keep e-mail events under a pseudonym; where nothing is said, the stack's setting holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pseudonymise: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vacuum_full: bool,
    /// Remove nothing; keep them out no more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lift: bool,
}

/// Without ids and addresses.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asked({} addresses, {} ids)", self.emails.len(), self.contacts.len())
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The invoker of a load that is told that something was staged.
const STAGED: &str = "staged";
/// The name of DynamoDB in the records of its stream.
const DYNAMODB: &str = "aws:dynamodb";

impl Event {
    /// Reads an event. Records of the stream of the state's table say that files were staged: all pending ones are due,
    /// whichever the records name.
    ///
    /// # Errors
    /// When it is neither an event of this function nor such records.
    pub fn of(event: Value) -> serde_json::Result<Event> {
        let records = event.get("Records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_of_stream = |record: &Value| record["eventSource"] == DYNAMODB;
        if !records.is_empty() && records.iter().all(is_of_stream) {
            return Ok(Event { trigger: Some(STAGED.to_owned()), ..Event::default() });
        }
        serde_json::from_value(event)
    }

    /// `true`: it says that something was staged, and comes once.
    pub fn is_of_staged_files(&self) -> bool {
        self.trigger.as_deref() == Some(STAGED)
    }

    pub fn scope(&self) -> Scope {
        match (self.replay, self.accept_removals || self.accept_forgetting) {
            (true, _) => Scope::Replay,
            // It is about tables, whether files wait for them or not.
            (false, true) => Scope::Everything,
            (false, false) => Scope::Pending,
        }
    }

    pub fn lost_rows(&self) -> LostRows {
        if self.accept_removals { LostRows::Accept } else { LostRows::Refuse }
    }

    /// Returns the event of the next invocation, which goes on with this load.
    pub fn next(&self) -> Event {
        Event {
            trigger: Some("continuation".to_owned()),
            continuation: self.continuation.saturating_add(1),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_stream_mean_all_that_is_pending() {
        let record = |source: &str| serde_json::json!({"eventSource": source, "eventName": "INSERT"});
        let staged = Event::of(serde_json::json!({"Records": [record(DYNAMODB), record(DYNAMODB)]})).unwrap();
        assert!(
            staged.is_of_staged_files() && staged.scope() == Scope::Pending && staged.collections.is_none()
        );
        for other in [vec![], vec![record("aws:sqs")], vec![record(DYNAMODB), record("aws:s3")]] {
            let refused = Event::of(serde_json::json!({"Records": other})).unwrap_err().to_string();
            assert!(refused.contains("Records"), "{refused}");
        }
        assert_eq!(Event::of(serde_json::json!({})).unwrap(), Event::default());
    }

    #[test]
    fn a_load_that_has_gone_on_for_ever_goes_on() {
        let last = Event { continuation: u32::MAX, replay: true, ..Event::default() };
        assert_eq!((last.next().continuation, last.next().scope()), (u32::MAX, Scope::Replay));
    }
}
