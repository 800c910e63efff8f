//! Faults of requests. They depend on the seed and on the number of the request, on nothing else.

use super::problem::Problem;
use crate::behaviour::Faults;
use crate::dice::Dice;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    InternalError,
    BadGateway,
    Unavailable,
    GatewayTimeout,
    OriginDown,
    Locked,
    Migrating,
    Reset,
    Truncated,
    LimitBurst,
    Slow,
}

/// Greatest number of requests in a burst of 429 answers.
const LONGEST_BURST: u64 = 6;

impl Fault {
    pub(crate) fn of(faults: &Faults, seed: u64, number: u64) -> Option<Self> {
        let is_in_burst = (0..LONGEST_BURST.min(number)).any(|back| {
            let mut dice = Dice::nth(seed ^ BURSTS, number - back);
            dice.chance(faults.limit_burst) && dice.below(LONGEST_BURST) >= back
        });
        if is_in_burst {
            return Some(Self::LimitBurst);
        }
        let shares = [
            (Self::InternalError, faults.internal_error),
            (Self::BadGateway, faults.bad_gateway),
            (Self::Unavailable, faults.unavailable),
            (Self::GatewayTimeout, faults.gateway_timeout),
            (Self::OriginDown, faults.origin_down),
            (Self::Locked, faults.locked),
            (Self::Migrating, faults.migrating),
            (Self::Reset, faults.reset),
            (Self::Truncated, faults.truncated),
            (Self::Slow, faults.slow),
        ];
        let mut left = Dice::nth(seed ^ FAULTS, number).fraction();
        shares.into_iter().find_map(|(fault, share)| {
            left -= share;
            (left < 0.0).then_some(fault)
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InternalError => "internal_error",
            Self::BadGateway => "bad_gateway",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway_timeout",
            Self::OriginDown => "origin_down",
            Self::Locked => "locked",
            Self::Migrating => "migrating",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::LimitBurst => "limit_burst",
            Self::Slow => "slow",
        }
    }

    /// Returns the answer in place of the right one, if the fault is an answer.
    pub(crate) fn problem(self, faults: &Faults) -> Option<Problem> {
        match self {
            Self::InternalError => Some(Problem::internal_error()),
            Self::BadGateway => Some(Problem::bad_gateway()),
            Self::Unavailable => Some(Problem::unavailable()),
            Self::GatewayTimeout => Some(Problem::gateway_timeout()),
            Self::OriginDown => Some(Problem::origin_down()),
            Self::Locked => Some(Problem::locked()),
            Self::Migrating => Some(Problem::migrating(faults.migration.as_secs())),
            Self::LimitBurst => Some(Problem::limit_reached("TEN_SECONDLY_ROLLING", None)),
            Self::Reset | Self::Truncated | Self::Slow => None,
        }
    }
}

const FAULTS: u64 = 0x6661_756c_7473;
const BURSTS: u64 = 0x6275_7273_7473;

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(seed: u64) -> Vec<Option<Fault>> {
        (1..5_000).map(|number| Fault::of(&Faults::mixed(), seed, number)).collect()
    }

    #[test]
    fn the_same_requests_fail_again() {
        assert_eq!(faults(3), faults(3));
        assert_ne!(faults(3), faults(4));
    }

    #[test]
    fn about_one_request_in_ten_fails_on_a_mixed_day() {
        let failed = faults(3).iter().filter(|fault| !matches!(fault, None | Some(Fault::Slow))).count();
        assert!((350..650).contains(&failed), "{failed}");
    }

    #[test]
    fn nothing_fails_without_faults() {
        assert!((1..1_000).all(|number| Fault::of(&Faults::none(), 1, number).is_none()));
    }
}
