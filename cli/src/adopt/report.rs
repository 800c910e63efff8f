//! Report on each table of Segment's, for people and for machines.

use crate::print::wrapped;
use std::collections::BTreeMap;
use std::fmt::Write;

use indicatif::HumanCount;
use serde::Serialize;
use warehouse::quote_identifier;

use super::rows::Found;

/// Most columns that a line names; the report for machines has all.
const MAX_NAMED: usize = 8;

/// Reason why a table is where it was.
pub(super) const NOT_READ: &str = "HubSpot was not read to its end, as the report of the collection says";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// The table is where it was.
    #[default]
    Left,
    /// It is aside, and its rows stay there.
    Aside,
    /// It is aside, and its rows are not brought in yet.
    Waiting,
    /// It is aside, and its rows are staged for the next load.
    Staged,
    /// It is aside, and ours has the rows that HubSpot shows no more.
    BroughtIn,
}

/// A table of Segment's.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Adopted {
    pub(crate) step: Step,
    /// Reason why the rows are not brought in.
    pub(crate) reason: Option<String>,
    /// `null`: it has its name still.
    pub(crate) renamed_to: Option<String>,
    #[serde(flatten)]
    pub(crate) found: FoundReport,
    /// The statement that drops it, for whoever has compared.
    pub(crate) drop: Option<String>,
}

/// Counts of rows.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct FoundReport {
    pub(crate) rows: u64,
    /// Rows that HubSpot shows anyway, live or deleted.
    pub(crate) shown: u64,
    pub(crate) brought_in: u64,
    pub(crate) without_key: u64,
    pub(crate) repeated: u64,
    pub(crate) unparsed_values: u64,
    pub(crate) columns_aside: Vec<String>,
}

impl From<Found> for FoundReport {
    fn from(found: Found) -> FoundReport {
        let Found { rows, brought_in, without_key, repeated, unparsed_values, columns_aside } = found;
        let shown = rows.saturating_sub(brought_in + without_key + repeated);
        FoundReport { rows, shown, brought_in, without_key, repeated, unparsed_values, columns_aside }
    }
}

impl Adopted {
    pub(super) fn renamed(to: &str) -> Adopted {
        Adopted { step: Step::Waiting, renamed_to: Some(to.to_owned()), ..Adopted::default() }
    }

    pub(super) fn is(&mut self, step: Step, reason: &str) {
        (self.step, self.reason) = (step, Some(reason.to_owned()));
    }

    pub(super) fn is_brought_in(&mut self) {
        (self.step, self.reason) = (Step::BroughtIn, None);
    }

    pub(super) fn end(&mut self, schema: &str) {
        if self.step == Step::Left && self.reason.is_none() {
            self.is(Step::Left, NOT_READ);
        }
        if self.step == Step::Waiting && self.reason.is_none() {
            self.is(
                Step::Waiting,
                "the load failed, as the report of the collection says: run the same command again",
            );
        }
        let name = |table: &str| format!("DROP TABLE {}.{}", written(schema), written(table));
        self.drop = self
            .renamed_to
            .as_deref()
            .filter(|_| !matches!(self.step, Step::Waiting | Step::Staged))
            .map(name);
    }
}

/// Returns a name as a person writes it: quoted where it is no plain one.
fn written(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
    match name.bytes().all(is_plain) && !name.starts_with(|first: char| first.is_ascii_digit()) {
        true => name.to_owned(),
        false => quote_identifier(name),
    }
}

/// Returns the tables as text: a line for each, reasons, and what is left to do. Empty, if there are none.
pub(crate) fn text(tables: &BTreeMap<String, Adopted>) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let mut text = "Tables of Segment:\n".to_owned();
    for (name, adopted) in tables {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", wrapped(&format!("  {name}: {}", line(adopted)), 4));
    }
    let drops: Vec<&str> = tables.values().filter_map(|adopted| adopted.drop.as_deref()).collect();
    if !drops.is_empty() {
        text.push_str("They stay aside until you have compared them and drop them:\n");
        for drop in drops {
            let _ = writeln!(text, "  {drop};");
        }
    }
    text
}

/// The same for a command that does nothing else.
pub(super) fn all_text(tables: &BTreeMap<String, Adopted>, schema: &str) -> String {
    match tables.is_empty() {
        true => format!("the schema {schema} has no tables of Segment: there is nothing to adopt"),
        false => text(tables).trim_end().to_owned(),
    }
}

fn line(adopted: &Adopted) -> String {
    let mut parts = Vec::new();
    match &adopted.renamed_to {
        Some(to) => parts.push(format!("now {to}")),
        None => parts.push("left as it is".to_owned()),
    }
    let found = &adopted.found;
    if matches!(adopted.step, Step::BroughtIn | Step::Staged) {
        let mut count = |number: u64, what: &str| {
            if number > 0 {
                parts.push(format!("{} {what}", HumanCount(number)));
            }
        };
        count(found.rows, "rows");
        count(found.shown, "in HubSpot as well");
        let staged = if adopted.step == Step::Staged { "staged" } else { "brought in" };
        count(found.brought_in, staged);
        count(found.without_key, "without a key of HubSpot stay there");
        count(found.repeated, "older ones of the same id stay there");
        count(found.unparsed_values, "values in _unparsed");
    } else if found.rows > 0 {
        parts.push(format!("{} rows stay there", HumanCount(found.rows)));
    }
    parts.extend(adopted.reason.clone());
    if !found.columns_aside.is_empty() {
        let named = &found.columns_aside[..found.columns_aside.len().min(MAX_NAMED)];
        let more = if found.columns_aside.len() > MAX_NAMED { ", ..." } else { "" };
        let count = found.columns_aside.len();
        parts.push(format!("{count} columns are only there: {}{more}", named.join(", ")));
    }
    parts.join("; ")
}
