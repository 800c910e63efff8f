//! Collections that each run reads whole, since HubSpot does not tell what changed: lists and campaigns. A stamp of each
//! thing tells which ones are another since the last run; what is not shown any more is asked for by its id, and gone
//! if HubSpot does not know it.

mod contact_lists;
mod email_campaigns;

use serde::{Deserialize, Serialize};
use staging::Pairs;

use super::own::FeedState;

pub(super) use self::contact_lists::{ContactLists, ObjectLists, is_list_deleted, lists_of};
pub(super) use self::email_campaigns::EmailCampaigns;

/// The things that a scan has shown, each with a stamp that is another one when the thing is. A run fills it, and leaves
/// it to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stamps {
    pub(super) stamps: Pairs,
    /// Campaigns that marketing e-mails have told of, each with a hash of its e-mail.
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) of_emails: Pairs,
}

fn is_empty(pairs: &Pairs) -> bool {
    pairs.0.is_empty()
}

impl FeedState for Stamps {}

type RunOfScan<'a> = super::open_feed::RunOf<'a, Stamps>;
