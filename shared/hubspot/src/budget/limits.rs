//! HubSpot's rate limits, and their values in answers.

use std::time::Duration;

/// Time in which a limit counts calls.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The rate limits that HubSpot counts separately.
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

/// Limits in the headers of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max: Option<f64>,
    pub(crate) interval: Option<Duration>,
    pub(crate) remaining: Option<f64>,
    pub(crate) daily: Option<f64>,
    pub(crate) daily_remaining: Option<f64>,
}
