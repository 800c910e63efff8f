//! The property definitions of one object type, which decide the columns of its table and their types.

use staging::ColumnType;

use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner, Str};
use crate::value::instant_ms;
use crate::version;

/// A property as HubSpot defines it. Fields that a definition lacks, or that are not as documented, get a default: a
/// property without a type is text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    property_type: String,
    archived: bool,
    calculated: bool,
    field_type: String,
    is_hubspots: bool,
    created_ms: Option<i64>,
}

impl Property {
    /// Reads a definition; `None` if it has no name that a column can have.
    fn read(definition: &mut Scanner<'_>) -> Result<Option<Property>, Malformed> {
        let mut property = Property::default();
        if !definition.is_object() {
            return definition.skip().map(|()| None);
        }
        definition.each_field(|key, value| {
            if value.is_nested() {
                return value.skip();
            }
            let Some(said) = value.scalar()? else { return Ok(()) };
            let text = || Str::text(said).into_owned();
            match key.raw() {
                "name" => property.name = text(),
                "type" => property.property_type = text(),
                "fieldType" => property.field_type = text(),
                "archived" => property.archived = said.raw() == "true",
                "calculated" => property.calculated = said.raw() == "true",
                "hubspotDefined" => property.is_hubspots = said.raw() == "true",
                "createdAt" => property.created_ms = instant_ms(&text()),
                _ => {}
            }
            Ok::<_, Malformed>(())
        })?;
        let is_named = !property.name.is_empty() && !property.name.contains('\0');
        Ok(is_named.then_some(property))
    }

    /// `true`: HubSpot calculates the value, and may change it without a new modified date. HubSpot's own properties
    /// show it by `calculated`, an account's by their type of field
    /// (<https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide>).
    pub(crate) fn is_calculated(&self) -> bool {
        self.calculated || self.field_type.starts_with("calculation_")
    }

    /// `true`: the account defined the property after this moment. If it was known before, it was deleted and made
    /// again. HubSpot's own can't be deleted.
    pub(crate) fn is_made_since(&self, since_ms: i64) -> bool {
        !self.is_hubspots && self.created_ms.is_some_and(|created_ms| created_ms > since_ms)
    }

    /// Returns the column's type, by HubSpot's `type`; `fieldType` is about editing only. An unknown type becomes
    /// text, which can hold any value.
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

/// Classes of properties that HubSpot lists separately, each with a scope of its own
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/properties/sensitive-data>).
pub(crate) const SENSITIVE: [&str; 2] = ["sensitive", "highly_sensitive"];

/// The properties of one object type, and the classes of sensitive ones among them.
pub(crate) struct Visible {
    /// Properties in use, including hidden ones, by name.
    pub(crate) properties: Vec<Property>,
    pub(crate) sensitive: Vec<String>,
    /// Classes that may be seen and have no property.
    pub(crate) empty: Vec<String>,
    /// Number of definitions without a name, whose values can't be asked for.
    pub(crate) nameless: usize,
    /// What HubSpot has answered.
    pub(crate) answers: Vec<Body>,
}

/// Reads the properties that the credential may see, by concurrent calls for the ordinary ones and for each class of
/// sensitive ones, without paging. `sensitive` are the classes that it may see; `None` tries all of them, once, since
/// most credentials are refused.
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
    let ((mut properties, answer), of_classes) =
        futures::future::try_join(ordinary, futures::future::try_join_all(of_classes)).await?;

    let (sensitive, of_them): (Vec<String>, Vec<_>) = of_classes.into_iter().flatten().unzip();
    let is_empty = sensitive.iter().zip(&of_them).filter(|(_, (properties, _))| properties.is_empty());
    let empty = is_empty.map(|(class, _)| class.clone()).collect();
    let mut answers = vec![answer];
    for (of_class, answer) in of_them {
        properties.extend(of_class);
        answers.push(answer);
    }
    let defined = properties.len();
    let mut properties: Vec<Property> = properties.into_iter().flatten().collect();
    let nameless = defined - properties.len();
    properties.retain(|property| !property.archived);
    properties.sort_by(|a, b| a.name.cmp(&b.name));
    properties.dedup_by(|a, b| a.name == b.name);
    Ok(Visible { properties, sensitive, empty, nameless, answers })
}

fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::MissingScope | ErrorKind::BadRequest | ErrorKind::NotFound)
}

