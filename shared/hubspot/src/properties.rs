//! The property definitions of one object type: they decide which columns a table has, and of which type.

use serde::Deserialize;
use staging::ColumnType;

use crate::call::Call;
use crate::client::Client;
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
    #[serde(default)]
    calculated: bool,
    #[serde(rename = "fieldType", default)]
    field_type: Option<String>,
}

#[derive(Deserialize)]
struct Definitions {
    results: Vec<Property>,
}

impl Property {
    /// HubSpot works its value out, and may change it without a new modified date. `calculated` says so of HubSpot's own
    /// properties, the type of field of an account's
    /// (<https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>).
    pub(crate) fn is_calculated(&self) -> bool {
        let is_by_field = |field_type: &String| field_type.starts_with("calculation_");
        self.calculated || self.field_type.as_ref().is_some_and(is_by_field)
    }

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

/// Classes of properties that HubSpot lists apart, each behind a scope of its own
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/properties/sensitive-data>).
pub(crate) const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// The properties of one object type, and the classes of sensitive ones among them.
pub(crate) struct Visible {
    /// Those in use, hidden ones included, by name.
    pub(crate) properties: Vec<Property>,
    pub(crate) sensitive: Vec<String>,
}

/// What the credential may see: one call for the ordinary properties and one for each class of sensitive ones, at once,
/// without paging. Most may see none of the classes, and are refused: to be asked for once, not in each run; `None` asks.
pub(crate) async fn visible(
    client: &Client,
    object_type: &str,
    sensitive: Option<Vec<String>>,
) -> Result<Visible> {
    let may_be_refused = sensitive.is_none();
    let classes = sensitive.unwrap_or_else(|| SENSITIVE.map(str::to_owned).to_vec());
    let of_classes = classes.into_iter().map(|class| async move {
        match of_class(client, object_type, &class).await {
            Err(refused) if may_be_refused && is_refusal(refused.kind()) => Ok(None),
            answered => answered.map(|properties| Some((class, properties))),
        }
    });
    let ordinary = of_class(client, object_type, "non_sensitive");
    let (mut properties, of_classes) =
        futures::future::try_join(ordinary, futures::future::try_join_all(of_classes)).await?;

    let (sensitive, of_them): (Vec<String>, Vec<_>) = of_classes.into_iter().flatten().unzip();
    properties.extend(of_them.into_iter().flatten());
    properties.retain(|property| !property.archived);
    properties.sort_by(|a, b| a.name.cmp(&b.name));
    properties.dedup_by(|a, b| a.name == b.name);
    Ok(Visible { properties, sensitive })
}

fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::MissingScope | ErrorKind::BadRequest | ErrorKind::NotFound)
}

async fn of_class(client: &Client, object_type: &str, class: &str) -> Result<Vec<Property>> {
    let path = format!(
        "/crm/properties/{}/{object_type}?archived=false&dataSensitivity={class}",
        version::PROPERTIES
    );
    let body = client.send_for_list(&Call::get(path), "results").await?;
    let definitions: Definitions = serde_json::from_str(&body).map_err(|source| {
        let message = format!("the property definitions of {object_type} do not parse");
        Error::new(ErrorKind::Malformed, message).caused_by(source)
    })?;
    Ok(definitions.results)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column_type(name: &str, property_type: &str) -> ColumnType {
        let property = serde_json::json!({ "name": name, "type": property_type });
        serde_json::from_value::<Property>(property).unwrap().column_type()
    }

    #[test]
    fn calculated_properties_are_known_by_either_sign() {
        let is_calculated = |property: serde_json::Value| {
            serde_json::from_value::<Property>(property).unwrap().is_calculated()
        };
        let property = |calculated: bool, field: &str| serde_json::json!({ "name": "x", "type": "number", "calculated": calculated, "fieldType": field });
        assert!(is_calculated(property(true, "number")));
        assert!(is_calculated(property(false, "calculation_rollup")));
        assert!(!is_calculated(property(false, "number")));
        assert!(!is_calculated(serde_json::json!({ "name": "x", "type": "number", "fieldType": null })));
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
