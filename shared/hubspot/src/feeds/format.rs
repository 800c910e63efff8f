//! The format of cursors, and the steps from each one to the next.
//!
//! A cursor of an older format is brought to this one before anybody reads it. Formats so far only add: a version of
//! this program that knows an older one reads what is written here, so it can be deployed again.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The format that is written. Cursors from before formats were counted have none.
pub(super) const FORMAT: u64 = 1;

/// The field of a cursor that names its format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Format;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(FORMAT)
    }
}

/// [`migrate`] has looked at it.
impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(Format)
    }
}

/// Brings a cursor to [`FORMAT`].
///
/// # Errors
/// When it was written by a newer version of this program.
pub(super) fn migrate(cursor: &mut Value) -> Result<(), String> {
    let format = match cursor.get("format") {
        None => 0,
        Some(format) => format.as_u64().ok_or("its format is no number")?,
    };
    if format > FORMAT {
        return Err(format!("the cursor has format {format}, and this version reads formats up to {FORMAT}"));
    }
    if format < 1 {
        begin_with_forms(cursor);
    }
    Ok(())
}

/// From no format to 1: forms are read beside the contacts, and no more after the archived ones.
fn begin_with_forms(cursor: &mut Value) {
    for run in ["run", "paused"] {
        let Some(run) = cursor.get_mut(run).and_then(Value::as_object_mut) else { continue };
        let Some(Value::Array(then)) = run.get_mut("then") else { continue };
        let forms: Vec<Value> = then.extract_if(.., |slice| slice["kind"] == "submitted").collect();
        if let Some(Value::Array(slices)) = run.get_mut("slices") {
            slices.extend(forms);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Cursor;
    use super::*;

    #[test]
    fn a_cursor_without_a_format_reads_its_forms_beside_the_contacts() {
        let slice = |kind: &str| json!({"kind": kind});
        let mut cursor = json!({
            "run": {"slices": [slice("listed")], "then": [slice("submitted"), slice("named"), slice("submitted")]},
            "paused": null
        });
        migrate(&mut cursor).unwrap();
        let slices = json!([slice("listed"), slice("submitted"), slice("submitted")]);
        assert_eq!(cursor["run"], json!({"slices": slices, "then": [slice("named")]}));
    }

    #[test]
    fn a_cursor_of_a_newer_format_is_refused() {
        let newer = json!({"format": FORMAT + 1, "watermark_ms": 7});
        let refused = serde_json::from_value::<Cursor>(newer).unwrap_err().to_string();
        assert!(refused.contains("reads formats up to 1"), "{refused}");
        assert!(serde_json::from_value::<Cursor>(json!({"format": "x"})).is_err());
    }

    #[test]
    fn what_is_written_names_its_format() {
        assert_eq!(serde_json::to_value(Cursor::default()).unwrap()["format"], FORMAT);
    }
}
