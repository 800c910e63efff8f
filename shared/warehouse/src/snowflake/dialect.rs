//! Snowflake's dialect. Ordinary names are in upper case, which is what an unquoted name means there.

use staging::ColumnType;

use crate::beside::no_column_beside;
use crate::dialect::{Dialect, escaped_literal, hashed_within, md5_of_digests, rfc3339};
use crate::table::folded;

pub(crate) const SNOWFLAKE: Dialect = Dialect {
    type_name,
    column_type,
    column_name: identifier,
    text_of,
    hashed_text_of: text_of,
    cast,
    md5_of: md5_of_digests,
    lowest_time: "CAST('0001-01-01 00:00:00.000+00:00' AS TIMESTAMP_TZ(3))",
    time_text: rfc3339,
    identifier,
    alters_at_once: false,
    is_transactional: true,
    holds_whole_rows: false,
    beside: no_column_beside,
    literal: escaped_literal,
    raise: None,
    small_expressions: None,
};

/// Snowflake counts characters.
const MAX_NAME_BYTES: usize = 255;
/// The longest text that there is unless an account says otherwise; a bare VARCHAR has this length.
const LONGEST_TEXT: u64 = 16_777_216;

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // VARIANT takes JSON apart, and gives another text back.
        ColumnType::Text | ColumnType::Json => "VARCHAR",
        ColumnType::BigInt => "NUMBER(38,0)",
        ColumnType::Double => "FLOAT",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP_TZ(3)",
    }
}

/// A type as `information_schema.columns` has it, spelled as [`type_name`] spells it.
pub(super) fn reported(
    type_name: &str,
    length: Option<&str>,
    precision: Option<&str>,
    scale: Option<&str>,
) -> String {
    match (type_name, length, precision, scale) {
        ("TEXT", Some(length), ..) if length.parse().is_ok_and(|length: u64| length < LONGEST_TEXT) => {
            format!("VARCHAR({length})")
        }
        ("TEXT", ..) => "VARCHAR".to_owned(),
        ("NUMBER", _, Some(precision), Some(scale)) => format!("NUMBER({precision},{scale})"),
        // One with more digits holds all that we have.
        ("TIMESTAMP_TZ", ..) => "TIMESTAMP_TZ(3)".to_owned(),
        (other, ..) => other.to_owned(),
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "FLOAT" => ColumnType::Double,
        "BOOLEAN" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMP_TZ(3)" => ColumnType::Timestamp,
        number if number.starts_with("NUMBER(") && number.ends_with(",0)") => ColumnType::BigInt,
        // Text holds everything: VARCHAR, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

/// Says whether a name is the same with and without quotes, but for the case.
pub(super) fn is_ordinary(name: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_alphabetic() || character == '_';
    name.starts_with(is_letter)
        && name
            .chars()
            .all(|character| is_letter(character) || character.is_ascii_digit() || character == '$')
}

/// An ordinary name in upper case, any other in lower case; when it is too long, its beginning and a hash of all of it.
pub(super) fn identifier(name: &str) -> String {
    let folded = folded(name);
    let cut = if folded.len() <= MAX_NAME_BYTES { folded } else { hashed(&folded) };
    if is_ordinary(&cut) { cut.to_ascii_uppercase() } else { cut }
}

fn hashed(folded: &str) -> String {
    hashed_within(folded, MAX_NAME_BYTES)
}

/// Formats are given, since an account may have others.
fn text_of(expression: &str, from: ColumnType) -> String {
    match from {
        ColumnType::Text | ColumnType::Json | ColumnType::BigInt | ColumnType::Boolean => {
            format!("CAST({expression} AS VARCHAR)")
        }
        // Up to 2^53 every whole double is an exact integer.
        ColumnType::Double => format!(
            "CASE WHEN {expression} = trunc({expression}) AND abs({expression}) <= 9007199254740992 \
             THEN CAST(CAST({expression} AS NUMBER(38,0)) AS VARCHAR) ELSE CAST({expression} AS VARCHAR) END"
        ),
        ColumnType::Date => format!("to_varchar({expression}, 'YYYY-MM-DD')"),
        ColumnType::Timestamp => {
            let utc = format!("convert_timezone('UTC', {expression})");
            format!(
                "CASE WHEN {utc} = date_trunc('day', {utc}) THEN to_varchar({utc}, 'YYYY-MM-DD') \
                 ELSE to_varchar({utc}, 'YYYY-MM-DD\"T\"HH24:MI:SS.FF3\"Z\"') END"
            )
        }
    }
}

/// A day as a time is its midnight in the session's zone, which is UTC.
fn cast(expression: &str, _from: ColumnType, to: ColumnType) -> String {
    format!("CAST({expression} AS {})", type_name(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        use ColumnType::{BigInt, Text, Timestamp};
        assert_types_are_read_back(&SNOWFLAKE);
        assert_eq!(reported("TEXT", Some("16777216"), None, None), type_name(Text));
        assert_eq!(reported("TEXT", Some("134217728"), None, None), type_name(Text));
        assert_eq!(reported("TEXT", Some("20"), None, None), "VARCHAR(20)");
        assert_eq!(reported("NUMBER", None, Some("38"), Some("0")), type_name(BigInt));
        assert_eq!(reported("TIMESTAMP_TZ", None, None, None), type_name(Timestamp));
        assert_eq!(column_type("NUMBER(10,0)"), BigInt);
        assert_eq!(column_type("NUMBER(10,2)"), Text);
        assert_eq!(column_type("TIMESTAMP_NTZ"), Text);
    }

    #[test]
    fn ordinary_names_are_what_unquoted_ones_mean() {
        assert_eq!(identifier("_loaded_files"), "_LOADED_FILES");
        assert_eq!(identifier("Contacts$1"), "CONTACTS$1");
        assert_eq!(identifier("GRÖßE"), "größe");
        assert_eq!(identifier("1st Name"), "1st name");
        let names = ["x".repeat(255), "x".repeat(256), "é".repeat(140)];
        let cut: Vec<String> = names.iter().map(|name| identifier(name)).collect();
        for (n, name) in cut.iter().enumerate() {
            assert!(name.len() <= MAX_NAME_BYTES, "{name}");
            assert!(!cut[..n].contains(name), "{name}");
        }
    }
}
