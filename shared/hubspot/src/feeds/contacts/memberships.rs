//! The lists that the contacts of a page are in: one batch read. Joining or leaving a list changes neither the list
//! nor the contact, so what is read here is as of the contact's last change.
//!
//! A contact in no list has an item with an empty list. One that an answer leaves out is asked for once more.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytestring::ByteString;
use serde_json::{Value, json};

use super::sources::MEMBERSHIPS;
use super::table::OF_V1;
use crate::budget::RateLimit;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::feeds::batches::{self, Batches};
use crate::feeds::objects::{Extras, Unknown, record_ids};
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::parts::AnswerStatus;
use crate::version;

/// The place of `list_membership` among what is known of a contact besides its properties.
const PLACE: usize = OF_V1.len();

/// Contacts in one call; HubSpot documents no number, this is what its other batches take.
const MAX_CONTACTS: usize = 100;
/// HubSpot's number of the type of contacts.
const CONTACT_TYPE: &str = "0-1";

/// The calls for memberships, in one run.
#[derive(Debug)]
pub(super) struct MembershipCalls(Batches);

/// The lists of each contact, as HubSpot sends them.
#[derive(Debug, Default)]
pub(in crate::feeds) struct Memberships {
    by_contact: HashMap<u64, ByteString>,
}

/// `true`: memberships may be read. The first contact there is is asked for: for one that is not there, HubSpot might
/// answer the same as for an endpoint that is not.
pub(super) async fn answers(client: &Client) -> Result<bool> {
    let path = format!("/crm/objects/{}/contacts?limit=1&properties=hs_object_id", version::OBJECTS);
    let first = record_ids(&client.send(&Call::get(path)).await?)?;
    if first.is_empty() {
        return Ok(true);
    }
    match client.send(&batch_read(&first)).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.may_be_useless() => Ok(false),
        Err(failed) => Err(failed),
    }
}

fn batch_read(ids: &[u64]) -> Call {
    let path = format!("/crm/lists/{}/records/memberships/batch/read", version::LISTS);
    let input = |id: &u64| json!({ "objectTypeId": CONTACT_TYPE, "recordId": id.to_string() });
    let inputs: Vec<Value> = ids.iter().map(input).collect();
    Call::post(path, json!({ "inputs": inputs }).to_string(), RateLimit::General)
}

impl MembershipCalls {
    pub(super) fn new() -> MembershipCalls {
        MembershipCalls(Batches::new(MAX_CONTACTS))
    }

    /// The memberships of these contacts; those that could not be read are named in `unknown`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::SourceLost`] when they can be read of nobody.
    pub(super) async fn read(
        &self,
        client: &Client,
        ids: &[u64],
        unknown: &mut Unknown,
    ) -> Result<Memberships> {
        let mut memberships = Memberships::default();
        let mut left_out: Vec<(u64, String)> = Vec::new();
        for is_second in [false, true] {
            let asked: Vec<u64> = match is_second {
                false => ids.to_vec(),
                true => left_out.drain(..).map(|(id, _)| id).collect(),
            };
            if asked.is_empty() {
                break;
            }
            let read = self.ask(client, &asked).await?;
            for (id, refused) in read.refused {
                unknown.add(id, MEMBERSHIPS, refused.to_string());
            }
            for (asked, body) in read.answers {
                left_out.extend(memberships.take_in(&asked, &body)?);
            }
        }
        for (id, reason) in left_out {
            unknown.add(id, MEMBERSHIPS, reason);
        }
        Ok(memberships)
    }

    async fn ask(&self, client: &Client, ids: &[u64]) -> Result<batches::Read<u64>> {
        let read = self.0.read(client, ids, batch_read).await;
        let is_all_refused = match &read {
            Ok(read) => read.answers.is_empty(),
            Err(refused) => refused.may_be_useless(),
        };
        if !is_all_refused {
            return read;
        }
        // Is it for these contacts, or would it refuse any?
        let refused = match read {
            Ok(read) if answers(client).await? => return Ok(read),
            Ok(mut read) => read.refused.pop().map(|(_, refused)| refused),
            Err(refused) => Some(refused),
        };
        match refused {
            Some(refused) => Err(refused.lost_if_useless(MEMBERSHIPS)),
            None => Ok(batches::Read::default()),
        }
    }
}

