//! The collections that a new account may begin with: Segment's, and the further objects of which it has records.

use std::collections::BTreeMap;

use extract::CollectionNames;
use futures::stream::{StreamExt, iter};
use hubspot::feeds::{Estimate, Feed, Session, Window};
use serde::Serialize;

use super::cost::{Cost, estimate};
use crate::print::{say, wrapped};

/// Objects that are counted at once.
const AT_ONCE: usize = 4;

/// Calls that an object costs in a run in which nothing has changed: see the README.
const CALLS_OF_AN_UNCHANGED_OBJECT: u64 = 3;

#[derive(Debug, Serialize)]
pub(super) struct Recommended {
    /// The value for `--collections`, and for the parameter `Collections` of a stack.
    pub(super) collections: String,
    /// Calls of the first run of what is recommended beyond Segment's collections.
    pub(super) calls: u64,
    /// Calls of each run in which nothing of it has changed.
    pub(super) calls_of_a_run: u64,
    /// Records of each further object that is recommended.
    pub(super) records: BTreeMap<&'static str, u64>,
    /// Objects that have no records.
    pub(super) empty: Vec<&'static str>,
    /// Objects that are not activated in the account.
    pub(super) off: Vec<&'static str>,
    /// Objects that the account, or the credential, does not have, and why.
    pub(super) unavailable: BTreeMap<&'static str, String>,
}

/// Counts the records of all further objects, custom ones too. One that is not activated is not asked for; one that can't be counted is recommended, unless it
/// is not available.
///
/// # Errors
/// When HubSpot does not tell the account's custom objects, for another reason than that there can be none.
pub(super) async fn recommended(
    session: &Session,
    cost: impl Fn(&Estimate) -> Cost,
) -> anyhow::Result<Recommended> {
    let selection = CollectionNames::all().of_account(&session.client, Vec::new()).await?;
    let mut unavailable = BTreeMap::new();
    unavailable.extend(selection.note.clone().map(|note| ("custom objects", note)));
    // Which of the marketing tools an account has, a count does not tell: `all` reads whatever there is.
    let is_counted = |feed: &&'static dyn Feed| feed.snapshot().is_some() || feed.name() == "metadata";
    let feeds = selection.further().filter(is_counted);
    let (off, feeds): (Vec<_>, Vec<_>) = feeds.partition(|feed| session.counts.is_off(feed.name()));
    let off = off.into_iter().map(Feed::name).collect();
    let counted = iter(
        feeds.into_iter().map(|feed| async move { (feed, estimate(feed, session, Window::default()).await) }),
    );
    let (mut names, mut records, mut empty) = (vec!["segment"], BTreeMap::new(), Vec::new());
    let (mut calls, mut calls_of_a_run) = (0, 0);
    for (feed, estimate) in counted.buffered(AT_ONCE).collect::<Vec<_>>().await {
        let name = feed.name();
        match estimate {
            Ok(estimate) if estimate.records == Some(0) => empty.push(name),
            Ok(estimate) => {
                let at_first = cost(&estimate).calls;
                calls += at_first;
                // What has no records is read whole each time.
                let is_object = feed.snapshot().is_some();
                calls_of_a_run += if is_object { CALLS_OF_AN_UNCHANGED_OBJECT } else { at_first };
                records.extend(estimate.records.map(|count| (name, count)));
                names.push(name);
            }
            Err(error) if error.is_unavailable() => {
                unavailable.insert(name, error.to_string());
            }
            Err(error) => {
                say(&format!("{name}: {error:#}"));
                names.push(name);
            }
        }
    }
    Ok(Recommended { collections: names.join(","), calls, calls_of_a_run, records, empty, off, unavailable })
}

impl Recommended {
    pub(super) fn text(&self) -> String {
        let count = |number: u64| indicatif::HumanCount(number).to_string();
        // On a line of its own, however long that is: a copy of it has to work.
        let lead = format!("recommended for a new account:\n  --collections {}", self.collections);
        let mut lines = vec![format!(
            "  {} more calls at first, {} in each run without changes",
            count(self.calls),
            count(self.calls_of_a_run)
        )];
        let records: Vec<String> =
            self.records.iter().map(|(name, records)| format!("{name} {}", count(*records))).collect();
        if !records.is_empty() {
            lines.push(format!("  records: {}", records.join(", ")));
        }
        if !self.empty.is_empty() {
            lines.push(format!("  without records, so left out: {}", self.empty.join(", ")));
        }
        if !self.off.is_empty() {
            lines.push(format!("  not activated in the account, so left out: {}", self.off.join(", ")));
        }
        for (name, reason) in &self.unavailable {
            lines.push(format!("  {name} can't be read: {reason}"));
        }
        if !(self.empty.is_empty() && self.off.is_empty() && self.unavailable.is_empty()) {
            lines.push("  `--collections all` reads whatever there is, also what comes later".to_owned());
        }
        let lines = lines.iter().map(|line| wrapped(line, 4));
        std::iter::once(lead).chain(lines).collect::<Vec<_>>().join("\n")
    }
}
