//! Steps of a request, in HubSpot's order: length of the URL, path, authentication, rate limits, faults, scopes, and
//! at last the answer.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, VARY,
};
use hyper::{Response, StatusCode};

use super::auth::Credential;
use super::connection::EndsWithReset;
use super::counters::LoggedRequest;
use super::faults::Fault;
use super::limits::{Bucket, Remaining};
use super::parts;
use super::payload::Payload;
use super::problem::Problem;
use super::request::Request;
use super::server::Site;
use crate::Behaviour;
use crate::dice::Dice;
use crate::endpoints::{self, Answer, Call, admin};

const LARGEST_BODY: usize = 64 << 20;
/// Size in bytes from which on answers are compressed.
const COMPRESSED_FROM: usize = 1_000;

pub(crate) async fn answer(
    site: Arc<Site>,
    request: hyper::Request<Incoming>,
    ends_with_reset: EndsWithReset,
) -> Response<Payload> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let request = Request::new(head.method, &head.uri, &head.headers, body);
    if request.segments.first().is_some_and(|first| first == admin::PREFIX) {
        return admin::answer(&site, &request);
    }
    let mut visit = Visit::new(&site);
    let behaviour = site.behaviour();
    let answer = respond(&mut visit, &behaviour, &request);
    tokio::time::sleep(visit.delay(&behaviour)).await;
    let response = visit.render(answer, &behaviour, &request, &ends_with_reset);
    visit.log(&request, response.status());
    response
}

fn respond(visit: &mut Visit, behaviour: &Behaviour, request: &Request) -> Answer {
    if request.target.len() > behaviour.longest_target {
        return Err(Problem::target_too_long());
    }
    let route = endpoints::find(request).ok_or_else(Problem::unknown_path)?;
    visit.endpoint = route.endpoint;
    let site = Arc::clone(&visit.site);
    let settings = site.account.settings();
    if !route.is_open {
        let malformed_is_530 = behaviour.malformed_token_is_530;
        let checked = site.tokens().check(request.token.as_deref(), settings, malformed_is_530);
        visit.credential = Some(checked?);
    }
    if let Some(bucket) = route.bucket {
        visit.draw_on(bucket, behaviour)?;
    }
    visit.fault = Fault::of(&behaviour.faults, behaviour.seed, visit.number);
    if let Some(problem) = visit.fault.and_then(|fault| fault.problem(&behaviour.faults)) {
        return Err(problem);
    }
    let is_granted = |scopes: &Vec<String>| scopes.iter().any(|scope| settings.scopes.contains(scope));
    if let Some(missing) = route.scopes.iter().find(|scopes| !is_granted(scopes)) {
        return Err(Problem::missing_scope(missing));
    }
    if let Some(unknown) = route.objects.iter().find(|object| !site.account.has(**object)) {
        return Err(Problem::unknown_object_type(unknown.id()));
    }
    let lacks_enterprise = route.is_enterprise && !settings.marketing.is_enterprise;
    if lacks_enterprise || behaviour.not_in_product.contains(route.family()) {
        return Err(Problem::not_in_product());
    }
    let call = Call { site: &site, behaviour, request, number: visit.number };
    let answer = (route.answer)(&call);
    let answer = parts::made_over(&site, behaviour, (route.endpoint, visit.number), request, answer);
    let (answer, is_cut) = site.spoil(visit.endpoint, &request.target, answer);
    if is_cut {
        visit.fault = Some(Fault::Truncated);
    }
    answer
}

/// One request's way through the server.
struct Visit {
    site: Arc<Site>,
    number: u64,
    dice: Dice,
    endpoint: &'static str,
    credential: Option<Credential>,
    bucket: Option<Bucket>,
    remaining: Option<Remaining>,
    fault: Option<Fault>,
}

impl Visit {
    fn new(site: &Arc<Site>) -> Self {
        let number = site.recorder().arrived();
        let seed = site.behaviour().seed;
        Self {
            site: Arc::clone(site),
            number,
            dice: Dice::nth(seed, number),
            endpoint: "unknown",
            credential: None,
            bucket: None,
            remaining: None,
            fault: None,
        }
    }

