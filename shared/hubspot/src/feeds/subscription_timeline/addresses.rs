//! Subscriptions of the addresses of all contacts: one call for each, as many in a run as the run may spend, and the
//! next run goes on behind the last one. The timeline knows only of addresses that changed something lately.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use staging::Rows;

use super::state::{AddressSlice, Position, Slice};
use super::timeline;
use crate::budget::RateLimit;
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::Cursor;
use crate::feeds::events::OpenEventFeed;
use crate::feeds::open_feed::RunOf;
use crate::feeds::quarantine::Thing;
use crate::feeds::{Appended, Gap, Note, Page, Session, Written};
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::parts::{AnswerStatus, NOT_FOUND};
use crate::retry::Patience;
use crate::version;

/// The source's name in the cursor, when it is refused or switched off.
const STATUS: &str = "subscription status";
/// Kind, in the quarantine, of an address that can't be asked about. Its id is the contact's.
const KIND: &str = "address of contact";
const COLLECTION: &str = "email_subscriptions";
/// Contacts whose addresses are one page of rows.
const PAGE_CONTACTS: usize = 20;
/// Addresses that are asked about at once.
const AT_ONCE: usize = 8;
/// The same of an entry of the list of contacts that names none.
const ODD_KIND: &str = "listed contact";
const UNTOLD: &str = "an answer does not tell its subscriptions";
/// An address that nobody has.
const NOBODY: &str = "nobody@example.com";

#[derive(Debug)]
pub(super) struct Addresses {
    session: Session,
    /// Why nobody can be asked about.
    absent: Option<String>,
    /// Contacts whose addresses earlier runs have asked about in vain.
    held: BTreeSet<u64>,
    spent: AtomicU64,
    /// Somebody was told of.
    has_told: AtomicBool,
    /// The position in the list of contacts was refused before.
    is_from_the_top: AtomicBool,
}

/// Subscriptions of the addresses of one page of contacts, and the position of the next.
#[derive(Debug)]
pub(in crate::feeds) struct Statuses {
    /// Contacts that were asked for by their ids; `None` for those of a page of the list.
    named: Option<Vec<u64>>,
    next: Option<String>,
    of_contacts: Vec<Status>,
    /// Contacts whose addresses the answer does not tell, and why.
    unread: BTreeMap<u64, String>,
    /// Entries that name no contact.
    odd: u64,
    as_of_ms: i64,
}

#[derive(Debug)]
struct Status {
    address: Address,
    answer: Answer,
}

/// An address, and the contact that has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    text: String,
    contact: u64,
}

#[derive(Debug)]
enum Answer {
    Told(Body),
    /// HubSpot does not take the text for an address.
    None,
    Refused(Error),
}

pub(super) async fn ask_again(client: &Client, cursor: &mut Cursor) -> Result<()> {
    if cursor.absent.contains_key(STATUS) && answers(client).await? {
        cursor.absent.remove(STATUS);
    }
    Ok(())
}

/// `true`: HubSpot answers for addresses at all.
async fn answers(client: &Client) -> Result<bool> {
    match client.send(&status_call(NOBODY)).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.is_unavailable() => Ok(false),
        Err(failed) => Err(failed),
    }
}

fn status_call(address: &str) -> Call {
    Call::get(format!("/email/public/{}/subscriptions/{}", version::V1, percent_encoded(address)))
}

impl Addresses {
    pub(super) fn new(session: &Session, cursor: &Cursor) -> Addresses {
        Addresses {
            session: session.clone(),
            absent: cursor.absent.get(STATUS).cloned(),
            held: cursor.held(KIND).filter_map(parse_id).collect(),
            spent: AtomicU64::new(0),
            has_told: AtomicBool::new(false),
            is_from_the_top: AtomicBool::new(false),
        }
    }

    /// The parts of a run that ask, where it may: those that could not be asked about before, then the others.
    pub(super) fn slices(&self, position: Option<String>) -> Vec<AddressSlice> {
        if self.session.address_calls == 0 || self.absent.is_some() {
            return Vec::new();
        }
        let ids: Vec<u64> = self.held.iter().copied().collect();
        let held = (!ids.is_empty()).then_some(AddressSlice::ByIds { ids });
        held.into_iter().chain([AddressSlice::Addresses { after: position }]).collect()
    }

