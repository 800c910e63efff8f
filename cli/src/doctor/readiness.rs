//! Which collections can be filled, given which families answer.

use super::{Fill, Outcome, Probed, Role, collections};

/// How well one collection can be filled, and why not better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub collection: &'static str,
    pub state: State,
    /// One for each family that is missed.
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ok,
    /// Rows come, but some columns stay empty, or a poorer call fills them.
    Degraded,
    /// No rows can come.
    Skipped,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Degraded => "degraded",
            State::Skipped => "skipped",
        }
    }
}

/// Of all collections. A family that was not asked is taken to answer.
pub fn readiness(probed: &[Probed]) -> Vec<Readiness> {
    collections().into_iter().map(|collection| of_collection(collection, probed)).collect()
}

fn of_collection(collection: &'static str, probed: &[Probed]) -> Readiness {
    let missing: Vec<(&Probed, &Fill)> = probed
        .iter()
        .filter(|probed| probed.outcome.is_missing())
        .flat_map(|probed| probed.family.fills.iter().map(move |fill| (probed, fill)))
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
    let (state, reasons) = match (fatal.is_empty(), losses.is_empty()) {
        (false, _) => (State::Skipped, fatal),
        (true, false) => (State::Degraded, losses),
        (true, true) => (State::Ok, Vec::new()),
    };
    Readiness { collection, state, reasons }
}

fn because(probed: &Probed) -> String {
    let name = probed.family.name;
    match &probed.outcome {
        Outcome::MissingScope(_) => {
            format!("{name} is refused, it needs scope {}", probed.family.scopes_text())
        }
        Outcome::Gone(_) => format!("{name} is gone"),
        Outcome::Answers | Outcome::Failed(_) | Outcome::NotAsked(_) => format!("{name} failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::FAMILIES;
    use super::*;

    /// Everything answers but these.
    fn without(missing: &[(&str, Outcome)]) -> Vec<Readiness> {
        let outcome = |name| missing.iter().find(|(other, _)| *other == name).map(|(_, outcome)| outcome);
        let probed = FAMILIES.iter().map(|family| Probed {
            family,
            outcome: outcome(family.name).cloned().unwrap_or(Outcome::Answers),
        });
        readiness(&probed.collect::<Vec<_>>())
    }

    fn state(readiness: &[Readiness], collection: &str) -> State {
        readiness.iter().find(|readiness| readiness.collection == collection).unwrap().state
    }

    fn gone() -> Outcome {
        Outcome::Gone("404".to_owned())
    }

    #[test]
    fn everything_is_fine_when_all_answer() {
        let all = without(&[("form submissions", Outcome::NotAsked("no form".to_owned()))]);
        assert_eq!(all.len(), 11);
        assert!(all.iter().all(|readiness| readiness.state == State::Ok));
    }

    #[test]
    fn without_v1_contacts_are_poorer_and_profiles_are_lost() {
        let all = without(&[("contacts v1", gone())]);
        for poorer in ["contacts", "contact_identities", "form_submissions"] {
            assert_eq!(state(&all, poorer), State::Degraded, "{poorer}");
        }
        assert_eq!(state(&all, "contact_identity_profiles"), State::Skipped);
        assert_eq!(state(&all, "companies"), State::Ok);
    }

    #[test]
    fn a_stand_in_is_missed_only_when_it_has_to_stand_in() {
        let scope = || Outcome::MissingScope("403".to_owned());
        assert_eq!(state(&without(&[("forms", scope())]), "form_submissions"), State::Ok);
        let both = without(&[("forms", scope()), ("contacts v1", gone())]);
        let submissions = both.iter().find(|readiness| readiness.collection == "form_submissions").unwrap();
        assert_eq!(submissions.state, State::Skipped);
        assert_eq!(submissions.reasons, ["forms is refused, it needs scope forms"]);
    }
}
