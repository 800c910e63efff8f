//! The server. It listens on the loopback interface, and its behaviour can be read and changed while it runs.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::auth::Tokens;
use super::connection::{Connection, EndsWithReset};
use super::counters::{Counters, LoggedRequest, Recorder};
use super::limits::Limiter;
use super::parts::{InPart, Lack};
use super::pipeline;
use super::poison::{self, Poison};
use crate::churn::RunningChurn;
use crate::endpoints::Answer;
use crate::{Account, Behaviour, ObjectType};

/// Time that unfinished answers may take when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// An account behind an HTTP server. Dropping it stops it at once, without waiting for answers.
#[derive(Debug)]
pub struct Server {
    url: String,
    site: Arc<Site>,
    stop: Option<oneshot::Sender<()>>,
    accepting: JoinHandle<()>,
}

/// A record that answers leave out as if it were not there. Totals still count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Omission {
    /// The endpoint's name: `objects.list`, `objects.search` or `objects.batch_read`.
    pub endpoint: &'static str,
    pub object: ObjectType,
    pub id: u64,
    /// Number of answers that leave it out.
    pub times: u32,
}

/// State that all requests share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) account: Arc<Account>,
    behaviour: RwLock<Arc<Behaviour>>,
    limiter: Mutex<Limiter>,
    tokens: Mutex<Tokens>,
    recorder: Mutex<Recorder>,
    cursors: Mutex<HashSet<(ObjectType, bool, u64)>>,
    omissions: Mutex<Vec<Omission>>,
    poisons: Mutex<Vec<Poison>>,
    parts: Mutex<Vec<InPart>>,
    churn: Mutex<Option<RunningChurn>>,
    marketing_churn: Mutex<Option<RunningChurn>>,
}

impl Server {
    /// Listens on a free port.
    pub async fn start(account: Arc<Account>, behaviour: Behaviour) -> io::Result<Self> {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), account, behaviour).await
    }

    pub async fn start_on(
        address: SocketAddr,
        account: Arc<Account>,
        behaviour: Behaviour,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        account.set_index_lag(behaviour.index_lag);
        let site = Arc::new(Site {
            account,
            behaviour: RwLock::new(Arc::new(behaviour)),
            limiter: Mutex::new(Limiter::new()),
            tokens: Mutex::default(),
            recorder: Mutex::default(),
            cursors: Mutex::default(),
            omissions: Mutex::default(),
            poisons: Mutex::default(),
            parts: Mutex::default(),
            churn: Mutex::default(),
            marketing_churn: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&site), stopped));
        Ok(Self { url, site, stop: Some(stop), accepting })
    }

    /// Returns `http://127.0.0.1:port`, to be used in place of HubSpot's base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn account(&self) -> &Arc<Account> {
        &self.site.account
    }

    pub fn behaviour(&self) -> Behaviour {
        Behaviour::clone(&self.site.behaviour())
    }

    /// Changes the behaviour from the next request on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.site.set_behaviour(behaviour);
    }

    pub fn counters(&self) -> Counters {
        self.site.recorder().counters()
    }

    /// Returns the latest requests, oldest first.
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.site.recorder().log()
    }

    pub fn leave_out(&self, omission: Omission) {
        lock(&self.site.omissions).push(omission);
    }

    /// Makes answers of an endpoint incomplete, from the next one on.
    pub fn answer_in_part(&self, part: InPart) {
        lock(&self.site.parts).push(part);
    }

    /// Makes all answers complete again.
    pub fn answer_whole(&self) {
        lock(&self.site.parts).clear();
    }

    /// Shows all records again.
    pub fn leave_nothing_out(&self) {
        lock(&self.site.omissions).clear();
    }

    /// Answers a thing badly from now on.
    pub fn poison(&self, poison: Poison) {
        lock(&self.site.poisons).push(poison);
    }

    /// Answers everything well again.
    pub fn heal(&self) {
        lock(&self.site.poisons).clear();
    }

    /// Empties counters and log; the numbers of requests go on.
    pub fn reset_counters(&self) {
        self.site.recorder().reset();
    }

    /// Makes an OAuth token, as the token endpoint would give out.
    pub fn mint_token(&self) -> String {
        self.site.mint_token()
    }

    /// Stops the server. Returns when no connection is open any more, or after a second.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, mut stopped: oneshot::Receiver<()>) {
    let open = GracefulShutdown::new();
    // Their tasks end with this one.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&site), &open));
                }
                // Out of file handles, perhaps: some will come free.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_TIMEOUT, open.shutdown()).await;
}

fn serve(
    stream: TcpStream,
    site: Arc<Site>,
    open: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    let _ = stream.set_nodelay(true);
    let ends_with_reset = EndsWithReset::default();
    let connection = Connection::new(stream, ends_with_reset.clone());
    let service = service_fn(move |request| {
        let (site, ends_with_reset) = (Arc::clone(&site), ends_with_reset.clone());
        async move { Ok::<_, Infallible>(pipeline::answer(site, request, ends_with_reset).await) }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(connection), service);
    let serving = open.watch(serving);
    async move {
        // Fails when a client goes away, or when an answer breaks off on purpose.
        let _ = serving.await;
    }
}

impl Site {
    pub(crate) fn behaviour(&self) -> Arc<Behaviour> {
        Arc::clone(&self.behaviour.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_behaviour(&self, behaviour: Behaviour) {
        self.account.set_index_lag(behaviour.index_lag);
        *self.behaviour.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(behaviour);
    }

    pub(crate) fn mint_token(&self) -> String {
        let behaviour = self.behaviour();
        self.tokens().mint(behaviour.expire_tokens_after.unwrap_or(behaviour.token_lifetime))
    }

    pub(crate) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        lock(&self.limiter)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    pub(crate) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    /// `true`: this answer leaves out the record. Counts the answer.
    pub(crate) fn leaves_out(&self, endpoint: &str, object: ObjectType, id: u64) -> bool {
        let mut omissions = lock(&self.omissions);
        let is_it = |omission: &&mut Omission| {
            omission.times > 0 && (omission.endpoint, omission.object, omission.id) == (endpoint, object, id)
        };
        let Some(omission) = omissions.iter_mut().find(is_it) else { return false };
        omission.times -= 1;
        true
    }

    pub(super) fn spoil(&self, endpoint: &str, target: &str, answer: Answer) -> (Answer, bool) {
        poison::spoil(&mut lock(&self.poisons), endpoint, target, answer)
    }

    /// Returns the way in which the endpoint's next answer is incomplete, and the ids concerned, if it is.
    pub(crate) fn lack(&self, endpoint: &str, is_about: impl Fn(&[u64]) -> bool) -> Option<(Lack, Vec<u64>)> {
        let mut parts = lock(&self.parts);
        let is_it = |part: &&mut InPart| part.times > 0 && part.endpoint == endpoint && is_about(&part.ids);
        let part = parts.iter_mut().find(is_it)?;
        part.times -= u32::from(part.times < u32::MAX);
        Some((part.lack, part.ids.clone()))
    }

    /// Returns the `after` values that lists gave out.
    pub(crate) fn cursors(&self) -> MutexGuard<'_, HashSet<(ObjectType, bool, u64)>> {
        lock(&self.cursors)
    }

    pub(crate) fn churn(&self) -> MutexGuard<'_, Option<RunningChurn>> {
        lock(&self.churn)
    }

    pub(crate) fn marketing_churn(&self) -> MutexGuard<'_, Option<RunningChurn>> {
        lock(&self.marketing_churn)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
