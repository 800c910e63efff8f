//! CRM objects beyond contacts, companies and deals: the collection of each, HubSpot's name in paths, the scopes. An
//! entry here is all that a further object takes; [`crate::feeds::crm_objects`] makes a feed of each.
//!
//! Scopes and type ids are those of HubSpot's specifications of August 2026
//! (<https://github.com/HubSpot/HubSpot-public-api-spec-collection>). Activities have no scope of their own that could be
//! ticked in HubSpot; `crm.objects.contacts.read` reads them.

use super::list::{first_record, needed, one_property};
use super::{Family, Probe};
use crate::version;

/// An object of the CRM with the endpoints that contacts, companies and deals have.
#[derive(Debug)]
pub struct CrmObject {
    pub collection: &'static str,
    /// HubSpot's name in paths, or its `objectTypeId`.
    pub path: &'static str,
    /// HubSpot's `objectTypeId`.
    pub type_id: &'static str,
    pub(crate) snapshot: &'static str,
    pub about: &'static str,
    /// Its records, and the definitions of their properties.
    pub families: [Family; 2],
}

/// Defines objects: collection, name in paths, `objectTypeId`, scopes (one of each row), contents.
macro_rules! crm_objects {
    ($($collection:literal in $path:literal as $type_id:literal, $scopes:expr, $about:literal;)*) => {
        /// All of them, in the order in which they run.
        pub const CRM_OBJECTS: &[CrmObject] = &[$(CrmObject {
            collection: $collection,
            path: $path,
            type_id: $type_id,
            snapshot: concat!("_snapshot_", $collection),
            about: $about,
            families: [
                Family {
                    name: $collection,
                    about: concat!("records: ", $about),
                    version: version::OBJECTS,
                    scopes: $scopes,
                    fills: &[needed($collection)],
                    paths: &[concat!("/crm/objects/*/", $path)],
                    probe: Probe::Call(|| first_record($path)),
                },
                Family {
                    name: concat!($collection, " properties"),
                    about: concat!("definitions of the properties of ", $collection, ": the columns"),
                    version: version::PROPERTIES,
                    scopes: $scopes,
                    fills: &[needed($collection)],
                    paths: &[concat!("/crm/properties/*/", $path)],
                    probe: Probe::Call(|| one_property($path)),
                },
            ],
        }),*];
    };
}

const OF_CONTACTS: &[&[&str]] = &[&["crm.objects.contacts.read"]];
const OF_LINE_ITEMS: &[&[&str]] = &[&["crm.objects.line_items.read", "e-commerce"]];

crm_objects! {
    "tickets" in "tickets" as "0-5", &[&["tickets"]], "tickets of the help desk";
    "products" in "products" as "0-7", &[&["crm.objects.products.read", "e-commerce"]], "the product library";
    "line_items" in "line_items" as "0-8", OF_LINE_ITEMS, "items of deals, quotes and invoices: product, quantity, price";
    "quotes" in "quotes" as "0-14", &[&["crm.objects.quotes.read", "e-commerce"]], "quotes";
    "leads" in "leads" as "0-136", &[&["crm.objects.leads.read"]], "leads (Sales Hub Professional)";
    "calls" in "calls" as "0-48", OF_CONTACTS, "logged calls";
    "emails" in "emails" as "0-49", OF_CONTACTS, "one-to-one e-mails, not marketing e-mails";
    "meetings" in "meetings" as "0-47", OF_CONTACTS, "meetings";
    "notes" in "notes" as "0-46", OF_CONTACTS, "notes";
    "tasks" in "tasks" as "0-27", OF_CONTACTS, "tasks of people";
    "communications" in "communications" as "0-18", OF_CONTACTS, "SMS, WhatsApp and LinkedIn messages";
    "postal_mail" in "postal_mail" as "0-116", OF_CONTACTS, "letters";
    "goals" in "goal_targets" as "0-74", &[&["crm.objects.goals.read"]],
        "targets of goals (Sales Hub Starter, Marketing or Service Hub Professional)";
    "feedback_submissions" in "feedback_submissions" as "0-19",
        &[&["crm.objects.contacts.read"], &["crm.objects.feedback_submissions.read"]],
        "answers to surveys (Service Hub Professional)";
    "orders" in "orders" as "0-123", &[&["crm.objects.orders.read"]], "orders";
    "carts" in "carts" as "0-142", &[&["crm.objects.carts.read"]], "carts";
    "invoices" in "invoices" as "0-53", &[&["crm.objects.invoices.read"]], "invoices";
    "commerce_payments" in "commerce_payments" as "0-101", &[&["crm.objects.commercepayments.read"]], "payments";
    "commerce_subscriptions" in "subscriptions" as "0-69", &[&["crm.objects.subscriptions.read"]],
        "recurring payments, not subscriptions to e-mails";
    "discounts" in "discounts" as "0-84", OF_LINE_ITEMS, "discounts";
    "fees" in "fees" as "0-85", OF_LINE_ITEMS, "fees";
    "taxes" in "taxes" as "0-86", OF_LINE_ITEMS, "taxes";
    "users" in "users" as "0-115", &[&["crm.objects.users.read"]], "users as records of the CRM: hours, skills, properties";
    "services" in "services" as "0-162", &[&["crm.objects.services.read"]], "services (once activated)";
    "courses" in "courses" as "0-410", &[&["crm.objects.courses.read"]], "courses (once activated)";
    "listings" in "listings" as "0-420", &[&["crm.objects.listings.read"]], "listings (once activated)";
    "appointments" in "appointments" as "0-421", &[&["crm.objects.appointments.read"]], "appointments (once activated)";
    "projects" in "projects" as "0-970", &[&["crm.objects.projects.read"]], "projects";
}

/// Returns the `objectTypeId` of the object whose records are in a collection; `None` for one that an account has defined.
pub fn type_id_of(collection: &str) -> Option<&'static str> {
    match collection {
        "contacts" => Some("0-1"),
        "companies" => Some("0-2"),
        "deals" => Some("0-3"),
        _ => CRM_OBJECTS.iter().find(|object| object.collection == collection).map(|object| object.type_id),
    }
}

/// Links between records of any two objects.
pub(super) static ASSOCIATIONS: Family = Family {
    name: "associations",
    about: "links between records of two objects: what reads the records of both reads them",
    version: version::ASSOCIATIONS,
    scopes: &[],
    fills: &[needed("associations")],
    paths: &["/crm/associations/*"],
    probe: Probe::Never,
};

/// Scopes of records of custom objects, which have paths of their type ids.
pub(super) static CUSTOM: &[Family; 3] = &[
    Family {
        name: "custom objects",
        about: "records of custom objects",
        version: version::OBJECTS,
        scopes: &[&["crm.objects.custom.read"]],
        fills: &[],
        paths: &["/crm/objects/*/2-*"],
        probe: Probe::Never,
    },
    Family {
        name: "custom object properties",
        about: "definitions of the properties of custom objects: the columns",
        version: version::PROPERTIES,
        scopes: &[&["crm.schemas.custom.read"]],
        fills: &[],
        paths: &["/crm/properties/*/2-*"],
        probe: Probe::Never,
    },
    Family {
        name: "custom object schemas",
        about: "the custom objects that the account has",
        version: version::SCHEMAS,
        scopes: &[&["crm.schemas.custom.read"]],
        fills: &[needed("object_schemas")],
        paths: &["/crm-object-schemas/*/schemas"],
        probe: Probe::Never,
    },
];
