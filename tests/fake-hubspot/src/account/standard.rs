//! Properties that HubSpot defines, with their names and types: those that a connector has to know first.

mod further;

use chrono::{DateTime, Utc};

use super::properties::{Catalog, Kind, Origin, Property, Sensitivity};
use super::values::Maker;
use crate::ObjectType;
use crate::dice::Dice;

pub(crate) fn catalog(
    object: ObjectType,
    custom: usize,
    created_at: DateTime<Utc>,
    dice: &mut Dice,
) -> Catalog {
    let mut catalog = Catalog::default();
    let own = match object {
        ObjectType::Contacts => CONTACTS,
        ObjectType::Companies => COMPANIES,
        ObjectType::Deals => DEALS,
        _ => &[],
    };
    let (shared, further) =
        if own.is_empty() { (further::SHARED, Some(further::of(object))) } else { (SHARED, None) };
    for standard in shared.iter().chain(own).chain(further.into_iter().flatten()) {
        catalog.add(standard.property(created_at));
    }
    if object.has_sensitive_properties() {
        catalog.add(sensitive(created_at));
    }
    for number in 0..custom {
        catalog.add(custom_property(number, created_at, dice));
    }
    catalog
}

/// Makes the `number`th property of an account's own; the kinds take turns.
fn custom_property(number: usize, created_at: DateTime<Utc>, dice: &mut Dice) -> Property {
    let (kind, maker) = CUSTOM_KINDS[number % CUSTOM_KINDS.len()];
    let subject = dice.pick(CUSTOM_SUBJECTS);
    let mut property =
        new_property(format!("{subject}_{}_{number:04}", kind_word(kind)), kind, maker, created_at);
    property.filled = [0.95, 0.6, 0.3, 0.1, 0.02][dice.below(5) as usize];
    property
}

/// Makes a property such as people add to their account.
pub(crate) fn new_property(name: String, kind: Kind, maker: Maker, created_at: DateTime<Utc>) -> Property {
    let options = if kind == Kind::Enumeration { CUSTOM_OPTIONS.to_vec() } else { Vec::new() };
    Property {
        name,
        kind,
        field_type: field_type(kind, maker),
        options,
        origin: Origin::Stored,
        sensitivity: Sensitivity::NonSensitive,
        calculated: false,
        hidden: false,
        hubspot_defined: false,
        created_at,
        updated_at: created_at,
        archived_at: None,
        maker,
        filled: 0.0,
    }
}

/// Returns the maker of values of a kind where the property names none.
pub(crate) fn usual_maker(kind: Kind) -> Maker {
    CUSTOM_KINDS.iter().find(|(custom, _)| *custom == kind).map_or(Maker::Words, |(_, maker)| *maker)
}

fn sensitive(created_at: DateTime<Utc>) -> Property {
    let mut property = new_property("health_notes".to_owned(), Kind::String, Maker::Words, created_at);
    property.sensitivity = Sensitivity::Sensitive;
    property.filled = 0.2;
    property
}

fn field_type(kind: Kind, maker: Maker) -> &'static str {
    match kind {
        Kind::String if maker == Maker::Words => "textarea",
        Kind::String if maker == Maker::Html => "html",
        Kind::String | Kind::Json => "text",
        Kind::Number => "number",
        Kind::Bool => "booleancheckbox",
        Kind::Enumeration if maker == Maker::Options => "checkbox",
        Kind::Enumeration => "select",
        Kind::Date | Kind::Datetime => "date",
        Kind::PhoneNumber => "phonenumber",
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "text",
        Kind::Number => "score",
        Kind::Bool => "flag",
        Kind::Enumeration => "choice",
        Kind::Date => "day",
        Kind::Datetime => "moment",
        Kind::PhoneNumber => "line",
        Kind::Json => "data",
    }
}

#[derive(Debug, Clone, Copy)]
struct Standard {
    name: &'static str,
    kind: Kind,
    maker: Maker,
    filled: f64,
    options: &'static [&'static str],
    origin: Origin,
    calculated: bool,
    hidden: bool,
}

impl Standard {
    const fn new(name: &'static str, kind: Kind, maker: Maker, filled: f64) -> Self {
        let (origin, options): (_, &[&str]) = (Origin::Stored, &[]);
        Self { name, kind, maker, filled, options, origin, calculated: false, hidden: false }
    }

