//! Access tokens of APIs that are called without a vendor's library: how one is asked for, and how long it is kept.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::{Error, Result};

/// A token is replaced when it has no more left than this.
const LEAST_LIFE: TimeDelta = TimeDelta::minutes(5);
const MAX_ATTEMPTS: u32 = 4;
const FIRST_RETRY: Duration = Duration::from_millis(300);

/// A token and its end.
pub(crate) type Granted = (SecretString, DateTime<Utc>);

/// The last token.
#[derive(Debug, Default)]
pub(crate) struct KeptToken(Mutex<Option<Granted>>);

impl KeptToken {
    /// Returns the token; a new one where there is none, or the last one was refused or is about to end.
    pub(crate) async fn or_new(
        &self,
        is_refused: bool,
        new: impl Future<Output = Result<Granted>>,
    ) -> Result<SecretString> {
        let mut kept = self.0.lock().await;
        if let Some((token, until)) = &*kept
            && !is_refused
            && *until - Utc::now() > LEAST_LIFE
        {
            return Ok(token.clone());
        }
        let (token, until) = new.await?;
        *kept = Some((token.clone(), until));
        Ok(token)
    }
}

/// Issuer of the tokens, as errors name it.
#[derive(Debug)]
pub(crate) struct TokenServer {
    pub(crate) name: &'static str,
    /// Advice where nobody answers.
    pub(crate) unanswered: &'static str,
    pub(crate) refused: fn(&str) -> Error,
}

impl TokenServer {
    /// Sends a call for a token, and again for as long as that makes sense. No error shows what was sent.
    pub(crate) async fn sent(&self, call: impl Fn() -> RequestBuilder) -> Result<Value> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = match call().send().await {
                Ok(response) => {
                    let status = response.status();
                    response.bytes().await.map(|body| (status, body))
                }
                Err(error) => Err(error),
            };
            let is_last = attempt == MAX_ATTEMPTS;
            match answer {
                Ok((status, body)) if status.is_success() => {
                    return serde_json::from_slice(&body)
                        .map_err(|_| (self.refused)("and the answer to it is not JSON"));
                }
                Ok((status, _)) if is_passing(status) && !is_last => {}
                Err(_) if !is_last => {}
                Ok((status, body)) => {
                    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
                    let words = text("/error_description").or(text("/error/message")).or(text("/error"));
                    let message = format!("and {} does not take this one", self.name);
                    return Err((self.refused)(&message).because(format!(
                        "{}: {}",
                        status.as_u16(),
                        words.unwrap_or("no reason was given")
                    )));
                }
                Err(source) => return Err((self.refused)(self.unanswered).because(source.without_url())),
            }
            tokio::time::sleep(FIRST_RETRY * 2_u32.pow(attempt - 1)).await;
        }
    }

    /// Returns the token in an answer.
    pub(crate) fn granted(&self, answer: &Value, now: DateTime<Utc>) -> Result<Granted> {
        let token = answer.get("access_token").and_then(Value::as_str);
        let seconds = answer.get("expires_in").and_then(Value::as_i64);
        match (token, seconds) {
            (Some(token), Some(seconds)) => Ok((token.to_owned().into(), now + TimeDelta::seconds(seconds))),
            _ => Err((self.refused)("and the answer to it has no token")),
        }
    }
}

/// Makes the body of a call an HTML form.
pub(crate) fn form(call: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    call.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.join("&"))
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502..=504)
}
