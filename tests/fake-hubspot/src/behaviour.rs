//! How the server behaves: limits, delays, quirks, faults. Everything can be changed while it runs; as JSON, durations
//! are milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::parts::{PagingWords, RefusedBatches};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Of faults, delays and short pages. What happens to a request depends on this and on its number.
    pub seed: u64,
    pub limits: Limits,
    pub faults: Faults,
    #[serde(with = "milliseconds")]
    pub latency: Duration,
    /// Added to or taken from the latency, at most.
    #[serde(with = "milliseconds")]
    pub jitter: Duration,
    pub index_lag: IndexLag,
    /// Share of the pages of lists and searches with fewer rows than the limit though more are to come.
    pub short_pages: f64,
    /// Compress answers for clients that accept it.
    pub gzip: bool,
    /// A list accepts an `after` that it never gave out. Otherwise such a one starts from the beginning.
    pub after_is_lower_bound: bool,
    /// So does the list of archived records.
    pub archived_after_is_lower_bound: bool,
    /// A search for records modified since 1970 fails.
    pub search_from_zero_fails: bool,
    /// Bytes of path and query; longer ones are answered 414.
    pub longest_target: usize,
    /// Bytes of a search body; longer ones are answered 400.
    pub longest_search: usize,
    /// A token with characters that no token has gets a page of the network in front of HubSpot.
    pub malformed_token_is_530: bool,
    /// What `expires_in` of an OAuth token says.
    #[serde(with = "milliseconds")]
    pub token_lifetime: Duration,
    /// When an OAuth token dies; after its lifetime if nothing is said.
    #[serde(with = "optional_milliseconds")]
    pub expire_tokens_after: Option<Duration>,
    /// Links of a record in a list before their list is paged.
    pub inline_associations: usize,
    /// Links of a record in an associations call before they are paged.
    pub associations_page: usize,
    /// One entry for each label of a link instead of one entry with all labels.
    pub repeat_associations_per_label: bool,
    /// Share of the batch answers that leave something out, one way or another, and say so.
    pub parts: f64,
    /// A batch endpoint that refuses batches for a record in them.
    pub refused_batches: Option<RefusedBatches>,
    /// Words for paging.
    pub paging_words: PagingWords,
    /// The associations batch answers the first page, whatever `after` an input has.
    pub ignores_association_after: bool,
    /// Records that every search fails for that they are among the results of, on whatever page.
    pub unsearchable: BTreeSet<u64>,
    /// Share of the lists and campaigns that the credential does not see: they are there for others.
    pub hidden: f64,
    /// All lists can be read by their ids (`/all`); otherwise the path is not known.
    pub has_all_lists: bool,
    /// The search of lists, and `/all`, show lists of all objects, whatever `objectTypeId` says.
    pub ignores_list_type: bool,
    /// Records in a batch of memberships.
    pub most_memberships: usize,
    /// Share of the property definitions that have null where their type, whether they are calculated, or whether they
    /// are archived is told, 0 to 1. Null is no lie: a type is withheld of texts alone, `calculated` of what is not.
    pub definition_nulls: f64,
    /// One more definition of each type of object has null for its name.
    pub nameless_definition: bool,
    pub v1_contacts: V1Contacts,
    /// Families that answer 403 as if the account's products didn't include them, whatever its scopes: the part of an
    /// endpoint's name before the dot, for example `email_events`.
    pub not_in_product: BTreeSet<String>,
    /// How long the `offset` of e-mail events, campaigns and the subscription timeline is good for.
    #[serde(with = "milliseconds")]
    pub offset_lifetime: Duration,
    /// E-mail events and changes of subscriptions are shown in the order of their arrival: each up to this long after it
    /// happened.
    #[serde(with = "milliseconds")]
    pub arrival_jitter: Duration,
    /// The `offset` of e-mail events and of the subscription timeline leads back to the first page of its window.
    pub offsets_lead_back: bool,
    /// E-mail events and the subscription timeline show everything, whatever window they are asked for.
    pub windows_are_ignored: bool,
    /// How far contacts v1 is behind: it shows no submission and no contact that is newer.
    #[serde(with = "milliseconds")]
    pub v1_lag: Duration,
    /// The subscription status of an address tells `unsubscribeFromPortal`. HubSpot's examples differ.
    pub shows_unsubscribe_from_portal: bool,
}

/// What became of the contact reads of v1. HubSpot's notices of their end can be read either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum V1Contacts {
    #[default]
    Alive,
    /// 404 with a page of HTML.
    Gone,
    /// 403.
    Forbidden,
}

impl Behaviour {
    pub(crate) fn takes_any_after(&self, archived: bool) -> bool {
        self.after_is_lower_bound && (self.archived_after_is_lower_bound || !archived)
    }
}

