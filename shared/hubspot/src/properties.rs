//! The property definitions of one object type: they decide which columns a table has, and of which type.

use serde::Deserialize;
use staging::ColumnType;

use crate::client::{Call, Client};
use crate::error::{Error, ErrorKind, Result};
use crate::version;

/// A property as HubSpot defines it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Property {
    pub(crate) name: String,
    #[serde(rename = "type")]
    property_type: String,
    #[serde(default)]
    archived: bool,
}

#[derive(Deserialize)]
struct Definitions {
    results: Vec<Property>,
}

impl Property {
    /// By HubSpot's `type`; its `fieldType` only says how the value is edited. A type that is not known yet is text,
    /// which holds whatever it brings.
    pub(crate) fn column_type(&self) -> ColumnType {
        match (self.name.as_str(), self.property_type.as_str()) {
            // Declared as a number, and an integer by its meaning: a double would round it above 2^53.
            ("hs_object_id", _) => ColumnType::BigInt,
            (_, "number") => ColumnType::Double,
            (_, "bool") => ColumnType::Boolean,
            (_, "date") => ColumnType::Date,
            (_, "datetime") => ColumnType::Timestamp,
            (_, "json") => ColumnType::Json,
            (_, _string_enumeration_phone_number_or_new) => ColumnType::Text,
        }
    }
}

/// All properties of the object type that are in use, hidden ones included, by name: one call, no paging.
pub(crate) async fn definitions(client: &Client, object_type: &str) -> Result<Vec<Property>> {
    let path = format!("/crm/properties/{}/{object_type}?archived=false", version::PROPERTIES);
    let body = client.send(&Call::get(path)).await?;
    let definitions: Definitions = serde_json::from_slice(&body).map_err(|source| {
        let message = format!("the property definitions of {object_type} do not parse");
        Error::new(ErrorKind::Malformed, message).caused_by(source)
    })?;
    let mut properties = definitions.results;
    properties.retain(|property| !property.archived);
    properties.sort_by(|a, b| a.name.cmp(&b.name));
    properties.dedup_by(|a, b| a.name == b.name);
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column_type(name: &str, property_type: &str) -> ColumnType {
        let property =
            Property { name: name.into(), property_type: property_type.into(), archived: false };
        property.column_type()
    }

    #[test]
    fn types_follow_the_definition() {
        assert_eq!(column_type("amount", "number"), ColumnType::Double);
        assert_eq!(column_type("closedate", "datetime"), ColumnType::Timestamp);
        assert_eq!(column_type("birthday", "date"), ColumnType::Date);
        assert_eq!(column_type("optout", "bool"), ColumnType::Boolean);
        assert_eq!(column_type("extra", "json"), ColumnType::Json);
        for text in ["string", "enumeration", "phone_number", "object_coordinates", "of the future"] {
            assert_eq!(column_type("x", text), ColumnType::Text, "{text}");
        }
        assert_eq!(column_type("hs_object_id", "number"), ColumnType::BigInt);
    }
}
