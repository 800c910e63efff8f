//! Property definitions, all in one answer, with hidden and calculated ones. Sensitive ones only when asked for.

use hyper::Method;
use serde::Serialize;
use serde_json::json;

use super::objects::unknown_type;
use super::{Answer, Call, Reply, Route};
use crate::account::{Catalog, Kind, Property, Sensitivity};
use crate::dice::mix;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::{ObjectType, time};

pub(super) fn route(request: &Request) -> Option<Route> {
    let (version, rest) = request.resource("crm", "properties")?;
    let (&Method::GET, [object, name @ ..], Version::V3 | Version::Dated) =
        (&request.method, rest.as_slice(), version)
    else {
        return None;
    };
    let (endpoint, name) = match name {
        [] => ("properties.list", None),
        [name] => ("properties.get", Some((*name).to_owned())),
        _ => return None,
    };
    let Ok(object) = object.parse::<ObjectType>() else { return Some(unknown_type(endpoint, object)) };
    let route = Route::new(endpoint, Bucket::General, move |call| match &name {
        None => list(call, object),
        Some(name) => get(call, object, name),
    });
    Some(route.reads_schema_of(object))
}

fn list(call: &Call<'_>, object: ObjectType) -> Answer {
    let wanted = match call.request.parameter("dataSensitivity") {
        None | Some("non_sensitive") => Sensitivity::NonSensitive,
        Some("sensitive") => {
            let scope = object.sensitive_scope();
            if !call.may(&scope) {
                return Err(Problem::missing_scope(&[scope]));
            }
            Sensitivity::Sensitive
        }
        Some("highly_sensitive") => return Ok(Reply::json(&json!({"results": []}))),
        Some(other) => return Err(Problem::validation(format!("Invalid dataSensitivity: {other}"))),
    };
    let archived = call.request.flag("archived");
    let behaviour = call.site.behaviour();
    let state = call.account().read();
    let properties = state.objects[object].catalog.iter().map(|(_, property)| property);
    let mut results: Vec<_> = properties
        .filter(|property| property.sensitivity == wanted && property.archived_at.is_some() == archived)
        .map(|property| Definition::new(object, property).withheld(behaviour.definition_nulls))
        .collect();
    if behaviour.nameless_definition && wanted == Sensitivity::NonSensitive {
        let first = state.objects[object].catalog.iter().next();
        results.extend(
            first.map(|(_, property)| Definition { name: None, ..Definition::new(object, property) }),
        );
    }
    Ok(Reply::json(&json!({"results": results})))
}

/// The definitions as they stand in a custom object's schema.
pub(super) fn definitions(catalog: &Catalog, object: ObjectType) -> Vec<serde_json::Value> {
    let in_use = catalog.current().filter(|(_, property)| property.sensitivity == Sensitivity::NonSensitive);
    in_use.map(|(_, property)| json!(Definition::new(object, property))).collect()
}

fn get(call: &Call<'_>, object: ObjectType, name: &str) -> Answer {
    let state = call.account().read();
    let found = state.objects[object].catalog.find(name);
    let (_, property) = found.ok_or_else(|| Problem::property_not_found(name))?;
    Ok(Reply::json(&Definition::new(object, property)))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Definition<'a> {
    updated_at: String,
    created_at: String,
    name: Option<&'a str>,
    label: String,
    r#type: Option<Kind>,
    field_type: Option<&'a str>,
    description: &'a str,
    group_name: String,
    options: Vec<OptionDefinition<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referenced_object_type: Option<&'a str>,
    display_order: i32,
    calculated: Option<bool>,
    external_options: bool,
    archived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archived_at: Option<String>,
    has_unique_value: bool,
    hidden: bool,
    hubspot_defined: bool,
    form_field: bool,
    data_sensitivity: Sensitivity,
    modification_metadata: ModificationMetadata,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionDefinition<'a> {
    label: &'a str,
    value: &'a str,
    display_order: usize,
    hidden: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModificationMetadata {
    archivable: bool,
    read_only_definition: bool,
    read_only_value: bool,
}

impl<'a> Definition<'a> {
    fn new(object: ObjectType, property: &'a Property) -> Self {
        let is_owner = property.name == "hubspot_owner_id";
        Self {
            updated_at: time::text(property.updated_at),
            created_at: time::text(property.created_at),
            name: Some(&property.name),
            label: property.name.replace('_', " "),
            r#type: Some(property.kind),
            field_type: Some(property.field_type),
            description: "",
            group_name: format!("{}information", object.singular()),
            options: options(property),
            referenced_object_type: is_owner.then_some("OWNER"),
            display_order: -1,
            calculated: Some(property.calculated),
            external_options: is_owner,
            archived: Some(property.archived_at.is_some()),
            archived_at: property.archived_at.map(time::text),
            has_unique_value: false,
            hidden: property.hidden,
            hubspot_defined: property.hubspot_defined,
            form_field: !property.is_read_only(),
            data_sensitivity: property.sensitivity,
            modification_metadata: ModificationMetadata {
                archivable: !property.hubspot_defined,
                read_only_definition: property.hubspot_defined,
                read_only_value: property.is_read_only(),
            },
        }
    }
}

impl Definition<'_> {
    /// Replaces some fields by null, in this share of the definitions.
    fn withheld(self, share: f64) -> Self {
        let drawn = self.name.unwrap_or_default().bytes().fold(0, |drawn, byte| mix(drawn ^ u64::from(byte)));
        if (drawn % 1_000) as f64 / 1_000.0 >= share {
            return self;
        }
        let is_text = self.r#type == Some(Kind::String);
        Self {
            r#type: self.r#type.filter(|_| !is_text || drawn & 1 << 20 == 0),
            field_type: self.field_type.filter(|_| drawn & 1 << 21 == 0),
            calculated: self.calculated.filter(|calculated| *calculated || drawn & 1 << 22 == 0),
            archived: self.archived.filter(|archived| *archived || drawn & 1 << 23 == 0),
            ..self
        }
    }
}

fn options(property: &Property) -> Vec<OptionDefinition<'_>> {
    let numbered = property.options().enumerate();
    numbered
        .map(|(display_order, (label, value))| OptionDefinition {
            label,
            value,
            display_order,
            hidden: false,
        })
        .collect()
}
