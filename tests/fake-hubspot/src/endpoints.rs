//! HubSpot's endpoints, one file for each family. A further family is a file with a `route` function, its `mod` line,
//! and its place in the list.

pub(crate) mod account_info;
pub(crate) mod admin;
pub(crate) mod associations;
pub(crate) mod batch_read;
pub(crate) mod filters;
pub(crate) mod oauth;
pub(crate) mod objects;
pub(crate) mod properties;
pub(crate) mod records;
pub(crate) mod search;

use hyper::StatusCode;
use serde::Serialize;

use crate::dice::Dice;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::server::Site;
use crate::{Account, Behaviour, ObjectType};

const FAMILIES: [fn(&Request) -> Option<Route>; 7] = [
    objects::route,
    batch_read::route,
    search::route,
    associations::route,
    properties::route,
    account_info::route,
    oauth::route,
];

pub(crate) fn find(request: &Request) -> Option<Route> {
    FAMILIES.iter().find_map(|route| route(request))
}

pub(crate) type Answer = Result<Reply, Problem>;

/// What a path stands for, and what a call to it takes.
pub(crate) struct Route {
    /// For the counters: `family.call`.
    pub(crate) endpoint: &'static str,
    /// The limit that the call draws on.
    pub(crate) bucket: Option<Bucket>,
    /// All of them are needed.
    pub(crate) scopes: Vec<String>,
    /// No token needed.
    pub(crate) is_open: bool,
    pub(crate) answer: Box<dyn FnOnce(&Call<'_>) -> Answer + Send>,
}

impl Route {
    fn new(
        endpoint: &'static str,
        bucket: Bucket,
        answer: impl FnOnce(&Call<'_>) -> Answer + Send + 'static,
    ) -> Self {
        Self { endpoint, bucket: Some(bucket), scopes: Vec::new(), is_open: false, answer: Box::new(answer) }
    }

    fn requires(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    fn reads(self, object: ObjectType) -> Self {
        self.requires(format!("crm.objects.{}.read", object.plural()))
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

    /// How many of `rows` a page shows: all, unless this is to be one of the short pages.
    fn shown(&self, rows: usize) -> usize {
        let mut dice = Dice::nth(self.behaviour.seed ^ SHORT_PAGES, self.number);
        if rows > 1 && dice.chance(self.behaviour.short_pages) {
            1 + dice.below(rows as u64 - 1) as usize
        } else {
            rows
        }
    }
}

const SHORT_PAGES: u64 = 0x0070_6167_6573;

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

    /// The answer to a batch: 207 if parts of it failed.
    fn batch(body: Vec<u8>, has_errors: bool) -> Self {
        Self { status: if has_errors { StatusCode::MULTI_STATUS } else { StatusCode::OK }, body }
    }
}

/// A number from the query within its range, or the refusal.
fn limit(given: Option<&str>, default: usize, most: usize) -> Result<usize, Problem> {
    let Some(given) = given else { return Ok(default) };
    match given.parse() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        _ => Err(Problem::validation(format!(
            "Invalid limit: {given}. It must be a number between 1 and {most}"
        ))),
    }
}
