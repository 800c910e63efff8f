//! BigQuery's dialect. Names are plain: letters from `a` to `z` in either case, digits and underscores. Columns may
//! have more characters there, but not everywhere, and not those that matter in SQL.
//! <https://cloud.google.com/bigquery/docs/schemas#column_names>
//!
//! What makes a text of a double, of a time or a digest of a text is a function, which each script defines: the text
//! of a script is limited, and they are called for each column.

use staging::ColumnType;

use crate::beside::no_column_beside;
use crate::dialect::{Dialect, HASH_DIGITS, backslashed_literal, in_backticks, rfc3339, with_hash};
use crate::table::folded;

pub(crate) const BIGQUERY: Dialect = Dialect {
    type_name,
    column_type,
    column_name,
    text_of,
    hashed_text_of: text_of,
    cast,
    md5_of,
    lowest_time: "CAST('0001-01-01 00:00:00+00:00' AS TIMESTAMP)",
    time_text: rfc3339,
    identifier,
    alters_at_once: true,
    is_transactional: true,
    holds_whole_rows: true,
    beside: no_column_beside,
    // <https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences>
    literal: backslashed_literal,
    raise: Some(raise),
    small_expressions: None,
};

/// Functions that the dialect's expressions call, as a script defines them.
///
/// The text of a double has 15 digits, or 16 or 17 where those are too few to tell it from its neighbours. From 1e15 up
/// and below 1e-4 it has an exponent. The smallest of all, and others that one digit tells, have that one.
pub(super) const FUNCTIONS: [(&str, &str); 3] = [
    ("_digest", "CREATE TEMP FUNCTION _digest(t STRING) RETURNS STRING AS (COALESCE(TO_HEX(MD5(t)), '-'))"),
    (
        "_double",
        "CREATE TEMP FUNCTION _double(x FLOAT64) RETURNS STRING AS (CASE \
         WHEN x = TRUNC(x) AND ABS(x) <= 9007199254740992 THEN CAST(CAST(x AS INT64) AS STRING) \
         WHEN IS_NAN(x) OR IS_INF(x) THEN CAST(x AS STRING) \
         WHEN CAST(FORMAT('%.0e', x) AS FLOAT64) = x AND (ABS(x) < 0.0001 OR ABS(x) >= 1e15) THEN FORMAT('%.0e', x) \
         WHEN CAST(FORMAT('%.15g', x) AS FLOAT64) = x THEN FORMAT('%.15g', x) \
         WHEN ABS(x) < 0.0001 OR ABS(x) >= 1e15 THEN \
         CASE WHEN CAST(FORMAT('%.15e', x) AS FLOAT64) = x THEN FORMAT('%.15e', x) ELSE FORMAT('%.16e', x) END \
         WHEN CAST(FORMAT('%.16g', x) AS FLOAT64) = x THEN FORMAT('%.16g', x) \
         ELSE FORMAT('%.17g', x) END)",
    ),
    (
        "_time",
        "CREATE TEMP FUNCTION _time(x TIMESTAMP) RETURNS STRING AS (CASE \
         WHEN x = TIMESTAMP_TRUNC(x, DAY, 'UTC') THEN CAST(DATE(x, 'UTC') AS STRING) \
         ELSE CAST(DATE(x, 'UTC') AS STRING) || FORMAT_TIMESTAMP('T%H:%M:%S', x, 'UTC') || '.' \
         || FORMAT('%03d', MOD(MOD(UNIX_MILLIS(x), 1000) + 1000, 1000)) || 'Z' END)",
    ),
];

/// <https://cloud.google.com/bigquery/docs/schemas#column_names>: 300 characters.
const MAX_NAME_BYTES: usize = 300;
/// Beginnings of names that no column may have, in lower case (the same page).
const RESERVED: [&str; 9] = [
    "_table_",
    "_file_",
    "_partition",
    "_row_timestamp",
    "__root__",
    "_colidentifier",
    "_change_sequence_number",
    "_change_type",
    "_change_timestamp",
];

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // JSON takes texts apart that are JSON, and gives other ones back.
        ColumnType::Text | ColumnType::Json => "STRING",
        ColumnType::BigInt => "INT64",
        ColumnType::Double => "FLOAT64",
        ColumnType::Boolean => "BOOL",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
    }
}

/// A type as the API has it, spelled as [`type_name`] spells it.
pub(super) fn reported(type_name: &str) -> String {
    match type_name {
        "INTEGER" => "INT64".to_owned(),
        "FLOAT" => "FLOAT64".to_owned(),
        "BOOLEAN" => "BOOL".to_owned(),
        other => other.to_uppercase(),
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "INT64" => ColumnType::BigInt,
        "FLOAT64" => ColumnType::Double,
        "BOOL" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMP" => ColumnType::Timestamp,
        // Text holds everything: STRING, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

/// The type of a column of a staged file while it is loaded: times and days are numbers, since a value that BigQuery
/// has no time for would fail the load.
pub(super) fn loaded_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Date | ColumnType::Timestamp => "INT64",
        other => type_name(other),
    }
}

