//! Behaviour of the server: limits, delays, quirks, faults. Everything can be changed while it runs; as JSON,
//! durations are milliseconds.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ObjectType;
use crate::http::parts::{PagingWords, RefusedBatches};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Seed of faults, delays and short pages. They depend on it and on the number of the request.
    pub seed: u64,
    pub limits: Limits,
    pub faults: Faults,
    #[serde(with = "milliseconds")]
    pub latency: Duration,
    /// Time by which the dates of answers are ahead of our clock.
    #[serde(with = "milliseconds")]
    pub clock_ahead: Duration,
    /// The most that is added to or taken from the latency.
    #[serde(with = "milliseconds")]
    pub jitter: Duration,
    pub index_lag: IndexLag,
    /// Share of the pages of lists and searches that have fewer rows than the limit though more follow.
    pub short_pages: f64,
    /// Compress answers for clients that accept it.
    pub gzip: bool,
    /// A list accepts an `after` that it never gave out. If `false`, such an `after` starts from the beginning.
    pub after_is_lower_bound: bool,
    /// The list of archived records accepts an `after` that it never gave out.
    pub archived_after_is_lower_bound: bool,
    /// A search for records modified since 1970 fails.
    pub search_from_zero_fails: bool,
    /// Greatest length of path and query in bytes; longer ones are answered 414.
    pub longest_target: usize,
    /// Greatest length of a search body in bytes; longer ones are answered 400.
    pub longest_search: usize,
    /// A token with characters that no token has is answered 530, with a page of the network in front of HubSpot.
    pub malformed_token_is_530: bool,
    /// The `expires_in` of an OAuth token.
    #[serde(with = "milliseconds")]
    pub token_lifetime: Duration,
    /// Time after which an OAuth token really expires; `None`: after its lifetime.
    #[serde(with = "optional_milliseconds")]
    pub expire_tokens_after: Option<Duration>,
    /// Most links of a record in a list of records; the others are on further pages.
    pub inline_associations: usize,
    /// Most links of a record in an associations call; the others are on further pages.
    pub associations_page: usize,
    /// A link has one entry for each of its labels instead of one entry with all labels.
    pub repeat_associations_per_label: bool,
    /// Share of the batch answers that leave something out and say so, in one of the ways that HubSpot has.
    pub parts: f64,
    /// A batch endpoint that refuses each batch which has a certain record in it.
    pub refused_batches: Option<RefusedBatches>,
    /// Spelling of the fields for paging.
    pub paging_words: PagingWords,
    /// The associations batch answers the first page, whatever the `after` of an input.
    pub ignores_association_after: bool,
    /// Records that make a search fail if they are among its results, on whatever page.
    pub unsearchable: BTreeSet<u64>,
    /// Share of the lists and campaigns that the credential may not see, though they exist.
    pub hidden: f64,
    /// Lists that neither the search nor `/all` shows, though the calls for one list do.
    pub unlisted: BTreeSet<u64>,
    /// A deleted list is shown by its id, with `deletedAt`.
    pub shows_deleted_lists: bool,
    /// All lists can be read by their ids (`/all`); otherwise the path is not known.
    pub has_all_lists: bool,
    /// The search of lists, and `/all`, show lists of all objects, whatever `objectTypeId` says.
    pub ignores_list_type: bool,
    /// One call tells the number of records of each object; otherwise its path is not known.
    pub counts_records: bool,
    /// It lists objects without records, too.
    pub counts_empty: bool,
    /// Objects that it leaves out.
    pub uncounted: BTreeSet<ObjectType>,
    /// A page of a list's members begins with the last one of the page before, and no page tells how many there are.
    pub members_overlap: bool,
    /// Most records in a batch of memberships.
    pub most_memberships: usize,
    /// Share of the property definitions, 0 to 1, that have null for `type`, `calculated` or `archived`. Null hides
    /// nothing else than the default: only a text has no `type`, only a property that is not calculated no
    /// `calculated`.
    pub definition_nulls: f64,
    /// One more definition of each type of object has null for its name.
    pub nameless_definition: bool,
    pub v1_contacts: V1Contacts,
    /// Families that answer 403 as if the account's products didn't include them, whatever its scopes: the part of an
    /// endpoint's name before the dot, for example `email_events`.
    pub not_in_product: BTreeSet<String>,
    /// Lifetime of the `offset` of e-mail events, campaigns and the subscription timeline.
    #[serde(with = "milliseconds")]
    pub offset_lifetime: Duration,
    /// Longest time between an e-mail event or a change of a subscription and its arrival; they are shown in the order
    /// of their arrival.
    #[serde(with = "milliseconds")]
    pub arrival_jitter: Duration,
    /// The `offset` of e-mail events and of the subscription timeline leads back to the first page of its window.
    pub offsets_lead_back: bool,
    /// E-mail events and the subscription timeline show everything, whatever window they are asked for.
    pub windows_are_ignored: bool,
    /// Lag of contacts v1: it shows no submission and no contact that is newer.
    #[serde(with = "milliseconds")]
    pub v1_lag: Duration,
    /// The list of archived owners shows the live ones, too (airbytehq/airbyte issue 33524).
    pub mixed_owners: bool,
    /// The subscription status of an address has `unsubscribeFromPortal`. HubSpot's examples differ.
    pub shows_unsubscribe_from_portal: bool,
}

/// State of the contact reads of v1. HubSpot's notices of their end can be read either way.
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
    /// Returns the limits of a Professional account, without delays and faults.
    fn default() -> Self {
        Self {
            seed: 1,
            limits: Limits::default(),
            faults: Faults::none(),
            latency: Duration::ZERO,
            clock_ahead: Duration::ZERO,
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
            unlisted: BTreeSet::new(),
            shows_deleted_lists: false,
            has_all_lists: true,
            ignores_list_type: false,
            counts_records: true,
            counts_empty: true,
            uncounted: BTreeSet::new(),
            members_overlap: false,
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
            mixed_owners: false,
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
    /// Share of the 429 answers that have `Retry-After`.
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

/// Shares of the requests that go wrong, one for each kind of fault.
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
    /// The `Retry-After` of a 477.
    #[serde(with = "milliseconds")]
    pub migration: Duration,
    /// The connection is reset in the middle of the body.
    pub reset: f64,
    /// The body ends early.
    pub truncated: f64,
    /// A 429, and some more for the requests right after, whatever the limits say.
    pub limit_burst: f64,
    /// The answer comes late.
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

    /// Faults of a bad day: about one request in ten fails, in every way that a client should survive within a run.
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

/// Lag of the search index: each change appears after a time between `least` and `most`, a few much later. At times
/// the index stands still: changes that are due then appear at the end of the standstill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexLag {
    #[serde(with = "milliseconds")]
    pub least: Duration,
    #[serde(with = "milliseconds")]
    pub most: Duration,
    /// Share of the changes that appear after `straggler` instead, so that later changes are found before them.
    pub stragglers: f64,
    #[serde(with = "milliseconds")]
    pub straggler: Duration,
    /// Time for which the index stands still, at the end of each [period](IndexLag::period).
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
