//! Reads a list whole, page by page.

use super::OpenLists;
use super::emails::{Emails, marketing_emails};
use super::source::{Paths, Source};
use super::state::{Failure, Slice};
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;

/// A list, or the reason why it can't be read.
#[derive(Debug)]
pub(super) enum Answers {
    Read(Vec<Body>),
    /// Marketing e-mails, of which some may be without their statistics.
    Emails(Emails),
    Failed(Failure),
}

impl Answers {
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Answers::Read(answers) | Answers::Emails(Emails { answers, .. }) => {
                answers.iter().map(|body| body.len()).sum()
            }
            Answers::Failed(_) => 0,
        }
    }
}

impl OpenLists {
    /// Returns the source of a slice.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a slice of another version of this program.
    pub(super) fn source_of(&self, slice: &Slice) -> Result<&'static Source> {
        self.feed.source(&slice.source).ok_or_else(|| {
            let message =
                format!("the cursor names a list that this version does not know: {}", slice.source);
            Error::new(ErrorKind::Malformed, message)
        })
    }

    /// Reads the list. One that HubSpot refuses, or fails on, is no reason to leave the others unread.
    pub(super) async fn read(&self, slice: &Slice) -> Result<Answers> {
        let source = self.source_of(slice)?;
        let paths = match (&source.paths, &slice.object) {
            (Paths::MarketingEmails, _) => {
                return match marketing_emails(&self.session.client).await {
                    Ok(emails) => Ok(Answers::Emails(emails)),
                    Err(failed) if failed.may_be_useless() => Ok(Answers::Failed(Failure::of(&failed))),
                    Err(failed) => Err(failed),
                };
            }
            (Paths::OfAccount(paths), _) => paths(),
            (Paths::OfObject(paths), Some(object)) => paths(&object.path),
            (Paths::OfObject(_), None) => Vec::new(),
        };
        let mut answers = Vec::new();
        for path in paths {
            match pages(&self.session.client, source, &path, &mut answers).await {
                Ok(()) => {}
                Err(failed) if failed.may_be_useless() => return Ok(Answers::Failed(Failure::of(&failed))),
                Err(failed) => return Err(failed),
            }
        }
        Ok(Answers::Read(answers))
    }
}

async fn pages(client: &Client, source: &Source, path: &str, answers: &mut Vec<Body>) -> Result<()> {
    let Some(limit) = source.page else {
        let body = client.send_for_list(&Call::get(path), RESULTS).await?;
        if let Next::At(_) = body.next(usize::MAX) {
            let message =
                format!("HubSpot shows {} in pages, of which this version knows nothing", source.name);
            return Err(Error::new(ErrorKind::Malformed, message));
        }
        answers.push(body);
        return Ok(());
    };
    let joint = if path.contains('?') { '&' } else { '?' };
    let call = |limit: usize, after: &str| Call::get(format!("{path}{joint}limit={limit}{after}"));
    let add = |body: Body| {
        answers.push(body);
        Ok(())
    };
    client.each_page(call, limit, RESULTS, source.name, add).await
}

pub(super) const RESULTS: &str = "results";
