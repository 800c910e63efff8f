//! The meaning of Databricks' words: of a call that it refuses, and of a statement that failed. Statements fail with the
//! name of a condition: <https://docs.databricks.com/aws/en/error-messages/error-classes>.

use reqwest::StatusCode;
use serde_json::Value;

use crate::error::{Error, Kind};
use crate::statement::Purpose;

/// Conditions of a commit that another one came before; it changed nothing.
/// <https://docs.databricks.com/aws/en/optimizations/isolation-level>
const CONFLICTS: [&str; 9] = [
    "DELTA_CONCURRENT_",
    "DELTA_METADATA_CHANGED",
    "DELTA_PROTOCOL_CHANGED",
    "ConcurrentAppendException",
    "ConcurrentDeleteReadException",
    "ConcurrentDeleteDeleteException",
    "ConcurrentWriteException",
    "MetadataChangedException",
    "ProtocolChangedException",
];
/// Conditions whose words show a value.
const QUOTE_VALUES: [&str; 4] =
    ["CAST_INVALID_INPUT", "CAST_OVERFLOW", "CANNOT_PARSE", "DATATYPE_MISMATCH.INVALID_ROW"];
/// Conditions of a file that can't be read, or has other columns than its description.
const OF_FILES: [&str; 8] = [
    "PATH_NOT_FOUND",
    "FAILED_READ_FILE",
    "CANNOT_READ_FILE_FOOTER",
    "UNABLE_TO_INFER_SCHEMA",
    "PARQUET",
    "UNRESOLVED_COLUMN",
    "INCOMPATIBLE_DATA_FOR_TABLE",
    "CLOUD_FILE_SOURCE_FILE_NOT_FOUND",
];
/// The condition of a check that does not hold.
const RAISED: &str = "USER_RAISED_EXCEPTION";

/// A call that was not taken.
pub(super) fn refusal(endpoint: &str, status: StatusCode, answer: &Value) -> Error {
    let (kind, message) = match status.as_u16() {
        401 | 403 => (
            Kind::Unreachable,
            "databricks lets this principal not do it: check the secret, and grant CAN USE on the SQL warehouse and \
             workspace access to the principal"
                .to_owned(),
        ),
        404 => (
            Kind::Unreachable,
            "databricks does not know the SQL warehouse: check host and warehouse in the url".to_owned(),
        ),
        429 => (Kind::Locked, "databricks has too many calls at the moment: try again later".to_owned()),
        300..=399 => {
            (Kind::Unreachable, format!("{endpoint} sends the call elsewhere: check the host in the url"))
        }
        status => (Kind::Engine, format!("databricks answers with status {status}")),
    };
    Error::new(kind, message).because(words_of(answer))
}

/// `true`: another commit came first.
pub(super) fn is_conflict(words: &str) -> bool {
    CONFLICTS.iter().any(|condition| words.contains(condition))
}

/// Returns the error of a statement that failed. `status` is of the statement.
pub(super) fn failure(status: &Value) -> Error {
    let error = status.get("error").unwrap_or(status);
    let (code, words) =
        (error.get("error_code").and_then(Value::as_str).unwrap_or_default(), words_of(error));
    let says = |some: &[&str]| some.iter().any(|some| words.contains(some));
    let (kind, message) = if is_conflict(&words) {
        (Kind::Locked, "databricks has other commits to the same table all the time: try again later")
    } else if says(&["ALREADY_EXISTS", "FIELDS_ALREADY_EXISTS", "already exists"]) {
        (Kind::Locked, "another load made the same table or column at the same time: try again")
    } else if code == "TEMPORARILY_UNAVAILABLE" || code == "SERVICE_UNDER_MAINTENANCE" {
        (Kind::Locked, "databricks could not do it at the moment: try again later")
    } else if says(&[
        "INSUFFICIENT_PERMISSIONS",
        "INSUFFICIENT_PRIVILEGES",
        "PERMISSION_DENIED",
        "Access Denied",
    ]) || code == "PERMISSION_DENIED"
    {
        (
            Kind::Unreachable,
            "databricks lets this principal not do it: grant USE CATALOG on the catalog, USE SCHEMA, CREATE TABLE, SELECT \
             and MODIFY on the schema, or CREATE SCHEMA on the catalog, and READ FILES on the external location",
        )
    } else if says(&["CATALOG_NOT_FOUND", "NO_SUCH_CATALOG", "does not exist in the metastore"]) {
        (Kind::Unreachable, "databricks does not know the catalog: check the url")
    } else if code == "DEADLINE_EXCEEDED" || says(&["OUT_OF_MEMORY", "STATEMENT_TIMEOUT"]) {
        (Kind::TooLarge, "a statement had too much to do, or took too long: use a larger SQL warehouse")
    } else {
        (Kind::Engine, "databricks failed in the middle")
    };
    match says(&QUOTE_VALUES) {
        true => Error::new(kind, message)
            .because("databricks' words may quote values: the query history has them"),
        false => Error::new(kind, message).because(words),
    }
}

