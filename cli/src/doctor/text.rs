//! The findings as text: two tables, and below each the next steps. Colours appear on a terminal only, and repeat what
//! the words say.

use comfy_table::{Cell, Color, LineStyle, Table, presets};
use hubspot::families::of_custom_schemas;
use indicatif::HumanCount;

use super::findings::{FamilyFindings, Findings, MissingScopes};
use crate::report::new_table;

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
        let mut table = dense(&["API family", "version", "supported until", "answers", "needed for"]);
        for family in &self.families {
            table.add_row(vec![
                Cell::new(family.name),
                Cell::new(family.version),
                until(family),
                Cell::new(family.answers).fg(answer_color(family)),
                Cell::new(match family.needed_for.is_empty() {
                    true => "-".to_owned(),
                    false => family.needed_for.join(", "),
                }),
            ]);
        }
        let mut text = format!("\n{table}\n");
        for family in self.families.iter().filter(|family| family.is_missing()) {
            let reason = family.reason.as_deref().unwrap_or_default();
            let lost = match family.without_it.is_empty() {
                true if family.name == of_custom_schemas().name => "no custom object is read".to_owned(),
                true => "nothing is lost, no collection reads it".to_owned(),
                false => family.without_it.join("; "),
            };
            text.push_str(&format!("{}: {reason}\n  without it: {lost}\n", family.name));
        }
        text
    }

    fn collections_text(&self) -> String {
        let mut table = dense(&["collection", "state", "why"]);
        for (name, collection) in &self.collections {
            let color = match collection.state {
                "ok" => Color::Green,
                "degraded" => Color::Yellow,
                "unavailable" => Color::Reset,
                _ => Color::Red,
            };
            table.add_row(vec![
                Cell::new(name),
                Cell::new(collection.state).fg(color),
                Cell::new(collection.reasons.join("\n")),
            ]);
        }
        format!("{table}\n")
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

/// Makes a table without lines between rows, so that all of it fits a screen.
fn dense(header: &[&str]) -> Table {
    let mut table = new_table(header);
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table
}

fn until(family: &FamilyFindings) -> Cell {
    let Some((until, days_left)) = family.supported_until.zip(family.days_left) else {
        return Cell::new("unknown");
    };
    match days_left {
        ..=0 => Cell::new(format!("{until}, past")).fg(Color::Red),
        1..SOON_DAYS => Cell::new(format!("{until}, in {days_left} days")).fg(Color::Yellow),
        _ => Cell::new(until.to_string()),
    }
}

fn answer_color(family: &FamilyFindings) -> Color {
    match family.answers {
        "yes" => Color::Green,
        "not asked" => Color::Reset,
        // What nobody reads is not missed.
        _ if family.needed_for.is_empty() => Color::Yellow,
        _ => Color::Red,
    }
}
