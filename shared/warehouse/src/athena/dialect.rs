//! Athena's two dialects. Queries, and what changes rows, are Trino's: names in `"`. What changes tables is Hive's:
//! names in backticks, and other names of the same types.
//!
//! Names become letters from `a` to `z`, digits and underscores: Glue has them in lower case, and what else a name may
//! have depends on which part of Athena reads it.

use chrono::{DateTime, Utc};
use staging::ColumnType;

use crate::beside::no_column_beside;
use crate::dialect::{Dialect, HASH_DIGITS, SmallExpressions, quote_literal, with_hash};
use crate::java::JavaText;
use crate::sql_over_http::WIDENED;
use crate::table::folded;

pub(crate) const ATHENA: Dialect = Dialect {
    type_name,
    column_type,
    column_name,
    text_of,
    hashed_text_of,
    cast,
    md5_of,
    lowest_time: "TIMESTAMP '0001-01-01 00:00:00'",
    time_text,
    identifier,
    alters_at_once: false,
    is_transactional: false,
    holds_whole_rows: true,
    beside: no_column_beside,
    literal: quote_literal,
    raise: None,
    small_expressions: Some(SmallExpressions { bytes: MAX_TEXT_BYTES, digests, md5 }),
};

const JAVA: JavaText = JavaText {
    of: |x| format!("format('%s', {x})"),
    is_whole: |x| format!("{x} = truncate({x})"),
    number: |text| format!("CAST({text} AS BIGINT)"),
    text_type: "VARCHAR",
};

/// Glue takes 255.
const MAX_NAME_BYTES: usize = 255 - WIDENED.len();
/// An array constructor of Trino takes 254 values.
const MAX_VALUES: usize = 200;
/// Trino makes one method of an expression, of 64 KB at most. A byte of SQL that makes a column's text takes some 5 bytes
/// there, of a short text 13. The values of two rows are in one expression when they are compared.
const MAX_TEXT_BYTES: usize = 2_000;

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text | ColumnType::Json => "VARCHAR",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        // UTC. `CREATE TABLE` knows no times with a zone.
        ColumnType::Timestamp => "TIMESTAMP(6)",
    }
}

/// A type's name where tables are made.
pub(super) fn defined_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text | ColumnType::Json => "string",
        ColumnType::BigInt => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp",
    }
}

/// A type as `information_schema` has it, spelled as [`type_name`] spells it.
pub(super) fn reported(type_name: &str) -> String {
    match type_name {
        "timestamp" | "timestamp(3)" => "TIMESTAMP(6)".to_owned(),
        other => other.to_uppercase(),
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" => ColumnType::BigInt,
        "REAL" | "DOUBLE" => ColumnType::Double,
        "BOOLEAN" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMP(6)" => ColumnType::Timestamp,
        // Text holds everything: VARCHAR, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

fn column_name(name: &str) -> String {
    let folded = folded(name);
    if folded.starts_with(WIDENED) { hashed(&folded) } else { identifier(name) }
}

/// The name, where it is a plain one; otherwise what is plain of it, and a hash of all of it.
pub(super) fn identifier(name: &str) -> String {
    let folded = folded(name);
    let is_plain = folded.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain && folded.len() <= MAX_NAME_BYTES { folded } else { hashed(&folded) }
}

fn hashed(folded: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let start: String = folded.chars().map(plain).take(MAX_NAME_BYTES - HASH_DIGITS - 1).collect();
    let start = start.trim_start_matches('_');
    with_hash(start, folded)
}

/// A quoted name, qualified or not, in a statement that changes tables.
pub(super) fn in_ddl(quoted: &str) -> String {
    quoted.replace('"', "`")
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
            format!("CAST({expression} AS VARCHAR)")
        }
        ColumnType::Double => JAVA.unless_whole(expression),
        ColumnType::Timestamp => format!(
            "CASE WHEN {expression} = date_trunc('day', {expression}) THEN CAST(CAST({expression} AS DATE) AS VARCHAR) \
             ELSE format_datetime({expression}, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') END"
        ),
    }
}

fn cast(expression: &str, _: ColumnType, to: ColumnType) -> String {
    format!("CAST({expression} AS {})", type_name(to))
}

/// Each text has a digest of its own: all of them together may be longer than a text can be.
fn md5_of(texts: &[String]) -> String {
    md5(&digests(texts))
}

fn digests(texts: &[String]) -> String {
    let digest = |text: &String| format!("coalesce({}, '-')", md5(text));
    let array = |texts: &[String]| {
        format!("array_join(ARRAY[{}], '')", texts.iter().map(digest).collect::<Vec<_>>().join(", "))
    };
    match texts.is_empty() {
        true => "''".to_owned(),
        false => texts.chunks(MAX_VALUES).map(array).collect::<Vec<_>>().join(" || "),
    }
}

fn md5(text: &str) -> String {
    format!("to_hex(md5(to_utf8({text})))")
}

fn time_text(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        use ColumnType::{BigInt, Boolean, Date, Double, Text, Timestamp};
        assert_types_are_read_back(&ATHENA);
        for written in [Text, BigInt, Double, Boolean, Date, Timestamp] {
            assert_eq!(reported(&type_name(written).to_lowercase()), type_name(written));
        }
        assert_eq!(column_type("TIMESTAMP(6) WITH TIME ZONE"), ColumnType::Text);
    }

    #[test]
    fn names_are_plain_and_differ() {
        assert_eq!(identifier("Deal_Stage_2"), "deal_stage_2");
        let names =
            ["a b", "a_b", "a.b", "größe", "gr__e", "\u{1F600}", " ", "\"", "_widened_x", "widened_x"]
                .map(str::to_owned);
        let names = [names.as_slice(), &["x".repeat(255), "x".repeat(256), "é".repeat(200)]].concat();
        let plain: Vec<String> = names.iter().map(|name| column_name(name)).collect();
        for (n, name) in plain.iter().enumerate() {
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
            assert!(!name.starts_with(WIDENED) && name.len() + WIDENED.len() <= 255, "{name}");
            assert!(!plain[..n].contains(name), "{name}");
        }
    }

    #[test]
    fn no_array_is_longer_than_trino_takes() {
        let sql = md5_of(&(0..1_500).map(|n| format!("c{n}")).collect::<Vec<_>>());
        assert_eq!(sql.matches("ARRAY[").count(), 8);
        assert_ne!(md5_of(&["a".to_owned()]), md5_of(&["a".to_owned(), "b".to_owned()]));
    }
}
