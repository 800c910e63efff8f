//! Names, ids and scopes of the types, from HubSpot's specifications of August 2026
//! (github.com/HubSpot/HubSpot-public-api-spec-collection) and its page of object type ids
//! (developers.hubspot.com/docs/guides/crm/understanding-the-crm#object-type-ids).

use super::ObjectType;
use super::ObjectType::*;

#[derive(Debug)]
pub(super) struct Names {
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    pub(super) id: &'static str,
    pub(super) scopes: &'static [&'static [&'static str]],
    pub(super) schema_scopes: &'static [&'static [&'static str]],
}

/// Activities have no scope of their own.
const OF_CONTACTS: &[&[&str]] = &[&["crm.objects.contacts.read"]];
const CUSTOM: &[&[&str]] = &[&["crm.objects.custom.read"]];
const CUSTOM_SCHEMAS: &[&[&str]] = &[&["crm.schemas.custom.read"]];

/// A type whose definitions are read with the scope of its records.
const fn names(
    plural: &'static str,
    singular: &'static str,
    id: &'static str,
    scopes: &'static [&'static [&'static str]],
) -> Names {
    Names { plural, singular, id, scopes, schema_scopes: scopes }
}

const fn custom(plural: &'static str, singular: &'static str, id: &'static str) -> Names {
    Names { schema_scopes: CUSTOM_SCHEMAS, ..names(plural, singular, id, CUSTOM) }
}

/// In the order of the enum.
pub(super) const ALL: [(ObjectType, Names); 34] = [
    (
        Contacts,
        Names {
            schema_scopes: &[&["crm.schemas.contacts.read"]],
            ..names("contacts", "contact", "0-1", OF_CONTACTS)
        },
    ),
    (
        Companies,
        Names {
            schema_scopes: &[&["crm.schemas.companies.read"]],
            ..names("companies", "company", "0-2", &[&["crm.objects.companies.read"]])
        },
    ),
    (
        Deals,
        Names {
            schema_scopes: &[&["crm.schemas.deals.read"]],
            ..names("deals", "deal", "0-3", &[&["crm.objects.deals.read"]])
        },
    ),
    (Tickets, names("tickets", "ticket", "0-5", &[&["tickets"]])),
    (Products, names("products", "product", "0-7", &[&["crm.objects.products.read", "e-commerce"]])),
    (LineItems, names("line_items", "line_item", "0-8", &[&["crm.objects.line_items.read", "e-commerce"]])),
    (Quotes, names("quotes", "quote", "0-14", &[&["crm.objects.quotes.read", "e-commerce"]])),
    (Leads, names("leads", "lead", "0-136", &[&["crm.objects.leads.read"]])),
    (Calls, names("calls", "call", "0-48", OF_CONTACTS)),
    (Emails, names("emails", "email", "0-49", OF_CONTACTS)),
    (Meetings, names("meetings", "meeting", "0-47", OF_CONTACTS)),
    (Notes, names("notes", "note", "0-46", OF_CONTACTS)),
    (Tasks, names("tasks", "task", "0-27", OF_CONTACTS)),
    (Communications, names("communications", "communication", "0-18", OF_CONTACTS)),
    (PostalMail, names("postal_mail", "postal_mail", "0-116", OF_CONTACTS)),
    (GoalTargets, names("goal_targets", "goal_target", "0-74", &[&["crm.objects.goals.read"]])),
    (
        FeedbackSubmissions,
        names(
            "feedback_submissions",
            "feedback_submission",
            "0-19",
            &[&["crm.objects.contacts.read"], &["crm.objects.feedback_submissions.read"]],
        ),
    ),
    (Orders, names("orders", "order", "0-123", &[&["crm.objects.orders.read"]])),
    (Carts, names("carts", "cart", "0-142", &[&["crm.objects.carts.read"]])),
    (Invoices, names("invoices", "invoice", "0-53", &[&["crm.objects.invoices.read"]])),
    (
        CommercePayments,
        names("commerce_payments", "commerce_payment", "0-101", &[&["crm.objects.commercepayments.read"]]),
    ),
    (Subscriptions, names("subscriptions", "subscription", "0-69", &[&["crm.objects.subscriptions.read"]])),
    (Discounts, names("discounts", "discount", "0-84", &[&["crm.objects.line_items.read", "e-commerce"]])),
    (Fees, names("fees", "fee", "0-85", &[&["crm.objects.line_items.read", "e-commerce"]])),
    (Taxes, names("taxes", "tax", "0-86", &[&["crm.objects.line_items.read", "e-commerce"]])),
    (Users, names("users", "user", "0-115", &[&["crm.objects.users.read"]])),
    (Services, names("services", "service", "0-162", &[&["crm.objects.services.read"]])),
    (Courses, names("courses", "course", "0-410", &[&["crm.objects.courses.read"]])),
    (Listings, names("listings", "listing", "0-420", &[&["crm.objects.listings.read"]])),
    (Appointments, names("appointments", "appointment", "0-421", &[&["crm.objects.appointments.read"]])),
    (Projects, names("projects", "project", "0-970", &[&["crm.objects.projects.read"]])),
    (Cars, custom("Cars", "cars", "2-3444025")),
    (OwnTickets, custom("Tickets", "tickets", "2-3444026")),
    (Rentals, custom("Rentals", "Car_Rentals", "2-3444031")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_enum() {
        for (place, (object, names)) in ALL.iter().enumerate() {
            assert_eq!(*object as usize, place, "{names:?}");
        }
    }
}
