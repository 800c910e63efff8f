//! The feeds: what one extract run pages through, one file each. To add one: its file, its `mod` line, its entry in
//! [`FEEDS`].

mod companies;
mod contacts;
mod cursor;
mod deals;
mod objects;
mod seen;

pub use cursor::{Cursor, Lookback, Mode, Slice, Unfinished};
pub use objects::{Appended, ObjectFeed, Page, Window};

use crate::account::Account;
use crate::client::Client;
use crate::error::Result;
use crate::properties;

use companies::COMPANIES;
use contacts::CONTACTS;
use deals::DEALS;
use objects::ObjectType;

/// One feed, not yet opened.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    object: &'static ObjectType,
    /// The scope without which it can't be read.
    pub scope: &'static str,
}

/// All feeds, in the order in which they run.
pub const FEEDS: &[Feed] = &[
    Feed { object: &CONTACTS, scope: "crm.objects.contacts.read" },
    Feed { object: &COMPANIES, scope: "crm.objects.companies.read" },
    Feed { object: &DEALS, scope: "crm.objects.deals.read" },
];

impl Feed {
    pub fn name(&self) -> &'static str {
        self.object.name
    }

    /// The collections it fills.
    pub fn collections(&self) -> &'static [&'static str] {
        std::slice::from_ref(&self.object.name)
    }

    /// Opens the feed for one run in this mode: reads what the account defines.
    pub async fn open(
        &self,
        client: &Client,
        account: &Account,
        run_id: &str,
        mode: Mode,
        cursor: &mut Cursor,
        lookback: Lookback,
    ) -> Result<ObjectFeed> {
        let sensitive = match cursor.sensitive.take() {
            Some(classes) if mode == Mode::Incremental => classes,
            _ => properties::visible_classes(client, self.object.name).await?,
        };
        let properties = properties::definitions(client, self.object.name, &sensitive).await?;
        cursor.sensitive = Some(sensitive);
        ObjectFeed::new(self.object, client, account, run_id, &properties, mode, cursor, lookback)
    }
}
