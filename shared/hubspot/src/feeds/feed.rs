//! The contract of a feed: what it fills, and how it is opened for a run.

use std::fmt;

use async_trait::async_trait;

use super::any_open_feed::Opened;
use super::cursor::Cursor;
use super::dictionary::CollectionEntry;
use super::pairs::AssociatedObject;
use super::session::Session;
use super::unfinished::Mode;
use crate::client::Client;
use crate::error::Result;

/// One feed, not yet opened.
#[async_trait]
pub trait Feed: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// The collections it fills.
    fn collections(&'static self) -> &'static [&'static str];

    /// Collections that it fills with other feeds together, where they are wanted.
    fn shared_collections(&self) -> &'static [&'static str] {
        &[]
    }

    /// The object whose records it reads; `None`: it reads something else.
    fn object(&'static self) -> Option<AssociatedObject> {
        None
    }

    /// Its collections and their columns, for people who query them.
    fn dictionary(&self) -> Vec<CollectionEntry>;

    /// The name of its snapshots ([`staging::snapshot_name`]); `None` where each run reads everything, or what is read
    /// never changes. A feed is opened for a snapshot with the cursor of its snapshots.
    fn snapshot(&self) -> Option<&'static str> {
        None
    }

    /// `true`: each run reads everything there is, whatever has changed.
    fn is_full_refresh(&self) -> bool {
        false
    }

    /// `true`: things may change although HubSpot does not tell, and no snapshot finds that: a refresh reads everything.
    fn changes_untold(&self) -> bool {
        false
    }

    /// The collection that is compared with its snapshots.
    fn compared(&self) -> Option<&'static str> {
        self.snapshot().and_then(staging::snapshot_of)
    }

    /// Lets the cursor of its snapshots know what the feed's own one knows of the account.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when one of them is not this feed's.
    fn share(&self, _of_feed: &mut Cursor, _of_snapshots: &mut Cursor) -> Result<()> {
        Ok(())
    }

    /// Lets the feed's own cursor know what that of its snapshots has seen.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when one of them is not this feed's.
    fn learn(&self, _of_feed: &mut Cursor, _of_snapshots: &mut Cursor) -> Result<()> {
        Ok(())
    }

    /// Asks whether a source that did not answer in an earlier run does so now. Then the feed is due to be read from
    /// the start: what the source knows of older records was never read.
    async fn ask_again(&self, _client: &Client, _cursor: &mut Cursor) -> Result<()> {
        Ok(())
    }

    /// Opens the feed for one run: reads what the account defines. If that tells that a run over changes is too little
    /// (`Cursor::is_due_whole`), the feed is to be opened again for a whole one.
    async fn open(&'static self, session: &Session, mode: Mode, cursor: &mut Cursor) -> Result<Opened>;
}
