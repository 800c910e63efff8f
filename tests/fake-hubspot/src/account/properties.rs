//! Property definitions of one object type. A property keeps its number for ever; archiving hides it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Account;
use super::record::{PropertyIndex, Record};
use super::values::Maker;
use crate::{ObjectType, time};

/// A property in use, as its definition shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthDefinition {
    pub name: String,
    pub kind: Kind,
    pub sensitivity: Sensitivity,
    pub calculated: bool,
    pub hidden: bool,
    pub hubspot_defined: bool,
    pub updated_at: DateTime<Utc>,
    /// Label and value of each, in their order.
    pub options: Vec<(String, String)>,
}

impl Account {
    pub fn truth_definitions(&self, object: ObjectType) -> Vec<TruthDefinition> {
        let state = self.read();
        let truth = |(_, property): (_, &Property)| TruthDefinition {
            name: property.name.clone(),
            kind: property.kind,
            sensitivity: property.sensitivity,
            calculated: property.calculated,
            hidden: property.hidden,
            hubspot_defined: property.hubspot_defined,
            updated_at: property.updated_at,
            options: property.options().map(|(label, value)| (label.to_owned(), value.to_owned())).collect(),
        };
        state.objects[object].catalog.current().map(truth).collect()
    }
}

/// HubSpot's `type` of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    String,
    Number,
    Bool,
    Enumeration,
    Date,
    Datetime,
    PhoneNumber,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    NonSensitive,
    Sensitive,
}

/// Source of a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Stored,
    Id,
    CreatedAt,
    UpdatedAt,
}

#[derive(Debug, Clone)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) field_type: &'static str,
    pub(crate) options: Vec<&'static str>,
    pub(crate) origin: Origin,
    pub(crate) sensitivity: Sensitivity,
    pub(crate) calculated: bool,
    pub(crate) hidden: bool,
    pub(crate) hubspot_defined: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) archived_at: Option<DateTime<Utc>>,
    pub(crate) maker: Maker,
    /// Share of the records that have a value, 0 to 1.
    pub(crate) filled: f64,
}

impl Property {
    /// The value as HubSpot sends it; `None` is null.
    pub(crate) fn value_of<'a>(
        &self,
        index: PropertyIndex,
        record: &'a Record,
    ) -> Option<std::borrow::Cow<'a, str>> {
        match self.origin {
            Origin::Stored => record.values.get(index).map(Into::into),
            Origin::Id => Some(record.id.to_string().into()),
            Origin::CreatedAt => Some(time::text(record.created_at).into()),
            Origin::UpdatedAt => Some(time::text(record.updated_at).into()),
        }
    }

    /// Returns label and value of each option.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_bool: &[(&str, &str)] =
            if self.kind == Kind::Bool { &[("Yes", "true"), ("No", "false")] } else { &[] };
        let own = self.options.iter().filter(|_| self.kind != Kind::Bool).map(|option| (*option, *option));
        of_bool.iter().copied().chain(own)
    }

    /// People may not set it: HubSpot calculates it, or keeps it itself.
    pub(crate) fn is_read_only(&self) -> bool {
        self.calculated || self.origin != Origin::Stored || matches!(self.maker, Maker::Nothing)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    properties: Vec<Property>,
    by_name: HashMap<String, PropertyIndex>,
}

impl Catalog {
    /// Adds a property. It takes the place of one with the same name, whose values are shown again.
    pub(crate) fn add(&mut self, property: Property) -> PropertyIndex {
        let index =
            self.by_name.get(&property.name).copied().unwrap_or(self.properties.len() as PropertyIndex);
        self.by_name.insert(property.name.clone(), index);
        if usize::from(index) < self.properties.len() {
            self.properties[usize::from(index)] = property;
        } else {
            self.properties.push(property);
        }
        index
    }

    /// Returns the property of that name, unless it is archived.
    pub(crate) fn find(&self, name: &str) -> Option<(PropertyIndex, &Property)> {
        let index = *self.by_name.get(name)?;
        let property = &self.properties[usize::from(index)];
        property.archived_at.is_none().then_some((index, property))
    }

    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut Property> {
        self.find_any_mut(name).filter(|property| property.archived_at.is_none())
    }

    /// Returns the property of that name, even an archived one.
    pub(crate) fn find_any_mut(&mut self, name: &str) -> Option<&mut Property> {
        let index = *self.by_name.get(name)?;
        self.properties.get_mut(usize::from(index))
    }

    /// Returns all properties, archived ones too.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PropertyIndex, &Property)> {
        self.properties.iter().enumerate().map(|(index, property)| (index as PropertyIndex, property))
    }

    pub(crate) fn current(&self) -> impl Iterator<Item = (PropertyIndex, &Property)> {
        self.iter().filter(|(_, property)| property.archived_at.is_none())
    }
}
