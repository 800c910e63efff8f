//! How the addresses of all contacts stand: one call for each, as many in a run as the run may spend, and the next run
//! goes on behind the last one. The timeline knows only of addresses that changed something lately.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use staging::Rows;

use super::timeline;
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::{Cursor, Unfinished};
use crate::feeds::history::OpenHistory;
use crate::feeds::slice::{self, Slice};
use crate::feeds::{Appended, Content, Gap, Note, Page, Session, Written};
use crate::json::{Body, Malformed, Scanner};
use crate::version;

/// What the cursor calls the source, when it is refused or switched off.
const STATUS: &str = "subscription status";
/// Contacts whose addresses are one page of rows.
const PAGE_CONTACTS: usize = 20;
/// Addresses that are asked about at once.
const AT_ONCE: usize = 8;

#[derive(Debug)]
pub(super) struct Addresses {
    session: Session,
    /// Why nobody can be asked about.
    absent: Option<String>,
    spent: AtomicU64,
}

/// Where the contacts go on, and how the addresses of this page stand.
#[derive(Debug)]
pub(in crate::feeds) struct Statuses {
    next: Option<String>,
    bodies: Vec<(String, Body)>,
    as_of_ms: i64,
}

pub(super) async fn ask_again(client: &Client, cursor: &mut Cursor) -> Result<()> {
    if !cursor.absent.contains_key(STATUS) {
        return Ok(());
    }
    match client.send(&status_call("nobody@example.com")).await {
        Ok(_) => _ = cursor.absent.remove(STATUS),
        Err(refused) if matches!(refused.kind(), ErrorKind::MissingScope | ErrorKind::NotFound) => {}
        Err(failed) => return Err(failed),
    }
    Ok(())
}

fn status_call(address: &str) -> Call {
    Call::get(format!("/email/public/{}/subscriptions/{}", version::V1, percent_encoded(address)))
}

impl Addresses {
    pub(super) fn new(session: &Session, cursor: &Cursor) -> Addresses {
        let absent = cursor.absent.get(STATUS).cloned();
        Addresses { session: session.clone(), absent, spent: AtomicU64::new(0) }
    }

    /// The part of a run that asks, where it may.
    pub(super) fn slice(&self, position: Option<String>) -> Option<Slice> {
        let may_ask = self.session.address_calls > 0 && self.absent.is_none();
        may_ask.then_some(Slice::Addresses { after: position })
    }

    /// For people who asked for it.
    pub(super) fn note(&self) -> Option<Note> {
        let why = self.absent.as_ref().filter(|_| self.session.address_calls > 0)?;
        let text = format!("addresses outside the timeline are not read: {why}");
        Some(Note { collection: "email_subscriptions", gap: Gap::Degraded, text })
    }

    pub(super) async fn page(&self, after: Option<&str>, limit: usize) -> Result<Page> {
        let client = &self.session.client;
        // Before anybody is asked: what is told after this moment is newer.
        let as_of_ms = client.now().timestamp_millis() - self.session.lookback.history_overlap_ms;
        let after = after.map(|after| format!("&after={}", percent_encoded(after))).unwrap_or_default();
        let call = |limit: usize| {
            Call::get(format!(
                "/crm/objects/{}/contacts?limit={limit}&properties=email,hs_additional_emails{after}",
                version::OBJECTS
            ))
        };
        let limit = limit.min(PAGE_CONTACTS);
        let lost = |error: Error| error.lost_if_refused(STATUS);
        let answer = client.send_for_list(&call(limit), "results").await.map_err(lost)?;
        let next = client.position_behind(&answer, call, limit, "results").await.map_err(lost)?;
        let addresses = addresses(&answer)?;
        let bodies: Vec<(String, Body)> = stream::iter(addresses)
            .map(|address| self.status(address))
            .buffered(AT_ONCE)
            .try_filter_map(|status| std::future::ready(Ok(status)))
            .try_collect()
            .await?;
        self.spent.fetch_add(bodies.len() as u64 + 1, Ordering::Relaxed);
        let size_bytes = bodies.iter().map(|(_, body)| body.len()).sum();
        Ok(Page::new(Content::Addresses(Statuses { next, bodies, as_of_ms }), size_bytes))
    }

    /// `None` for a text that HubSpot does not take for an address.
    async fn status(&self, address: String) -> Result<Option<(String, Body)>> {
        match self.session.client.send(&status_call(&address)).await {
            Ok(body) => Ok(Some((address, body))),
            Err(refused) if refused.kind() == ErrorKind::BadRequest => Ok(None),
            Err(error) => Err(error.lost_if_refused(STATUS)),
        }
    }

    /// The slice ends with the contacts, or with what may be spent; the run remembers where.
    pub(super) fn append(
        &self,
        page: Page,
        slice: &mut Slice,
        run: &mut Unfinished,
        history: &OpenHistory,
        rows: &mut [&mut Rows],
    ) -> Result<Appended> {
        let (Content::Addresses(statuses), Slice::Addresses { after }, [_, rows]) =
            (page.content, &mut *slice, rows)
        else {
            return Err(slice::foreign(slice));
        };
        let reading = self.session.reading(page.read_ms);
        let mut writer = history.document(timeline::SUBSCRIPTIONS_TABLE).writer(rows, reading);
        for (address, body) in &statuses.bodies {
            timeline::subscription(body, address, statuses.as_of_ms, &mut writer)?;
        }
        if statuses.next.is_some() && statuses.next == *after {
            return Err(Error::new(ErrorKind::Malformed, "a page of contacts ends where it began"));
        }
        let is_spent = self.spent.load(Ordering::Relaxed) >= self.session.address_calls;
        let is_last = statuses.next.is_none() || is_spent;
        run.address_position.clone_from(&statuses.next);
        *after = statuses.next;
        Ok(Appended { written: vec![Written::default(), writer.written], is_last, ..Appended::default() })
    }
}

/// The addresses of a page of contacts.
fn addresses(answer: &str) -> Result<Vec<String>> {
    let mut addresses = Vec::new();
    Scanner::new(answer).each_field(|key, value| match key.raw() {
        "results" if value.is_nested() => value.each_item(|contact| {
            contact.each_field(|key, value| match key.raw() {
                "properties" if value.is_object() => value.each_field(|key, value| {
                    if !matches!(key.raw(), "email" | "hs_additional_emails") || value.is_nested() {
                        return value.skip();
                    }
                    let text = value.scalar()?.map(|text| text.text().to_lowercase()).unwrap_or_default();
                    let parts = text.split(';').map(str::trim).filter(|part| part.contains('@'));
                    addresses.extend(parts.map(str::to_owned));
                    Ok::<_, Malformed>(())
                }),
                _ => value.skip(),
            })
        }),
        _ => value.skip(),
    })?;
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_once_and_in_lower_case() {
        let answer = r#"{"results":[
            {"id":"1","properties":{"email":"Ada@Example.com","hs_additional_emails":"b@x.de;ada@example.com; "}},
            {"id":"2","properties":{"email":null,"hs_additional_emails":"none"}}]}"#;
        assert_eq!(addresses(answer).unwrap(), ["ada@example.com", "b@x.de"]);
    }
}
