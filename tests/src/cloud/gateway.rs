//! Proxy for all traffic of a stack. It plays the Lambda service for functions that invoke themselves, sets the
//! timeout of invocations, and lets a test act at a request, such as kill the process that sent it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// Number of retries of an event whose invocation failed.
const RETRIES: usize = 2;

/// Time after which an invocation counts as hung, and fails. None takes as long.
const HUNG: Duration = Duration::from_secs(300);

/// A request of a function to AWS.
#[derive(Debug, Clone)]
pub struct Request {
    /// The function whose process sent it.
    pub function: String,
    /// `PutObject`, `TransactWriteItems`, ...
    pub operation: String,
    pub path: String,
    pub body: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Arrived,
    /// The request has had its effect; the answer is not sent yet.
    Done,
}

/// Action on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    GoOn,
    /// The sender gets no answer.
    Swallow,
    /// The sender is answered that the service is unavailable, and tries again.
    Fail,
}

/// An invocation that has ended.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub function: String,
    pub event: Value,
    /// The function's answer, or its error's `errorType` and `errorMessage`.
    pub answer: Value,
    pub is_error: bool,
}

impl Invocation {
    #[track_caller]
    pub fn complete(self) -> Value {
        assert!(!self.is_error, "{self:#?}");
        assert_eq!(self.answer["outcome"], "complete", "{self:#?}");
        self.answer
    }
}

/// The emulator's whole answer.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: hyper::HeaderMap,
    body: Bytes,
}

/// A process's pending request to the emulator for its next event.
type Poll = tokio::task::JoinHandle<Option<Answer>>;

type Hook = Arc<dyn Fn(&Request, Moment) -> Act + Send + Sync>;

pub struct Gateway {
    /// A URL for each function, by which a request's sender is known.
    urls: HashMap<String, String>,
    moto: String,
    runtime: String,
    http: reqwest::Client,
    hook: Mutex<Option<Hook>>,
    /// Timeout of invocations.
    timeout_ms: AtomicU64,
    /// Pending requests for events by function. That of a killed process stays open, and the event that answers it
    /// goes to the next process: the emulator would have given it to the killed one.
    polls: HashMap<String, tokio::sync::Mutex<Option<Poll>>>,
    under_way: AtomicUsize,
    invoked: Mutex<Vec<Invocation>>,
    dead_letters: Mutex<Vec<Invocation>>,
    requests: Mutex<Vec<Request>>,
    /// Operations that AWS refused, with the statuses of its answers.
    refused: Mutex<Vec<(String, u16)>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("urls", &self.urls).finish_non_exhaustive()
    }
}

impl Gateway {
    pub(super) async fn start(moto: &str, runtime: &str, functions: &[String]) -> Arc<Gateway> {
        let (mut urls, mut listeners) = (HashMap::new(), Vec::new());
        for function in functions {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            urls.insert(function.clone(), format!("http://{}", listener.local_addr().unwrap()));
            listeners.push((function.clone(), listener));
        }
        let http = reqwest::Client::builder().no_gzip().no_proxy().build().unwrap();
        let gateway = Arc::new(Gateway {
            urls,
            moto: moto.to_owned(),
            runtime: runtime.to_owned(),
            http,
            hook: Mutex::new(None),
            timeout_ms: AtomicU64::new(900_000),
            polls: functions.iter().map(|function| (function.clone(), Default::default())).collect(),
            under_way: AtomicUsize::new(0),
            invoked: Mutex::new(Vec::new()),
            dead_letters: Mutex::new(Vec::new()),
            requests: Mutex::new(Vec::new()),
            refused: Mutex::new(Vec::new()),
        });
        for (function, listener) in listeners {
            tokio::spawn(listen(listener, function, Arc::downgrade(&gateway)));
        }
        gateway
    }

    /// Returns the URL of the runtime API and of AWS for the function's process.
    pub(super) fn url(&self, function: &str) -> &str {
        &self.urls[function]
    }

