//! The details of single campaigns, one call each, and the refusals and gaps of their answers.

use std::sync::atomic::Ordering;

use super::open_campaigns::OpenCampaigns;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::retry::Patience;

/// Campaigns that are asked for to find out whether it is the whole family that is refused.
const OTHERS: usize = 2;
const NO_COUNTERS: &str = "two answers leave out its counters";

#[derive(Debug)]
pub(super) enum Detail {
    Told(Body),
    /// No list shows it, and it is not found.
    Gone,
    Refused(Error),
}

impl Detail {
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Detail::Told(body) => body.len(),
            Detail::Gone | Detail::Refused(_) => 0,
        }
    }
}

impl OpenCampaigns {
    async fn ask(&self, id: u64, patience: Patience) -> Result<Body> {
        let call = Call::get(format!("/email/public/v1/campaigns/{id}"));
        let answer = self.client().send(&call.with(patience)).await;
        self.has_told.fetch_or(answer.is_ok(), Ordering::Relaxed);
        self.tells_counters.fetch_or(answer.as_deref().is_ok_and(has_counters), Ordering::Relaxed);
        answer
    }

    /// Asks once more for those that were told of without counters. Where no campaign of this run has any, one that the
    /// run does not ask for says whether HubSpot tells them at all.
    pub(super) async fn complete(&self, details: &mut [(u64, Detail)]) -> Result<()> {
        let lacks = |detail: &Detail| matches!(detail, Detail::Told(body) if !has_counters(body));
        if !details.iter().any(|(_, detail)| lacks(detail)) {
            return Ok(());
        }
        if !self.tells_counters.load(Ordering::Relaxed) {
            let is_asked = |id: &u64| details.iter().any(|(asked, _)| asked == id) || self.held.contains(id);
            let other = self.known.0.keys().copied().find(|id| !is_asked(id));
            if let Some(other) = other
                && let Err(failed) = self.ask(other, Patience::Little).await
                && !failed.may_be_of_one_thing()
            {
                return Err(failed);
            }
        }
        if !self.tells_counters.load(Ordering::Relaxed) {
            return Ok(());
        }
        for (id, detail) in details.iter_mut().filter(|(_, detail)| lacks(detail)) {
            *detail = self.detail(*id).await?.1;
            if lacks(detail) {
                *detail = Detail::Refused(Error::new(ErrorKind::Malformed, NO_COUNTERS));
            }
        }
        Ok(())
    }

    /// # Errors
    /// Only when the answer says nothing of the campaign.
    pub(super) async fn detail(&self, id: u64) -> Result<(u64, Detail)> {
        let patience = if self.held.contains(&id) { Patience::Once } else { Patience::Little };
        let detail = match self.ask(id, patience).await {
            Ok(body) => Detail::Told(body),
            Err(gone) if gone.kind() == ErrorKind::NotFound && !self.listed().stamps.contains_key(&id) => {
                Detail::Gone
            }
            Err(refused) if refused.may_be_of_one_thing() => Detail::Refused(refused),
            Err(failed) => return Err(failed),
        };
        Ok((id, detail))
    }

    /// `true`: the refusal is that of single campaigns, since others are told of. `asked` were refused.
    pub(super) async fn answers_for_others(
        &self,
        asked: &[u64],
        rest: &[u64],
        refused: &Error,
    ) -> Result<bool> {
        if self.has_told.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let known = self.known.0.keys().filter(|id| !self.held.contains(id) && !asked.contains(id));
        let others: Vec<u64> = rest.iter().rev().chain(known).take(OTHERS).copied().collect();
        for &id in &others {
            match self.ask(id, Patience::Little).await {
                Ok(_) => return Ok(true),
                Err(failed) if !failed.may_be_of_one_thing() => return Err(failed),
                Err(_) => {}
            }
        }
        if refused.is_unavailable() || !others.is_empty() {
            return Ok(false);
        }
        // It is the only one there is: if HubSpot answers otherwise, it is the campaign.
        self.client().send(&Call::get("/email/public/v1/campaigns/by-id?limit=1")).await?;
        Ok(true)
    }
}

/// The answer says that it is about this campaign.
pub(super) fn is_of(detail: &str, id: u64) -> Result<bool, Malformed> {
    let (mut scanner, mut told) = (Scanner::new(detail), None);
    if scanner.is_object() {
        scanner.each_field(|key, value| match key.raw() {
            "id" if !value.is_nested() => {
                told = value.scalar()?.and_then(|id| parse_id(id.raw()));
                Ok(())
            }
            _ => value.skip(),
        })?;
    }
    Ok(told == Some(id))
}

/// The answer has counters, though each of them may be left out.
fn has_counters(detail: &str) -> bool {
    let (mut scanner, mut has_any) = (Scanner::new(detail), false);
    if !scanner.is_object() {
        return false;
    }
    let scanned = scanner.each_field(|key, value| {
        has_any |= key.raw() == "counters" && value.is_object();
        value.skip()
    });
    scanned.is_ok() && has_any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_about_nothing_is_about_no_campaign() {
        for odd in ["{}", "null", "[]", r#"{"status":"PENDING"}"#, r#"{"id":8}"#, r#"{"id":null}"#] {
            assert!(!is_of(odd, 7).unwrap(), "{odd}");
        }
        assert!(is_of(r#"{"id":7}"#, 7).unwrap() && is_of(r#"{"name":"x","id":"7"}"#, 7).unwrap());
    }
}