impl Memberships {
    pub(super) fn size_bytes(&self) -> usize {
        self.by_contact.values().map(|lists| lists.len()).sum()
    }

    /// Adds what the answer shows. Answers with what it leaves out, and why.
    fn take_in(&mut self, asked: &[u64], body: &Body) -> Result<Vec<(u64, String)>> {
        let told = AnswerStatus::of(body)?;
        let asked_for: HashSet<u64> = asked.iter().copied().collect();
        if told.is_complete() {
            Scanner::new(body).each_field(|key, value| match key.raw() {
                "results" => value.each_item(|result| {
                    let (id, lists) = result_of(result)?;
                    if let (Some(id), Some(lists)) = (id.filter(|id| asked_for.contains(id)), lists) {
                        self.by_contact.insert(id, body.part(lists));
                    }
                    Ok::<_, Malformed>(())
                }),
                _ => value.skip(),
            })?;
        }
        let is_left_out = |id: &&u64| !self.by_contact.contains_key(id) || told.is_about(**id, None);
        let left_out: Vec<u64> = asked.iter().filter(is_left_out).copied().collect();
        for id in &left_out {
            self.by_contact.remove(id);
        }
        Ok(left_out.into_iter().map(|id| (id, told.text())).collect())
    }

    /// Adds each contact's lists to what is known of it.
    pub(super) fn put<'a>(&'a self, extras: &mut Extras<'a>) {
        for (id, lists) in &self.by_contact {
            extras.entry(*id).or_default()[PLACE] = Some(Cow::Borrowed(lists));
        }
    }
}

/// `{objectTypeId, recordId, recordListMemberships}`: a contact, and its lists as they stand.
fn result_of<'a>(result: &mut Scanner<'a>) -> Result<(Option<u64>, Option<&'a str>), Malformed> {
    let (mut id, mut lists, mut is_contact) = (None, None, true);
    if !result.is_object() {
        return result.skip().map(|()| (None, None));
    }
    result.each_field(|key, value| {
        match key.raw() {
            "recordId" if !value.is_nested() => {
                id = value.scalar()?.and_then(|id| parse_id(id.raw()));
            }
            "objectTypeId" if !value.is_nested() => {
                is_contact = value.scalar()?.is_none_or(|object| object.raw() == CONTACT_TYPE);
            }
            "recordListMemberships" if value.is_nested() && !value.is_object() => lists = Some(value.raw()?),
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok((id.filter(|_| is_contact), lists))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, asked: &[u64]) -> (Vec<(u64, String)>, Vec<u64>) {
        let mut memberships = Memberships::default();
        let body = Body::new(json.to_owned().into()).unwrap();
        let left_out = memberships.take_in(asked, &body).unwrap().into_iter().map(|(id, _)| id).collect();
        let mut shown: Vec<_> =
            memberships.by_contact.into_iter().map(|(id, lists)| (id, lists.to_string())).collect();
        shown.sort_unstable();
        (shown, left_out)
    }

    #[test]
    fn only_an_item_says_that_a_contact_is_in_no_list() {
        let json = r#"{"status":"COMPLETE","results":[
            {"objectTypeId":"0-1","recordId":"1","recordListMemberships":[]},
            {"recordId":2,"recordListMemberships":[{"listId":"9"}]},
            {"objectTypeId":"0-2","recordId":"3","recordListMemberships":[]},
            {"recordId":"4","recordListMemberships":null}, null,
            {"recordId":"8","recordListMemberships":[]}]}"#;
        let (shown, left_out) = read(json, &[1, 2, 3, 4, 5]);
        assert_eq!(shown, [(1, "[]".to_owned()), (2, r#"[{"listId":"9"}]"#.to_owned())]);
        assert_eq!(left_out, [3, 4, 5]);
    }

    #[test]
    fn an_answer_that_is_not_complete_shows_nothing() {
        for top in [r#""status":"PENDING""#, r#""errors":[{"context":{"recordId":["1"]},"category":"X"}]"#] {
            let json = format!(r#"{{{top},"results":[{{"recordId":"1","recordListMemberships":[]}}]}}"#);
            assert_eq!(read(&json, &[1]), (Vec::new(), vec![1]), "{json}");
        }
    }
}
