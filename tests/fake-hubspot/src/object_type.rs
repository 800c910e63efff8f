//! The types of CRM records, with their names in HubSpot.

mod names;

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use names::Names;

/// A type of CRM records: HubSpot's own, and three that an account may have made itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectType {
    Contacts,
    Companies,
    Deals,
    Tickets,
    Products,
    LineItems,
    Quotes,
    Leads,
    Calls,
    Emails,
    Meetings,
    Notes,
    Tasks,
    Communications,
    PostalMail,
    GoalTargets,
    FeedbackSubmissions,
    Orders,
    Carts,
    Invoices,
    CommercePayments,
    Subscriptions,
    Discounts,
    Fees,
    Taxes,
    Users,
    Services,
    Courses,
    Listings,
    Appointments,
    Projects,
    /// A custom object.
    Cars,
    /// A custom object with the name of one of HubSpot's own.
    OwnTickets,
    /// A custom object whose name has capitals.
    Rentals,
}

impl ObjectType {
    /// Types that every account has from its first day.
    pub const CORE: [Self; 3] = [Self::Contacts, Self::Companies, Self::Deals];

    /// Types of activities.
    pub const ACTIVITIES: [Self; 7] = [
        Self::Calls,
        Self::Emails,
        Self::Meetings,
        Self::Notes,
        Self::Tasks,
        Self::Communications,
        Self::PostalMail,
    ];

    /// All types, custom ones last.
    pub fn all() -> impl Iterator<Item = Self> {
        names::ALL.iter().map(|(object, _)| *object)
    }

    fn names(self) -> &'static Names {
        &names::ALL[self as usize].1
    }

    /// The name in paths; of a custom object, the name that its account gave it.
    pub fn plural(self) -> &'static str {
        self.names().plural
    }

    pub fn singular(self) -> &'static str {
        self.names().singular
    }

    /// HubSpot's `objectTypeId`.
    pub fn id(self) -> &'static str {
        self.names().id
    }

    /// Records of the two can be linked
    /// (developers.hubspot.com/docs/api-reference/latest/crm/associations/associate-records/guide).
    pub(crate) fn can_be_linked(self, other: Self) -> bool {
        use ObjectType::{
            Carts, CommercePayments, Companies, Contacts, Deals, Discounts, FeedbackSubmissions, Fees,
            GoalTargets, Invoices, LineItems, Orders, Products, Quotes, Subscriptions, Taxes, Tickets, Users,
        };
        let is_alone = |object| matches!(object, Products | GoalTargets | Users);
        let is_item = |object| matches!(object, LineItems | Discounts | Fees | Taxes);
        let is_sale = |object| {
            matches!(object, Orders | Carts | Invoices | CommercePayments | Subscriptions | Quotes | Deals)
        };
        let is_person = |object| matches!(object, Contacts | Companies | Deals | Tickets);
        let is_activity = |object| Self::ACTIVITIES.contains(&object);
        let may = |one: Self, other: Self| {
            if is_item(one) {
                let is_line = one == LineItems && (is_item(other) || other.is_custom()) && one != other;
                return is_sale(other) || is_line || (other == LineItems && one != other);
            }
            let is_survey = one == FeedbackSubmissions && !is_person(other);
            let is_same = one == other && !(is_person(one) || one.is_custom());
            !(is_alone(one) || is_survey || is_same || (is_activity(one) && is_activity(other)))
        };
        may(self, other) && may(other, self)
    }

    pub fn is_custom(self) -> bool {
        self.id().starts_with("2-")
    }

    /// Scopes that read its records: one of each row.
    pub fn scopes(self) -> &'static [&'static [&'static str]] {
        self.names().scopes
    }

    /// Scopes that read its property definitions: one of each row.
    pub fn schema_scopes(self) -> &'static [&'static [&'static str]] {
        self.names().schema_scopes
    }

    /// The scope that reads its sensitive properties.
    pub fn sensitive_scope(self) -> String {
        let name = if self.is_custom() { "custom" } else { self.plural() };
        format!("crm.objects.{name}.sensitive.read.v2")
    }

    /// Its records can have properties for sensitive data.
    pub(crate) fn has_sensitive_properties(self) -> bool {
        Self::CORE.contains(&self) || self == Self::Tickets || self.is_custom()
    }

    /// The property that holds the modified date. `hs_lastmodifieddate` exists on contacts too, and is empty there.
    pub fn modified_property(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            _ => "hs_lastmodifieddate",
        }
    }

    /// The property that holds the date of creation.
    pub fn created_property(self) -> &'static str {
        match self {
            Self::Contacts | Self::Companies | Self::Deals => "createdate",
            Self::Tickets | Self::Products | Self::LineItems => "createdate",
            _ => "hs_createdate",
        }
    }

    /// Returns the properties that a record shows when the call names none.
    pub(crate) fn shown_by_default(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => {
                &["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]
            }
            Self::Companies => &["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"],
            Self::Deals => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "hs_object_id",
                "pipeline",
            ],
            Self::Tickets => &["content", "hs_pipeline", "hs_pipeline_stage", "subject"],
            _ => &[],
        }
    }

    /// Returns the properties that a record shows whatever the call names.
    pub(crate) fn always_shown(self) -> [&'static str; 3] {
        [self.created_property(), "hs_object_id", self.modified_property()]
    }
}

