//! JSON Schemas of HubSpot's answers, in `schemas/`, and the check of an answer by its schema.
//!
//! The keywords of JSON Schema (draft 2020-12) that these files need are a page of code; a crate for all of them would
//! lengthen each build. An unknown keyword fails the test that meets it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::DateTime;
use serde_json::{Map, Value};

/// Keywords that constrain nothing.
const NOTES: [&str; 3] = ["$schema", "$comment", "title"];

/// Returns the schemas by endpoint; those of incomplete answers have `.207` in their name, that of a refusal is
/// `problem`.
pub(crate) fn schemas() -> BTreeMap<String, Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let of_file = |path: PathBuf| {
        let schema = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), schema)
    };
    files.map(of_file).collect()
}

/// Returns the violations of a schema: each a path, with `#` for an index of a list and `*` for a free name, and a
/// reason.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, Path { parent: None, name: "" }, &mut found);
    found
}

#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'a str,
}

impl Path<'_> {
    fn text(&self) -> String {
        self.parent.map_or_else(String::new, |parent| format!("{}/{}", parent.text(), self.name))
    }
}

fn check(schema: &Value, value: &Value, path: Path<'_>, found: &mut Vec<String>) {
    let words = schema.as_object().unwrap_or_else(|| panic!("{schema} is no schema"));
    for (word, told) in words {
        match word.as_str() {
            "type" => {
                let is_one = |name: &Value| is_of_type(value, name.as_str().unwrap());
                let is_right = told.as_array().map_or_else(|| is_one(told), |names| names.iter().any(is_one));
                if !is_right {
                    found.push(format!("{} is not {told}", path.text()));
                }
            }
            "enum" if !told.as_array().unwrap().contains(value) => {
                found.push(format!("{} is none of {told}", path.text()));
            }
            "format" => {
                assert_eq!(told, "date-time", "a format that nobody checks");
                let is_instant = |text: &str| DateTime::parse_from_rfc3339(text).is_ok();
                if value.as_str().is_some_and(|text| !is_instant(text)) {
                    found.push(format!("{} is no instant", path.text()));
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(told, item, Path { parent: Some(&path), name: "#" }, found);
                }
            }
            "anyOf" => {
                let each = told.as_array().unwrap().iter().map(|schema| {
                    let mut found = Vec::new();
                    check(schema, value, path, &mut found);
                    found
                });
                found.extend(each.min_by_key(Vec::len).unwrap());
            }
            "required" => {
                let Some(fields) = value.as_object() else { continue };
                let names = told.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                for name in names.filter(|name| !fields.contains_key(*name)) {
                    found.push(format!("{} is missing", Path { parent: Some(&path), name }.text()));
                }
            }
            "properties" => {
                for (name, schema) in told.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(schema, value, Path { parent: Some(&path), name }, found);
                    }
                }
            }
            "additionalProperties" => check_others(words, told, value, path, found),
            "enum" => {}
            word => assert!(NOTES.contains(&word), "no check knows the word {word}"),
        }
    }
}

/// Checks fields that have no schema of their own.
fn check_others(
    words: &Map<String, Value>,
    told: &Value,
    value: &Value,
    path: Path<'_>,
    found: &mut Vec<String>,
) {
    let is_known = |name: &str| words.get("properties").is_some_and(|known| known.get(name).is_some());
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !is_known(name)) {
        match told {
            Value::Bool(false) => {
                found.push(format!("{} is not told of", Path { parent: Some(&path), name }.text()));
            }
            schema => check(schema, value, Path { parent: Some(&path), name: "*" }, found),
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        name => panic!("{name} is no type"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_violation_names_its_place() {
        let schema = json!({
            "type": "object",
            "required": ["results", "status"],
            "properties": {
                "status": {"enum": ["COMPLETE"]},
                "results": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"id": {"type": "string"}, "at": {"type": ["string", "null"], "format": "date-time"}},
                    "additionalProperties": {"type": "integer"},
                }},
                "any": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["x"]}]},
            },
            "additionalProperties": false,
        });
        let right = json!({"status": "COMPLETE", "any": "x",
            "results": [{"id": "1", "at": "2026-09-30T00:00:00.000Z", "n": 1}, {"at": null}]});
        assert_eq!(violations(&schema, &right), [""; 0]);
        let wrong = json!({"status": "DONE", "any": {}, "x": 1,
            "results": [{"id": 1}, {"at": "soon"}, {"n": 1.5}, null]});
        let mut found = violations(&schema, &wrong);
        found.sort();
        let expected = [
            "/any is not \"string\"",
            "/results/# is not \"object\"",
            "/results/#/* is not \"integer\"",
            "/results/#/at is no instant",
            "/results/#/id is not \"string\"",
            "/status is none of [\"COMPLETE\"]",
            "/x is not told of",
        ];
        assert_eq!(found, expected);
        assert_eq!(violations(&schema, &json!({"status": "COMPLETE"})), ["/results is missing"]);
    }

    #[test]
    #[should_panic(expected = "no check knows the word pattern")]
    fn a_word_that_is_not_checked_is_no_silence() {
        violations(&json!({"pattern": "x"}), &json!("x"));
    }
}
