//! Reads a list whole, page by page.

use super::emails::{Emails, marketing_emails};
use super::source::{Paths, RESULTS, Source};
use super::state::{Failure, Slice};
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;

/// A list, or the reason why it can't be read.
#[derive(Debug)]
pub(super) enum Answers {
    Read(ReadList),
    Failed(Failure),
}

/// The answers that are a list.
#[derive(Debug, Default)]
pub(super) struct ReadList {
    pub(super) answers: Vec<Body>,
    /// Number of published e-mails without statistics; `None`: the list is not one of e-mails.
    pub(super) uncounted: Option<usize>,
}

impl From<Emails> for ReadList {
    fn from(emails: Emails) -> ReadList {
        ReadList { answers: emails.answers, uncounted: Some(emails.uncounted) }
    }
}

impl Answers {
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Answers::Read(list) => list.answers.iter().map(|body| body.len()).sum(),
            Answers::Failed(_) => 0,
        }
    }
}

/// Reads the list of a slice. One that HubSpot refuses, or fails on, is no reason to leave the others unread.
pub(super) async fn read(client: &Client, source: &Source, slice: &Slice) -> Result<Answers> {
    match list(client, source, slice).await {
        Ok(list) => Ok(Answers::Read(list)),
        Err(failed) if failed.may_be_useless() => Ok(Answers::Failed(Failure::of(&failed))),
        Err(failed) => Err(failed),
    }
}

async fn list(client: &Client, source: &Source, slice: &Slice) -> Result<ReadList> {
    let paths = match (&source.paths, &slice.object) {
        (Paths::MarketingEmails, _) => return marketing_emails(client).await.map(ReadList::from),
        (Paths::OfAccount(paths), _) => paths(),
        (Paths::OfObject(paths), Some(object)) => paths(&object.path),
        (Paths::OfObject(_), None) => Vec::new(),
    };
    let mut list = ReadList::default();
    for path in paths {
        pages(client, source, &path, &mut list.answers).await?;
    }
    Ok(list)
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