    /// For people who asked for it.
    pub(super) fn note(&self) -> Option<Note> {
        let why = self.absent.as_ref().filter(|_| self.session.address_calls > 0)?;
        let text = format!("addresses outside the timeline are not read: {why}");
        Some(Note { collection: COLLECTION, gap: Gap::Degraded, text })
    }

    pub(super) async fn page(&self, slice: &AddressSlice, limit: usize) -> Result<Page<Statuses>> {
        // Before anybody is asked: what is told after this moment is newer.
        let as_of_ms = self.session.client.now().timestamp_millis() - self.session.lookback.events_overlap_ms;
        let limit = limit.min(PAGE_CONTACTS);
        let (named, answer) = match slice {
            AddressSlice::ByIds { ids } => {
                let ids = ids[ids.len() - ids.len().min(limit)..].to_vec();
                let answer = self.contacts(&ids).await.map(|answer| (answer, None));
                (Some(ids), answer)
            }
            AddressSlice::Addresses { after } => (None, self.listed(after.as_deref(), limit).await),
        };
        let (answer, next) = answer.map_err(|error| error.lost_if_refused(STATUS))?;
        let Shown { mut addresses, mut unread, contacts, mut odd } = addresses(&answer)?;
        match &named {
            None => addresses.retain(|address| !self.held.contains(&address.contact)),
            // What they should have named is left out.
            Some(ids) => {
                odd = 0;
                unread.extend(left_out(ids, &contacts, &answer)?);
            }
        }
        let of_contacts: Vec<Status> = stream::iter(addresses)
            .map(|address| self.status(address))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let is_refused = |status: &Status| matches!(status.answer, Answer::Refused(_));
        let asked = of_contacts.iter().filter(|status| !matches!(status.answer, Answer::None)).count();
        if of_contacts.iter().any(is_refused)
            && !self.has_told.load(Ordering::Relaxed)
            && !answers(&self.session.client).await?
        {
            let refused = of_contacts.into_iter().find_map(|status| match status.answer {
                Answer::Refused(refused) => Some(refused),
                _ => None,
            });
            return Err(refused.unwrap_or_else(no_answer).lost_if_refused(STATUS));
        }
        self.spent.fetch_add(asked as u64 + 1, Ordering::Relaxed);
        let size_bytes = of_contacts.iter().map(Status::size_bytes).sum();
        let statuses = Statuses { named, next, of_contacts, unread, odd, as_of_ms };
        Ok(Page::new(statuses, size_bytes))
    }

    /// A page of the list of contacts, and where it goes on; the first page, once, if HubSpot does not know the
    /// position any more.
    async fn listed(&self, after: Option<&str>, limit: usize) -> Result<(Body, Option<String>)> {
        let client = &self.session.client;
        let call_at = |after: Option<&str>, limit: usize| {
            let after = after.map(|after| format!("&after={}", percent_encoded(after))).unwrap_or_default();
            Call::get(format!(
                "/crm/objects/{}/contacts?limit={limit}&properties=email,hs_additional_emails{after}",
                version::OBJECTS
            ))
        };
        let (answer, after) = match client.send_for_list(&call_at(after, limit), "results").await {
            Err(dead)
                if dead.kind() == ErrorKind::BadRequest
                    && after.is_some()
                    && !self.is_from_the_top.swap(true, Ordering::Relaxed) =>
            {
                tracing::warn!("the position in the list of contacts is refused: it begins anew");
                (client.send_for_list(&call_at(None, limit), "results").await?, None)
            }
            answer => (answer?, after),
        };
        let call = |limit: usize| call_at(after, limit);
        let next = client.position_behind(&answer, call, limit, "results").await?;
        Ok((answer, next))
    }

