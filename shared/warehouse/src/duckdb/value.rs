//! Values on their way between column types, as DuckDB expressions. No value can fail: what has no counterpart in the
//! wider type becomes NULL (a day after the year 290,000 as an instant is the only such value).
//!
//! A value's text is the same whichever way its column was widened: a whole double is written like an integer, and
//! midnight UTC like a day. So `1` is `1` whether a bigint column became text at once or was a double in between.

use staging::ColumnType;

use crate::dialect::DUCKDB;

/// `expression` of type `from` as a `to`, which is [`ColumnType::widened`] of `from` and something.
pub(super) fn converted(expression: &str, from: ColumnType, to: ColumnType) -> String {
    match to {
        same if same == from => expression.to_owned(),
        ColumnType::Text | ColumnType::Json => text_of(expression, from),
        ColumnType::BigInt
        | ColumnType::Double
        | ColumnType::Boolean
        | ColumnType::Date
        | ColumnType::Timestamp => {
            format!("TRY_CAST({expression} AS {})", (DUCKDB.type_name)(to))
        }
    }
}

/// `expression` of type `from` as text; NULL stays NULL.
pub(super) fn text_of(expression: &str, from: ColumnType) -> String {
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
