//! The report of a sync for people: a line for each collection in which something happened, one for all that are
//! unchanged, reasons, and a verdict. Lines with names and numbers fit 80 columns.

use std::collections::BTreeMap;
use std::fmt::Write;

use extract::{End, Outcome};
use indicatif::HumanCount;
use load::{CollectionForgotten, ForgetReport};

use super::{CollectionReport, Report};
use crate::print::{self, WIDTH};

impl Report {
    /// Returns the report for people.
    pub(crate) fn text(&self) -> String {
        text(self)
    }
}

fn text(report: &Report) -> String {
    let (unchanged, others): (Vec<_>, Vec<_>) =
        report.collections.iter().partition(|(_, collection)| is_unchanged(collection));
    let widest = others.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, collection) in others {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {name:widest$}  {}", sign(collection), counts(collection));
    }
    if !unchanged.is_empty() {
        let names: Vec<&str> = unchanged.iter().map(|(name, _)| name.as_str()).collect();
        let lead = format!("✓ {} unchanged: ", names.len());
        text.push_str(&wrapped(&lead, &names));
    }
    for (what, reason, names) in reasons(report) {
        let names = print::wrapped(&format!("{what}: {}", names.join(", ")), 2);
        let _ = writeln!(text, "\n{names}\n{}", print::wrapped(&format!("  {reason}"), 2));
    }
    let adopted = crate::adopt::text(&report.adopted);
    if !adopted.is_empty() {
        let _ = write!(text, "\n{adopted}");
    }
    if let Some(forgotten) = &report.forgotten {
        let lines: Vec<String> = removed(forgotten).lines().map(|line| print::wrapped(line, 2)).collect();
        let _ = writeln!(text, "\n{}", lines.join("\n"));
    }
    if let Some(reason) = &report.not_forgotten {
        let _ = writeln!(text, "\n{}", print::wrapped(reason, 2));
    }
    let _ = write!(text, "\n{}\n{}", verdict(report), costs(report));
    text
}

/// Returns how contacts were forgotten that HubSpot shows no more.
fn removed(report: &ForgetReport) -> String {
    let (ids, addresses) = (HumanCount(report.ids), HumanCount(report.addresses));
    let rows: u64 = report.collections.values().map(CollectionForgotten::rows).sum();
    let mut text = match report.outcome.as_str() {
        "forgotten" => format!(
            "HubSpot shows {ids} contacts nowhere any more: they are forgotten, with {addresses} addresses \
             and {} rows.",
            HumanCount(rows)
        ),
        _ if report.ids == 0 => String::new(),
        _ => format!("HubSpot shows {ids} contacts nowhere any more: the next sync goes on forgetting them."),
    };
    for (name, why) in &report.left {
        let _ = write!(text, "{}{name}: {why}", if text.is_empty() { "" } else { "\n  " });
    }
    text
}

fn is_unchanged(collection: &CollectionReport) -> bool {
    collection.outcome == Outcome::Complete
        && collection.degraded.is_empty()
        && collection.reconciled.is_empty()
        && collection.rows == 0
        && collection.merged_rows == 0
}

fn sign(collection: &CollectionReport) -> char {
    match collection.outcome.end() {
        End::Complete if collection.degraded.is_empty() => '✓',
        End::Failed => '✗',
        _ => '!',
    }
}

/// Returns what was read and merged, and what is odd about it: `605 rows · 27 deleted · 16 unparsed`.
fn counts(collection: &CollectionReport) -> String {
    let end = collection.outcome.end();
    let mut parts = Vec::new();
    if end != End::Complete {
        parts.push(end.name().to_owned());
    } else if !collection.degraded.is_empty() {
        parts.push("degraded".to_owned());
    }
    let mut count = |number: u64, what: &str| {
        if number > 0 {
            parts.push(format!("{} {what}", HumanCount(number)));
        }
    };
    count(collection.rows, if collection.rows == 1 { "row" } else { "rows" });
    count(collection.deleted, "deleted");
    // Nothing is said of what is as usual: all that was read is merged.
    if collection.merged_rows != collection.rows {
        count(collection.merged_rows, "merged");
    }
    count(collection.unparsed_values, "unparsed");
    count(collection.forgotten, "forgotten");
    count(collection.quarantined_count, "set aside");
    if parts.is_empty() { "nothing new".to_owned() } else { parts.join(" · ") }
}

