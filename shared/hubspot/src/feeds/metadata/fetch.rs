//! Reads a list whole, page by page.

use super::OpenMetadata;
use super::source::{Paths, Source, source};
use super::state::{Failure, Slice};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Body;
use crate::paging::Next;

/// A list, or the reason why it can't be read.
#[derive(Debug)]
pub(super) enum Answers {
    Read(Vec<Body>),
    Failed(Failure),
}

impl Answers {
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Answers::Read(answers) => answers.iter().map(|body| body.len()).sum(),
            Answers::Failed(_) => 0,
        }
    }
}

/// Returns the source of a slice.
///
/// # Errors
/// [`ErrorKind::Malformed`] for a slice of another version of this program.
pub(super) fn source_of(slice: &Slice) -> Result<&'static Source> {
    source(&slice.source).ok_or_else(|| {
        let message = format!("the cursor names a list that this version does not know: {}", slice.source);
        Error::new(ErrorKind::Malformed, message)
    })
}

impl OpenMetadata {
    /// Reads the list. One that HubSpot refuses, or fails on, is no reason to leave the others unread.
    pub(super) async fn read(&self, slice: &Slice) -> Result<Answers> {
        let source = source_of(slice)?;
        let paths = match (&source.paths, &slice.object) {
            (Paths::OfAccount(paths), _) => paths(),
            (Paths::OfObject(paths), Some(object)) => paths(&object.path),
            (Paths::OfObject(_), None) => Vec::new(),
        };
        let mut answers = Vec::new();
        for path in paths {
            match self.pages(source, &path, &mut answers).await {
                Ok(()) => {}
                Err(failed) if failed.may_be_useless() => return Ok(Answers::Failed(Failure::of(&failed))),
                Err(failed) => return Err(failed),
            }
        }
        Ok(Answers::Read(answers))
    }

    async fn pages(&self, source: &Source, path: &str, answers: &mut Vec<Body>) -> Result<()> {
        let client = &self.session.client;
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
        let add = |body| {
            answers.push(body);
            Ok(())
        };
        client.each_page(call, limit, RESULTS, source.name, add).await
    }
}

pub(super) const RESULTS: &str = "results";
