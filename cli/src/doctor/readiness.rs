//! Readiness of collections: those that can be filled, by the families that answer.

use std::collections::BTreeSet;

use hubspot::families::{Fill, Role};

use super::probe::{Availability, Probed};

/// Readiness of one collection, with the reasons if it is not full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) collection: &'static str,
    pub(super) level: Level,
    /// One reason for each missing family.
    pub(super) reasons: Vec<String>,
}

/// Degree to which a collection can be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    /// It has rows, but some columns stay empty, or another call fills them with less detail.
    Degraded,
    /// The account, or the credential, does not have it, and nobody named it.
    Unavailable,
    /// It can't have rows.
    Skipped,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Degraded => "degraded",
            Level::Unavailable => "unavailable",
            Level::Skipped => "skipped",
        }
    }
}

/// Returns the readiness of all collections that the families fill, in their order. A family that was not probed is taken
/// to answer.
pub(super) fn readiness(probed: &[Probed], if_available: &BTreeSet<&'static str>) -> Vec<Readiness> {
    let mut collections: Vec<&'static str> = Vec::new();
    for fill in probed.iter().flat_map(|probed| &probed.fills) {
        if !collections.contains(&fill.collection) {
            collections.push(fill.collection);
        }
    }
    let of_collection = |collection: &'static str| {
        let mut readiness = of_collection(collection, probed);
        if readiness.level == Level::Skipped && if_available.contains(collection) {
            readiness.level = Level::Unavailable;
        }
        readiness
    };
    collections.into_iter().map(of_collection).collect()
}

fn of_collection(collection: &'static str, probed: &[Probed]) -> Readiness {
    let missing: Vec<(&Probed, &Fill)> = probed
        .iter()
        .filter(|probed| probed.availability.is_missing())
        .flat_map(|probed| probed.fills.iter().map(move |fill| (probed, fill)))
        .filter(|(_, fill)| fill.collection == collection)
        .collect();
    let losses = missing.iter().filter_map(|(probed, fill)| match fill.role {
        Role::Adds(lost) => Some(format!("{}: {lost}", because(probed))),
        Role::Needed | Role::StandsIn => None,
    });
    let losses: Vec<String> = losses.collect();
    let is_fatal = |fill: &Fill| match fill.role {
        Role::Needed => true,
        Role::StandsIn => !losses.is_empty(),
        Role::Adds(_) => false,
    };
    let fatal = missing.iter().filter(|(_, fill)| is_fatal(fill)).map(|(probed, _)| because(probed));
    let fatal: Vec<String> = fatal.collect();
    let (level, reasons) = match (fatal.is_empty(), losses.is_empty()) {
        (false, _) => (Level::Skipped, fatal),
        (true, false) => (Level::Degraded, losses),
        (true, true) => (Level::Ok, Vec::new()),
    };
    Readiness { collection, level, reasons }
}

fn because(probed: &Probed) -> String {
    let name = probed.family.name;
    match &probed.availability {
        Availability::MissingScope(_) => {
            format!("{name} is refused, it needs scope {}", probed.family.scopes_text())
        }
        Availability::Gone(_) => format!("{name} is gone"),
        Availability::Answers | Availability::Failed(_) | Availability::NotAsked(_) => {
            format!("{name} failed")
        }
    }
}

#[cfg(test)]
mod tests {
    use hubspot::families::FAMILIES;

    use super::*;

    /// Returns the readiness when all families but these answer.
    fn without(missing: &[(&str, Availability)]) -> Vec<Readiness> {
        let missing = |name| missing.iter().find(|(other, _)| *other == name).map(|(_, how)| how);
        let probed = FAMILIES.iter().map(|family| Probed {
            family,
            availability: missing(family.name).cloned().unwrap_or(Availability::Answers),
            fills: family.fills.to_vec(),
        });
        readiness(&probed.collect::<Vec<_>>(), &BTreeSet::from(["email_events"]))
    }

    fn level(readiness: &[Readiness], collection: &str) -> Level {
        readiness.iter().find(|readiness| readiness.collection == collection).unwrap().level
    }

    fn gone() -> Availability {
        Availability::Gone("404".to_owned())
    }

    #[test]
    fn everything_is_fine_when_all_answer() {
        let all = without(&[("form submissions", Availability::NotAsked("no form".to_owned()))]);
        // Segment's eleven, and the members of lists.
        assert_eq!(all.len(), 12);
        assert!(all.iter().all(|readiness| readiness.level == Level::Ok));
    }

    #[test]
    fn without_v1_contacts_are_poorer_and_profiles_are_lost() {
        let all = without(&[("contacts v1", gone())]);
        for poorer in ["contacts", "contact_identities", "form_submissions"] {
            assert_eq!(level(&all, poorer), Level::Degraded, "{poorer}");
        }
        assert_eq!(level(&all, "contact_identity_profiles"), Level::Skipped);
        assert_eq!(level(&all, "companies"), Level::Ok);
    }

    #[test]
    fn what_nobody_named_is_not_missed() {
        let scope = || Availability::MissingScope("403".to_owned());
        let all = without(&[("email events", scope()), ("deals", scope())]);
        assert_eq!(level(&all, "email_events"), Level::Unavailable);
        assert_eq!(level(&all, "deals"), Level::Skipped);
    }

    #[test]
    fn a_stand_in_is_missed_only_when_it_has_to_stand_in() {
        let scope = || Availability::MissingScope("403".to_owned());
        assert_eq!(level(&without(&[("forms", scope())]), "form_submissions"), Level::Ok);
        let both = without(&[("forms", scope()), ("contacts v1", gone())]);
        let submissions = both.iter().find(|readiness| readiness.collection == "form_submissions").unwrap();
        assert_eq!(submissions.level, Level::Skipped);
        assert_eq!(submissions.reasons, ["forms is refused, it needs scope forms"]);
    }
}
