//! The HTTP client of engines that are called without a vendor's library.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use url::Url;

use crate::catalog::Rows;
use crate::error::{Error, Kind, Result};

/// Such an API answers in less, if only to say that it is not done: Snowflake's within 45 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(110);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a client. It follows no redirect: a credential stays with the address that it is for.
pub(crate) fn http_client() -> Result<Client> {
    // One provider for all TLS of the process; a second call finds the first one's and leaves it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("hubspot-source/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|source| Error::new(Kind::Unreachable, "no HTTP client can be made").because(source))
}

/// Sends a call; answers with its status, its headers, and what it says, which is null if that is not JSON.
pub(crate) async fn answered(call: RequestBuilder) -> reqwest::Result<(StatusCode, HeaderMap, Value)> {
    let response = call.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await?;
    Ok((status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// `true`: what is sent there stays on this machine.
pub(crate) fn is_local(address: &str) -> bool {
    Url::parse(address)
        .is_ok_and(|parsed| matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")))
}

/// Refuses an address to which a token would be sent without TLS.
pub(crate) fn is_safe(address: &str) -> bool {
    let Ok(parsed) = Url::parse(address) else { return false };
    parsed.scheme() == "https" || parsed.scheme() == "http" && is_local(address)
}

/// The text in a field that each answer of the engine has.
pub(crate) fn text_of<'a>(engine: &str, answer: &'a Value, field: &str) -> Result<&'a str> {
    let text = answer.get(field).and_then(Value::as_str);
    text.ok_or_else(|| Error::new(Kind::Engine, format!("{engine}'s answer has no {field}")))
}

/// Rows of an answer, as arrays. Values are texts, whatever their type.
pub(crate) fn rows_of(rows: &Value) -> Rows {
    let cell = |cell: &Value| match cell {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let row = |row: &Value| row.as_array().map(|cells| cells.iter().map(cell).collect()).unwrap_or_default();
    rows.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_texts() {
        let chunk = json!({"data_array": [["1", null], [true, "b"]]});
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows_of(&chunk["data_array"]), [[text("1"), None], [text("true"), text("b")]]);
        assert!(rows_of(&json!({"row_count": 0})["data_array"]).is_empty());
    }
}
