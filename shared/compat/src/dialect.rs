//! SQL of the warehouses that the views are written for. What differs between them is a value; the views themselves
//! know none of it.

use staging::ColumnType;
use warehouse::{quote_identifier_with, shortened};

/// The words of one warehouse.
#[derive(Debug)]
pub struct Dialect {
    /// The name that dbt's adapter has.
    pub name: &'static str,
    quote: char,
    /// Names in quotes are what unquoted ones mean in upper case.
    is_upper: bool,
    max_name_bytes: usize,
    type_name: fn(ColumnType) -> &'static str,
    /// A text as a whole number; NULL where it is none.
    number: fn(&str) -> String,
    /// A JSON object of these keys and values.
    object: fn(&[(&str, String)]) -> String,
    /// The `FROM` clause of a relation `t` with its rows once for each item of a list, a text that holds JSON.
    unnest: fn(&str, &str) -> String,
    /// The text of such an item, or of this field of it.
    item: fn(Option<&str>) -> String,
}

/// All of them: those that `dbt_hubspot` supports, and DuckDB.
pub const DIALECTS: [&Dialect; 6] = [&DUCKDB, &POSTGRES, &REDSHIFT, &SNOWFLAKE, &BIGQUERY, &DATABRICKS];

pub fn dialect(name: &str) -> Option<&'static Dialect> {
    DIALECTS.into_iter().find(|dialect| dialect.name == name)
}

/// Returns that of a warehouse's URL. `None`: there are no views for it.
pub fn dialect_of_url(url: &str) -> Option<&'static Dialect> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    dialect(if scheme == "postgresql" { "postgres" } else { scheme })
}

impl Dialect {
    /// Quotes a name of ours, as the warehouse spells it.
    pub fn quoted(&self, name: &str) -> String {
        let name = shortened(name, self.max_name_bytes);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_ordinary = name.chars().all(is_plain) && !name.starts_with(|c: char| c.is_ascii_digit());
        match self.is_upper && is_ordinary {
            true => quote_identifier_with(self.quote, &name.to_ascii_uppercase()),
            false => quote_identifier_with(self.quote, &name),
        }
    }

    pub(crate) fn null(&self, of: ColumnType) -> String {
        self.cast("NULL", of)
    }

    pub(crate) fn cast(&self, expression: &str, to: ColumnType) -> String {
        format!("CAST({expression} AS {})", (self.type_name)(to))
    }

    /// An expression of a type as another one. A text that is no number becomes NULL.
    pub(crate) fn converted(&self, expression: &str, from: ColumnType, to: ColumnType) -> String {
        use ColumnType::{BigInt, Json, Text};
        match (from, to) {
            (from, to) if from == to => expression.to_owned(),
            (Text | Json, Text | Json) => expression.to_owned(),
            (Text | Json, BigInt) => (self.number)(expression),
            _ => self.cast(expression, to),
        }
    }

    pub(crate) fn object(&self, fields: &[(&str, String)]) -> String {
        (self.object)(fields)
    }

    /// `relation` is what stands behind `FROM`.
    pub(crate) fn from(&self, relation: &str, list: Option<&str>) -> String {
        match list {
            Some(list) => (self.unnest)(relation, &self.quoted(list)),
            None => format!("{relation} AS t"),
        }
    }

    pub(crate) fn item(&self, field: Option<&str>, as_type: ColumnType) -> String {
        self.converted(&(self.item)(field), ColumnType::Text, as_type)
    }
}

/// Quotes a text of the program's own, in which no character means anything.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

const DUCKDB: Dialect = Dialect {
    name: "duckdb",
    quote: '"',
    is_upper: false,
    max_name_bytes: 255,
    type_name: |of| match of {
        ColumnType::Text | ColumnType::Json => "VARCHAR",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP WITH TIME ZONE",
    },
    number: |text| format!("TRY_CAST({text} AS BIGINT)"),
    object: |fields| format!("CAST(json_object({}) AS VARCHAR)", pairs(fields)),
    unnest: |relation, list| {
        format!("{relation} AS t CROSS JOIN unnest(json_extract(t.{list}, '$[*]')) AS item (value)")
    },
    item: |field| match field {
        Some(field) => format!("(item.value ->> {})", literal(field)),
        None => "(item.value ->> '$')".to_owned(),
    },
};

const POSTGRES: Dialect = Dialect {
    name: "postgres",
    quote: '"',
    is_upper: false,
    max_name_bytes: 63,
    type_name: |of| match of {
        ColumnType::Text | ColumnType::Json => "text",
        ColumnType::BigInt => "bigint",
        ColumnType::Double => "double precision",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Timestamp => "timestamp with time zone",
    },
    number: number_by_pattern,
    object: |fields| format!("CAST(json_build_object({}) AS text)", pairs(fields)),
    unnest: |relation, list| {
        format!("{relation} AS t CROSS JOIN json_array_elements(CAST(t.{list} AS json)) AS item (value)")
    },
    item: |field| match field {
        Some(field) => format!("(item.value ->> {})", literal(field)),
        None => "(item.value #>> '{}')".to_owned(),
    },
};

