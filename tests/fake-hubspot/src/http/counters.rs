//! Counters and a log of requests, for tests that a client keeps the rate limits and sends no needless calls.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::limits::Bucket;

/// Number of requests that the log keeps; older ones are only counted.
const LOGGED: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counters {
    pub requests: u64,
    /// Requests by endpoint, for example `objects.list`; `unknown` are paths that HubSpot doesn't have.
    pub endpoints: BTreeMap<&'static str, u64>,
    pub statuses: BTreeMap<u16, u64>,
    /// Injected faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    pub general: BucketCounters,
    pub search: BucketCounters,
    pub associations: BucketCounters,
    /// Greatest number of requests that were answered at the same time.
    pub peak_in_flight: usize,
    pub in_flight: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BucketCounters {
    pub requests: u64,
    /// Requests that were answered 429, by a limit or by a fault.
    pub refused: u64,
    /// Requests in the busiest rolling window of this limit (ten seconds; for searches one), refused ones included.
    pub busiest_window: usize,
}

impl Counters {
    fn bucket_mut(&mut self, bucket: Bucket) -> &mut BucketCounters {
        match bucket {
            Bucket::General => &mut self.general,
            Bucket::Search => &mut self.search,
            Bucket::Associations => &mut self.associations,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Number of the request, from 1 on, in order of arrival.
    pub number: u64,
    pub at: DateTime<Utc>,
    pub method: String,
    /// Path and query of the request.
    pub target: String,
    /// Body of the request, which the log's JSON leaves out.
    #[serde(skip)]
    pub body: Bytes,
    pub endpoint: &'static str,
    pub status: u16,
    pub fault: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    counters: Counters,
    log: VecDeque<LoggedRequest>,
    windows: [VecDeque<Instant>; 3],
}

impl Recorder {
    /// Notes a request. Returns its number.
    pub(crate) fn arrived(&mut self) -> u64 {
        self.counters.requests += 1;
        self.counters.in_flight += 1;
        self.counters.peak_in_flight = self.counters.peak_in_flight.max(self.counters.in_flight);
        self.counters.requests
    }

    pub(crate) fn left(&mut self) {
        self.counters.in_flight -= 1;
    }

    pub(crate) fn drew_on(&mut self, bucket: Bucket, now: Instant) {
        let window = &mut self.windows[bucket as usize];
        window.push_back(now);
        while window.front().is_some_and(|first| now.duration_since(*first) >= bucket.window()) {
            window.pop_front();
        }
        let counted = self.counters.bucket_mut(bucket);
        counted.requests += 1;
        counted.busiest_window = counted.busiest_window.max(window.len());
    }

    pub(crate) fn answered(&mut self, request: LoggedRequest, bucket: Option<Bucket>) {
        *self.counters.endpoints.entry(request.endpoint).or_default() += 1;
        *self.counters.statuses.entry(request.status).or_default() += 1;
        if let Some(fault) = request.fault {
            *self.counters.faults.entry(fault).or_default() += 1;
        }
        if let (Some(bucket), 429) = (bucket, request.status) {
            self.counters.bucket_mut(bucket).refused += 1;
        }
        if self.log.len() == LOGGED {
            self.log.pop_front();
        }
        self.log.push_back(request);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    pub(crate) fn log(&self) -> Vec<LoggedRequest> {
        self.log.iter().cloned().collect()
    }

    /// Forgets all requests, but not the next number: faults depend on it.
    pub(crate) fn reset(&mut self) {
        let counters = &self.counters;
        self.counters =
            Counters { requests: counters.requests, in_flight: counters.in_flight, ..Counters::default() };
        self.log.clear();
        self.windows = Default::default();
    }
}
