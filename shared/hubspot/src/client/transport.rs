//! One request to HubSpot and its answer, of any status. There are no retries here.

#[cfg(feature = "fuzzing")]
mod script;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "fuzzing")]
use self::script::Script;

use super::answer::{Answer, is_good};
use super::body::read_body;
use super::clock::Clock;
use super::failed::Failed;
use crate::call::Call;
use crate::credential::Bearer;
use crate::error::{Error, ErrorKind, Result};
use crate::retry::{Failure, RetryCounts};
use crate::version;

pub const DEFAULT_BASE_URL: &str = "https://api.hubapi.com";
/// HubSpot itself gives up after 100 s (status 524).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(110);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP connections to one address.
#[derive(Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base_url: String,
    /// `true`: the base URL has answered a request, with whatever status.
    has_answered: AtomicBool,
    pub(super) clock: Clock,
    /// Answers in place of HubSpot's.
    #[cfg(feature = "fuzzing")]
    script: Option<Script>,
}

impl Transport {
    /// # Errors
    /// When the base URL is not a URL.
    pub(super) fn new(base_url: &str) -> Result<Transport> {
        let url = reqwest::Url::parse(base_url).ok();
        let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            let message =
                format!("{base_url:?} is not an http or https URL: give one such as {DEFAULT_BASE_URL}");
            return Err(Error::new(ErrorKind::Config, message));
        };
        // One provider for all TLS of the process; a second call finds the first one's and leaves it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("hubspot-source/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        if url.scheme() == "http" {
            // No redirect is followed, so the system's certificates, which take milliseconds to read, serve nothing.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|source| {
            Error::new(ErrorKind::Config, "no HTTP client can be made").caused_by(source)
        })?;
        Ok(Transport {
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            has_answered: AtomicBool::new(false),
            clock: Clock::default(),
            #[cfg(feature = "fuzzing")]
            script: None,
        })
    }

    /// Returns the token to send; `refused` is one that HubSpot no longer accepts.
    pub(super) async fn token(
        &self,
        bearer: &Bearer,
        refused: Option<&SecretString>,
    ) -> Result<SecretString> {
        let token_url = format!("{}/oauth/{}/token", self.base_url, version::OAUTH);
        bearer.token(&self.http, &token_url, refused).await
    }

    /// Sends the call, once.
    pub(super) async fn send(
        &self,
        call: &Call,
        token: &SecretString,
    ) -> std::result::Result<Answer, Failed> {
        let asked = Utc::now();
        #[cfg(feature = "fuzzing")]
        if let Some(script) = &self.script {
            let answer = script.next();
            self.clock.learn(&answer.headers, asked);
            return Ok(answer);
        }
        let url = format!("{}{}", self.base_url, call.path);
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Failed::unanswered(Failure::Transport, None))?;
        authorization.set_sensitive(true);
        let request = match &call.body {
            None => self.http.get(url),
            Some(body) => self.http.post(url).header(CONTENT_TYPE, "application/json").body(body.clone()),
        };
        let request = request.header(AUTHORIZATION, authorization).header(ACCEPT, "application/json");
        let answer = request.send().await.map_err(|error| self.unanswered(error))?;
        self.whole(answer, asked).await
    }

    async fn whole(
        &self,
        answer: reqwest::Response,
        asked: DateTime<Utc>,
    ) -> std::result::Result<Answer, Failed> {
        self.has_answered.store(true, Ordering::Relaxed);
        self.clock.learn(answer.headers(), asked);
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        match read_body(answer).await {
            Err(error) if is_good(status) => {
                let is_slow = error.as_ref().is_some_and(reqwest::Error::is_timeout);
                let failure = if is_slow { Failure::Transport } else { Failure::Body };
                Err(Failed::unanswered(failure, error))
            }
            body => Ok(Answer { status, headers, body: body.unwrap_or_default() }),
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> Failed {
        let is_first = !self.has_answered.load(Ordering::Relaxed);
        let failure = if error.is_connect() && is_first { Failure::Unreachable } else { Failure::Transport };
        Failed::unanswered(failure, Some(error))
    }

    /// `true`: calls count against rate limits. `false`: a script answers.
    pub(super) fn is_limited(&self) -> bool {
        #[cfg(feature = "fuzzing")]
        return self.script.is_none();
        #[cfg(not(feature = "fuzzing"))]
        true
    }

    /// Returns the counts with which a call begins: zero, or, where a script answers, the greatest, so that each call
    /// takes one answer.
    pub(super) fn tried(&self) -> RetryCounts {
        if self.is_limited() { RetryCounts::default() } else { RetryCounts::MOST }
    }
}

#[cfg(feature = "fuzzing")]
impl Transport {
    /// Makes a transport that gets its answers from a script; `http` is not used.
    pub(crate) fn scripted(http: reqwest::Client, answers: impl IntoIterator<Item = Answer>) -> Transport {
        Transport {
            http,
            base_url: DEFAULT_BASE_URL.to_owned(),
            has_answered: AtomicBool::new(false),
            clock: Clock::default(),
            script: Some(Script::new(answers)),
        }
    }

    /// Moves the remaining answers to another transport, in place of its own.
    pub(crate) fn move_answers(&self, to: &Transport) {
        if let (Some(from), Some(to)) = (&self.script, &to.script) {
            from.move_to(to);
        }
    }
}