/// A loaded column in its own type. Times before the year 1 or after 9999 become the first or the last one there is.
pub(super) fn loaded(name: &str, column_type: ColumnType) -> String {
    let within = |least: &str, most: &str| {
        format!("CASE WHEN {name} < {least} THEN {least} WHEN {name} > {most} THEN {most} ELSE {name} END")
    };
    match column_type {
        ColumnType::Date => format!("DATE_FROM_UNIX_DATE({})", within("-719162", "2932896")),
        ColumnType::Timestamp => {
            format!("TIMESTAMP_MILLIS({})", within("-62135596800000", "253402300799999"))
        }
        _ => name.to_owned(),
    }
}

fn column_name(name: &str) -> String {
    let folded = folded(name);
    if RESERVED.iter().any(|reserved| folded.starts_with(reserved)) {
        return hashed(&folded);
    }
    identifier(name)
}

/// The name, where it is a plain one; otherwise what is plain of it, and a hash of all of it.
pub(super) fn identifier(name: &str) -> String {
    let is_plain = !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain && name.len() <= MAX_NAME_BYTES { name.to_owned() } else { hashed(&folded(name)) }
}

fn hashed(folded: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let start: String = folded.chars().map(plain).take(MAX_NAME_BYTES - HASH_DIGITS - 2).collect();
    let start = start.trim_start_matches('_');
    let start = if start.starts_with(|first: char| first.is_ascii_digit()) {
        format!("_{start}")
    } else {
        start.to_owned()
    };
    with_hash(&start, folded)
}

fn text_of(expression: &str, from: ColumnType) -> String {
    match from {
        // The cast is for columns of types that no merge creates, which count as text.
        ColumnType::Text | ColumnType::Json | ColumnType::BigInt | ColumnType::Date | ColumnType::Boolean => {
            format!("CAST({expression} AS STRING)")
        }
        ColumnType::Double => format!("_double({expression})"),
        ColumnType::Timestamp => format!("_time({expression})"),
    }
}

fn cast(expression: &str, from: ColumnType, to: ColumnType) -> String {
    match (from, to) {
        (ColumnType::Date, ColumnType::Timestamp) => format!("TIMESTAMP({expression}, 'UTC')"),
        _ => format!("CAST({expression} AS {})", type_name(to)),
    }
}

fn md5_of(texts: &[String]) -> String {
    let digests: Vec<String> = texts.iter().map(|text| format!("_digest({text})")).collect();
    match digests.as_slice() {
        [] => "TO_HEX(MD5(''))".to_owned(),
        [digest] => format!("TO_HEX(MD5({digest}))"),
        digests => format!("TO_HEX(MD5(ARRAY_TO_STRING([{}], '')))", digests.join(", ")),
    }
}

fn raise(words: &str) -> String {
    format!("ERROR({})", backslashed_literal(words))
}

/// A statement as BigQuery takes it: names in backticks, and a condition wherever rows are changed.
pub(super) fn spelled(sql: &str) -> String {
    let mut spelled = in_backticks(sql);
    let changes = spelled.starts_with("UPDATE ") || spelled.starts_with("DELETE ");
    if changes && !spelled.contains(" WHERE ") {
        spelled.push_str(" WHERE true");
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        use ColumnType::{BigInt, Boolean, Double, Text};
        assert_types_are_read_back(&BIGQUERY);
        for (of_api, ours) in [("INTEGER", BigInt), ("FLOAT", Double), ("BOOLEAN", Boolean), ("STRING", Text)]
        {
            assert_eq!(reported(of_api), type_name(ours));
        }
        assert_eq!(column_type(&reported("NUMERIC")), Text);
    }

    #[test]
    fn names_are_plain_and_differ() {
        assert_eq!(column_name("Deal_Stage_2"), "Deal_Stage_2");
        assert_eq!(column_name("_file"), "_file");
        let names = [
            "a b",
            "a_b",
            "a.b",
            "größe",
            "gr__e",
            "\u{1F600}",
            " ",
            "\"",
            "1st",
            "_1st",
            "_file_x",
            "_PARTITIONTIME",
        ]
        .map(str::to_owned);
        let names = [names.as_slice(), &["x".repeat(300), "x".repeat(301), "é".repeat(200)]].concat();
        let plain: Vec<String> = names.iter().map(|name| column_name(name)).collect();
        for (n, name) in plain.iter().enumerate() {
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
            assert!(!name.starts_with(|first: char| first.is_ascii_digit()), "{name}");
            assert!(!RESERVED.iter().any(|reserved| folded(name).starts_with(reserved)), "{name}");
            assert!(name.len() <= MAX_NAME_BYTES && !plain[..n].contains(name), "{name}");
        }
    }

    #[test]
    fn a_change_of_rows_has_a_condition() {
        assert_eq!(spelled("UPDATE \"a\" SET \"b\" = ''"), "UPDATE `a` SET `b` = '' WHERE true");
        assert_eq!(spelled("SELECT \"a\""), "SELECT `a`");
    }
}
