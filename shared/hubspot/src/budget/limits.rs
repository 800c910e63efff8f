//! The limits that HubSpot counts calls in, and what its answers tell of them.

use std::time::Duration;

/// The time in which a limit counts calls.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The limits that HubSpot counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimit {
    General,
    Search,
    Associations,
}

impl RateLimit {
    pub const ALL: [RateLimit; 3] = [RateLimit::General, RateLimit::Search, RateLimit::Associations];

    pub fn name(self) -> &'static str {
        match self {
            RateLimit::General => "general",
            RateLimit::Search => "search",
            RateLimit::Associations => "associations",
        }
    }
}

/// What the headers of an answer say of the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max: Option<f64>,
    pub(crate) interval: Option<Duration>,
    pub(crate) remaining: Option<f64>,
    pub(crate) daily: Option<f64>,
    pub(crate) daily_remaining: Option<f64>,
}
