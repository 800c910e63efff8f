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
    pub(crate) snapshot: &'static str,
    pub about: &'static str,
    /// Its records, and the definitions of their properties.
    pub families: [Family; 2],
}

/// Defines objects: collection, name in paths, scopes (one of each row), contents.
macro_rules! crm_objects {
    ($($collection:literal in $path:literal, $scopes:expr, $about:literal;)*) => {
        /// All of them, in the order in which they run.
        pub const CRM_OBJECTS: &[CrmObject] = &[$(CrmObject {
            collection: $collection,
            path: $path,
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
    "tickets" in "tickets", &[&["tickets"]], "tickets of the help desk";
    "products" in "products", &[&["crm.objects.products.read", "e-commerce"]], "the product library";
    "line_items" in "line_items", OF_LINE_ITEMS, "items of deals, quotes and invoices: product, quantity, price";
    "quotes" in "quotes", &[&["crm.objects.quotes.read", "e-commerce"]], "quotes";
    "leads" in "leads", &[&["crm.objects.leads.read"]], "leads (Sales Hub Professional)";
    "calls" in "calls", OF_CONTACTS, "logged calls";
    "emails" in "emails", OF_CONTACTS, "one-to-one e-mails, not marketing e-mails";
    "meetings" in "meetings", OF_CONTACTS, "meetings";
    "notes" in "notes", OF_CONTACTS, "notes";
    "tasks" in "tasks", OF_CONTACTS, "tasks of people";
    "communications" in "communications", OF_CONTACTS, "SMS, WhatsApp and LinkedIn messages";
    "postal_mail" in "postal_mail", OF_CONTACTS, "letters";
    "goals" in "goal_targets", &[&["crm.objects.goals.read"]],
        "targets of goals (Sales Hub Starter, Marketing or Service Hub Professional)";
    "feedback_submissions" in "feedback_submissions",
        &[&["crm.objects.contacts.read"], &["crm.objects.feedback_submissions.read"]],
        "answers to surveys (Service Hub Professional)";
    "orders" in "orders", &[&["crm.objects.orders.read"]], "orders";
    "carts" in "carts", &[&["crm.objects.carts.read"]], "carts";
    "invoices" in "invoices", &[&["crm.objects.invoices.read"]], "invoices";
    "commerce_payments" in "commerce_payments", &[&["crm.objects.commercepayments.read"]], "payments";
    "commerce_subscriptions" in "subscriptions", &[&["crm.objects.subscriptions.read"]],
        "recurring payments, not subscriptions to e-mails";
    "discounts" in "discounts", OF_LINE_ITEMS, "discounts";
    "fees" in "fees", OF_LINE_ITEMS, "fees";
    "taxes" in "taxes", OF_LINE_ITEMS, "taxes";
    "users" in "users", &[&["crm.objects.users.read"]], "users as records of the CRM: hours, skills, properties";
    "services" in "services", &[&["crm.objects.services.read"]], "services (once activated)";
    "courses" in "courses", &[&["crm.objects.courses.read"]], "courses (once activated)";
    "listings" in "listings", &[&["crm.objects.listings.read"]], "listings (once activated)";
    "appointments" in "appointments", &[&["crm.objects.appointments.read"]], "appointments (once activated)";
    "projects" in "projects", &[&["crm.objects.projects.read"]], "projects";
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
