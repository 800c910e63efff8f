//! The meaning of BigQuery's words: of a call that it refuses, and of a job that failed.
//! <https://cloud.google.com/bigquery/docs/error-messages>

use reqwest::StatusCode;
use serde_json::Value;

use crate::error::{Error, Kind};

/// Words of a check that a merge makes.
pub(super) const IS_WIDENED: &str = "a table is being widened";

/// Words, in lower case, of errors that show a value.
const QUOTE_VALUES: [&str; 4] = ["bad ", "could not cast", "invalid date", "invalid timestamp"];

/// A call that was not taken.
pub(super) fn refusal(endpoint: &str, status: StatusCode, answer: &Value) -> Error {
    let error = answer.get("error").unwrap_or(answer);
    let reason = error.pointer("/errors/0/reason").and_then(Value::as_str).unwrap_or_default();
    let words = error.get("message").and_then(Value::as_str).unwrap_or("no reason was given");
    match status.as_u16() {
        401 => Error::new(
            Kind::Unreachable,
            "bigquery does not take the credential: check the service account, that it is enabled, and this machine's \
             clock",
        )
        .because(words.to_owned()),
        300..=399 => {
            Error::new(Kind::Unreachable, format!("{endpoint} sends the call elsewhere: check the endpoint"))
        }
        _ if !reason.is_empty() => failure(reason, words),
        _ => Error::new(Kind::Engine, format!("bigquery answers with status {}", status.as_u16()))
            .because(words.to_owned()),
    }
}

/// `true`: the same call may succeed in a moment.
pub(super) fn is_transient(status: StatusCode, answer: &Value) -> bool {
    let reason = answer.pointer("/error/errors/0/reason").and_then(Value::as_str).unwrap_or_default();
    matches!(status.as_u16(), 429 | 500 | 502..=504)
        || (status == StatusCode::FORBIDDEN && matches!(reason, "rateLimitExceeded" | "jobRateLimitExceeded"))
}

/// What a job failed of.
pub(super) fn failed_job(result: &Value) -> Error {
    let text = |field: &str| result.get(field).and_then(Value::as_str).unwrap_or_default();
    failure(text("reason"), text("message"))
}

fn failure(reason: &str, words: &str) -> Error {
    let lower = words.to_lowercase();
    let says = |some: &[&str]| some.iter().any(|some| lower.contains(some));
    let (kind, message) = if says(&["concurrent update", "could not serialize access", IS_WIDENED]) {
        (Kind::Locked, "another merge changes the same tables in bigquery: try again later")
    } else {
        match reason {
            "duplicate" => (Kind::Locked, "another merge makes the same tables: try again later"),
            "rateLimitExceeded" | "jobRateLimitExceeded" | "quotaExceeded" => {
                (Kind::Locked, "bigquery's quota is used up for now: try again later, or load less often")
            }
            "backendError" | "internalError" | "jobBackendError" | "jobInternalError"
            | "tableUnavailable" => (Kind::Locked, "bigquery could not do it at the moment: try again later"),
            "accessDenied" => (
                Kind::Unreachable,
                "bigquery lets this account not do it: grant roles/bigquery.jobUser on the project and \
                 roles/bigquery.dataEditor on the dataset, or on the project so that it can make the dataset",
            ),
            "billingNotEnabled" | "blocked" => {
                (Kind::Unreachable, "the project can't write in bigquery: enable billing for it")
            }
            "notFound" => (
                Kind::Unreachable,
                "bigquery does not know a name: check project, dataset and location in the url",
            ),
            "resourcesExceeded" | "responseTooLarge" | "timeout" | "stopped" => {
                (Kind::TooLarge, "a statement had too much to do, or took too long, and bigquery ended it")
            }
            _ => (Kind::Engine, "bigquery failed in the middle"),
        }
    };
    match says(&QUOTE_VALUES) {
        true => {
            Error::new(kind, message).because("bigquery's words may quote values: its job history has them")
        }
        false => Error::new(kind, message).because(format!("{reason}: {words}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_and_words_become_kinds() {
        let kind =
            |reason: &str, words: &str| failed_job(&json!({"reason": reason, "message": words})).kind();
        let aborted =
            "Transaction is aborted due to concurrent update against table p:d._lock. Transaction ID: 1";
        assert_eq!(kind("invalidQuery", aborted), Kind::Locked);
        assert_eq!(kind("invalidQuery", "Syntax error: Unexpected identifier"), Kind::Engine);
        assert_eq!(kind("duplicate", "Already Exists: Table p:d.t"), Kind::Locked);
        assert_eq!(kind("quotaExceeded", "Quota exceeded: too many loads for this table"), Kind::Locked);
        assert_eq!(kind("accessDenied", "Access Denied: Project p"), Kind::Unreachable);
        assert_eq!(kind("resourcesExceeded", "Resources exceeded during query execution"), Kind::TooLarge);
        let answer = json!({"error": {"code": 404, "message": "Not found: Project p", "errors": [{"reason": "notFound"}]}});
        assert_eq!(refusal("https://x", StatusCode::NOT_FOUND, &answer).kind(), Kind::Unreachable);
        assert_eq!(refusal("https://x", StatusCode::UNAUTHORIZED, &json!({})).kind(), Kind::Unreachable);
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!(
            "{:?}",
            failed_job(&json!({"reason": "invalidQuery", "message": "Bad int64 value: a@b.example"}))
        );
        assert!(shown.contains("Engine") && !shown.contains("a@b.example"), "{shown}");
    }

    #[test]
    fn what_passes_is_tried_again() {
        let limited = json!({"error": {"errors": [{"reason": "rateLimitExceeded"}]}});
        assert!(is_transient(StatusCode::FORBIDDEN, &limited));
        assert!(is_transient(StatusCode::SERVICE_UNAVAILABLE, &Value::Null));
        assert!(!is_transient(
            StatusCode::FORBIDDEN,
            &json!({"error": {"errors": [{"reason": "accessDenied"}]}})
        ));
    }
}
