//! The HTTP client of one account. It sends a call when the rate limit of its bucket allows it, and retries it as long
//! as that makes sense. It returns whole JSON, or an [`Error`] with a kind that a caller can act on.

pub(crate) mod answer;
mod body;
mod clock;
mod failed;
pub(crate) mod sent;
mod span;
pub(crate) mod transport;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use tracing::{Instrument, Span};

use self::failed::Failed;
pub use self::transport::DEFAULT_BASE_URL;
use self::transport::Transport;
use crate::budget::{Budget, RateLimit};
use crate::call::Call;
use crate::credential::{Bearer, Credential, CredentialSource};
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::retry::{Decision, Failure, Patience, RetryCounts, decide};
use crate::version::Versions;

const TOKEN_INFO: &str = "/oauth/v2/private-apps/get/access-token-info";
/// Wait before a call whose answer looks like the end of its endpoint is sent once more.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// The client of one account. Cheap to clone: clones share connections, limits and the token.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// Text in answers that is not valid UTF-8.
    odd_text: Arc<Mutex<OddText>>,
}

/// Places in answers that are not valid UTF-8, and the calls of those answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OddText {
    /// Number of places, each of which has become U+FFFD.
    pub places: u64,
    /// Names of the calls.
    pub calls: BTreeSet<String>,
}

#[derive(Debug)]
struct Shared {
    transport: Transport,
    bearer: Bearer,
    budget: Budget,
    deadline: Mutex<Option<Instant>>,
    is_stopped: AtomicBool,
    second_look_ms: AtomicU64,
    versions: Versions,
}

impl Client {
    /// Makes a client for the account of `credential`. `base_url` is [`DEFAULT_BASE_URL`] or that of a fake account.
    ///
    /// # Errors
    /// When the base URL is not a URL.
    pub fn new(base_url: &str, credential: Credential, budget: Budget) -> Result<Client> {
        Client::with_bearer(base_url, Bearer::new(credential, None), budget)
    }

    /// Makes a client whose credential may be replaced: when HubSpot refuses it, `source` is read again, once for all
    /// concurrent calls.
    pub fn renewing(
        base_url: &str,
        credential: Credential,
        source: Arc<dyn CredentialSource>,
        budget: Budget,
    ) -> Result<Client> {
        Client::with_bearer(base_url, Bearer::new(credential, Some(source)), budget)
    }

    fn with_bearer(base_url: &str, bearer: Bearer, budget: Budget) -> Result<Client> {
        Ok(Client::over(Transport::new(base_url)?, bearer, budget))
    }

