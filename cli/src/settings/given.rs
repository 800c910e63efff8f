//! A value of a setting, and where it was given.

use std::fmt;

/// Values of a setting, and the place that gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// The place of a setting, from the weakest to the strongest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Top { place: String },
    Section { place: String },
    Environment(String),
}

impl Origin {
    pub(super) fn rank(&self) -> u8 {
        match self {
            Origin::Top { .. } => 0,
            Origin::Section { .. } => 1,
            Origin::Environment(_) => 2,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Top { place } | Origin::Section { place } => f.write_str(place),
            Origin::Environment(variable) => f.write_str(variable),
        }
    }
}
