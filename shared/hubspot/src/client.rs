//! One HTTP client for one account: sends a call when its bucket's turn has come, and again for as long as that makes
//! sense. What it returns is whole JSON; everything else is an [`Error`] whose kind says what can be done.

mod body;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use self::body::read_body;
use crate::budget::{Bucket, Budget, Limits};
use crate::call::Call;
use crate::credential::{Bearer, Credential, CredentialSource};
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::refusal::Refusal;
use crate::retry::{Decision, Failure, Patience, Tried, decide};
use crate::version;
use crate::version::Versions;

pub const DEFAULT_BASE_URL: &str = "https://api.hubapi.com";
const TOKEN_INFO: &str = "/oauth/v2/private-apps/get/access-token-info";
/// HubSpot itself gives up after 100 s (status 524).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(110);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until what looks like the end of an endpoint is asked once more.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// The client of one account. Cheap to clone: clones share connections, limits and the token.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Bytes of answers that are no UTF-8, and the calls that brought them.
    odd_text: Arc<Mutex<OddText>>,
}

/// Places in answers that are no UTF-8, and the calls that were answered so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OddText {
    /// Places at which U+FFFD stands for it.
    pub places: u64,
    /// The names of the calls.
    pub calls: BTreeSet<String>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    base_url: String,
    bearer: Bearer,
    budget: Budget,
    deadline: Mutex<Option<Instant>>,
    is_stopped: AtomicBool,
    /// Something at the base URL has answered, whatever it said.
    has_answered: AtomicBool,
    /// HubSpot's clock less ours, in milliseconds.
    clock_skew_ms: AtomicI64,
    second_look_ms: AtomicU64,
    versions: Versions,
    #[cfg(feature = "fuzzing")]
    script: Option<crate::fuzzing::Script>,
}

impl Client {
    /// A client for the account of `credential`. `base_url` is [`DEFAULT_BASE_URL`] or a stand-in for it.
    ///
    /// # Errors
    /// When the base URL is none.
    pub fn new(base_url: &str, credential: Credential, budget: Budget) -> Result<Client> {
        Client::with_bearer(base_url, Bearer::new(credential, None), budget)
    }

    /// The same, with a credential that may be replaced: when HubSpot refuses it, `source` is asked for the present
    /// one, once for all calls under way.
    pub fn renewing(
        base_url: &str,
        credential: Credential,
        source: Arc<dyn CredentialSource>,
        budget: Budget,
    ) -> Result<Client> {
        Client::with_bearer(base_url, Bearer::new(credential, Some(source)), budget)
    }

    fn with_bearer(base_url: &str, bearer: Bearer, budget: Budget) -> Result<Client> {
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
        let shared = Shared {
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            bearer,
            budget,
            deadline: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
            clock_skew_ms: AtomicI64::new(0),
            second_look_ms: AtomicU64::new(SECOND_LOOK.as_millis() as u64),
            versions: Versions::default(),
            #[cfg(feature = "fuzzing")]
            script: None,
        };
        Ok(Client { shared: Arc::new(shared), odd_text: Arc::default() })
    }

    /// A client that is answered by the script, and never waits for its turn.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn scripted(http: reqwest::Client, script: crate::fuzzing::Script, budget: Budget) -> Client {
        let shared = Shared {
            http,
            base_url: DEFAULT_BASE_URL.to_owned(),
            bearer: Bearer::new(Credential::Token("pat-x".into()), None),
            budget,
            deadline: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
            clock_skew_ms: AtomicI64::new(0),
            second_look_ms: AtomicU64::new(SECOND_LOOK.as_millis() as u64),
            versions: Versions::default(),
            script: Some(script),
        };
        Client { shared: Arc::new(shared), odd_text: Arc::default() }
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn script(&self) -> Option<&crate::fuzzing::Script> {
        self.shared.script.as_ref()
    }

    /// The same client, which counts odd text by itself.
    pub fn apart(&self) -> Client {
        Client { shared: Arc::clone(&self.shared), odd_text: Arc::default() }
    }

