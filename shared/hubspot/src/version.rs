//! The API version of each family, and the end of its support.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{Months, NaiveDate};

use crate::call::Call;

/// Version of the records of CRM objects.
pub(crate) const OBJECTS: &str = "2026-09";
pub(crate) const PROPERTIES: &str = "2026-09";
/// Version of the schemas of custom objects.
pub(crate) const SCHEMAS: &str = "2026-09";
pub(crate) const ASSOCIATIONS: &str = "2026-09";
/// Version of the counts of records, and of the objects that an account may activate.
pub(crate) const LIMITS: &str = "2026-09";
/// Version of lists and their memberships.
pub(crate) const LISTS: &str = "2026-09";
pub(crate) const PREFERENCES: &str = "2026-09";
pub(crate) const PIPELINES: &str = "2026-09";
pub(crate) const OWNERS: &str = "2026-09";
pub(crate) const CURRENCIES: &str = "2026-09";
/// Version of marketing e-mails.
pub(crate) const EMAILS: &str = "2026-09";
/// Version of marketing campaigns, which are no e-mail campaigns.
pub(crate) const CAMPAIGNS: &str = "2026-09";
/// Version of marketing events.
pub(crate) const EVENTS: &str = "2026-09";
/// Version of workflows, which have no dated one that is not a beta.
pub(crate) const FLOWS: &str = "2026-09-beta";
/// Version of the users, roles and teams in an account's settings, of which 2026-09 is a beta.
pub(crate) const USERS: &str = "2026-03";
pub(crate) const ACCOUNT: &str = "2026-09";
pub(crate) const OAUTH: &str = "2026-09";
/// Version of forms, whose dated versions are still betas.
pub(crate) const FORMS: &str = "v3";
/// Version of contacts, form submissions, e-mail events, campaigns and subscriptions that have no newer one.
pub(crate) const V1: &str = "v1";

/// The first day on which the version is not supported any more; what becomes of its calls then, HubSpot does not say.
/// A dated version lives for eighteen months
/// (<https://developers.hubspot.com/docs/developer-tooling/platform/versioning>), v1 to v3 until September 2027
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

/// The dated version that we ask for, and the one before it: their answers are the same for all that we read
/// (<https://developers.hubspot.com/docs/developer-tooling/platform/versioning>).
const DATED: &str = "2026-09";
const BEFORE: &str = "2026-03";

/// Versions that answer, by part of the API, as far as a run has seen. A part is a path up to its version.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    falls_back: Mutex<BTreeMap<String, bool>>,
}

impl Versions {
    /// Returns the call in the version that is known to answer.
    pub(crate) fn as_answered<'c>(&self, call: &'c Call) -> Cow<'c, Call> {
        let is_older = part(call).is_some_and(|part| self.known(part) == Some(true));
        match older(call).filter(|_| is_older) {
            Some(older) => Cow::Owned(older),
            None => Cow::Borrowed(call),
        }
    }

    /// Returns the call in the version before, unless its own is known to answer.
    pub(crate) fn older(&self, call: &Call) -> Option<Call> {
        let part = part(call)?;
        self.known(part).is_none().then(|| older(call)).flatten()
    }

    /// Notes that the call's version has answered.
    pub(crate) fn answers(&self, call: &Call) {
        if let Some(part) = part(call)
            && self.known(part).is_none()
        {
            self.lock().insert(part.to_owned(), false);
        }
    }

    /// Notes that the version before has answered, and the call's own has not.
    pub(crate) fn falls_back(&self, call: &Call) {
        if let Some(part) = part(call) {
            tracing::warn!("{part}{DATED} does not answer: the run calls {BEFORE} from now on");
            self.lock().insert(part.to_owned(), true);
        }
    }

    fn known(&self, part: &str) -> Option<bool> {
        self.lock().get(part).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, bool>> {
        self.falls_back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn part(call: &Call) -> Option<&str> {
    let path = call.path.split('?').next()?;
    path.find(DATED).map(|at| &path[..at])
}

fn older(call: &Call) -> Option<Call> {
    part(call)?;
    Some(Call { path: call.path.replacen(DATED, BEFORE, 1), ..call.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_its_version_lacks_is_asked_for_in_the_one_before() {
        let (versions, lists) = (Versions::default(), Call::get("/crm/lists/2026-09/search?x=2026-09"));
        let older = versions.older(&lists).unwrap();
        assert_eq!(older.path, "/crm/lists/2026-03/search?x=2026-09");
        versions.falls_back(&lists);
        assert_eq!(versions.as_answered(&lists).path, older.path);
        let objects = Call::get("/crm/objects/2026-09/deals");
        assert_eq!(versions.as_answered(&objects).path, objects.path);
        versions.answers(&objects);
        assert!(versions.older(&objects).is_none(), "it has answered: what is missing is not the version");
        assert!(versions.older(&Call::get("/email/public/v1/events?a=2026-09")).is_none());
    }

    #[test]
    fn a_dated_version_lives_for_eighteen_months() {
        let until = |version| supported_until(version).unwrap().to_string();
        assert_eq!(until("2026-09"), "2028-03-01");
        assert_eq!(until("2027-03"), "2028-09-01");
        assert_eq!(until("v3"), "2027-09-01");
        assert_eq!(supported_until("2026-09-beta"), None);
    }
}