    /// Sets the timeout of invocations from now on.
    pub fn set_timeout(&self, timeout: Duration) {
        self.timeout_ms.store(u64::try_from(timeout.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Sets a function that is called at each request of a function to AWS, when it arrives and when it is done.
    pub fn set_hook(&self, hook: impl Fn(&Request, Moment) -> Act + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    pub fn clear_hook(&self) {
        *self.hook.lock().unwrap() = None;
    }

    /// Returns the invocations that functions asked for, in the order in which they ended.
    pub fn invoked(&self) -> Vec<Invocation> {
        self.invoked.lock().unwrap().clone()
    }

    /// Returns the events that failed at each try.
    pub fn dead_letters(&self) -> Vec<Invocation> {
        self.dead_letters.lock().unwrap().clone()
    }

    /// Returns the number of requests of functions to AWS so far, by operation and by a text in their body.
    pub fn count(&self, operation: &str, body_holds: &str) -> usize {
        let holds = |request: &&Request| {
            request.operation == operation && String::from_utf8_lossy(&request.body).contains(body_holds)
        };
        self.requests.lock().unwrap().iter().filter(holds).count()
    }

    /// Returns the number of requests that AWS has refused with this status so far.
    pub fn refused(&self, operation: &str, status: u16) -> usize {
        let is_it = |(name, code): &&(String, u16)| name == operation && *code == status;
        self.refused.lock().unwrap().iter().filter(is_it).count()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > 0
    }

    pub(super) async fn invoke(&self, function: &str, event: &Value) -> Invocation {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.runtime);
        let request = self.http.post(url).timeout(HUNG).body(event.to_string());
        let (is_error, answer) = match whole(request).await {
            Ok(Answer { status, body, .. }) => {
                let answer = serde_json::from_slice(&body)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
                (!status.is_success() || answer.get("errorType").is_some(), answer)
            }
            Err(error) => (true, Value::String(format!("no answer: {error:?}"))),
        };
        Invocation { function: function.to_owned(), event: event.clone(), answer, is_error }
    }

    async fn answer(
        self: Arc<Self>,
        function: &str,
        request: hyper::Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return empty(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if path.starts_with("/.rt/") {
            let request = self.request(&self.runtime, &path, &head, body);
            let is_next = path.ends_with("/invocation/next");
            return match if is_next { self.next(function, request).await } else { whole(request).await.ok() }
            {
                Some(answer) => self.response(&head, answer),
                None => empty(StatusCode::BAD_GATEWAY),
            };
        }
        let invoked = path.strip_prefix("/2015-03-31/functions/");
        if let Some(name) = invoked.and_then(|rest| rest.strip_suffix("/invocations")) {
            let waits = head.headers.get("x-amz-invocation-type").is_none_or(|it| it == "RequestResponse");
            return match waits {
                true => self.answer_call(name, &body).await,
                false => self.take_event(name.to_owned(), &body),
            };
        }
        let request = Request {
            function: function.to_owned(),
            operation: operation(&head, &path),
            path: path.clone(),
            body: body.clone(),
        };
        // Uploads are remembered without what they carry.
        let kept = if request.body.len() > 64 << 10 { Bytes::new() } else { request.body.clone() };
        self.requests.lock().unwrap().push(Request { body: kept, ..request.clone() });
        match self.act(&request, Moment::Arrived) {
            Act::GoOn => {}
            Act::Swallow => return std::future::pending().await,
            Act::Fail => return empty(StatusCode::SERVICE_UNAVAILABLE),
        }
        let answer = whole(self.request(&self.moto, &path, &head, body)).await;
        if let Ok(Answer { status, .. }) = &answer
            && status.is_client_error()
        {
            self.refused.lock().unwrap().push((request.operation.clone(), status.as_u16()));
        }
        match self.act(&request, Moment::Done) {
            Act::GoOn => {}
            Act::Swallow => return std::future::pending().await,
            Act::Fail => return empty(StatusCode::SERVICE_UNAVAILABLE),
        }
        answer.map_or_else(|_| empty(StatusCode::BAD_GATEWAY), |answer| self.response(&head, answer))
    }

    async fn next(&self, function: &str, request: reqwest::RequestBuilder) -> Option<Answer> {
        let mut poll = self.polls[function].lock().await;
        // Dropped while it waits, with the connection of a process that was ended, this leaves the poll in its place.
        let answer = poll
            .get_or_insert_with(|| tokio::spawn(async { whole(request).await.ok() }))
            .await
            .ok()
            .flatten();
        *poll = None;
        answer
    }

    fn act(&self, request: &Request, moment: Moment) -> Act {
        // A hook may wait for requests that have a hook of their own.
        let hook = self.hook.lock().unwrap().clone();
        hook.map_or(Act::GoOn, |hook| hook(request, moment))
    }

    /// Answers a synchronous invocation, which nobody tries again.
    async fn answer_call(&self, function: &str, body: &[u8]) -> Response<Full<Bytes>> {
        let event: Value = serde_json::from_slice(body).unwrap();
        let invoked = self.invoke(function, &event).await;
        let mut response = Response::builder().status(StatusCode::OK);
        if invoked.is_error {
            response = response.header("x-amz-function-error", "Unhandled");
        }
        response.body(Full::new(Bytes::from(invoked.answer.to_string()))).unwrap()
    }

    /// Accepts an asynchronous invocation, which is tried later, and again when it fails.
    fn take_event(self: Arc<Self>, function: String, body: &[u8]) -> Response<Full<Bytes>> {
        let event: Value = serde_json::from_slice(body).unwrap();
        self.under_way.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            for attempt in 0..=RETRIES {
                let invoked = self.invoke(&function, &event).await;
                self.invoked.lock().unwrap().push(invoked.clone());
                if !invoked.is_error {
                    break;
                }
                if attempt == RETRIES {
                    self.dead_letters.lock().unwrap().push(invoked);
                }
            }
            self.under_way.fetch_sub(1, Ordering::SeqCst);
        });
        empty(StatusCode::ACCEPTED)
    }

    fn request(
        &self,
        to: &str,
        path: &str,
        head: &hyper::http::request::Parts,
        body: Bytes,
    ) -> reqwest::RequestBuilder {
        let mut request = self.http.request(head.method.clone(), format!("{to}{path}")).body(body);
        for (name, value) in &head.headers {
            if !matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
                request = request.header(name, value);
            }
        }
        request
    }

    fn response(&self, head: &hyper::http::request::Parts, answer: Answer) -> Response<Full<Bytes>> {
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            match name.as_str() {
                "transfer-encoding" | "connection" => {}
                "content-length" if head.method != hyper::Method::HEAD => {}
                "lambda-runtime-deadline-ms" => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                    let deadline_ms = now.as_millis() as u64 + self.timeout_ms.load(Ordering::Relaxed);
                    response = response.header(name, deadline_ms);
                }
                _ => response = response.header(name, value),
            }
        }
        response.body(Full::new(answer.body)).unwrap()
    }
}

async fn whole(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok(Answer { status, headers, body: answer.bytes().await? })
}

async fn listen(listener: TcpListener, function: String, gateway: Weak<Gateway>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let Some(gateway) = gateway.upgrade() else { return };
        let function = function.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let (gateway, function) = (Arc::clone(&gateway), function.clone());
                async move { Ok::<_, Infallible>(gateway.answer(&function, request).await) }
            });
            // A process that was ended leaves its connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Returns the name of the operation. DynamoDB and Secrets Manager have it in a header, S3 in method and parameters.
fn operation(head: &hyper::http::request::Parts, path: &str) -> String {
    if let Some(target) = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let has = |parameter: &str| path.contains(parameter);
    let name = match head.method.as_str() {
        "PUT" if has("partNumber=") => "UploadPart",
        "PUT" => "PutObject",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" => "CompleteMultipartUpload",
        "DELETE" if has("uploadId=") => "AbortMultipartUpload",
        "GET" if has("uploads") => "ListMultipartUploads",
        "GET" => "GetObject",
        other => other,
    };
    name.to_owned()
}
