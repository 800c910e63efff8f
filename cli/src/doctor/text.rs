//! The findings as text: the parts of HubSpot's API, then collections. What is well is one line; what is not has its reason
//! and its cost.

use std::collections::BTreeMap;

use hubspot::families::of_custom_schemas;
use indicatif::HumanCount;

use super::findings::{FamilyFindings, Findings, MissingScopes};
use crate::print::wrapped;

/// Sentence on contacts that HubSpot has nowhere any more.
const DELETED_CONTACTS: &str = "\
contacts that HubSpot shows nowhere any more, after a privacy delete or 90 days in the recycle bin: with --hard-delete \
contacts, sync forgets them after 7 days, in all tables and files; --forget-deleted on or off says otherwise (a stack's \
parameters: HardDelete and ForgetDeleted)
";

/// Days before the end of a version from which on it is marked.
const SOON_DAYS: i64 = 180;

impl Findings {
    pub(super) fn text(&self) -> String {
        [
            self.account_text(),
            self.limits_text(),
            self.scopes_text(),
            self.families_text(),
            self.collections_text(),
            self.verdict(),
        ]
        .iter()
        .flat_map(|part| part.lines())
        .map(|line| wrapped(line, 2 + line.len() - line.trim_start().len()))
        .collect::<Vec<_>>()
        .join("\n")
    }

    fn account_text(&self) -> String {
        let account = &self.account;
        let mut text = format!("HubSpot account {}", account.id);
        let details = [
            ("type", &account.account_type),
            ("currency", &account.currency),
            ("data in", &account.data_hosting_location),
            ("time zone", &account.time_zone),
        ];
        for (name, value) in details {
            if let Some(value) = value {
                text.push_str(&format!(", {name} {value}"));
            }
        }
        text.push_str(&format!(", local time {}", account.local_time));
        text
    }

    fn limits_text(&self) -> String {
        let limits = &self.limits;
        let daily = match &limits.daily {
            Some(daily) => format!(
                "{} of {} calls of the day used, counted anew at {}",
                HumanCount(daily.used),
                HumanCount(daily.limit),
                daily.resets_at
            ),
            None => "calls of the day unknown".to_owned(),
        };
        format!(
            "limits: {} calls in 10 s, {} searches in 1 s, {} associations calls in 10 s; {daily}",
            limits.general_per_10_s, limits.search_per_s, limits.associations_per_10_s
        )
    }

    fn scopes_text(&self) -> String {
        let Some(missing) = &self.missing_scopes else {
            return "scopes: HubSpot does not tell those of this credential".to_owned();
        };
        if missing.is_empty() {
            return "scopes: the credential has all that are needed".to_owned();
        }
        let of_family =
            |missing: &MissingScopes| format!("{} for {}", missing.scopes.join(" and "), missing.family);
        let missing: Vec<String> = missing.iter().map(of_family).collect();
        format!("scopes: the credential lacks {}", missing.join("; "))
    }

    fn families_text(&self) -> String {
        let mut answering: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
        for family in self.families.iter().filter(|family| !family.is_missing()) {
            answering.entry((version(family), family.answers)).or_default().push(family.name);
        }
        let mut text = "\nparts of HubSpot's API:\n".to_owned();
        for ((version, answers), names) in answering {
            let sign = if answers == "yes" { '✓' } else { '-' };
            let not = if answers == "yes" { "" } else { ", not asked" };
            text.push_str(&format!("{sign} {version}{not}: {}\n", names.join(", ")));
        }
        for family in self.families.iter().filter(|family| family.is_missing()) {
            let reason = family.reason.as_deref().unwrap_or_default();
            let lost = match family.without_it.is_empty() {
                true if family.name == of_custom_schemas().name => "no custom object is read".to_owned(),
                true => "nothing is lost, no collection reads it".to_owned(),
                false => family.without_it.join("; "),
            };
            // What nobody reads is not missed.
            let sign = if family.needed_for.is_empty() { '!' } else { '✗' };
            let (name, version, answers) = (family.name, version(family), family.answers);
            text.push_str(&format!(
                "{sign} {name}, {version}: {answers}\n  {reason}\n  without it: {lost}\n"
            ));
        }
        text
    }

    fn collections_text(&self) -> String {
        let mut by_reasons: BTreeMap<(&str, &[String]), Vec<&str>> = BTreeMap::new();
        for (name, collection) in &self.collections {
            by_reasons.entry((collection.state, &collection.reasons)).or_default().push(name);
        }
        let mut text = "collections:\n".to_owned();
        for state in ["ok", "degraded", "skipped", "unavailable"] {
            for ((_, reasons), names) in by_reasons.iter().filter(|((of, _), _)| *of == state) {
                let sign = match state {
                    "ok" => '✓',
                    "degraded" => '!',
                    "unavailable" => '-',
                    _ => '✗',
                };
                text.push_str(&format!("{sign} {state}: {}\n", names.join(", ")));
                reasons.iter().for_each(|reason| text.push_str(&format!("    {reason}\n")));
            }
        }
        if self.collections.contains_key("contacts") {
            text.push_str(DELETED_CONTACTS);
        }
        text
    }

    fn verdict(&self) -> String {
        let named = |state: &str| -> Vec<&str> {
            let of_state = self.collections.iter().filter(|(_, collection)| collection.state == state);
            of_state.map(|(name, _)| *name).collect()
        };
        let (degraded, skipped, unavailable) = (named("degraded"), named("skipped"), named("unavailable"));
        let count = self.collections.len() - unavailable.len();
        let verdict = match (degraded.is_empty(), skipped.is_empty()) {
            (true, true) => format!("all {count} collections can be filled"),
            (false, true) => {
                format!("all {count} collections can be filled, but not in full: {}", degraded.join(", "))
            }
            _ => {
                format!("{} of {count} collections can't be filled: {}", skipped.len(), skipped.join(", "))
            }
        };
        match unavailable.is_empty() {
            true => verdict,
            false => format!("not available, and named by nobody: {}\n{verdict}", unavailable.join(", ")),
        }
    }
}

impl FamilyFindings {
    fn is_missing(&self) -> bool {
        !matches!(self.answers, "yes" | "not asked")
    }
}

/// Returns a family's version, and how long HubSpot supports it.
fn version(family: &FamilyFindings) -> String {
    let version = family.version;
    let Some((until, days_left)) = family.supported_until.zip(family.days_left) else {
        return format!("{version}, supported for an unknown time");
    };
    match days_left {
        ..=0 => format!("{version}, supported until {until}, past"),
        1..SOON_DAYS => format!("{version}, supported until {until}, in {days_left} days"),
        _ => format!("{version}, supported until {until}"),
    }
}
