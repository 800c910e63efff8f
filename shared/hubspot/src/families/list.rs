//! The list of families. A new one is an entry here; its version is a constant of [`version`].

use serde_json::json;

use super::{Family, Fill, Probe, Role};
use crate::budget::RateLimit;
use crate::call::Call;
use crate::encoding::percent_encoded;
use crate::version;

/// All families, in the order of the report.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "account info",
        about: "whose account it is, and in which time zone its day begins",
        version: version::ACCOUNT,
        scopes: &[&["oauth"]],
        fills: &[],
        paths: &["/account-info/*"],
        probe: Probe::Call(|| Call::get(format!("/account-info/{}/details", version::ACCOUNT))),
    },
    Family {
        name: "contacts",
        about: "records of contacts",
        version: version::OBJECTS,
        scopes: &[&["crm.objects.contacts.read"]],
        fills: OF_CONTACTS,
        paths: &["/crm/objects/*/contacts"],
        probe: Probe::Call(|| first_record("contacts")),
    },
    Family {
        name: "contact properties",
        about: "definitions of the properties of contacts: the columns",
        version: version::PROPERTIES,
        scopes: &[&["crm.schemas.contacts.read"]],
        fills: OF_CONTACTS,
        paths: &["/crm/properties/*/contacts"],
        probe: Probe::Call(|| one_property("contacts")),
    },
    Family {
        name: "contacts v1",
        about: "identities and form submissions of contacts",
        version: version::V1,
        scopes: &[&["crm.objects.contacts.read", "content"]],
        fills: &[
            adds("contacts", "lead_guid and form_submissions are NULL, added_at is createdate"),
            needed("contact_identity_profiles"),
            adds(
                "contact_identities",
                "only e-mail addresses, from the properties of the contacts: no LEAD_GUID, no timestamp",
            ),
            adds(
                "form_submissions",
                "read from the forms API, which tells no contact_id, page_id and page_title",
            ),
        ],
        paths: &["/contacts/v1"],
        probe: Probe::Call(|| {
            Call::get(format!("/contacts/{}/contact/vids/batch?vid=1&property=vid", version::V1))
        }),
    },
    Family {
        name: "list memberships",
        about: "the lists in which a contact is",
        version: version::LISTS,
        scopes: &[&["crm.lists.read", "crm.segments.read"]],
        fills: &[adds("contacts", "list_membership is NULL")],
        paths: &["/crm/lists/*/records"],
        probe: Probe::OfFirst("contacts", |id| {
            let body = json!({ "inputs": [{ "objectTypeId": "0-1", "recordId": id }] });
            let path = format!("/crm/lists/{}/records/memberships/batch/read", version::LISTS);
            Call::post(path, body.to_string(), RateLimit::General)
        }),
    },
    Family {
        name: "companies",
        about: "records of companies",
        version: version::OBJECTS,
        scopes: &[&["crm.objects.companies.read"]],
        fills: &[needed("companies")],
        paths: &["/crm/objects/*/companies"],
        probe: Probe::Call(|| first_record("companies")),
    },
    Family {
        name: "company properties",
        about: "definitions of the properties of companies: the columns",
        version: version::PROPERTIES,
        scopes: &[&["crm.schemas.companies.read"]],
        fills: &[needed("companies")],
        paths: &["/crm/properties/*/companies"],
        probe: Probe::Call(|| one_property("companies")),
    },
    Family {
        name: "deals",
        about: "records of deals",
        version: version::OBJECTS,
        scopes: &[&["crm.objects.deals.read"]],
        fills: &[needed("deals")],
        paths: &["/crm/objects/*/deals"],
        probe: Probe::Call(|| first_record("deals")),
    },
    Family {
        name: "deal properties",
        about: "definitions of the properties of deals: the columns",
        version: version::PROPERTIES,
        scopes: &[&["crm.schemas.deals.read"]],
        fills: &[needed("deals")],
        paths: &["/crm/properties/*/deals"],
        probe: Probe::Call(|| one_property("deals")),
    },
    Family {
        name: "deals with contacts",
        about: "associations of deals: associated_vids",
        version: version::ASSOCIATIONS,
        scopes: &[&["crm.objects.deals.read"], &["crm.objects.contacts.read"]],
        fills: &[adds("deals", "associated_vids is not read")],
        paths: &["/crm/associations/*/deals/contacts"],
        probe: Probe::OfFirst("deals", |id| associations(id, "contacts")),
    },
    Family {
        name: "deals with companies",
        about: "associations of deals: associated_company_ids",
        version: version::ASSOCIATIONS,
        scopes: &[&["crm.objects.deals.read"], &["crm.objects.companies.read"]],
        fills: &[adds("deals", "associated_company_ids is not read")],
        paths: &["/crm/associations/*/deals/companies"],
        probe: Probe::OfFirst("deals", |id| associations(id, "companies")),
    },
    Family {
        name: "lists",
        about: "lists of contacts; of other objects, the lists and their members",
        version: version::LISTS,
        scopes: &[&["crm.lists.read", "crm.segments.read"]],
        fills: &[needed("contact_lists"), needed("list_memberships")],
        paths: &["/crm/lists/*"],
        probe: Probe::Call(|| {
            let body = json!({
                "listIds": [], "processingTypes": [], "additionalProperties": [], "offset": 0, "count": 1,
                "objectTypeId": "0-1",
            });
            Call::post(format!("/crm/lists/{}/search", version::LISTS), body.to_string(), RateLimit::General)
        }),
    },
    Family {
        name: "forms",
        about: "forms: titles and types of submissions",
        version: version::FORMS,
        scopes: &[&["forms"]],
        fills: &[stands_in("form_submissions")],
        paths: &["/marketing/*/forms"],
        probe: Probe::Call(|| Call::get(format!("/marketing/{}/forms?limit=1", version::FORMS))),
    },
    Family {
        name: "form submissions",
        about: "submissions of a form",
        version: version::V1,
        scopes: &[&["forms"]],
        fills: &[stands_in("form_submissions")],
        paths: &["/form-integrations/v1"],
        probe: Probe::OfFirst("forms", |id| {
            let id = percent_encoded(id);
            Call::get(format!("/form-integrations/{}/submissions/forms/{id}?limit=1", version::V1))
        }),
    },
    Family {
        name: "email events",
        about: "what became of each marketing e-mail",
        version: version::V1,
        scopes: CONTENT,
        fills: &[needed("email_events")],
        paths: &["/email/public/v1/events"],
        probe: Probe::Call(|| email("events?limit=1")),
    },
    Family {
        name: "email campaigns",
        about: "marketing e-mails and their counters",
        version: version::V1,
        scopes: CONTENT,
        fills: &[needed("email_campaigns")],
        paths: &["/email/public/v1/campaigns"],
        probe: Probe::Call(|| email("campaigns/by-id?limit=1")),
    },
    Family {
        name: "subscription timeline",
        about: "changes of subscriptions, and the state after each",
        version: version::V1,
        scopes: CONTENT,
        fills: &[needed("email_subscriptions"), needed("email_subscription_event_changes")],
        paths: &["/email/public/v1/subscriptions/timeline"],
        probe: Probe::Call(|| email("subscriptions/timeline?limit=1")),
    },
    Family {
        name: "subscription status",
        about: "the subscriptions of one address",
        version: version::V1,
        scopes: CONTENT,
        fills: &[adds("email_subscriptions", "addresses outside the timeline can't be asked about")],
        paths: &["/email/public/v1/subscriptions"],
        probe: Probe::Call(|| email("subscriptions")),
    },
    Family {
        name: "communication preferences",
        about: "the subscriptions of many addresses; for Marketing Hub Enterprise",
        version: version::PREFERENCES,
        scopes: &[&["communication_preferences.statuses.batch.read"]],
        fills: &[],
        paths: &["/communication-preferences/*/statuses/batch"],
        probe: Probe::Call(|| {
            let path = format!(
                "/communication-preferences/{}/statuses/batch/read?channel=EMAIL",
                version::PREFERENCES
            );
            Call::post(path, r#"{"inputs":["nobody@example.com"]}"#, RateLimit::General)
        }),
    },
    Family {
        name: "oauth token",
        about: "new tokens for OAuth apps",
        version: version::OAUTH,
        scopes: &[],
        fills: &[],
        paths: &["/oauth/*/token"],
        probe: Probe::Never,
    },
];

