//! HubSpot's error bodies. They have no reliable shape: every key is optional, `errors` may hold objects or plain
//! strings, `message` may hold JSON as text, and unknown paths answer with an HTML page. So a body is read as untyped
//! JSON, or not at all, and reading never fails.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::families::Family;
use crate::retry::Policy;

/// Most characters of HubSpot's message that our error repeats.
const MAX_REASON_CHARS: usize = 300;
/// Longest body that is read: a longer one is not an error body of HubSpot, and takes many times its length as a tree.
const MAX_BODY_BYTES: usize = 1 << 20;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: Option<String>,
    pub(crate) scopes: Vec<String>,
    /// HubSpot's name for the error, such as `FORM_TYPE_NOT_ALLOWED`.
    pub(crate) error_type: Option<String>,
    pub(crate) policy: Option<Policy>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) correlation_id: Option<String>,
}

impl Refusal {
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Refusal {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let body = body.get(..MAX_BODY_BYTES).map_or(body, |_| b"");
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut scopes = Vec::new();
        collect_scopes(&body, false, &mut scopes);
        scopes.sort();
        scopes.dedup();
        let first = body.get("errors").and_then(|errors| errors.get(0)?.get("errorType"));
        let error_type = first.or_else(|| body.get("errorType")).and_then(Value::as_str).map(line);
        Refusal {
            error_type,
            message: text("message"),
            scopes,
            policy: text("policyName").and_then(|name| Policy::named(&name)),
            retry_after: header("retry-after")
                .and_then(|seconds| seconds.trim().parse::<f64>().ok())
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            correlation_id: header("x-hubspot-correlation-id")
                .map(str::to_owned)
                .or_else(|| text("correlationId"))
                .map(|id| line(&id)),
        }
    }

    /// Returns the reason in a few words, at most a line.
    pub(crate) fn reason(&self) -> String {
        if !self.scopes.is_empty() {
            return line(&format!("missing scope {}", self.scopes.join(" or ")));
        }
        self.message.as_deref().map_or_else(|| "no reason given".to_owned(), line)
    }

    /// `true`: the path names an object that the account does not have. HubSpot answers that with 400.
    pub(crate) fn is_of_an_unknown_object(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.contains("Unable to infer object type"))
    }

    /// Returns the next step after a 403 to this path. A body that names no scope may mean that the account's product
    /// lacks the API; HubSpot documents no shape for that.
    pub(crate) fn scope_advice(&self, path: &str) -> String {
        let is_named = |family: &&Family| !self.scopes.is_empty() || family.has_scope_in(&self.reason());
        match Family::of_path(path).filter(|family| !is_named(family)) {
            Some(family) if !family.scopes.is_empty() => format!(
                "; it needs scope {}: add it to the key or app, then run again; if it is there, the account's product \
                 may lack this API",
                family.scopes_text()
            ),
            _ => "; add the scope to the key or app, then run again".to_owned(),
        }
    }
}

/// Cuts a text to a line, and replaces the addresses in it.
fn line(text: &str) -> String {
    let line: String =
        text.chars().filter(|character| !character.is_control()).take(MAX_REASON_CHARS).collect();
    if !line.contains('@') && !line.contains("%40") {
        return line;
    }
    let is_address = |word: &str| word.contains('@') || word.contains("%40");
    let words = line.split(' ').map(|word| if is_address(word) { "{address}" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_REASON_CHARS).collect()
}

/// Collects strings under keys with "scopes" in their names, at any depth.
fn collect_scopes(value: &Value, is_scopes: bool, scopes: &mut Vec<String>) {
    match value {
        Value::String(text) if is_scopes => {
            // Beside them there may be a link to the documentation of scopes.
            let is_scope = |word: &&str| !word.is_empty() && !word.contains("://");
            let words = text.split([',', ' ', '[', ']', '"']).filter(is_scope);
            scopes.extend(words.map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_scopes(item, is_scopes, scopes)),
        Value::Object(fields) => {
            for (key, value) in fields {
                collect_scopes(value, is_scopes || key.to_lowercase().contains("scopes"), scopes);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Refusal {
        Refusal::read(&HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn scopes_are_found_in_every_known_body() {
        for body in [
            r#"{"category":"MISSING_SCOPES","errors":[{"message":"x","context":{"requiredGranularScopes":["crm.lists.read"]}}]}"#,
            r#"{"category":"MISSING_SCOPES","context":{"requiredScopes":["crm.lists.read"]}}"#,
            r#"{"errors":[{"context":{"requiredScopes":["[crm.lists.read]"]}}]}"#,
            r#"{"context":{"requiredScopes":["crm.lists.read"]},"links":{"scopes":"https://developers.hubspot.com/scopes"}}"#,
        ] {
            assert_eq!(read(body).reason(), "missing scope crm.lists.read", "{body}");
        }
    }

    #[test]
    fn every_403_names_a_scope() {
        let path = "/email/public/v1/events?limit=1";
        for body in
            ["<html>", r#"{"message":"This hub doesn't have access to this feature","category":"FORBIDDEN"}"#]
        {
            let advice = read(body).scope_advice(path);
            assert!(
                advice.contains("it needs scope content:") && advice.contains("product may lack"),
                "{advice}"
            );
        }
        for body in
            [r#"{"context":{"missingScopes":["content"]}}"#, r#"{"message":"requires any of [content]"}"#]
        {
            let advice = read(body).scope_advice(path);
            assert_eq!(advice, "; add the scope to the key or app, then run again", "{body}");
        }
    }

    #[test]
    fn no_body_is_too_odd() {
        for body in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"errors":["The request body may not be null"]}"#,
            r#"{"message":7}"#,
        ] {
            assert_eq!(read(body).reason(), "no reason given", "{body}");
        }
    }

    #[test]
    fn whatever_is_repeated_is_a_line() {
        let long = "s".repeat(2 * MAX_REASON_CHARS);
        let body = format!(
            r#"{{"context":{{"requiredScopes":["a\u0000b\n{long}"]}},"correlationId":"c\r\n{long}"}}"#
        );
        let refusal = read(&body);
        for text in [refusal.reason(), refusal.correlation_id.unwrap()] {
            assert_eq!(text.chars().count(), MAX_REASON_CHARS, "{text}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn addresses_are_not_repeated() {
        let refusal = read(r#"{"message":"no such recipient: <ada@example.com>, really"}"#);
        assert_eq!(refusal.reason(), "no such recipient: {address} really");
    }

    #[test]
    fn a_body_beyond_all_measure_is_not_read() {
        let body = format!(r#"{{"message":"x","errors":[{}0]}}"#, "0,".repeat(MAX_BODY_BYTES / 2));
        assert_eq!(read(&body).reason(), "no reason given");
    }

    #[test]
    fn a_policy_is_read() {
        let body = r#"{"errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING","correlationId":"c"}"#;
        let refusal = read(body);
        assert_eq!(
            (refusal.policy, refusal.correlation_id.as_deref()),
            (Some(Policy::TenSecondly), Some("c"))
        );
    }
}
