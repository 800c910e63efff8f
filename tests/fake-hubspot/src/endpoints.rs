//! HubSpot's endpoints, one file for each family. A further family is a file with a `route` function, its `mod` line,
//! and its place in the list.

pub(crate) mod account_info;
pub(crate) mod admin;
pub(crate) mod associations;
pub(crate) mod batch_read;
pub(crate) mod campaigns;
pub(crate) mod contacts_v1;
pub(crate) mod email_events;
pub(crate) mod filters;
pub(crate) mod forms;
pub(crate) mod lists;
mod marketing_tools;
pub(crate) mod metadata;
pub(crate) mod oauth;
pub(crate) mod objects;
pub(crate) mod offsets;
pub(crate) mod preferences;
pub(crate) mod properties;
mod record_counts;
pub(crate) mod records;
pub(crate) mod schemas;
pub(crate) mod search;
pub(crate) mod subscriptions;

use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode, Uri};
use serde::Serialize;

use crate::dice::Dice;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::server::Site;
use crate::{Account, Behaviour, ObjectType};

const FAMILIES: [fn(&Request) -> Option<Route>; 18] = [
    objects::route,
    batch_read::route,
    search::route,
    associations::route,
    properties::route,
    schemas::route,
    account_info::route,
    oauth::route,
    contacts_v1::route,
    forms::route,
    lists::route,
    email_events::route,
    campaigns::route,
    subscriptions::route,
    preferences::route,
    metadata::route,
    marketing_tools::route,
    record_counts::route,
];

pub(crate) fn find(request: &Request) -> Option<Route> {
    FAMILIES.iter().find_map(|route| route(request))
}

/// The endpoint that a call belongs to, by the name that the counters give it; `None` if HubSpot has no such path.
pub fn endpoint_of(method: &str, target: &str) -> Option<&'static str> {
    let (method, uri) = (Method::from_bytes(method.as_bytes()).ok()?, target.parse::<Uri>().ok()?);
    find(&Request::new(method, &uri, &HeaderMap::new(), Bytes::new())).map(|route| route.endpoint)
}

pub(crate) type Answer = Result<Reply, Problem>;

/// An endpoint, with the limits and scopes of its calls.
pub(crate) struct Route {
    /// The endpoint's name in the counters: `family.call`.
    pub(crate) endpoint: &'static str,
    /// The rate limit that the call counts against.
    pub(crate) bucket: Option<Bucket>,
    /// Types of records that the account must have.
    pub(crate) objects: Vec<ObjectType>,
    /// Needed scopes: one of each row.
    pub(crate) scopes: Vec<Vec<String>>,
    /// `true`: the account needs Marketing Hub Enterprise.
    pub(crate) is_enterprise: bool,
    /// `true`: the call needs no token.
    pub(crate) is_open: bool,
    pub(crate) answer: Box<dyn FnOnce(&Call<'_>) -> Answer + Send>,
}

impl Route {
    fn new(
        endpoint: &'static str,
        bucket: Bucket,
        answer: impl FnOnce(&Call<'_>) -> Answer + Send + 'static,
    ) -> Self {
        Self {
            endpoint,
            bucket: Some(bucket),
            objects: Vec::new(),
            scopes: Vec::new(),
            is_enterprise: false,
            is_open: false,
            answer: Box::new(answer),
        }
    }

    fn requires(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(vec![scope.into()]);
        self
    }

    fn requires_one_of(mut self, scopes: &[&str]) -> Self {
        self.scopes.push(scopes.iter().map(|scope| (*scope).to_owned()).collect());
        self
    }

    fn requires_enterprise(self) -> Self {
        Self { is_enterprise: true, ..self }
    }

    /// Returns the family in the endpoint's name, such as `lists` in `lists.search`.
    pub(crate) fn family(&self) -> &'static str {
        self.endpoint.split('.').next().unwrap_or(self.endpoint)
    }

    /// The call is about records of this type.
    fn reads(self, object: ObjectType) -> Self {
        self.requires_of(object, object.scopes())
    }

    /// The call is about property definitions of this type.
    fn reads_schema_of(self, object: ObjectType) -> Self {
        self.requires_of(object, object.schema_scopes())
    }

    fn requires_of(mut self, object: ObjectType, scopes: &[&[&str]]) -> Self {
        self.objects.push(object);
        scopes.iter().fold(self, |route, row| route.requires_one_of(row))
    }
}

pub(crate) struct Call<'a> {
    pub(crate) site: &'a Site,
    pub(crate) behaviour: &'a Behaviour,
    pub(crate) request: &'a Request,
    pub(crate) number: u64,
}

impl Call<'_> {
    fn account(&self) -> &Account {
        &self.site.account
    }

    fn may(&self, scope: &str) -> bool {
        self.account().settings().scopes.iter().any(|granted| granted == scope)
    }

    /// Returns the number of `rows` that a page shows: all, unless it is one of the short pages.
    fn shown(&self, rows: usize) -> usize {
        let mut dice = Dice::nth(self.behaviour.seed ^ SHORT_PAGES, self.number);
        if rows > 1 && dice.chance(self.behaviour.short_pages) {
            1 + dice.below(rows as u64 - 1) as usize
        } else {
            rows
        }
    }

    /// Returns the longest time between an event and its arrival.
    fn most_delay_ms(&self) -> i64 {
        self.behaviour.arrival_jitter.as_millis() as i64
    }

    /// Returns the time between the event with this number and its arrival, the same in each call.
    fn delay_ms(&self, number: u64) -> i64 {
        Dice::nth(self.behaviour.seed ^ ARRIVALS, number).between(0, self.most_delay_ms() + 1)
    }

    /// `true`: the credential may not see the list or campaign with this id.
    fn is_listed(&self, list: u64) -> bool {
        !self.is_hidden(list) && !self.behaviour.unlisted.contains(&list)
    }

    fn is_hidden(&self, id: u64) -> bool {
        self.behaviour.hidden > 0.0
            && Dice::nth(self.behaviour.seed ^ HIDDEN, id).chance(self.behaviour.hidden)
    }

    /// Returns a page of at most `limit` of the rows, and `true` if more follow.
    fn page<T>(&self, rows: impl Iterator<Item = T>, limit: usize) -> (Vec<T>, bool) {
        let mut rows: Vec<T> = rows.take(limit + 1).collect();
        let shown = self.shown(rows.len().min(limit));
        let has_more = rows.len() > shown;
        rows.truncate(shown);
        (rows, has_more)
    }
}

const SHORT_PAGES: u64 = 0x0070_6167_6573;
const HIDDEN: u64 = 0x6869_6464_656e;
const ARRIVALS: u64 = 0x6172_7269_7665;

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn ok(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body }
    }

    fn json(body: &impl Serialize) -> Self {
        // Plain data has no map keys that aren't strings, which is all that can fail here.
        Self::ok(serde_json::to_vec(body).unwrap_or_default())
    }

    /// Makes the answer to a batch: 207 if parts of it failed.
    fn batch(body: Vec<u8>, has_errors: bool) -> Self {
        Self { status: if has_errors { StatusCode::MULTI_STATUS } else { StatusCode::OK }, body }
    }
}

/// Returns the number that the query gives as its limit, or the refusal if it is out of range.
fn limit(given: Option<&str>, default: usize, most: usize) -> Result<usize, Problem> {
    let Some(given) = given else { return Ok(default) };
    match given.parse() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Problem::validation(format!(
            "Invalid limit: {given}. It must be a number between 1 and {most}"
        ))),
    }
}