    /// What was odd in the answers since it was taken last, by this client and its clones.
    pub fn take_odd_text(&self) -> OddText {
        std::mem::take(&mut self.odd_text.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// Nothing is sent that would come after this; calls then fail with [`ErrorKind::Deadline`].
    pub fn set_deadline(&self, deadline: Instant) {
        *self.shared.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    /// Nothing more is sent from now on; calls fail with [`ErrorKind::Interrupted`].
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Changes how long it takes until what looks like the end of an endpoint is asked once more: 3 s.
    pub fn set_second_look(&self, wait: Duration) {
        self.shared.second_look_ms.store(wait.as_millis() as u64, Ordering::Relaxed);
    }

    /// The time by HubSpot's clock, as far as its answers tell: a laptop whose clock is wrong loses nothing.
    pub fn now(&self) -> DateTime<Utc> {
        let skew = chrono::Duration::milliseconds(self.shared.clock_skew_ms.load(Ordering::Relaxed));
        let ours = Utc::now();
        ours.checked_add_signed(skew).unwrap_or(ours)
    }

    /// A moment of our clock by HubSpot's, in milliseconds since 1970.
    pub(crate) fn by_hubspots_clock(&self, ours_ms: i64) -> i64 {
        ours_ms.saturating_add(self.shared.clock_skew_ms.load(Ordering::Relaxed))
    }

    /// Sends the call until it is answered, and returns the body, of status 200 or 207. A part of the API that its
    /// version does not have is asked for in the version before, from then on too.
    pub async fn send(&self, call: &Call) -> Result<Body> {
        let versions = &self.shared.versions;
        let call = &*versions.as_answered(call);
        let answer = self.send_as_it_is(call).await;
        match answer {
            Ok(_) => versions.answers(call),
            Err(ref missing) if missing.kind() == ErrorKind::NotFound => {
                let Some(older) = versions.older(call) else { return answer };
                let older_answer = self.send_as_it_is(&older).await;
                // In neither version: what is missing is not the version.
                if older_answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                    return answer;
                }
                versions.falls_back(call);
                return older_answer;
            }
            Err(_) => {}
        }
        answer
    }

    /// Asks what HubSpot knows of the token: the one call that has it in its body.
    pub(crate) async fn token_info(&self) -> Result<Body> {
        let token = self.token(None).await?;
        let body = serde_json::json!({ "tokenKey": token.expose_secret() });
        let call = Call::post(TOKEN_INFO, body.to_string(), Bucket::General);
        self.send(&call.with(Patience::Little)).await
    }

    /// The scopes that came with the token of an OAuth app.
    pub(crate) async fn token_scopes(&self) -> Option<Vec<String>> {
        self.token(None).await.ok()?;
        self.shared.bearer.scopes().await
    }

    async fn send_as_it_is(&self, call: &Call) -> Result<Body> {
        #[cfg(feature = "fuzzing")]
        if let Some(script) = &self.shared.script {
            return self.send_scripted(script, call);
        }
        let mut tried = Tried::default();
        let mut refused_token: Option<SecretString> = None;
        loop {
            self.wait_for_turn(call.bucket).await?;
            let failed = match self.token(refused_token.as_ref()).await {
                Err(error) if !matches!(error.kind(), ErrorKind::Transport | ErrorKind::Server) => {
                    return Err(error);
                }
                Err(_) => Failed::transport(None),
                Ok(token) => match self.until_deadline(self.send_once(call, &token)).await? {
                    Ok(body) => return Ok(body),
                    Err(failed)
                        if failed.is_unauthorized() && self.can_renew(refused_token.as_ref()).await =>
                    {
                        refused_token = Some(token);
                        self.budget().retried(call.bucket);
                        continue;
                    }
                    Err(failed) => failed,
                },
            };
            match decide(failed.failure, tried, call.patience, fastrand::f64()) {
                Decision::Again(wait) => {
                    tried.attempts += 1;
                    warn_of_another(call, tried, wait, failed.failure);
                    self.sleep(wait).await?;
                }
                Decision::SecondLook => {
                    tried.ends += 1;
                    let wait = Duration::from_millis(self.shared.second_look_ms.load(Ordering::Relaxed));
                    warn_of_another(call, tried, wait, failed.failure);
                    self.sleep(wait).await?;
                }
                Decision::Pause(wait) => {
                    tried.refusals += 1;
                    tracing::info!(
                        call.name = call.name(),
                        bucket.name = call.bucket.name(),
                        refusals = tried.refusals,
                        wait_ms = wait.as_millis() as u64,
                        "a limit refused a call: its bucket pauses"
                    );
                    self.budget().refused(call.bucket, wait);
                }
                Decision::Fail(kind) => {
                    if kind == ErrorKind::DailyLimit {
                        self.budget().day_is_over();
                    }
                    return Err(failed.into_error(kind, call));
                }
            }
            self.budget().retried(call.bucket);
        }
    }

    /// An answer that does not come in time is not waited for: what is read already must still be staged.
    async fn until_deadline<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        match self.deadline() {
            None => Ok(answer.await),
            Some(deadline) => tokio::time::timeout_at(deadline.into(), answer)
                .await
                .map_err(|_| Error::new(ErrorKind::Deadline, "the run's time is over")),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        *self.shared.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_for_turn(&self, bucket: Bucket) -> Result<()> {
        self.check_stopped()?;
        self.budget().turn(bucket, self.deadline()).await?;
        self.check_stopped()
    }

    fn check_stopped(&self) -> Result<()> {
        if self.shared.is_stopped.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Interrupted, "the run was asked to stop"));
        }
        Ok(())
    }