impl Default for Behaviour {
    /// Limits of a Professional account; no delay and no fault.
    fn default() -> Self {
        Self {
            seed: 1,
            limits: Limits::default(),
            faults: Faults::none(),
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            index_lag: IndexLag::none(),
            short_pages: 0.0,
            gzip: true,
            after_is_lower_bound: true,
            archived_after_is_lower_bound: true,
            search_from_zero_fails: true,
            longest_target: 8_000,
            longest_search: 3_000,
            malformed_token_is_530: false,
            token_lifetime: Duration::from_secs(1_800),
            expire_tokens_after: None,
            inline_associations: 100,
            associations_page: 500,
            repeat_associations_per_label: false,
            parts: 0.0,
            refused_batches: None,
            paging_words: PagingWords::AsDocumented,
            ignores_association_after: false,
            unsearchable: BTreeSet::new(),
            hidden: 0.0,
            has_all_lists: true,
            ignores_list_type: false,
            most_memberships: 100,
            definition_nulls: 0.0,
            nameless_definition: false,
            v1_contacts: V1Contacts::Alive,
            not_in_product: BTreeSet::new(),
            offset_lifetime: Duration::from_secs(3_600),
            arrival_jitter: Duration::ZERO,
            offsets_lead_back: false,
            windows_are_ignored: false,
            v1_lag: Duration::ZERO,
            shows_unsubscribe_from_portal: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub enabled: bool,
    /// Requests in any ten seconds, searches and associations calls apart.
    pub general: usize,
    /// Searches in any second, over the whole account.
    pub search: usize,
    /// Associations calls in any ten seconds.
    pub associations: usize,
    /// All requests between two midnights of the account.
    pub daily: usize,
    /// Associations calls between two midnights of the account.
    pub associations_daily: usize,
    /// Share of the 429 answers that say when to come back.
    pub retry_after: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            general: 190,
            search: 5,
            associations: 150,
            daily: 625_000,
            associations_daily: 500_000,
            retry_after: 0.3,
        }
    }
}

impl Limits {
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }
}

/// Shares of the requests that go wrong, each in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// 500 with HubSpot's JSON.
    pub internal_error: f64,
    /// 502 with a page of HTML.
    pub bad_gateway: f64,
    pub unavailable: f64,
    /// 504 with a page of HTML.
    pub gateway_timeout: f64,
    /// 521 with a page of HTML.
    pub origin_down: f64,
    /// 423: the lock lasts two seconds.
    pub locked: f64,
    /// 477: the account moves to another data centre.
    pub migrating: f64,
    /// What `Retry-After` of a 477 says.
    #[serde(with = "milliseconds")]
    pub migration: Duration,
    /// The connection is reset in the middle of the body.
    pub reset: f64,
    /// The body ends early.
    pub truncated: f64,
    /// A 429, and some more for the requests right after, whatever the limits say.
    pub limit_burst: f64,
    /// The answer takes its time.
    pub slow: f64,
    #[serde(with = "milliseconds")]
    pub slow_by: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

impl Faults {
    pub fn none() -> Self {
        Self {
            internal_error: 0.0,
            bad_gateway: 0.0,
            unavailable: 0.0,
            gateway_timeout: 0.0,
            origin_down: 0.0,
            locked: 0.0,
            migrating: 0.0,
            migration: Duration::from_secs(1),
            reset: 0.0,
            truncated: 0.0,
            limit_burst: 0.0,
            slow: 0.0,
            slow_by: Duration::from_secs(2),
        }
    }

    /// A bad day: about one request in ten fails, in every way that a client should survive within a run.
    pub fn mixed() -> Self {
        Self {
            internal_error: 0.02,
            bad_gateway: 0.02,
            unavailable: 0.01,
            gateway_timeout: 0.01,
            origin_down: 0.005,
            locked: 0.005,
            reset: 0.01,
            truncated: 0.01,
            limit_burst: 0.002,
            slow: 0.01,
            ..Self::none()
        }
    }
}

/// How long search stays behind: each change waits a time between `least` and `most`, a few much longer. At times the
/// index stands still: what is due then waits for the end of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexLag {
    #[serde(with = "milliseconds")]
    pub least: Duration,
    #[serde(with = "milliseconds")]
    pub most: Duration,
    /// Share of the changes that wait for `straggler` instead: later changes are found before them.
    pub stragglers: f64,
    #[serde(with = "milliseconds")]
    pub straggler: Duration,
    /// How long the index stands still, at the end of each [period](IndexLag::period).
    #[serde(with = "milliseconds")]
    pub standstill: Duration,
    #[serde(with = "milliseconds")]
    pub period: Duration,
}

impl Default for IndexLag {
    fn default() -> Self {
        Self::none()
    }
}

impl IndexLag {
    pub fn none() -> Self {
        Self::up_to(Duration::ZERO)
    }

    pub fn up_to(most: Duration) -> Self {
        Self {
            least: Duration::ZERO,
            most,
            stragglers: 0.0,
            straggler: most * 5,
            standstill: Duration::ZERO,
            period: Duration::from_secs(3_600),
        }
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        (duration.as_millis() as u64).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

mod optional_milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(|duration| duration.as_millis() as u64).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