    async fn contacts(&self, ids: &[u64]) -> Result<Body> {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id.to_string() })).collect();
        let names = ["email", "hs_additional_emails"];
        let body = json!({ "inputs": inputs, "properties": names, "propertiesWithHistory": [] });
        let path = format!("/crm/objects/{}/contacts/batch/read", version::OBJECTS);
        self.session.client.send(&Call::post(path, body.to_string(), RateLimit::General)).await
    }

    /// # Errors
    /// Only when the answer says nothing of this address alone.
    async fn status(&self, address: Address) -> Result<Status> {
        let patience = if self.held.contains(&address.contact) { Patience::Once } else { Patience::Little };
        let answer = match self.session.client.send(&status_call(&address.text).with(patience)).await {
            Ok(body) => {
                self.has_told.store(true, Ordering::Relaxed);
                Answer::Told(body)
            }
            Err(refused) if refused.kind() == ErrorKind::BadRequest && !is_plausible(&address.text) => {
                Answer::None
            }
            Err(refused) if refused.may_be_of_one_thing() => Answer::Refused(refused),
            Err(failed) => return Err(failed),
        };
        Ok(Status { address, answer })
    }

    /// The slice ends with the contacts, or with what may be spent; the run remembers where.
    pub(super) fn append(
        &self,
        statuses: Statuses,
        read_ms: i64,
        slice: &mut AddressSlice,
        run: &mut RunOf<'_, Position>,
        events: &OpenEventFeed,
        rows: &mut [&mut Rows],
    ) -> Result<Appended<Slice>> {
        let [_, rows] = rows else { return Err(foreign()) };
        let reading = self.session.reading(read_ms);
        let mut writer = events.document(timeline::SUBSCRIPTIONS_TABLE).writer(rows, reading);
        let mut refused = BTreeSet::new();
        for (contact, reason) in &statuses.unread {
            refused.insert(*contact);
            let id = &contact.to_string();
            run.set_aside(Thing { kind: KIND, id, collection: COLLECTION }, reason.clone());
        }
        for Status { address, answer } in &statuses.of_contacts {
            let reason = match answer {
                Answer::None => continue,
                Answer::Refused(error) => error.reason().to_owned(),
                Answer::Told(body) if !timeline::is_whole(body)? => UNTOLD.to_owned(),
                Answer::Told(body) => {
                    match timeline::subscription(body, &address.text, statuses.as_of_ms, &mut writer) {
                        Ok(()) => continue,
                        Err(odd) => {
                            writer.discard();
                            odd.to_string()
                        }
                    }
                }
            };
            refused.insert(address.contact);
            let id = &address.contact.to_string();
            run.set_aside(Thing { kind: KIND, id, collection: COLLECTION }, reason);
        }
        let asked = statuses.of_contacts.iter().map(|status| status.address.contact);
        for contact in asked.chain(statuses.named.iter().flatten().copied()) {
            if !refused.contains(&contact) {
                run.release(KIND, contact);
            }
        }
        if statuses.odd > 0 {
            let reason = format!("{} entries of a page name no contact", statuses.odd);
            let thing = Thing { kind: ODD_KIND, id: "without an id", collection: COLLECTION };
            run.set_aside(thing, reason);
        }
        let is_spent = self.spent.load(Ordering::Relaxed) >= self.session.address_calls;
        let is_last = match (slice, statuses.named) {
            (AddressSlice::ByIds { ids }, Some(named)) => {
                ids.truncate(ids.len().saturating_sub(named.len()));
                ids.is_empty()
            }
            (AddressSlice::Addresses { after }, None) => {
                if statuses.next.is_some() && statuses.next == *after {
                    let message = "a page of contacts ends where it began";
                    return Err(Error::new(ErrorKind::Malformed, message));
                }
                run.own.address_position.clone_from(&statuses.next);
                *after = statuses.next;
                if after.is_none() {
                    run.release_what_was_not_set_aside_again(ODD_KIND);
                }
                after.is_none() || is_spent
            }
            _ => return Err(foreign()),
        };
        Ok(Appended { written: vec![Written::default(), writer.written], is_last, ..Appended::default() })
    }
}

impl Status {
    fn size_bytes(&self) -> usize {
        match &self.answer {
            Answer::Told(body) => body.len(),
            Answer::None | Answer::Refused(_) => 0,
        }
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::Malformed, "a page does not belong to its slice")
}

fn no_answer() -> Error {
    Error::new(ErrorKind::NotFound, "nobody can be asked about")
}

/// A text that HubSpot should take for an address.
fn is_plausible(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let is_plain =
        |part: &str| !part.is_empty() && part.is_ascii() && !part.contains([' ', '@', ',', '<', '>']);
    is_plain(name) && is_plain(domain) && domain.trim_matches('.').contains('.')
}

/// Content of a page of contacts.
#[derive(Debug, Default)]
struct Shown {
    /// Each once.
    addresses: Vec<Address>,
    /// Contacts without properties, which may have addresses all the same.
    unread: BTreeMap<u64, String>,
    contacts: BTreeSet<u64>,
    odd: u64,
}