    const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    const fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    const fn calculated(self) -> Self {
        Self { calculated: true, ..self }
    }

    const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    fn property(&self, created_at: DateTime<Utc>) -> Property {
        let base = new_property(self.name.to_owned(), self.kind, self.maker, created_at);
        Property {
            options: self.options.to_vec(),
            origin: self.origin,
            calculated: self.calculated,
            hidden: self.hidden,
            hubspot_defined: true,
            filled: self.filled,
            ..base
        }
    }
}

const fn text(name: &'static str, maker: Maker, filled: f64) -> Standard {
    Standard::new(name, Kind::String, maker, filled)
}

const fn number(name: &'static str, limit: u64, filled: f64) -> Standard {
    Standard::new(name, Kind::Number, Maker::Below(limit), filled)
}

const fn datetime(name: &'static str, filled: f64) -> Standard {
    Standard::new(name, Kind::Datetime, Maker::Datetime, filled)
}

const fn choice(name: &'static str, filled: f64, options: &'static [&'static str]) -> Standard {
    Standard::new(name, Kind::Enumeration, Maker::Option, filled).options(options)
}

/// Defines a property that HubSpot sets when something happens, and at no other time.
const fn kept(name: &'static str, kind: Kind) -> Standard {
    Standard::new(name, kind, Maker::Nothing, 0.0)
}

const SHARED: &[Standard] = &[
    kept("hs_object_id", Kind::Number).from(Origin::Id),
    kept("createdate", Kind::Datetime).from(Origin::CreatedAt),
    kept("hs_merged_object_ids", Kind::String),
    Standard::new("hubspot_owner_id", Kind::Enumeration, Maker::Owner, 0.7),
    datetime("hubspot_owner_assigneddate", 0.7),
    datetime("notes_last_updated", 0.5),
    datetime("notes_last_contacted", 0.4),
    number("num_notes", 40, 0.5),
    number("num_contacted_notes", 20, 0.4),
    choice("hs_analytics_source", 0.9, &["ORGANIC_SEARCH", "DIRECT_TRAFFIC", "EMAIL_MARKETING", "OFFLINE"]),
    text("hs_analytics_source_data_1", Maker::Words, 0.6),
    Standard::new("hs_created_by_user_id", Kind::Number, Maker::Owner, 0.8).hidden(),
];

const CONTACTS: &[Standard] = &[
    kept("lastmodifieddate", Kind::Datetime).from(Origin::UpdatedAt),
    kept("hs_lastmodifieddate", Kind::Datetime).hidden(),
    text("firstname", Maker::FirstName, 0.9),
    text("lastname", Maker::LastName, 0.9),
    text("email", Maker::Email, 0.95),
    text("phone", Maker::Phone, 0.4),
    Standard::new("mobilephone", Kind::PhoneNumber, Maker::Phone, 0.2),
    text("company", Maker::Company, 0.5),
    text("jobtitle", Maker::JobTitle, 0.5),
    text("city", Maker::City, 0.4),
    text("country", Maker::Country, 0.5),
    text("website", Maker::Url, 0.3),
    choice(
        "lifecyclestage",
        0.98,
        &["subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer"],
    ),
    choice("hs_lead_status", 0.5, &["NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED"]),
    Standard::new("hs_is_contact", Kind::Bool, Maker::Always("true"), 1.0),
    Standard::new("hs_additional_emails", Kind::Enumeration, Maker::MoreEmails, 0.05),
    kept("hs_calculated_merged_vids", Kind::Enumeration).calculated().hidden(),
    kept("hs_all_contact_vids", Kind::Enumeration).calculated().hidden(),
    kept("hs_calculated_form_submissions", Kind::Enumeration).calculated().hidden(),
    Standard::new("hs_email_optout", Kind::Bool, Maker::Bool, 0.3),
    text("hs_email_domain", Maker::Domain, 0.9),
    number("hs_email_bounce", 5, 0.05),
    Standard::new("hs_email_quarantined", Kind::Bool, Maker::Bool, 0.1),
    number("num_associated_deals", 1, 0.0).calculated(),
    number("hubspotscore", 100, 0.6).calculated(),
    number("hs_analytics_num_visits", 60, 0.8),
    number("hs_analytics_num_page_views", 400, 0.8),
    datetime("hs_analytics_first_timestamp", 0.9),
    datetime("hs_analytics_last_visit_timestamp", 0.6),
    text("hs_analytics_first_url", Maker::Url, 0.6),
    datetime("hs_lifecyclestage_lead_date", 0.6).calculated(),
    datetime("recent_conversion_date", 0.4),
    text("recent_conversion_event_name", Maker::Words, 0.4),
    number("num_conversion_events", 9, 0.7),
    Standard::new("date_of_birth", Kind::Date, Maker::Date, 0.2),
    datetime("closedate", 0.2),
    text("annualrevenue", Maker::Amount, 0.1),
    choice("hs_language", 0.5, &["en", "de", "pt-br", "ja"]),
    text("hs_timezone", Maker::City, 0.3),
];

const COMPANIES: &[Standard] = &[
    kept("hs_lastmodifieddate", Kind::Datetime).from(Origin::UpdatedAt),
    text("name", Maker::Company, 0.97),
    text("domain", Maker::Domain, 0.8),
    text("country", Maker::Country, 0.7),
    text("city", Maker::City, 0.6),
    text("website", Maker::Url, 0.6),
    text("phone", Maker::Phone, 0.5),
    text("description", Maker::Words, 0.4),
    choice("industry", 0.5, &["COMPUTER_SOFTWARE", "RETAIL", "HOSPITAL_HEALTH_CARE", "BANKING"]),
    choice("lifecyclestage", 0.9, &["lead", "opportunity", "customer", "evangelist"]),
    number("numberofemployees", 50_000, 0.5),
    Standard::new("annualrevenue", Kind::Number, Maker::Amount, 0.4),
    number("num_associated_contacts", 1, 0.0).calculated(),
    number("num_associated_deals", 1, 0.0).calculated(),
    datetime("first_contact_createdate", 0.5).calculated(),
    Standard::new("is_public", Kind::Bool, Maker::Bool, 0.4),
    Standard::new("hs_additional_domains", Kind::Enumeration, Maker::Domain, 0.05),
];

const DEALS: &[Standard] = &[
    kept("hs_lastmodifieddate", Kind::Datetime).from(Origin::UpdatedAt),
    text("dealname", Maker::Words, 0.99),
    Standard::new("amount", Kind::Number, Maker::Amount, 0.8),
    Standard::new("hs_acv", Kind::Number, Maker::Amount, 0.3).calculated(),
    choice(
        "dealstage",
        1.0,
        &["appointmentscheduled", "qualifiedtobuy", "closedwon", "closedlost", "87654321"],
    ),
    choice("pipeline", 1.0, &["default", "12345678"]),
    choice("dealtype", 0.6, &["newbusiness", "existingbusiness"]),
    datetime("closedate", 0.8),
    text("description", Maker::Words, 0.3),
    number("num_associated_contacts", 1, 0.0).calculated(),
    Standard::new("hs_is_closed", Kind::Bool, Maker::Bool, 1.0).calculated(),
    Standard::new("hs_deal_stage_probability", Kind::Number, Maker::Amount, 0.9).calculated(),
    number("hs_time_in_appointmentscheduled", 90_000_000, 0.4).calculated().hidden(),
    choice("deal_currency_code", 0.6, &["USD", "EUR", "BRL"]),
];

const CUSTOM_KINDS: [(Kind, Maker); 8] = [
    (Kind::String, Maker::Words),
    (Kind::Number, Maker::Amount),
    (Kind::Enumeration, Maker::Options),
    (Kind::Datetime, Maker::Datetime),
    (Kind::Bool, Maker::Bool),
    (Kind::Date, Maker::Date),
    (Kind::PhoneNumber, Maker::Phone),
    (Kind::Json, Maker::Json),
];
const CUSTOM_SUBJECTS: &[&str] = &[
    "account_plan",
    "billing",
    "trial",
    "renewal",
    "onboarding",
    "survey",
    "partner",
    "product_usage",
    "import_legacy",
];
const CUSTOM_OPTIONS: [&str; 5] = ["first", "second", "third choice", "Größe L", "n/a"];
