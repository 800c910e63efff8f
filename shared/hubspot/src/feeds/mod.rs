//! The feeds: what one extract run pages through, one file or folder each. To add one: its file, its `mod` line, its
//! entry in [`FEEDS`]. A further object of the CRM is an entry of [`crate::families::CRM_OBJECTS`] alone.
//!
//! | file | pages through | fills |
//! |---|---|---|
//! | `contacts` | contacts, and for each page what contacts v1 and the lists know of them | `contacts`, `contact_identity_profiles`, `contact_identities`, `form_submissions` |
//! | `companies`, `deals` | records (`objects`) | `companies`, `deals` |
//! | `crm_objects` | records of further objects of the CRM, custom ones too | a collection for each object |
//! | `full_refresh::metadata` | small lists that give ids their meaning | `pipelines`, `pipeline_stages`, `owners`, and others |
//! | `full_refresh::marketing` | lists of marketing e-mails, campaigns, events and workflows | `marketing_emails`, `workflows`, and others |
//! | `contacts`, `companies`, `deals`, `crm_objects` | associations of the records, where they are wanted (`objects::links`, `pairs`) | `associations` |
//! | the same | the past of properties on a list, in the answers with the records (`objects::tables::histories`) | `property_history` |
//! | `list_members` | members of the lists of all objects but contacts | `list_memberships` |
//! | `scans::contact_lists` | all lists | `contact_lists` |
//! | `scans::email_campaigns` | the campaigns that were active | `email_campaigns` |
//! | `email_events` | windows of time (`events`) | `email_events` |
//! | `subscription_timeline` | windows of time (`events`) | `email_subscription_event_changes`, `email_subscriptions` |

mod any_open_feed;
mod batches;
mod collection;
mod companies;
mod contacts;
mod crm_objects;
mod cursor;
mod deals;
mod dictionary;
mod document;
mod email_events;
mod estimate;
mod events;
mod feed;
mod format;
mod full_refresh;
mod history_properties;
mod lineage;
mod list_members;
mod names;
mod objects;
mod open_feed;
mod own;
mod packed;
mod pairs;
mod persons;
mod quarantine;
mod recent;
mod scans;
mod session;
mod slice;
mod subscription_timeline;
mod unfinished;

pub use any_open_feed::{AnyOpenFeed, Opened};
pub use crm_objects::{CustomObjects, crm_objects, custom_object, custom_objects};
pub use cursor::{Cursor, Lookback};
pub use dictionary::{CollectionEntry, ColumnEntry};
pub use document::Written;
pub use estimate::Estimate;
pub use feed::Feed;
pub use history_properties::{HistoryProperties, OddList};
pub use list_members::LIST_MEMBERS;
pub(crate) use names::OF_OBJECTS;
pub use names::{
    ASSOCIATION_TYPES, ASSOCIATIONS, DEFINITIONS, LIST_MEMBERSHIPS, PROPERTY_HISTORY, SHARED, is_shared,
};
pub(crate) use open_feed::OpenFeed;
pub use open_feed::{Appended, Gap, Note, Page};
pub use pairs::{AssociatedObject, AssociatedObjects};
pub use persons::person_columns;
pub use quarantine::{Quarantine, SetAside, Thing};
pub use session::{Session, Window};
pub use slice::Slice;
pub use unfinished::{Mode, Unfinished};

/// The feeds of Segment's collections, in the order in which they run. All others are [`further`], and what an account
/// has of its own, [`custom_objects`].
pub const FEEDS: &[&dyn Feed] = &[
    &contacts::CONTACTS,
    &companies::COMPANIES,
    &deals::DEALS,
    &scans::ContactLists,
    &scans::EmailCampaigns,
    &email_events::EMAIL_EVENTS,
    &subscription_timeline::SubscriptionTimeline,
];

/// The feeds beyond Segment's collections that this source knows, in the order in which they run.
pub fn further() -> impl Iterator<Item = &'static dyn Feed> + Clone {
    crm_objects().chain([
        &full_refresh::METADATA as &dyn Feed,
        &full_refresh::MARKETING,
        &list_members::ListMembers,
    ])
}

/// The feeds that this source knows, in the order in which they run: [`FEEDS`], then [`further`].
pub fn known() -> impl Iterator<Item = &'static dyn Feed> + Clone {
    FEEDS.iter().copied().chain(further())
}

/// [`SHARED`], for people who query them.
pub fn shared() -> Vec<CollectionEntry> {
    let definitions = full_refresh::DEFINITIONS.fills.iter().map(|fill| fill.collection.entry());
    let links = [&objects::ASSOCIATIONS, &objects::ASSOCIATION_TYPES, &objects::LIST_MEMBERSHIPS]
        .map(|links| links.entry());
    links.into_iter().chain(definitions).chain([objects::PROPERTY_HISTORY.entry()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_named_after_the_records_of_their_feed() {
        let named: Vec<&str> = FEEDS.iter().filter_map(|feed| feed.snapshot()).collect();
        assert_eq!(named, ["contacts", "companies", "deals"].map(staging::snapshot_name));
        for feed in FEEDS.iter().filter(|feed| feed.snapshot().is_some()) {
            assert_eq!(feed.compared(), feed.collections().first().copied());
        }
        // Whoever has the report of a run knows its table by the feed's name.
        for feed in known() {
            assert!(feed.compared().is_none_or(|table| table == feed.name()), "{}", feed.name());
        }
    }
}
