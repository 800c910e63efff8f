//! DuckDB's dialect. No value can fail on its way to a wider type: what has no counterpart there becomes NULL (a day
//! after the year 290,000 as an instant is the only such value).

use staging::ColumnType;

use crate::beside::no_column_beside;
use crate::dialect::{Dialect, quote_literal, rfc3339};

pub(crate) const DUCKDB: Dialect = Dialect {
    type_name,
    column_type,
    column_name: str::to_owned,
    text_of,
    hashed_text_of,
    cast: |expression, _, to| format!("TRY_CAST({expression} AS {})", type_name(to)),
    md5_of: |texts| format!("md5(CAST(to_json([{}]) AS VARCHAR))", texts.join(", ")),
    lowest_time: "TIMESTAMPTZ '-infinity'",
    time_text: rfc3339,
    identifier: str::to_owned,
    alters_at_once: false,
    is_transactional: true,
    holds_whole_rows: true,
    beside: no_column_beside,
    literal: quote_literal,
    raise: None,
    small_expressions: None,
};

fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        // The JSON type is an alias of VARCHAR that refuses what does not parse; its functions take VARCHAR as well.
        ColumnType::Text | ColumnType::Json => "VARCHAR",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP WITH TIME ZONE",
    }
}

fn column_type(type_name: &str) -> ColumnType {
    match type_name {
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" | "UTINYINT" | "USMALLINT" | "UINTEGER" => {
            ColumnType::BigInt
        }
        "FLOAT" | "DOUBLE" => ColumnType::Double,
        "BOOLEAN" => ColumnType::Boolean,
        "DATE" => ColumnType::Date,
        "TIMESTAMP WITH TIME ZONE" => ColumnType::Timestamp,
        // Text holds everything: VARCHAR, and types of columns that somebody made by hand.
        _ => ColumnType::Text,
    }
}

fn text_of(expression: &str, from: ColumnType) -> String {
    match from {
        // Between these two, a cast has no exponent.
        ColumnType::Double => {
            let digits = format!("rtrim(replace(CAST(abs({expression}) AS VARCHAR), '.', ''), '0')");
            format!(
                "CASE WHEN abs({expression}) > 1e15 AND abs({expression}) < 1e16 \
                 AND ({expression} <> trunc({expression}) OR abs({expression}) > 9007199254740992) \
                 THEN CASE WHEN {expression} < 0 THEN '-' ELSE '' END || left({digits}, 1) || '.' || substr({digits}, 2) \
                 || 'e+15' ELSE {} END",
                hashed_text_of(expression, from)
            )
        }
        _ => hashed_text_of(expression, from),
    }
}

fn hashed_text_of(expression: &str, from: ColumnType) -> String {
    match from {
        // The cast is for columns of types that no merge creates, which count as text.
        ColumnType::Text | ColumnType::Json | ColumnType::BigInt | ColumnType::Boolean | ColumnType::Date => {
            format!("CAST({expression} AS VARCHAR)")
        }
        // Up to 2^53 every whole double is an exact integer.
        ColumnType::Double => format!(
            "CASE WHEN {expression} = trunc({expression}) AND abs({expression}) <= 9007199254740992 \
             THEN CAST(CAST({expression} AS BIGINT) AS VARCHAR) ELSE CAST({expression} AS VARCHAR) END"
        ),
        ColumnType::Timestamp => format!(
            "CASE WHEN epoch_us({expression}) % 86400000000 = 0 \
             THEN strftime(make_timestamp(epoch_us({expression})), '%Y-%m-%d') \
             ELSE strftime(make_timestamp(epoch_us({expression})), '%Y-%m-%dT%H:%M:%S.%gZ') END"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::assert_types_are_read_back;

    #[test]
    fn every_type_that_is_written_is_read_back() {
        assert_types_are_read_back(&DUCKDB);
    }
}
