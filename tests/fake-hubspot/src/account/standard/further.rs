//! Properties of the further types: those that every one of them has, and a few of its own.

use super::{Standard, choice, datetime, kept, number, text};
use crate::ObjectType;
use crate::account::properties::{Kind, Origin};
use crate::account::values::Maker;

/// Properties of every type but contacts, companies and deals.
pub(super) const SHARED: &[Standard] = &[
    kept("hs_object_id", Kind::Number).from(Origin::Id),
    kept("hs_createdate", Kind::Datetime).from(Origin::CreatedAt),
    kept("hs_lastmodifieddate", Kind::Datetime).from(Origin::UpdatedAt),
    kept("hs_merged_object_ids", Kind::String),
    Standard::new("hubspot_owner_id", Kind::Enumeration, Maker::Owner, 0.7),
    choice("hs_object_source", 0.9, &["CRM_UI", "IMPORT", "INTEGRATION"]),
    Standard::new("hs_created_by_user_id", Kind::Number, Maker::Owner, 0.8).hidden(),
    number("hs_num_recalculations", 100, 0.3).calculated(),
];

/// Properties of every activity.
const ACTIVITY: &[Standard] = &[
    datetime("hs_timestamp", 1.0),
    text("hs_body_preview", Maker::Words, 0.4),
    Standard::new("hs_at_mentioned_owner_ids", Kind::Enumeration, Maker::Owner, 0.1),
    Standard::new("hs_all_owner_ids", Kind::Enumeration, Maker::Owner, 0.5),
    number("hubspot_team_id", 40, 0.3),
];

pub(super) fn of(object: ObjectType) -> impl Iterator<Item = &'static Standard> {
    let is_activity = ObjectType::ACTIVITIES.contains(&object);
    let of_activities = if is_activity { ACTIVITY } else { &[] };
    of_activities.iter().chain(own(object))
}

fn own(object: ObjectType) -> &'static [Standard] {
    match object {
        ObjectType::Tickets => TICKETS,
        ObjectType::Products => PRODUCTS,
        ObjectType::LineItems => LINE_ITEMS,
        ObjectType::Calls => CALLS,
        ObjectType::Emails => EMAILS,
        ObjectType::Meetings => MEETINGS,
        ObjectType::Notes => NOTES,
        ObjectType::Tasks => TASKS,
        ObjectType::Communications => COMMUNICATIONS,
        ObjectType::FeedbackSubmissions => FEEDBACK,
        ObjectType::Leads | ObjectType::Orders | ObjectType::Services | ObjectType::Courses => IN_PIPELINES,
        ObjectType::Cars | ObjectType::OwnTickets | ObjectType::Rentals => CUSTOM,
        _ => NAMED,
    }
}

const CREATED: Standard = kept("createdate", Kind::Datetime).from(Origin::CreatedAt);

const TICKETS: &[Standard] = &[
    CREATED,
    text("subject", Maker::Words, 0.98),
    text("content", Maker::Words, 0.7),
    choice("hs_pipeline", 1.0, &["0", "12345679"]),
    choice("hs_pipeline_stage", 1.0, &["1", "2", "3", "4", "87654322"]),
    choice("hs_ticket_priority", 0.6, &["LOW", "MEDIUM", "HIGH"]),
    datetime("closed_date", 0.4),
    number("hs_time_to_close_in_operating_hours", 90_000_000, 0.3).calculated(),
    Standard::new("hs_is_visible_in_help_desk", Kind::Bool, Maker::Bool, 0.5),
];

const PRODUCTS: &[Standard] = &[
    CREATED,
    text("name", Maker::Words, 0.99),
    text("hs_sku", Maker::Domain, 0.6),
    text("description", Maker::Words, 0.4),
    Standard::new("price", Kind::Number, Maker::Amount, 0.9),
    Standard::new("hs_cost_of_goods_sold", Kind::Number, Maker::Amount, 0.3),
    choice("recurringbillingfrequency", 0.4, &["monthly", "annually", "per_two_years"]),
];

const LINE_ITEMS: &[Standard] = &[
    CREATED,
    text("name", Maker::Words, 0.99),
    Standard::new("hs_product_id", Kind::Number, Maker::Owner, 0.8),
    number("quantity", 20, 1.0),
    Standard::new("price", Kind::Number, Maker::Amount, 1.0),
    Standard::new("amount", Kind::Number, Maker::Amount, 0.9).calculated(),
    Standard::new("hs_discount_percentage", Kind::Number, Maker::Below(90), 0.1),
];