    async fn sleep(&self, wait: Duration) -> Result<()> {
        if self.deadline().is_some_and(|deadline| Instant::now() + wait > deadline) {
            return Err(Error::new(ErrorKind::Deadline, "the run's time is over"));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// A 401 is worth one new token, where there may be another at all.
    async fn can_renew(&self, refused: Option<&SecretString>) -> bool {
        refused.is_none() && self.shared.bearer.can_renew().await
    }

    async fn token(&self, refused: Option<&SecretString>) -> Result<SecretString> {
        let token_url = format!("{}/oauth/{}/token", self.shared.base_url, version::OAUTH);
        self.shared.bearer.token(&self.shared.http, &token_url, refused).await
    }

    async fn send_once(&self, call: &Call, token: &SecretString) -> std::result::Result<Body, Failed> {
        let url = format!("{}{}", self.shared.base_url, call.path);
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
            .map_err(|_| Failed::transport(None))?;
        authorization.set_sensitive(true);
        let request = match &call.body {
            None => self.shared.http.get(url),
            Some(body) => {
                self.shared.http.post(url).header(CONTENT_TYPE, "application/json").body(body.clone())
            }
        };
        let asked = Utc::now();
        let answer = request
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| self.unanswered(error))?;
        self.shared.has_answered.store(true, Ordering::Relaxed);
        self.learn_clock(answer.headers(), asked);
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        match read_body(answer).await {
            Err(error) if is_good(status) => {
                let is_slow = error.as_ref().is_some_and(reqwest::Error::is_timeout);
                let failure = if is_slow { Failure::Transport } else { Failure::Body };
                Err(Failed { failure, ..Failed::transport(error) })
            }
            body => self.judge(call, status, &headers, body.unwrap_or_default()),
        }
    }

    /// What an answer comes to: its body, or why there is none.
    #[expect(clippy::result_large_err, reason = "it is moved once, where a request has failed")]
    fn judge(
        &self,
        call: &Call,
        status: u16,
        headers: &HeaderMap,
        body: Bytes,
    ) -> std::result::Result<Body, Failed> {
        if is_good(status) {
            self.budget().learn(call.bucket, limits(headers));
            let not_whole = |_| Failed { failure: Failure::Body, refusal: Refusal::default(), source: None };
            let (body, places) = Body::repaired(body).map_err(not_whole)?;
            if places > 0 {
                tracing::warn!(call.name = call.name(), places, "an answer holds bytes that are no UTF-8");
                let mut odd = self.odd_text.lock().unwrap_or_else(PoisonError::into_inner);
                odd.places += places;
                odd.calls.insert(call.name());
            }
            return Ok(body);
        }
        let refusal = Refusal::read(headers, &body);
        let failure =
            Failure::Status { code: status, policy: refusal.policy, retry_after: refusal.retry_after };
        Err(Failed { failure, refusal, source: None })
    }

    /// The next answer of the script, as the last attempt would have got it.
    #[cfg(feature = "fuzzing")]
    fn send_scripted(&self, script: &crate::fuzzing::Script, call: &Call) -> Result<Body> {
        let answer = script.next();
        self.learn_clock(&answer.headers, Utc::now());
        self.judge(call, answer.status, &answer.headers, answer.body).map_err(|failed| {
            use crate::retry::{MAX_ATTEMPTS, MAX_REFUSALS};
            let last = Tried { attempts: MAX_ATTEMPTS, refusals: MAX_REFUSALS, ends: 1 };
            match decide(failed.failure, last, call.patience, 0.5) {
                Decision::Fail(kind) => failed.into_error(kind, call),
                _ => failed.into_error(ErrorKind::RateLimited, call),
            }
        })
    }

    fn unanswered(&self, error: reqwest::Error) -> Failed {
        let is_first = !self.shared.has_answered.load(Ordering::Relaxed);
        let failure = if error.is_connect() && is_first { Failure::Unreachable } else { Failure::Transport };
        Failed { failure, ..Failed::transport(Some(error)) }
    }

    /// HubSpot's `Date`, which has whole seconds, against the time between our question and its answer: a clock that
    /// is right, or a slow answer, makes no difference.
    fn learn_clock(&self, headers: &HeaderMap, asked: DateTime<Utc>) {
        let date = headers.get("date").and_then(|date| date.to_str().ok());
        if let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            let skew_ms =
                skew_ms(theirs.timestamp_millis(), asked.timestamp_millis(), Utc::now().timestamp_millis());
            self.shared.clock_skew_ms.store(skew_ms, Ordering::Relaxed);
        }
    }
}

