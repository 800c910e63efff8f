//! Columns that hold keys of other tables, for tests of relationships.

/// A column that holds the key of another table's row.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) to: &'static str,
    pub(crate) key: &'static str,
    /// Both are read together, so a missing row is a fault. Elsewhere HubSpot may have purged it, or the credential
    /// may not read it: a warning.
    pub(crate) is_strict: bool,
    /// A condition on the rows that are tested; `None`: all of them.
    pub(crate) only: Option<&'static str>,
}

const fn strict(table: &'static str, column: &'static str, to: &'static str, key: &'static str) -> Relation {
    Relation { table, column, to, key, is_strict: true, only: None }
}

const fn loose(table: &'static str, column: &'static str, to: &'static str, key: &'static str) -> Relation {
    Relation { table, column, to, key, is_strict: false, only: None }
}

pub(crate) const RELATIONS: &[Relation] = &[
    strict("pipeline_stages", "pipeline_id", "pipelines", "id"),
    strict("property_options", "property", "properties", "name"),
    strict("owner_teams", "owner_id", "owners", "id"),
    strict("team_users", "team_id", "teams", "id"),
    strict("contact_identities", "contact_id", "contact_identity_profiles", "contact_id"),
    loose("contact_identity_profiles", "canonical_vid", "contacts", "id"),
    loose("contacts", "merged_into_id", "contacts", "id"),
    loose("companies", "merged_into_id", "companies", "id"),
    loose("deals", "merged_into_id", "deals", "id"),
    loose("deals", "pipeline", "pipelines", "id"),
    loose("deals", "dealstage", "pipeline_stages", "id"),
    loose("tickets", "hs_pipeline", "pipelines", "id"),
    loose("tickets", "hs_pipeline_stage", "pipeline_stages", "id"),
    loose("contacts", "properties_hubspot_owner_id_value", "owners", "id"),
    loose("companies", "hubspot_owner_id", "owners", "id"),
    loose("deals", "hubspot_owner_id", "owners", "id"),
    loose("tickets", "hubspot_owner_id", "owners", "id"),
    loose("owner_teams", "team_id", "teams", "id"),
    loose("owners", "user_id", "account_users", "id"),
    loose("team_users", "user_id", "account_users", "id"),
    loose("account_users", "role_id", "roles", "id"),
    loose("account_users", "primary_team_id", "teams", "id"),
    loose("form_submissions", "form_id", "forms", "id"),
    loose("form_submissions", "contact_id", "contacts", "id"),
    loose("email_events", "email_campaign_id", "email_campaigns", "id"),
    loose(
        "email_subscription_event_changes",
        "email_subscription_event_id",
        "subscription_definitions",
        "id",
    ),
    // Lists of other objects are in no table.
    Relation {
        only: Some("object = 'contacts'"),
        ..loose("list_memberships", "list_id", "contact_lists", "id")
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hubspot::feeds::{known, shared};

    use super::*;

    #[test]
    fn columns_and_keys_are_in_the_dictionary() {
        let tables: BTreeMap<_, _> = known()
            .flat_map(|feed| feed.dictionary())
            .chain(shared())
            .map(|entry| (entry.name, entry))
            .collect();
        for relation in RELATIONS {
            let own = &tables[relation.table];
            let is_property = own.properties.is_some();
            assert!(
                is_property || own.columns.iter().any(|column| column.name == relation.column),
                "{relation:?}"
            );
            let to = &tables[relation.to];
            assert!(to.columns.iter().any(|column| column.name == relation.key), "{relation:?}");
            assert!(!relation.is_strict || !is_property, "{relation:?}");
        }
    }
}
