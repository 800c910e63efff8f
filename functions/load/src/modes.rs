//! Which tables keep their deleted rows, and which their past.

use warehouse::TableMode;

/// Modes by collection. Collections in neither list have soft deletes and no history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    /// `all`, or collections whose deleted rows leave the table.
    pub hard_delete: Vec<String>,
    /// Collections with a table of all versions of their rows beside them.
    pub history: Vec<String>,
}

/// Name that stands for all collections.
pub const ALL: &str = "all";

impl Modes {
    /// Checks the lists against the collections whose rows are read in sets: what leaves a set has no version that its
    /// past could begin or end at. Who configures a load names them, since no staged file has told yet.
    ///
    /// # Errors
    /// The message names the collection that can't have the mode, the reason and the next step.
    pub fn check<S: AsRef<str>>(&self, in_sets: &[S]) -> Result<(), String> {
        match self.history.iter().find(|name| in_sets.iter().any(|set| set.as_ref() == *name)) {
            None => Ok(()),
            Some(name) => Err(format!(
                "{name} can't have a history, since its rows come and go in sets, without versions of their own: leave \
                 it out; its deleted rows stay in the table unless it has hard deletes"
            )),
        }
    }

    pub fn of(&self, collection: &str) -> TableMode {
        let is_named = |names: &[String]| names.iter().any(|name| name == collection);
        TableMode {
            hard_delete: is_named(&self.hard_delete) || self.hard_delete.iter().any(|name| name == ALL),
            history: is_named(&self.history),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_history_of_sets_is_refused() {
        let with_history = |names: &[&str]| Modes { history: list(names), ..Modes::default() };
        let in_sets = ["members"];
        assert_eq!(with_history(&["contacts", "deals"]).check(&in_sets), Ok(()));
        let refused = with_history(&["contacts", "members"]).check(&in_sets).unwrap_err();
        assert!(refused.starts_with("members can't have a history"), "{refused}");
        let hard_delete = Modes { hard_delete: list(&["members"]), ..Modes::default() };
        assert_eq!(hard_delete.check(&in_sets), Ok(()));
    }

    #[test]
    fn all_is_for_deletes() {
        let modes = Modes { hard_delete: list(&["deals"]), history: list(&["contacts"]) };
        assert_eq!(modes.of("deals"), TableMode { hard_delete: true, history: false });
        assert_eq!(modes.of("contacts"), TableMode { hard_delete: false, history: true });
        let all = Modes { hard_delete: list(&["all"]), history: list(&["all"]) };
        assert_eq!(all.of("forms"), TableMode { hard_delete: true, history: false });
    }
}