    pub(crate) fn over(transport: Transport, bearer: Bearer, budget: Budget) -> Client {
        let shared = Shared {
            transport,
            bearer,
            budget,
            deadline: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
            second_look_ms: AtomicU64::new(SECOND_LOOK.as_millis() as u64),
            versions: Versions::default(),
        };
        Client { shared: Arc::new(shared), odd_text: Arc::default() }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    /// Returns the same client with a count of odd text of its own.
    pub fn apart(&self) -> Client {
        Client { shared: Arc::clone(&self.shared), odd_text: Arc::default() }
    }

    /// Takes the odd text of this client and its clones since the last call of this.
    pub fn take_odd_text(&self) -> OddText {
        std::mem::take(&mut self.odd_text.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// Sets the time after which nothing is sent: calls then fail with [`ErrorKind::Deadline`].
    pub fn set_deadline(&self, deadline: Instant) {
        *self.shared.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    /// Stops the client: nothing more is sent, and calls fail with [`ErrorKind::Interrupted`].
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Changes the wait before a call whose answer looks like the end of its endpoint is sent once more; it is 3 s.
    pub fn set_second_look(&self, wait: Duration) {
        self.shared.second_look_ms.store(wait.as_millis() as u64, Ordering::Relaxed);
    }

    /// Returns the time by HubSpot's clock, from the dates of its answers, so that a wrong clock of a laptop does no
    /// harm.
    pub fn now(&self) -> DateTime<Utc> {
        self.transport().clock.now()
    }

    /// Converts a time of our clock to HubSpot's, in milliseconds since 1970.
    pub(crate) fn by_hubspots_clock(&self, ours_ms: i64) -> i64 {
        self.transport().clock.by_hubspots(ours_ms)
    }

    /// Sends the call until it is answered, and returns the body, of status 200 or 207. A part of the API that a
    /// version does not have is called in the version before, from then on too.
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

    /// Reads HubSpot's details of the token, by the one call that has the token in its body.
    pub(crate) async fn token_info(&self) -> Result<Body> {
        let token = self.token(None).await?;
        let body = serde_json::json!({ "tokenKey": token.expose_secret() });
        let call = Call::post(TOKEN_INFO, body.to_string(), RateLimit::General);
        self.send(&call.with(Patience::Little)).await
    }

    /// Returns the scopes that came with the token of an OAuth app.
    pub(crate) async fn token_scopes(&self) -> Option<Vec<String>> {
        self.token(None).await.ok()?;
        self.shared.bearer.scopes().await
    }

    async fn send_as_it_is(&self, call: &Call) -> Result<Body> {
        let mut tried = self.transport().tried();
        let mut refused_token: Option<SecretString> = None;
        loop {
            self.wait_for_turn(call.bucket).await?;
            let token = self.token(refused_token.as_ref()).await;
            let sent_ms = sent::now_ms();
            let failed = match token {
                Err(error) if !matches!(error.kind(), ErrorKind::Transport | ErrorKind::Server) => {
                    return Err(error);
                }
                Err(_) => Failed::unanswered(Failure::Transport, None),
                Ok(token) => match self.until_deadline(self.send_as_span(call, &token, tried)).await? {
                    Ok(body) => {
                        sent::note(sent_ms);
                        return Ok(body);
                    }
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
                Decision::Retry(wait) => {
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
                    // That something is not there is an answer, too.
                    sent::note(sent_ms);
                    if kind == ErrorKind::DailyLimit {
                        self.budget().day_is_over();
                    }
                    return Err(failed.into_error(kind, call));
                }
            }
            self.budget().retried(call.bucket);
        }
    }

    /// Waits for an answer until the deadline only, since pages that were read must still be staged.
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

    async fn wait_for_turn(&self, bucket: RateLimit) -> Result<()> {
        if !self.transport().is_limited() {
            return Ok(());
        }
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

    /// `true`: a call that was refused with 401 can be sent once more with a new token.
    async fn can_renew(&self, refused: Option<&SecretString>) -> bool {
        refused.is_none() && self.shared.bearer.can_renew().await
    }

    async fn token(&self, refused: Option<&SecretString>) -> Result<SecretString> {
        self.transport().token(&self.shared.bearer, refused).await
    }

    /// Sends the call once, as a span with its endpoint and the answer's status.
    async fn send_as_span(
        &self,
        call: &Call,
        token: &SecretString,
        tried: RetryCounts,
    ) -> std::result::Result<Body, Failed> {
        let span = span::of_call(call, tried);
        let sent = self.send_once(call, token, &span).instrument(span.clone()).await;
        span::note_end(&span, sent.is_err());
        sent
    }

    async fn send_once(
        &self,
        call: &Call,
        token: &SecretString,
        span: &Span,
    ) -> std::result::Result<Body, Failed> {
        let answer = self.transport().send(call, token).await?;
        span::note_status(span, answer.status);
        if !answer.is_good() {
            return Err(Failed::refused(&answer));
        }
        self.budget().learn(call.bucket, answer.limits());
        let not_whole = |_| Failed::unanswered(Failure::Body, None);
        let (body, places) = Body::repaired(answer.body).map_err(not_whole)?;
        if places > 0 {
            tracing::warn!(call.name = call.name(), places, "an answer has bytes that are not valid UTF-8");
            let mut odd = self.odd_text.lock().unwrap_or_else(PoisonError::into_inner);
            odd.places += places;
            odd.calls.insert(call.name());
        }
        Ok(body)
    }
}

fn warn_of_another(call: &Call, tried: RetryCounts, wait: Duration, failure: Failure) {
    tracing::warn!(
        call.name = call.name(),
        attempt = tried.attempts + tried.ends,
        wait_ms = wait.as_millis() as u64,
        "retrying a call: {failure:?}"
    );
}