/// Reads the properties of a class, `None` for definitions without a name; and HubSpot's answer.
async fn of_class(client: &Client, object_type: &str, class: &str) -> Result<(Vec<Option<Property>>, Body)> {
    let path = format!(
        "/crm/properties/{}/{object_type}?archived=false&dataSensitivity={class}",
        version::PROPERTIES
    );
    let body = client.send_for_list(&Call::get(path), "results").await?;
    let malformed = || {
        Error::new(ErrorKind::Malformed, format!("the property definitions of {object_type} do not parse"))
    };
    match definitions(&body) {
        Ok(Some(definitions)) => Ok((definitions, body)),
        Ok(None) => Err(malformed()),
        Err(source) => Err(malformed().caused_by(source)),
    }
}

/// Reads the definitions of an answer; `None` if it has no list of them.
fn definitions(answer: &str) -> Result<Option<Vec<Option<Property>>>, Malformed> {
    let mut definitions = None;
    Scanner::new(answer).each_field(|key, value| {
        if key.raw() != "results" {
            return value.skip();
        }
        let found = definitions.get_or_insert_with(Vec::new);
        value.each_item(|definition| {
            found.push(Property::read(definition)?);
            Ok::<_, Malformed>(())
        })
    })?;
    Ok(definitions)
}

#[cfg(test)]
impl Property {
    pub(crate) fn of_type(name: &str, property_type: &str) -> Property {
        Property { name: name.to_owned(), property_type: property_type.to_owned(), ..Property::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the only property of an answer.
    fn property(definition: &serde_json::Value) -> Option<Property> {
        let answer = serde_json::json!({ "results": [definition] }).to_string();
        definitions(&answer).unwrap().unwrap().remove(0)
    }

    fn column_type(name: &str, property_type: &str) -> ColumnType {
        property(&serde_json::json!({ "name": name, "type": property_type })).unwrap().column_type()
    }

    #[test]
    fn a_property_made_again_is_known_by_its_date() {
        let made =
            |definition: serde_json::Value| property(&definition).unwrap().is_made_since(1_714_557_600_000);
        let at = |created: &str| serde_json::json!({ "name": "x", "createdAt": created });
        assert!(made(at("2024-05-01T10:00:00.001Z")));
        assert!(!made(at("2024-05-01T10:00:00Z")) && !made(at("of old")));
        assert!(!made(serde_json::json!({ "name": "x" })));
        let hubspots =
            serde_json::json!({ "name": "x", "createdAt": "2024-06-01T00:00:00Z", "hubspotDefined": true });
        assert!(!made(hubspots));
    }

    #[test]
    fn calculated_properties_are_known_by_either_sign() {
        let is_calculated = |definition: serde_json::Value| property(&definition).unwrap().is_calculated();
        let defined = |calculated: bool, field: &str| serde_json::json!({ "name": "x", "type": "number", "calculated": calculated, "fieldType": field });
        assert!(is_calculated(defined(true, "number")));
        assert!(is_calculated(defined(false, "calculation_rollup")));
        assert!(!is_calculated(defined(false, "number")));
        assert!(!is_calculated(serde_json::json!({ "name": "x", "type": "number", "fieldType": null })));
    }

    #[test]
    fn an_odd_definition_says_nothing_where_it_is_odd() {
        for odd in [
            serde_json::json!(null),
            serde_json::json!(["x"]),
            serde_json::json!({"x": 1}),
            serde_json::json!(7),
        ] {
            for key in ["type", "fieldType", "archived", "calculated", "options", "dataSensitivity"] {
                let mut definition = serde_json::json!({ "name": "x" });
                definition[key] = odd.clone();
                let property = property(&definition).unwrap();
                assert_eq!(property.column_type(), ColumnType::Text, "{definition}");
                assert!(!property.archived && !property.is_calculated(), "{definition}");
            }
            let definition = serde_json::json!({ "name": odd, "type": "string" });
            assert_eq!(property(&definition).is_some(), odd.is_number(), "{definition}");
            assert_eq!(property(&odd), None);
        }
        for name in ["", "a\0b"] {
            assert_eq!(property(&serde_json::json!({ "name": name })), None);
        }
    }

    #[test]
    fn an_answer_without_definitions_is_none() {
        assert_eq!(definitions(r#"{"results":[]}"#), Ok(Some(Vec::new())));
        assert_eq!(definitions(r#"{"status":"error"}"#), Ok(None));
        assert!(definitions(r#"{"results":null}"#).is_err());
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