/// Says whether a statement failed of what it is for: a failure while files are read need not be a file's, and a check
/// that did not run is not one that failed.
pub(super) fn is_of_purpose(purpose: &Purpose, error: &Error) -> bool {
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    match purpose {
        Purpose::Read(_) => {
            OF_FILES.iter().chain(&QUOTE_VALUES).any(|condition| words.contains(condition))
                || words.contains("may quote values")
        }
        Purpose::Unchanged | Purpose::Arrived | Purpose::Swept => words.contains(RAISED),
        _ => true,
    }
}

fn words_of(answer: &Value) -> String {
    let field = |name: &str| match answer.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    match (field("error_code"), field("message")) {
        (Some(code), Some(words)) => format!("{code}: {words}"),
        (_, Some(words)) => words,
        _ => "no reason was given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failed(words: &str) -> Error {
        failure(&json!({"state": "FAILED", "error": {"error_code": "BAD_REQUEST", "message": words}}))
    }

    #[test]
    fn words_become_kinds() {
        for (words, kind) in [
            ("[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Transaction conflict detected.", Kind::Locked),
            ("[DELTA_CONCURRENT_DELETE_READ] ConcurrentDeleteReadException: ...", Kind::Locked),
            ("[DELTA_METADATA_CHANGED] MetadataChangedException: ...", Kind::Locked),
            (
                "com.databricks.sql.transaction.tahoe.ConcurrentAppendException: Files were added",
                Kind::Locked,
            ),
            ("[TABLE_OR_VIEW_ALREADY_EXISTS] Cannot create table or view `t`", Kind::Locked),
            ("[INSUFFICIENT_PERMISSIONS] Insufficient privileges", Kind::Unreachable),
            ("[NO_SUCH_CATALOG_EXCEPTION] Catalog 'x' was not found", Kind::Unreachable),
            ("[PARSE_SYNTAX_ERROR] Syntax error at or near 'x'", Kind::Engine),
        ] {
            assert_eq!(failed(words).kind(), kind, "{words}");
        }
        let refused =
            |status: u16| refusal("https://h", StatusCode::from_u16(status).unwrap(), &json!({})).kind();
        assert_eq!([401, 403, 404, 302].map(refused), [Kind::Unreachable; 4]);
        assert_eq!((refused(429), refused(400)), (Kind::Locked, Kind::Engine));
    }

    #[test]
    fn values_are_not_shown() {
        let shown =
            format!("{:?}", failed("[CAST_INVALID_INPUT] The value 'a@b.example' of the type \"STRING\""));
        assert!(shown.contains("Engine") && !shown.contains("a@b.example"), "{shown}");
    }

    #[test]
    fn a_file_is_at_fault_where_the_condition_is_about_files() {
        let is_of = |purpose: &Purpose, words: &str| is_of_purpose(purpose, &failed(words));
        let read = Purpose::Read("a".to_owned());
        assert!(is_of(&read, "[PATH_NOT_FOUND] Path does not exist: s3://b/a"));
        assert!(is_of(
            &read,
            "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `surname` cannot be resolved"
        ));
        assert!(!is_of(&read, "[TABLE_OR_VIEW_NOT_FOUND] The table cannot be found"));
        assert!(is_of(&Purpose::Arrived, "[USER_RAISED_EXCEPTION] rows are missing"));
        assert!(!is_of(&Purpose::Arrived, "[TABLE_OR_VIEW_NOT_FOUND] The table cannot be found"));
    }
}