/// Returns names behind a lead, in lines that fit.
fn wrapped(lead: &str, names: &[&str]) -> String {
    let (mut text, mut line) = (String::new(), lead.to_owned());
    for (place, name) in names.iter().enumerate() {
        let comma = if place + 1 < names.len() { ", " } else { "" };
        if line.chars().count() + name.len() + comma.len() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = "  ".to_owned();
        }
        line.push_str(name);
        line.push_str(comma);
    }
    text + &line + "\n"
}

/// Returns reasons, each once, with all the collections that it holds for: what it explains, the reason, the names.
fn reasons(report: &Report) -> Vec<(&'static str, String, Vec<&str>)> {
    let mut reasons: BTreeMap<(&'static str, String), Vec<&str>> = BTreeMap::new();
    let mut add = |what: &'static str, reason: String, name| {
        reasons.entry((what, reason)).or_default().push(name);
    };
    for (name, collection) in &report.collections {
        if let Some(reason) = collection.outcome.reason() {
            add(collection.outcome.end().name(), reason.to_owned(), name);
        }
        for reason in &collection.degraded {
            add("degraded", reason.clone(), name);
        }
        for reconciled in &collection.reconciled {
            add("compared with HubSpot", reconciled.text(), name);
        }
    }
    for (name, reason) in &report.unavailable {
        add("not available", reason.clone(), name);
    }
    reasons.into_iter().map(|((what, reason), names)| (what, reason, names)).collect()
}

fn verdict(report: &Report) -> String {
    let all = report.collections.len();
    let others =
        report.collections.values().filter(|collection| collection.outcome != Outcome::Complete).count();
    let degraded = report.collections.values().filter(|collection| !collection.degraded.is_empty()).count();
    let are = if all == 1 { "1 collection is".to_owned() } else { format!("{all} collections are") };
    match (others, degraded) {
        (0, 0) => format!("Complete: {are} up to date."),
        (0, degraded) if degraded == all => format!("Complete: {are} up to date, and degraded."),
        (0, degraded) => format!("Complete: {are} up to date, {degraded} of them degraded."),
        (others, _) if all == 1 && others == 1 => {
            "Not complete: run again, or see the reasons above.".to_owned()
        }
        (others, _) => {
            format!("Not complete: {others} of {all} collections; run again, or see the reasons above.")
        }
    }
}

fn costs(report: &Report) -> String {
    let calls: u64 = report.api.values().map(|usage| usage.calls).sum();
    let refused: u64 = report.api.values().map(|usage| usage.rate_limited).sum();
    format!(
        "{} calls ({refused} refused by a limit), {:.1} s, {:.1} CPU s, {} MiB at the most\nrun {}",
        HumanCount(calls),
        report.seconds,
        report.cpu_seconds,
        report.peak_memory_bytes >> 20,
        report.run_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(rows: u64) -> CollectionReport {
        CollectionReport {
            outcome: Outcome::Complete,
            rows,
            merged_rows: rows,
            ..CollectionReport::default()
        }
    }

    fn report<const N: usize>(collections: [(&str, CollectionReport); N]) -> Report {
        Report {
            run_id: "run-1".to_owned(),
            collections: collections.map(|(name, collection)| (name.to_owned(), collection)).into(),
            unavailable: [("leads", "no scope".to_owned()), ("goals", "no scope".to_owned())].into(),
            adopted: BTreeMap::new(),
            forgotten: None,
            not_forgotten: None,
            api: BTreeMap::new(),
            seconds: 1.25,
            cpu_seconds: 0.5,
            peak_memory_bytes: 60 << 20,
        }
    }

    #[test]
    fn a_report_names_what_happened_and_folds_what_did_not() {
        let mut deleted = complete(1_605);
        deleted.deleted = 27;
        let mut degraded = complete(0);
        degraded.degraded.push("list_membership is NULL".to_owned());
        let failed = CollectionReport { outcome: Outcome::Failed("no".to_owned()), ..complete(0) };
        let report = report([
            ("contacts", deleted),
            ("companies", complete(0)),
            ("deals", complete(1)),
            ("email_events", complete(0)),
            ("forms", degraded),
            ("owners", failed),
        ]);
        insta::assert_snapshot!(text(&report));
    }

    #[test]
    fn unchanged_collections_fit_the_terminal() {
        let names: Vec<String> = (0..40).map(|number| format!("collection_{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = wrapped("✓ 40 unchanged: ", &names);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches("collection_").count(), 40);
        assert!(text.ends_with("collection_39\n"), "{text}");
    }
}
