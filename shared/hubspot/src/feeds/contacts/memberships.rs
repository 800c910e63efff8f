//! The lists that the contacts of a page are in: one batch read. Joining or leaving a list changes neither the list nor
//! the contact, so what is read here is as of the contact's last change.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{MEMBERSHIPS, OF_V1};
use crate::budget::Bucket;
use crate::call::Call;
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::feeds::objects::{Extras, record_ids};
use crate::json::{Body, Malformed, Scanner};
use crate::retry::Patience;
use crate::version;

/// The place of `list_membership` among what is known of a contact besides its properties.
const PLACE: usize = OF_V1.len();

/// Contacts in one call; HubSpot documents no number, this is what its other batches take.
const MAX_CONTACTS: usize = 100;

/// Whether memberships may be read, asked for the first contact there is: of one that is not there, HubSpot might say
/// the same as of a call that is not.
pub(super) async fn answers(client: &Client) -> Result<bool> {
    let path = format!("/crm/objects/{}/contacts?limit=1&properties=hs_object_id", version::OBJECTS);
    let first = record_ids(&client.send(&Call::get(path)).await?)?;
    match ask(client, &first, Patience::Full).await {
        Ok(_) => Ok(true),
        Err(lost) if lost.kind() == ErrorKind::SourceLost => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// The lists of these contacts. A moment in which nobody answers is not the end of the call.
pub(super) async fn read(client: &Client, ids: &[u64]) -> Result<Vec<Body>> {
    ask(client, ids, Patience::Twice).await
}

async fn ask(client: &Client, ids: &[u64], patience: Patience) -> Result<Vec<Body>> {
    let path = format!("/crm/lists/{}/records/memberships/batch/read", version::LISTS);
    let calls = ids.chunks(MAX_CONTACTS).map(|ids| {
        let input = |id: &u64| json!({ "objectTypeId": "0-1", "recordId": id.to_string() });
        let inputs: Vec<Value> = ids.iter().map(input).collect();
        Call::post(path.clone(), json!({ "inputs": inputs }).to_string(), Bucket::General).with(patience)
    });
    let answers = calls.map(|call| async move { client.send(&call).await });
    futures::future::try_join_all(answers).await.map_err(|error| error.lost_if_refused(MEMBERSHIPS))
}

/// Adds each contact's lists, as HubSpot sends them.
pub(super) fn put<'a>(answers: &'a [Body], extras: &mut Extras<'a>) -> Result<()> {
    for (id, lists) in of_contacts(answers)? {
        extras.entry(id).or_default()[PLACE] = Some(Cow::Borrowed(lists));
    }
    Ok(())
}

fn of_contacts(answers: &[Body]) -> Result<Vec<(u64, &str)>> {
    let mut contacts = Vec::new();
    for answer in answers {
        Scanner::new(answer).each_field(|key, value| match key.raw() {
            "results" if value.is_nested() => value.each_item(|result| {
                let (mut id, mut lists) = (None, "[]");
                result.each_field(|key, value| {
                    match key.raw() {
                        "recordId" => id = Some(value.id()?),
                        "recordListMemberships" if value.is_nested() => lists = value.raw()?,
                        _ => value.skip()?,
                    }
                    Ok::<_, Malformed>(())
                })?;
                contacts.extend(id.map(|id| (id, lists)));
                Ok::<_, Malformed>(())
            }),
            _ => value.skip(),
        })?;
    }
    Ok(contacts)
}
