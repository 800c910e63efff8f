//! Costs of a backfill, before anything runs.

/// Calls that a backfill makes, as far as HubSpot's counts tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Records to read; `None` where HubSpot has no count of them.
    pub records: Option<u64>,
    pub general: u64,
    /// Those among them that are made because the history of properties is wanted.
    pub of_history: u64,
    pub search: u64,
    pub associations: u64,
    /// Parts that are not in it, or the way it was guessed.
    pub note: Option<&'static str>,
}

impl Estimate {
    pub fn calls(&self) -> u64 {
        self.general + self.search + self.associations
    }
}