const REDSHIFT: Dialect = Dialect {
    name: "redshift",
    quote: '"',
    is_upper: false,
    max_name_bytes: 127,
    type_name: |of| match of {
        ColumnType::Text | ColumnType::Json => "VARCHAR(65535)",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE PRECISION",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMPTZ",
    },
    number: number_by_pattern,
    object: |fields| format!("JSON_SERIALIZE(OBJECT({}))", pairs(fields)),
    unnest: |relation, list| {
        format!("(SELECT r.*, JSON_PARSE(r.{list}) AS items FROM {relation} AS r) AS t, t.items AS item")
    },
    item: |field| match field {
        Some(field) => format!("JSON_EXTRACT_PATH_TEXT(JSON_SERIALIZE(item), {})", literal(field)),
        None => "JSON_SERIALIZE(item)".to_owned(),
    },
};

const SNOWFLAKE: Dialect = Dialect {
    name: "snowflake",
    quote: '"',
    is_upper: true,
    max_name_bytes: 255,
    type_name: |of| match of {
        ColumnType::Text | ColumnType::Json => "VARCHAR",
        ColumnType::BigInt => "NUMBER(38, 0)",
        ColumnType::Double => "FLOAT",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP_TZ",
    },
    number: |text| format!("TRY_TO_NUMBER({text}, 38, 0)"),
    object: |fields| format!("TO_JSON(OBJECT_CONSTRUCT_KEEP_NULL({}))", pairs(fields)),
    unnest: |relation, list| {
        format!("{relation} AS t, LATERAL FLATTEN(INPUT => TRY_PARSE_JSON(t.{list})) AS item")
    },
    item: |field| match field {
        Some(field) => format!("CAST(GET(item.value, {}) AS VARCHAR)", literal(field)),
        None => "CAST(item.value AS VARCHAR)".to_owned(),
    },
};

const BIGQUERY: Dialect = Dialect {
    name: "bigquery",
    quote: '`',
    is_upper: false,
    max_name_bytes: 300,
    type_name: |of| match of {
        ColumnType::Text | ColumnType::Json => "STRING",
        ColumnType::BigInt => "INT64",
        ColumnType::Double => "FLOAT64",
        ColumnType::Boolean => "BOOL",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
    },
    number: |text| format!("SAFE_CAST({text} AS INT64)"),
    object: |fields| {
        let named: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("{value} AS {}", quote_identifier_with('`', key)))
            .collect();
        format!("TO_JSON_STRING(STRUCT({}))", named.join(", "))
    },
    unnest: |relation, list| format!("{relation} AS t CROSS JOIN UNNEST(JSON_QUERY_ARRAY(t.{list})) AS item"),
    item: |field| match field {
        Some(field) => format!("JSON_VALUE(item, {})", literal(&format!("$.{field}"))),
        None => "JSON_VALUE(item, '$')".to_owned(),
    },
};

const DATABRICKS: Dialect = Dialect {
    name: "databricks",
    quote: '`',
    is_upper: false,
    max_name_bytes: 255,
    type_name: |of| match of {
        ColumnType::Text | ColumnType::Json => "STRING",
        ColumnType::BigInt => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
    },
    number: |text| format!("TRY_CAST({text} AS BIGINT)"),
    object: |fields| format!("to_json(named_struct({}))", pairs(fields)),
    unnest: |relation, list| {
        format!("{relation} AS t LATERAL VIEW explode(from_json(t.{list}, 'ARRAY<STRING>')) item AS value")
    },
    item: |field| match field {
        Some(field) => format!("get_json_object(item.value, {})", literal(&format!("$.{field}"))),
        None => "item.value".to_owned(),
    },
};

/// `'key', value, ...`
fn pairs(fields: &[(&str, String)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{}, {value}", literal(key))).collect();
    pairs.join(", ")
}

/// For engines whose casts fail. 18 digits always fit.
fn number_by_pattern(text: &str) -> String {
    format!("CASE WHEN {text} ~ '^-?[0-9]{{1,18}}$' THEN CAST({text} AS BIGINT) END")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snowflake_alone_has_names_in_upper_case() {
        let quoted = |name| DIALECTS.map(|dialect| dialect.quoted(name));
        let of_from = ["\"from\"", "\"from\"", "\"from\"", "\"FROM\"", "`from`", "`from`"];
        assert_eq!(quoted("from"), of_from);
        assert_eq!(SNOWFLAKE.quoted("größe"), "\"größe\"");
    }

    #[test]
    fn a_long_name_is_cut_to_one_that_differs_from_its_neighbours() {
        let [one, other] = ["a", "b"].map(|end| POSTGRES.quoted(&format!("{}{end}", "x".repeat(63))));
        assert_eq!((one.len(), one != other), (65, true));
        assert_eq!(POSTGRES.quoted(&"x".repeat(63)).len(), 65);
    }

    #[test]
    fn a_text_becomes_a_number_without_a_failure() {
        let texts = DIALECTS.map(|dialect| dialect.converted("x", ColumnType::Text, ColumnType::BigInt));
        assert!(
            texts.iter().all(|sql| ["TRY", "SAFE", "CASE"].iter().any(|word| sql.starts_with(word))),
            "{texts:?}"
        );
        assert_eq!(DUCKDB.converted("x", ColumnType::Json, ColumnType::Text), "x");
    }
}
