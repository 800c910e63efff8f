//! The three types of CRM records, with their names in HubSpot.

use std::ops::{Index, IndexMut};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectType {
    Contacts,
    Companies,
    Deals,
}

impl ObjectType {
    pub const ALL: [Self; 3] = [Self::Contacts, Self::Companies, Self::Deals];

    pub fn plural(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
        }
    }

    pub fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Companies => "company",
            Self::Deals => "deal",
        }
    }

    /// HubSpot's `objectTypeId`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
            Self::Deals => "0-3",
        }
    }

    /// The property that holds the modified date. `hs_lastmodifieddate` exists on contacts too, and is empty there.
    pub fn modified_property(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            Self::Companies | Self::Deals => "hs_lastmodifieddate",
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
        }
    }

    /// Returns the properties that a record shows whatever the call names.
    pub(crate) fn always_shown(self) -> [&'static str; 3] {
        ["createdate", "hs_object_id", self.modified_property()]
    }
}

/// Parses a plural, a singular or an `objectTypeId`, as HubSpot's paths take them.
impl FromStr for ObjectType {
    type Err = UnknownObjectType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|object| [object.plural(), object.singular(), object.id()].contains(&name))
            .ok_or_else(|| UnknownObjectType(name.to_owned()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("unknown object type {0:?}: contacts, companies or deals")]
pub struct UnknownObjectType(String);

/// One value for each type of record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerType<T> {
    pub contacts: T,
    pub companies: T,
    pub deals: T,
}

impl<T> Index<ObjectType> for PerType<T> {
    type Output = T;

    fn index(&self, object: ObjectType) -> &T {
        match object {
            ObjectType::Contacts => &self.contacts,
            ObjectType::Companies => &self.companies,
            ObjectType::Deals => &self.deals,
        }
    }
}

impl<T> IndexMut<ObjectType> for PerType<T> {
    fn index_mut(&mut self, object: ObjectType) -> &mut T {
        match object {
            ObjectType::Contacts => &mut self.contacts,
            ObjectType::Companies => &mut self.companies,
            ObjectType::Deals => &mut self.deals,
        }
    }
}
