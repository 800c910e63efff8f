//! The API version of each family, in one place, and how long HubSpot supports it.

use chrono::{Months, NaiveDate};

/// Records of contacts, companies and deals.
pub(crate) const OBJECTS: &str = "2026-09";
pub(crate) const PROPERTIES: &str = "2026-09";
pub(crate) const ASSOCIATIONS: &str = "2026-09";
/// Lists and their memberships.
pub(crate) const LISTS: &str = "2026-09";
pub(crate) const PREFERENCES: &str = "2026-09";
pub(crate) const ACCOUNT: &str = "2026-09";
pub(crate) const OAUTH: &str = "2026-09";
/// Dated versions of this one are still betas.
pub(crate) const FORMS: &str = "v3";
/// Contacts, form submissions, e-mail events, campaigns and subscriptions: nothing came after it.
pub(crate) const V1: &str = "v1";

/// The first day on which the version is not supported any more; what becomes of its calls then, HubSpot does not
/// say. A dated version lives for eighteen months (<https://developers.hubspot.com/docs/developer-tooling/platform/versioning>),
/// v1 to v3 until September 2027
/// (<https://developers.hubspot.com/changelog/legacy-apis-and-legacy-apps-whats-going-unsupported-and-when>), and v4
/// until a day of its own (<https://developers.hubspot.com/changelog/deprecating-support-for-hubspot-v4-apis>).
pub(crate) fn supported_until(version: &str) -> Option<NaiveDate> {
    match version {
        "v1" | "v2" | "v3" => NaiveDate::from_ymd_opt(2027, 9, 1),
        "v4" => NaiveDate::from_ymd_opt(2027, 3, 30),
        dated => {
            let (year, month) = dated.split_once('-')?;
            let appeared = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1)?;
            appeared.checked_add_months(Months::new(18))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_version_lives_for_eighteen_months() {
        let until = |version| supported_until(version).unwrap().to_string();
        assert_eq!(until("2026-09"), "2028-03-01");
        assert_eq!(until("2027-03"), "2028-09-01");
        assert_eq!(until("v3"), "2027-09-01");
        assert_eq!(supported_until("2026-09-beta"), None);
    }
}