/// Contacts that were asked for, and of which the answer does not even say that they are not there.
fn left_out(asked: &[u64], shown: &BTreeSet<u64>, answer: &Body) -> Result<BTreeMap<u64, String>> {
    let told = AnswerStatus::of(answer)?;
    let missing: Vec<u64> = asked.iter().filter(|id| !shown.contains(id)).copied().collect();
    let absent = told.benign(&missing, NOT_FOUND);
    let reason = told.text();
    Ok(missing.into_iter().filter(|id| !absent.contains(id)).map(|id| (id, reason.clone())).collect())
}

/// The addresses of a page of contacts.
fn addresses(answer: &Body) -> Result<Shown> {
    let mut shown = Shown::default();
    if !answer.has_list("results") {
        return Ok(shown);
    }
    Scanner::new(answer).each_field(|key, value| match key.raw() {
        "results" if value.is_nested() => value.each_item(|contact| {
            let (mut id, mut texts, mut has_properties) = (None, Vec::new(), false);
            if !contact.is_object() {
                shown.odd += 1;
                return contact.skip();
            }
            contact.each_field(|key, value| match key.raw() {
                "id" if !value.is_nested() => {
                    id = value.scalar()?.and_then(|id| parse_id(id.raw()));
                    Ok(())
                }
                "properties" if value.is_object() => {
                    has_properties = true;
                    value.each_field(|key, value| {
                        if !matches!(key.raw(), "email" | "hs_additional_emails") || value.is_nested() {
                            return value.skip();
                        }
                        texts.extend(value.scalar()?.map(|text| text.text().to_lowercase()));
                        Ok::<_, Malformed>(())
                    })
                }
                _ => value.skip(),
            })?;
            let parts = texts.iter().flat_map(|text| text.split(';')).map(str::trim);
            let of_contact = parts
                .filter(|part| part.contains('@'))
                .filter_map(|part| Some(Address { text: part.to_owned(), contact: id? }));
            shown.addresses.extend(of_contact);
            shown.contacts.extend(id);
            shown.odd += u64::from(id.is_none());
            let unread = id.filter(|_| !has_properties);
            shown.unread.extend(unread.map(|id| (id, "an answer does not tell its properties".to_owned())));
            Ok::<_, Malformed>(())
        }),
        _ => value.skip(),
    })?;
    shown.addresses.sort_unstable();
    shown.addresses.dedup_by(|a, b| a.text == b.text);
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Body {
        Body::new(json.to_owned().into()).unwrap()
    }

    #[test]
    fn addresses_come_once_and_in_lower_case() {
        let answer = r#"{"results":[{"id":"3"},
            {"id":"1","properties":{"email":"Ada@Example.com","hs_additional_emails":"b@x.de;ada@example.com; "}},
            null, {"id":"2","properties":{"email":null,"hs_additional_emails":"none"}}]}"#;
        let shown = addresses(&body(answer)).unwrap();
        let texts: Vec<(&str, u64)> =
            shown.addresses.iter().map(|address| (address.text.as_str(), address.contact)).collect();
        assert_eq!(texts, [("ada@example.com", 1), ("b@x.de", 1)]);
        assert_eq!(shown.unread.into_keys().collect::<Vec<_>>(), [3]);
        assert_eq!((shown.contacts, shown.odd), ([1, 2, 3].into(), 1));
    }

    #[test]
    fn a_contact_is_left_out_unless_hubspot_says_that_it_is_not_there() {
        let left_out = |answer: &str| {
            let left_out = left_out(&[1, 2, 3], &[1].into(), &body(answer)).unwrap();
            left_out.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(left_out(r#"{"results":[{"id":"1"}]}"#), [2, 3]);
        let absent = r#"{"results":[],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["2"]}}]}"#;
        assert_eq!(left_out(absent), [3]);
        let failed = r#"{"results":[],"errors":[{"category":"INTERNAL_ERROR","context":{"ids":["2"]}}]}"#;
        assert_eq!(left_out(failed), [2, 3]);
    }

    #[test]
    fn a_text_that_is_no_address_is_not_missed() {
        for text in ["ada@example.com", "a.b+c@x.co.uk"] {
            assert!(is_plausible(text), "{text}");
        }
        for text in
            ["ada@", "@x.de", "ada@host", "ada@x.de, b@x.de", "a b@x.de", "ada@x@y.de", "ä@x.de", "a@.de"]
        {
            assert!(!is_plausible(text), "{text}");
        }
    }
}
