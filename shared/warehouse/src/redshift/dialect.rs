//! Redshift's dialect. Names are in lower case, whatever the case in which they are written, and have 127 bytes.

use staging::ColumnType;

use crate::beside::no_column_beside;
use crate::dialect::{Dialect, escaped_literal, hashed_within, md5_of_digests, rfc3339};
use crate::table::folded;

pub(crate) const REDSHIFT: Dialect = Dialect {
    type_name,
    column_type,
    column_name,
    text_of,
    hashed_text_of: text_of,
    cast,
    md5_of: md5_of_digests,
    lowest_time: "CAST('0001-01-01 00:00:00+00:00' AS TIMESTAMPTZ)",
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

const MAX_NAME_BYTES: usize = 127;
/// The columns that every table has already.
const SYSTEM_COLUMNS: [&str; 9] =
    ["oid", "tableoid", "ctid", "cmin", "cmax", "xmin", "xmax", "insertxid", "deletexid"];

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // The longest there is. SUPER takes JSON apart, and gives another text back.
        ColumnType::Text | ColumnType::Json => "VARCHAR(65535)",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE PRECISION",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMPTZ",
    }
}

/// A type as `svv_columns` has it, spelled as [`type_name`] spells it.
pub(super) fn reported(type_name: &str, length: Option<&str>) -> String {
    match (type_name, length) {
        ("character varying", Some(length)) => format!("VARCHAR({length})"),
        ("timestamp with time zone", _) => "TIMESTAMPTZ".to_owned(),
        (other, _) => other.to_uppercase(),
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "SMALLINT" | "INTEGER" | "BIGINT" => ColumnType::BigInt,
        "REAL" | "DOUBLE PRECISION" => ColumnType::Double,
        "BOOLEAN" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMPTZ" => ColumnType::Timestamp,
        // Text holds everything: VARCHAR, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

/// The type in which `COPY` takes a column of a Parquet file: it knows no times with a zone.
pub(super) fn copied_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Timestamp => "TIMESTAMP",
        other => type_name(other),
    }
}

/// A copied column in its own type.
pub(super) fn copied(name: &str, column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Timestamp => format!("{name} AT TIME ZONE 'UTC'"),
        _ => name.to_owned(),
    }
}

fn column_name(name: &str) -> String {
    let folded = folded(name);
    if SYSTEM_COLUMNS.contains(&folded.as_str()) { hashed(&folded) } else { identifier(name) }
}

/// A name in lower case; when it is too long, its beginning and a hash of all of it.
pub(super) fn identifier(name: &str) -> String {
    let folded = folded(name);
    if folded.len() <= MAX_NAME_BYTES { folded } else { hashed(&folded) }
}

fn hashed(folded: &str) -> String {
    hashed_within(folded, MAX_NAME_BYTES)
}

/// A bare VARCHAR in a cast has 256 bytes; booleans have no cast to text.
fn text_of(expression: &str, from: ColumnType) -> String {
    match from {
        // The cast is for columns of types that no merge creates, which count as text.
        ColumnType::Text | ColumnType::Json | ColumnType::BigInt | ColumnType::Date => {
            format!("CAST({expression} AS VARCHAR(65535))")
        }
        ColumnType::Boolean => {
            format!("CASE WHEN {expression} THEN 'true' WHEN NOT {expression} THEN 'false' END")
        }
        // Up to 2^53 every whole double is an exact integer.
        ColumnType::Double => format!(
            "CASE WHEN {expression} = trunc({expression}) AND abs({expression}) <= 9007199254740992 \
             THEN CAST(CAST({expression} AS BIGINT) AS VARCHAR(65535)) ELSE CAST({expression} AS VARCHAR(65535)) END"
        ),
        ColumnType::Timestamp => {
            let utc = format!("({expression} AT TIME ZONE 'UTC')");
            format!(
                "CASE WHEN {utc} = date_trunc('day', {utc}) THEN to_char({utc}, 'YYYY-MM-DD') \
                 ELSE to_char({utc}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END"
            )
        }
    }
}

fn cast(expression: &str, from: ColumnType, to: ColumnType) -> String {
    match (from, to) {
        (ColumnType::Date, ColumnType::Timestamp) => {
            format!("CAST({expression} AS TIMESTAMP) AT TIME ZONE 'UTC'")
        }
        _ => format!("CAST({expression} AS {})", type_name(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        use ColumnType::{Double, Text, Timestamp};
        assert_types_are_read_back(&REDSHIFT);
        assert_eq!(reported("character varying", Some("65535")), type_name(Text));
        assert_eq!(reported("timestamp with time zone", None), type_name(Timestamp));
        assert_eq!(reported("double precision", None), type_name(Double));
    }

    #[test]
    fn names_are_folded_and_long_ones_cut() {
        assert_eq!(identifier("Größe"), "größe");
        let names = ["x".repeat(128), "x".repeat(129), "é".repeat(80)];
        let cut: Vec<String> = names.iter().map(|name| column_name(name)).collect();
        for (n, name) in cut.iter().enumerate() {
            assert!(name.len() <= MAX_NAME_BYTES, "{name}");
            assert!(!cut[..n].contains(name), "{name}");
        }
        assert_ne!(column_name("OID"), "oid");
    }
}