const CONTENT: &[&[&str]] = &[&["content"]];

/// Collections that the feed of contacts fills, none of them without the records and their definitions.
const OF_CONTACTS: &[Fill] = &[
    needed("contacts"),
    needed("contact_identity_profiles"),
    needed("contact_identities"),
    needed("form_submissions"),
];

pub(super) const fn needed(collection: &'static str) -> Fill {
    Fill { collection, role: Role::Needed }
}

const fn adds(collection: &'static str, lost: &'static str) -> Fill {
    Fill { collection, role: Role::Adds(lost) }
}

const fn stands_in(collection: &'static str) -> Fill {
    Fill { collection, role: Role::StandsIn }
}

pub(super) fn first_record(object: &str) -> Call {
    Call::get(format!("/crm/objects/{}/{object}?limit=1&properties=hs_object_id", version::OBJECTS))
}

/// Returns the call for one property, which every object has: all of them would be hundreds of kilobytes.
pub(super) fn one_property(object: &str) -> Call {
    Call::get(format!("/crm/properties/{}/{object}/hs_object_id", version::PROPERTIES))
}

fn associations(deal: &str, other: &str) -> Call {
    let path = format!("/crm/associations/{}/deals/{other}/batch/read", version::ASSOCIATIONS);
    Call::post(path, json!({ "inputs": [{ "id": deal }] }).to_string(), RateLimit::Associations)
}

fn email(rest: &str) -> Call {
    Call::get(format!("/email/public/{}/{rest}", version::V1))
}
