//! Which tables keep their deleted rows, and which their past.

use warehouse::TableMode;

/// By collection. What no list names keeps its deleted rows, and no past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes {
    /// `all`, or collections whose deleted rows leave the table.
    pub hard_delete: Vec<String>,
    /// Collections with a table of all versions of their rows beside them.
    pub history: Vec<String>,
}

/// Stands for all collections.
pub const ALL: &str = "all";

impl Modes {
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

    #[test]
    fn all_is_for_deletes() {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let modes = Modes { hard_delete: list(&["deals"]), history: list(&["contacts"]) };
        assert_eq!(modes.of("deals"), TableMode { hard_delete: true, history: false });
        assert_eq!(modes.of("contacts"), TableMode { hard_delete: false, history: true });
        let all = Modes { hard_delete: list(&["all"]), history: list(&["all"]) };
        assert_eq!(all.of("forms"), TableMode { hard_delete: true, history: false });
    }
}