const CALLS: &[Standard] = &[
    text("hs_call_title", Maker::Words, 0.8),
    text("hs_call_body", Maker::Html, 0.5),
    number("hs_call_duration", 3_600_000, 0.8),
    choice("hs_call_direction", 0.9, &["INBOUND", "OUTBOUND"]),
    // Ids of outcomes, as HubSpot's own ones are in every account.
    choice(
        "hs_call_disposition",
        0.7,
        &["f240bbac-87c9-4f6e-bf70-924b57d47db7", "b2cf5968-551e-4856-9783-52b3da59a7d0"],
    ),
    text("hs_call_to_number", Maker::Phone, 0.7),
];

const EMAILS: &[Standard] = &[
    text("hs_email_subject", Maker::Words, 0.95),
    text("hs_email_html", Maker::Html, 0.9),
    text("hs_email_text", Maker::Words, 0.9),
    choice("hs_email_direction", 0.98, &["EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"]),
    choice("hs_email_status", 0.8, &["SENT", "BOUNCED", "SCHEDULED"]),
    text("hs_email_from_email", Maker::Email, 0.9),
    text("hs_email_to_email", Maker::Email, 0.9),
];

const MEETINGS: &[Standard] = &[
    text("hs_meeting_title", Maker::Words, 0.95),
    text("hs_meeting_body", Maker::Html, 0.6),
    datetime("hs_meeting_start_time", 1.0),
    datetime("hs_meeting_end_time", 1.0),
    choice("hs_meeting_outcome", 0.7, &["SCHEDULED", "COMPLETED", "NO_SHOW", "CANCELED"]),
];

const NOTES: &[Standard] = &[text("hs_note_body", Maker::Html, 0.98)];

const TASKS: &[Standard] = &[
    text("hs_task_subject", Maker::Words, 0.98),
    text("hs_task_body", Maker::Html, 0.5),
    choice("hs_task_status", 1.0, &["NOT_STARTED", "COMPLETED", "WAITING"]),
    choice("hs_task_priority", 0.6, &["NONE", "LOW", "MEDIUM", "HIGH"]),
    choice("hs_task_type", 0.9, &["TODO", "EMAIL", "CALL"]),
    Standard::new("hs_task_is_overdue", Kind::Bool, Maker::Bool, 0.9).calculated(),
];

const COMMUNICATIONS: &[Standard] = &[
    text("hs_communication_body", Maker::Html, 0.95),
    choice("hs_communication_channel_type", 1.0, &["SMS", "WHATS_APP", "LINKEDIN_MESSAGE"]),
];

const FEEDBACK: &[Standard] = &[
    choice("hs_survey_type", 1.0, &["NPS", "CSAT", "CES"]),
    number("hs_value", 11, 0.95),
    text("hs_content", Maker::Words, 0.5),
    datetime("hs_submission_timestamp", 1.0),
];

const IN_PIPELINES: &[Standard] = &[
    text("hs_name", Maker::Words, 0.98),
    choice("hs_pipeline", 1.0, &["default", "12345680"]),
    choice("hs_pipeline_stage", 1.0, &["new", "attempting", "qualified", "87654323"]),
    Standard::new("hs_total_price", Kind::Number, Maker::Amount, 0.4),
];

const NAMED: &[Standard] = &[
    text("hs_name", Maker::Words, 0.95),
    text("hs_title", Maker::Words, 0.3),
    choice("hs_status", 0.8, &["draft", "open", "paid", "voided"]),
    Standard::new("hs_amount_billed", Kind::Number, Maker::Amount, 0.5),
    Standard::new("hs_due_date", Kind::Date, Maker::Date, 0.3),
];

const CUSTOM: &[Standard] = &[
    text("name", Maker::Words, 0.98),
    number("year", 2_030, 0.7),
    Standard::new("price", Kind::Number, Maker::Amount, 0.6),
    Standard::new("date_received", Kind::Date, Maker::Date, 0.5),
    // People name properties like columns of ours.
    text("is_deleted", Maker::City, 0.2),
];