    fn draw_on(&mut self, bucket: Bucket, behaviour: &Behaviour) -> Result<(), Problem> {
        let now = Instant::now();
        let time_zone = self.site.account.settings().time_zone;
        self.bucket = Some(bucket);
        self.site.recorder().drew_on(bucket, now);
        let admitted = self.site.limiter().admit(bucket, &behaviour.limits, now, (Utc::now(), time_zone));
        match admitted {
            Ok(remaining) => {
                self.remaining = Some(remaining);
                Ok(())
            }
            Err(exceeded) => {
                self.remaining = Some(exceeded.remaining);
                let says_when = self.dice.chance(behaviour.limits.retry_after);
                let seconds = exceeded.free_in.as_secs_f64().ceil() as u64;
                Err(Problem::limit_reached(exceeded.policy, says_when.then_some(seconds)))
            }
        }
    }

    fn delay(&mut self, behaviour: &Behaviour) -> Duration {
        let slow = if self.fault == Some(Fault::Slow) { behaviour.faults.slow_by } else { Duration::ZERO };
        let jitter = behaviour.jitter.mul_f64(self.dice.fraction() * 2.0);
        (behaviour.latency + jitter).saturating_sub(behaviour.jitter) + slow
    }

    fn render(
        &mut self,
        answer: Answer,
        behaviour: &Behaviour,
        request: &Request,
        ends_with_reset: &EndsWithReset,
    ) -> Response<Payload> {
        let correlation_id = self.correlation_id();
        let mut headers = self.headers(&correlation_id);
        let (status, media_type, body) = match answer {
            Ok(reply) => (reply.status, "application/json;charset=utf-8", reply.body),
            Err(problem) => {
                headers.extend(problem.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
                let (media_type, body) = problem.body(&correlation_id);
                (problem.status, media_type, body)
            }
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if !behaviour.clock_ahead.is_zero() {
            let theirs = (Utc::now() + behaviour.clock_ahead).format("%a, %d %b %Y %H:%M:%S GMT");
            headers.extend(HeaderValue::from_str(&theirs.to_string()).ok().map(|date| (DATE, date)));
        }
        let body = if behaviour.gzip && request.accepts_gzip && body.len() >= COMPRESSED_FROM {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            gzip(&body)
        } else {
            Bytes::from(body)
        };
        let payload = match self.fault {
            Some(Fault::Reset) => {
                ends_with_reset.set();
                Payload::torn(body.slice(..body.len() / 2))
            }
            Some(Fault::Truncated) => {
                // Either the length lies, or a chunked body ends without its last chunk.
                if self.dice.chance(0.5) {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                }
                Payload::torn(body.slice(..body.len() * 9 / 10))
            }
            _ => Payload::whole(body),
        };
        let mut response = Response::new(payload);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// Makes the headers of rate limits. Searches have none, OAuth apps no daily ones.
    fn headers(&self, correlation_id: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(id) = HeaderValue::from_str(correlation_id) {
            headers.insert("x-hubspot-correlation-id", id);
        }
        let Some(remaining) = self.remaining.filter(|_| self.bucket != Some(Bucket::Search)) else {
            return headers;
        };
        let mut tell = |name: &'static str, number: usize| {
            headers.insert(name, HeaderValue::from(number));
        };
        tell("x-hubspot-ratelimit-interval-milliseconds", 10_000);
        tell("x-hubspot-ratelimit-max", remaining.most);
        tell("x-hubspot-ratelimit-remaining", remaining.left);
        tell("x-hubspot-ratelimit-secondly", remaining.most / 10);
        tell("x-hubspot-ratelimit-secondly-remaining", remaining.left_this_second);
        if self.credential == Some(Credential::Static) {
            tell("x-hubspot-ratelimit-daily", remaining.daily);
            tell("x-hubspot-ratelimit-daily-remaining", remaining.left_today);
        }
        headers
    }

    fn correlation_id(&mut self) -> String {
        let (high, low) = (self.dice.roll(), self.dice.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    fn log(&self, request: &Request, status: StatusCode) {
        let logged = LoggedRequest {
            number: self.number,
            at: Utc::now(),
            method: request.method.to_string(),
            target: request.target.clone(),
            body: request.body.clone(),
            endpoint: self.endpoint,
            status: status.as_u16(),
            fault: self.fault.map(Fault::name),
        };
        self.site.recorder().answered(logged, self.bucket);
    }
}

/// Logs the request, also when the client went away before its answer.
impl Drop for Visit {
    fn drop(&mut self) {
        self.site.recorder().left();
    }
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to a vector can't fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}