/// Parses a plural, a singular or an `objectTypeId`, as HubSpot's paths take them. A custom object has its id, and its
/// name behind `p_`; its bare name is refused.
impl FromStr for ObjectType {
    type Err = UnknownObjectType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_named = |object: &Self| match (object.is_custom(), name.strip_prefix("p_")) {
            (true, Some(name)) => object.singular() == name,
            (true, None) => object.id() == name,
            (false, _) => [object.plural(), object.singular(), object.id()].contains(&name),
        };
        Self::all().find(is_named).ok_or_else(|| UnknownObjectType(name.to_owned()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown object type {0:?}: contacts, companies, deals, tickets, 2-3444025, ...")]
pub struct UnknownObjectType(String);

/// One value for each type that every account has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerType<T> {
    pub contacts: T,
    pub companies: T,
    pub deals: T,
}

impl<T: Copy> PerType<T> {
    /// `None`: the type is not one of them.
    pub fn of(&self, object: ObjectType) -> Option<T> {
        match object {
            ObjectType::Contacts => Some(self.contacts),
            ObjectType::Companies => Some(self.companies),
            ObjectType::Deals => Some(self.deals),
            _ => None,
        }
    }
}

/// One value for each type that an account has. Access to another one panics: calls are checked before.
#[derive(Debug)]
pub(crate) struct OfAccount<T> {
    places: BTreeMap<ObjectType, usize>,
    values: Vec<T>,
}

impl<T> OfAccount<T> {
    pub(crate) fn has(&self, object: ObjectType) -> bool {
        self.places.contains_key(&object)
    }

    pub(crate) fn types(&self) -> impl Iterator<Item = ObjectType> {
        self.places.keys().copied()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut()
    }

    pub(crate) fn insert(&mut self, object: ObjectType, value: T) {
        self.places.insert(object, self.values.len());
        self.values.push(value);
    }

    /// Returns `true` if it was there.
    pub(crate) fn remove(&mut self, object: ObjectType) -> bool {
        self.places.remove(&object).is_some()
    }
}

impl<T> FromIterator<(ObjectType, T)> for OfAccount<T> {
    fn from_iter<I: IntoIterator<Item = (ObjectType, T)>>(pairs: I) -> Self {
        let mut all = Self { places: BTreeMap::new(), values: Vec::new() };
        for (object, value) in pairs {
            all.insert(object, value);
        }
        all
    }
}

impl<T> Index<ObjectType> for OfAccount<T> {
    type Output = T;

    fn index(&self, object: ObjectType) -> &T {
        &self.values[self.places[&object]]
    }
}

impl<T> IndexMut<ObjectType> for OfAccount<T> {
    fn index_mut(&mut self, object: ObjectType) -> &mut T {
        &mut self.values[self.places[&object]]
    }
}
