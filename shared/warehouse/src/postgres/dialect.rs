//! PostgreSQL's dialect. No value can fail on its way to a wider type. It allows 63 bytes in a name and has names of
//! its own in every table; columns that can't have their name get one that is made from it.

use staging::ColumnType;

use crate::dialect::{Dialect, hashed_within, quote_literal, rfc3339};
use crate::table::folded;

pub(crate) const POSTGRES: Dialect = Dialect {
    type_name,
    column_type,
    column_name,
    text_of,
    hashed_text_of: text_of,
    cast,
    md5_of,
    lowest_time: "TIMESTAMPTZ '-infinity'",
    time_text: rfc3339,
    identifier,
    alters_at_once: true,
    is_transactional: true,
    holds_whole_rows: true,
    beside: column_beside,
    literal: quote_literal,
    raise: None,
    small_expressions: None,
};

/// The column of the values that a row, or the table, has no room for.
pub(super) const OVERFLOW: &str = "_overflow";

/// Begins the names of what takes another one's place in the end. No name of ours has a colon.
pub(super) const BESIDE: &str = "_widening:";
/// Begins the names of what is out of the way for the time of a transaction.
pub(super) const AWAY: &str = "_widened:";

const MAX_NAME_BYTES: usize = 63;
/// The ends of the names of columns that stand beside others, by their types.
const SUFFIXES: [(ColumnType, &str); 4] = [
    (ColumnType::BigInt, "$bigint"),
    (ColumnType::Double, "$double"),
    (ColumnType::Timestamp, "$timestamp"),
    (ColumnType::Text, "$text"),
];
/// The columns that every table has already.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "cmax", "cmin", "tableoid", "xmax", "xmin"];

/// Returns the table, whose name is quoted and qualified, as PostgreSQL's catalog knows it.
pub(super) fn regclass(table: &str) -> String {
    format!("CAST({} AS pg_catalog.regclass)", (POSTGRES.literal)(table))
}

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // `json` and `jsonb` refuse what does not parse, and `jsonb` does not give the same text back.
        ColumnType::Text | ColumnType::Json => "text",
        ColumnType::BigInt => "bigint",
        ColumnType::Double => "double precision",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp with time zone",
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "smallint" | "integer" | "bigint" => ColumnType::BigInt,
        "real" | "double precision" => ColumnType::Double,
        "boolean" => ColumnType::Boolean,
        "date" => ColumnType::Date,
        "timestamp with time zone" => ColumnType::Timestamp,
        // Text holds everything: text, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

fn column_name(name: &str) -> String {
    let folded = folded(name);
    let is_ours = SUFFIXES.iter().any(|(_, suffix)| folded.ends_with(suffix));
    if folded == OVERFLOW || is_ours || SYSTEM_COLUMNS.contains(&folded.as_str()) {
        hashed(&folded)
    } else {
        identifier(name)
    }
}

/// A name as it is, or, when it is too long, its beginning and a hash of all of it, in lower case.
pub(super) fn identifier(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES { name.to_owned() } else { hashed(&folded(name)) }
}

fn hashed(folded: &str) -> String {
    hashed_within(folded, MAX_NAME_BYTES)
}

/// No property is called like this: names of HubSpot have no `$`, and others get another name ([`column_name`]). So the
/// name tells whose column it is, and nothing has to be remembered.
fn column_beside(column: &str, wider: ColumnType) -> Option<String> {
    let (_, suffix) = SUFFIXES.into_iter().find(|(column_type, _)| *column_type == wider)?;
    let within = MAX_NAME_BYTES - suffix.len();
    let name =
        if column.len() <= within { column.to_owned() } else { hashed_within(&folded(column), within) };
    Some(name + suffix)
}

/// The texts that these casts print depend on settings, which a merge pins.
fn text_of(expression: &str, from: ColumnType) -> String {
    match from {
        // The cast is for columns of types that no merge creates, which count as text.
        ColumnType::Text | ColumnType::Json | ColumnType::BigInt | ColumnType::Boolean | ColumnType::Date => {
            format!("CAST({expression} AS text)")
        }
        // Up to 2^53 every whole double is an exact integer.
        ColumnType::Double => format!(
            "CASE WHEN {expression} = trunc({expression}) AND abs({expression}) <= 9007199254740992 \
             THEN CAST(CAST({expression} AS bigint) AS text) ELSE CAST({expression} AS text) END"
        ),
        ColumnType::Timestamp => {
            let utc = format!("({expression} AT TIME ZONE 'UTC')");
            format!(
                "CASE WHEN NOT isfinite({expression}) THEN CAST({expression} AS text) \
                 WHEN {utc} = date_trunc('day', {utc}) THEN CAST(CAST({utc} AS date) AS text) \
                 ELSE to_char({utc}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END"
            )
        }
    }
}

fn cast(expression: &str, from: ColumnType, to: ColumnType) -> String {
    match (from, to) {
        (ColumnType::Date, ColumnType::Timestamp) => format!(
            "CASE WHEN {expression} >= DATE '294277-01-01' THEN TIMESTAMPTZ 'infinity' \
             ELSE CAST({expression} AS timestamp) AT TIME ZONE 'UTC' END"
        ),
        _ => format!("CAST({expression} AS {})", type_name(to)),
    }
}

fn md5_of(texts: &[String]) -> String {
    format!("md5(CAST(ARRAY[{}] AS text))", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        assert_types_are_read_back(&POSTGRES);
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        assert_eq!(identifier(&"a".repeat(63)), "a".repeat(63));
        let names = ["x".repeat(64), "x".repeat(65), format!("{}y", "x".repeat(63)), "é".repeat(40)];
        let cut: Vec<String> = names.iter().map(|name| column_name(name)).collect();
        for (n, name) in cut.iter().enumerate() {
            assert!(name.len() <= 63, "{name}");
            assert!(!cut[..n].contains(name), "{name}");
        }
        assert_eq!(column_name(&"X".repeat(64)), cut[0], "case makes no other column");
    }

    #[test]
    fn no_property_has_the_name_of_a_column_beside_another() {
        for name in ["amount".to_owned(), "x".repeat(63), "é".repeat(40)] {
            let own = column_name(&name);
            let beside = column_beside(&own, ColumnType::Text).unwrap();
            assert!(beside.len() <= 63 && beside.ends_with("$text"), "{beside}");
            assert_ne!(beside, column_beside(&own, ColumnType::Double).unwrap());
            assert_ne!(column_name(&beside), beside);
        }
        assert_eq!(column_beside("amount", ColumnType::Text).as_deref(), Some("amount$text"));
    }

    #[test]
    fn the_tables_own_names_are_left_to_it() {
        assert_eq!(column_name("xmin").split_once('_').map(|(name, _)| name), Some("xmin"));
        assert_eq!(column_name("XMIN"), column_name("xmin"));
        assert_ne!(column_name(OVERFLOW), OVERFLOW);
        assert_eq!(column_name("oid"), "oid");
    }
}
