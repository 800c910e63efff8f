//! Databricks' dialect. Columns keep their names, in lower case, since column mapping allows nearly all of them; tables
//! and schemas have the names that Unity Catalog takes.
//! <https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-names>
//!
//! A warehouse may have another time zone than UTC, and a call can't set it. So nothing here depends on it: times become
//! texts and days by their milliseconds.

use staging::ColumnType;

use crate::beside::no_column_beside;
use crate::dialect::{Dialect, HASH_DIGITS, backslashed_literal, rfc3339, with_hash};
use crate::java::JavaText;
use crate::sql_over_http::WIDENED;
use crate::table::folded;

pub(crate) const DATABRICKS: Dialect = Dialect {
    type_name,
    column_type,
    column_name,
    text_of,
    hashed_text_of,
    cast,
    md5_of,
    lowest_time: "CAST('0001-01-01T00:00:00Z' AS TIMESTAMP)",
    time_text: rfc3339,
    identifier,
    alters_at_once: false,
    is_transactional: false,
    holds_whole_rows: true,
    beside: no_column_beside,
    // <https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type>
    literal: backslashed_literal,
    raise: Some(raise),
    small_expressions: None,
};

/// <https://docs.databricks.com/aws/en/sql/language-manual/functions/cast>: a double's text is Java's.
const JAVA: JavaText = JavaText {
    of: |x| format!("CAST({x} AS STRING)"),
    is_whole: |x| format!("{x} % 1 = 0"),
    number: |text| format!("try_cast({text} AS BIGINT)"),
    text_type: "STRING",
};

/// 255 characters, as the page about names has it.
const MAX_NAME_BYTES: usize = 255 - WIDENED.len();
const DAY_MS: i64 = 86_400_000;

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // VARIANT takes JSON apart, and gives another text back.
        ColumnType::Text | ColumnType::Json => "STRING",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "TINYINT" | "SMALLINT" | "INT" | "BIGINT" => ColumnType::BigInt,
        "FLOAT" | "DOUBLE" => ColumnType::Double,
        "BOOLEAN" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMP" => ColumnType::Timestamp,
        // Text holds everything: STRING, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

/// The name in lower case. One with a control character, one that is too long, and one that a column has while it is
/// widened become what is left of them and a hash.
fn column_name(name: &str) -> String {
    let folded = folded(name);
    let is_taken = folded.starts_with(WIDENED) || folded.len() > MAX_NAME_BYTES;
    if is_taken || folded.contains(char::is_control) { hashed(&folded, |c| !c.is_control()) } else { folded }
}

/// The name in lower case, where it is a plain one; otherwise what is plain of it, and a hash of all of it.
pub(super) fn identifier(name: &str) -> String {
    let folded = folded(name);
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if folded.chars().all(is_plain) && folded.len() <= MAX_NAME_BYTES {
        folded
    } else {
        hashed(&folded, is_plain)
    }
}

fn hashed(folded: &str, is_plain: impl Fn(char) -> bool) -> String {
    let plain: String = folded.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let plain = plain.trim_start_matches('_');
    let mut end = plain.len().min(MAX_NAME_BYTES - HASH_DIGITS - 1);
    while !plain.is_char_boundary(end) {
        end -= 1;
    }
    with_hash(plain.get(..end).unwrap_or_default(), folded)
}

fn text_of(expression: &str, from: ColumnType) -> String {
    match from {
        ColumnType::Double => JAVA.text_of_double(expression),
        _ => hashed_text_of(expression, from),
    }
}

fn hashed_text_of(expression: &str, from: ColumnType) -> String {
    match from {
        // The cast is for columns of types that no merge creates, which count as text.
        ColumnType::Text | ColumnType::Json | ColumnType::BigInt | ColumnType::Date | ColumnType::Boolean => {
            format!("CAST({expression} AS STRING)")
        }
        ColumnType::Double => JAVA.unless_whole(expression),
        ColumnType::Timestamp => text_of_time(expression),
    }
}

/// `2026-11-23T20:15:00.000Z`, or the day alone at its beginning.
fn text_of_time(time: &str) -> String {
    let ms = format!("unix_millis({time})");
    let of_day = format!("pmod({ms}, {DAY_MS})");
    let day = format!("CAST(date_from_unix_date(CAST(({ms} - {of_day}) div {DAY_MS} AS INT)) AS STRING)");
    let part = |unit: i64, parts: i64, digits: u8| {
        format!("lpad(CAST(({of_day} div {unit}) % {parts} AS STRING), {digits}, '0')")
    };
    format!(
        "CASE WHEN {of_day} = 0 THEN {day} ELSE concat({day}, 'T', {}, ':', {}, ':', {}, '.', {}, 'Z') END",
        part(3_600_000, 24, 2),
        part(60_000, 60, 2),
        part(1_000, 60, 2),
        part(1, 1_000, 3)
    )
}

fn cast(expression: &str, from: ColumnType, to: ColumnType) -> String {
    match (from, to) {
        (ColumnType::Date, ColumnType::Timestamp) => {
            format!("timestamp_millis(CAST(unix_date({expression}) AS BIGINT) * {DAY_MS})")
        }
        _ => format!("CAST({expression} AS {})", type_name(to)),
    }
}

/// Each text has a digest of its own. A function of many arguments, since operators would be nested as deep as there are
/// texts.
fn md5_of(texts: &[String]) -> String {
    let digests: Vec<String> = texts.iter().map(|text| format!("nvl(md5({text}), '-')")).collect();
    match digests.is_empty() {
        true => "md5('')".to_owned(),
        false => format!("md5(concat({}))", digests.join(", ")),
    }
}

/// <https://docs.databricks.com/aws/en/sql/language-manual/functions/raise_error>
fn raise(words: &str) -> String {
    format!("raise_error({})", backslashed_literal(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        assert_types_are_read_back(&DATABRICKS);
        assert_eq!(column_type("INT"), ColumnType::BigInt);
        assert_eq!(column_type("DECIMAL(10,0)"), ColumnType::Text);
        assert_eq!(column_type("TIMESTAMP_NTZ"), ColumnType::Text);
    }

    #[test]
    fn names_are_those_that_unity_catalog_takes_and_differ() {
        assert_eq!((identifier("Deals"), identifier("größe")), ("deals".to_owned(), "größe".to_owned()));
        assert_eq!(column_name("Deal Stage.2"), "deal stage.2");
        let names = ["a b", "a_b", "a.b", "a/b", " ", "\"", "`", "a\nb", "_widened_x", "widened_x"];
        let names = [
            names.map(str::to_owned).as_slice(),
            &["x".repeat(255), "x".repeat(256), "é".repeat(200), "é".repeat(201)],
        ]
        .concat();
        for of in [identifier, column_name] {
            let taken: Vec<String> = names.iter().map(|name| of(name)).collect();
            for (n, name) in taken.iter().enumerate() {
                assert!(name.len() <= MAX_NAME_BYTES && !taken[..n].contains(name), "{name}");
                assert!(!name.contains(char::is_control), "{name}");
            }
        }
        let table = identifier("a\"b; drop/.table\n");
        assert!(table.chars().all(|c| c.is_alphanumeric() || c == '_'), "{table}");
        assert!(!column_name("_widened_x").starts_with(WIDENED));
    }
}
