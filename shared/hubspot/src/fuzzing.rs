//! Private functions for `tests/fuzz-targets`, and a client that gets its answers from a script instead of HubSpot.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use staging::{Cell, ColumnType};

use crate::budget::Budget;
use crate::client::Client;
use crate::client::answer;
use crate::client::transport::Transport;
use crate::credential::{Access, Bearer, Credential};
use crate::json::Str;

/// One answer of HubSpot.
#[derive(Debug, Default)]
pub struct Answer(answer::Answer);

impl Answer {
    /// Makes an answer. Invalid headers are left out.
    pub fn new(status: u16, headers: &[(&[u8], &[u8])], body: Bytes) -> Answer {
        let parsed = headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        Answer(answer::Answer { status, headers: parsed.collect(), body })
    }
}

/// Moves the remaining answers to another client, in place of its own.
pub fn move_answers(from: &Client, to: &Client) {
    from.transport().move_answers(to.transport());
}

/// A client that gets these answers, and never waits for its turn.
pub fn client(answers: impl IntoIterator<Item = Answer>, reserve: f64) -> Client {
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    let http = HTTP.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::new()
    });
    let transport = Transport::scripted(http.clone(), answers.into_iter().map(|answer| answer.0));
    let bearer = Bearer::new(Credential::Token("pat-x".into()), None);
    Client::over(transport, bearer, Budget::new(reserve))
}

/// Returns the waits of the next calls of each bucket, by the limits in the answers so far; `pause` is that of a 429.
pub fn waits(client: &Client, pause: Duration) -> Vec<Duration> {
    client.budget().waits(Instant::now(), pause)
}

pub fn set_value(cell: Cell<'_>, column_type: ColumnType, value: Str<'_>) -> bool {
    crate::value::set(cell, column_type, value)
}

pub fn instant_ms(text: &str) -> Option<i64> {
    crate::value::instant_ms(text)
}

/// `true`: the body is a valid answer to the refresh of a token.
pub fn is_refreshed(body: &[u8]) -> bool {
    Access::read(body, Instant::now(), &"refresh-token".into()).is_ok()
}

/// Takes calls out of the document of shared rate limits; `None` if it does not parse.
pub fn take_calls(document: &[u8]) -> Option<Vec<Duration>> {
    crate::budget::take_calls(document)
}
