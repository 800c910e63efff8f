//! The scopes of the credential, as HubSpot lists them, compared with those that each family needs: missing ones are
//! known before a call is refused.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Family;
use crate::client::Client;

/// A family whose scopes the credential lacks, with these scopes as text: `a or b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    pub family: &'static str,
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct TokenInfo {
    scopes: Vec<String>,
}

/// Reads the scopes of the credential; `None` where HubSpot does not answer them. Those of an OAuth app come with its
/// token; those of a service key or of a private app's token take a call
/// (<https://developers.hubspot.com/docs/apps/legacy-apps/private-apps/overview>).
pub async fn granted_scopes(client: &Client) -> Option<BTreeSet<String>> {
    if let Some(scopes) = client.token_scopes().await {
        return Some(scopes.into_iter().collect());
    }
    let answer = client.token_info().await.inspect_err(|failed| {
        // Its words may repeat what was sent.
        tracing::debug!("HubSpot does not answer the scopes of the credential: {:?}", failed.kind());
    });
    let info: TokenInfo = serde_json::from_str(&answer.ok()?).ok()?;
    (!info.scopes.is_empty()).then(|| info.scopes.into_iter().collect())
}

/// Returns those of the families that fill a collection and whose scopes were not granted.
pub fn lacking(families: &[&'static Family], granted: &BTreeSet<String>) -> Vec<Lacking> {
    let of_family = |family: &Family| -> Vec<String> {
        let is_granted = |row: &&&[&str]| row.iter().any(|scope| granted.contains(*scope));
        family.scopes.iter().filter(|row| !is_granted(row)).map(|row| row.join(" or ")).collect()
    };
    families
        .iter()
        .filter(|family| !family.fills.is_empty())
        .map(|family| Lacking { family: family.name, scopes: of_family(family) })
        .filter(|lacking| !lacking.scopes.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::FAMILIES;
    use super::*;

    fn all_but(missing: &[&str]) -> BTreeSet<String> {
        let scopes = FAMILIES.iter().flat_map(|family| family.scopes.iter().flat_map(|row| row.iter()));
        scopes.filter(|scope| !missing.contains(scope)).map(|scope| (*scope).to_owned()).collect()
    }

    fn lacking(granted: &BTreeSet<String>) -> Vec<Lacking> {
        super::lacking(&FAMILIES.iter().collect::<Vec<_>>(), granted)
    }

    #[test]
    fn what_is_missing_is_named_by_family() {
        assert!(lacking(&all_but(&["communication_preferences.statuses.batch.read"])).is_empty());
        let lacking = lacking(&all_but(&["crm.lists.read", "crm.segments.read", "forms"]));
        let shown: Vec<(&str, &str)> =
            lacking.iter().map(|lacking| (lacking.family, lacking.scopes[0].as_str())).collect();
        let lists = "crm.lists.read or crm.segments.read";
        let expected = [
            ("list memberships", lists),
            ("lists", lists),
            ("forms", "forms"),
            ("form submissions", "forms"),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_of_several_scopes_is_enough() {
        assert!(lacking(&all_but(&["crm.lists.read"])).is_empty());
        assert!(lacking(&all_but(&["crm.segments.read"])).is_empty());
    }
}