fn warn_of_another(call: &Call, tried: Tried, wait: Duration, failure: Failure) {
    tracing::warn!(
        call.name = call.name(),
        attempt = tried.attempts + tried.ends,
        wait_ms = wait.as_millis() as u64,
        "a call is sent again: {failure:?}"
    );
}

fn is_good(status: u16) -> bool {
    matches!(status, 200 | 207)
}

fn skew_ms(theirs_ms: i64, asked_ms: i64, answered_ms: i64) -> i64 {
    let rounding_ms = 1_000;
    if theirs_ms > answered_ms {
        theirs_ms - answered_ms
    } else if theirs_ms + rounding_ms < asked_ms {
        theirs_ms + rounding_ms - asked_ms
    } else {
        0
    }
}

fn limits(headers: &HeaderMap) -> Limits {
    let number = |name: &str| {
        let number = headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        number.filter(|number| number.is_finite() && *number >= 0.0)
    };
    Limits {
        max: number("x-hubspot-ratelimit-max"),
        interval: number("x-hubspot-ratelimit-interval-milliseconds")
            .and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
        remaining: number("x-hubspot-ratelimit-remaining"),
        daily: number("x-hubspot-ratelimit-daily"),
        daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
    }
}

/// One request that failed, with what is known of why.
struct Failed {
    failure: Failure,
    refusal: Refusal,
    source: Option<reqwest::Error>,
}

impl Failed {
    fn transport(source: Option<reqwest::Error>) -> Failed {
        Failed {
            failure: Failure::Transport,
            refusal: Refusal::default(),
            source: source.map(reqwest::Error::without_url),
        }
    }

    fn is_unauthorized(&self) -> bool {
        matches!(self.failure, Failure::Status { code: 401, .. })
    }

    fn into_error(self, kind: ErrorKind, call: &Call) -> Error {
        let name = call.name();
        let (message, advice) = match self.failure {
            Failure::Status { code, .. } => {
                let reason = self.refusal.reason();
                let advice = match kind {
                    ErrorKind::MissingScope => self.refusal.scope_advice(&call.path),
                    _ => advice(kind).to_owned(),
                };
                (format!("HubSpot answered {code} to {name}: {}", reason.trim_end_matches('.')), advice)
            }
            Failure::Transport | Failure::Unreachable => {
                (format!("{name} was not answered"), ": check the network and the HubSpot URL".to_owned())
            }
            Failure::Body => (format!("the answers to {name} were not whole JSON"), String::new()),
        };
        let error = Error::new(kind, message)
            .with_advice(advice)
            .with_error_type(self.refusal.error_type)
            .with_retry_after(self.refusal.retry_after)
            .with_correlation_id(self.refusal.correlation_id);
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => {
            "; the credential is not accepted: check HUBSPOT_TOKEN, or make a new key under Development > Keys"
        }
        ErrorKind::DailyLimit => "; go on after midnight in the account's time zone",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_is_no_wrong_clock() {
        assert_eq!(skew_ms(10_000, 10_400, 10_900), 0);
        assert_eq!(skew_ms(12_000, 10_400, 13_900), 0);
    }

    #[test]
    fn a_wrong_clock_is_known_by_how_far_it_is_off_at_least() {
        assert_eq!(skew_ms(20_000, 10_400, 10_900), 9_100);
        assert_eq!(skew_ms(2_000, 10_400, 10_900), -7_400);
    }
}
