//! Contacts v1, as far as it is alive: one batch read for the contacts of a page. An answer is an object by contact id;
//! contacts that are gone by now are simply not in it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::V1;
use super::table::OF_V1;
use crate::call::Call;
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner};
use crate::retry::Patience;

/// Contacts in one call
/// (<https://developers.hubspot.com/docs/api-reference/legacy/crm/objects/contacts/v1/get-contacts-v1-contactvids-batch>).
const MAX_CONTACTS: usize = 100;

/// What contacts v1 alone knows of a contact.
#[derive(Debug, Default)]
pub(super) struct V1Contact<'a> {
    /// The values of [`OF_V1`].
    pub(super) of_contact: [Option<Cow<'a, str>>; OF_V1.len()],
    pub(super) added_at: Option<Cow<'a, str>>,
    /// JSON lists, as they came.
    pub(super) profiles: Option<&'a str>,
    pub(super) submissions: Option<&'a str>,
}

/// Whether contacts v1 answers, asked for a contact that need not exist.
pub(super) async fn answers(client: &Client) -> Result<bool> {
    match ask(client, &[1], Patience::Full).await {
        Ok(_) => Ok(true),
        Err(lost) if lost.kind() == ErrorKind::SourceLost => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// What contacts v1 knows of these contacts. A moment in which it does not answer is not its end.
pub(super) async fn read(client: &Client, ids: &[u64]) -> Result<Vec<Body>> {
    ask(client, ids, Patience::Twice).await
}

async fn ask(client: &Client, ids: &[u64], patience: Patience) -> Result<Vec<Body>> {
    let calls = ids.chunks(MAX_CONTACTS).map(|ids| {
        let vids: String = ids.iter().map(|id| format!("vid={id}&")).collect();
        // Without a property it would send all of them, which the records have already.
        Call::get(format!(
            "/contacts/v1/contact/vids/batch?{vids}property=email&propertyMode=value_only\
             &formSubmissionMode=all&showListMemberships=false"
        ))
        .with(patience)
    });
    let answers = calls.map(|call| async move { client.send(&call).await });
    futures::future::try_join_all(answers).await.map_err(|error| error.lost_if_refused(V1))
}

pub(super) fn contacts(answers: &[Body]) -> Result<HashMap<u64, V1Contact<'_>>> {
    let mut contacts = HashMap::new();
    for answer in answers {
        Scanner::new(answer).each_field(|vid, value| {
            let Ok(id) = vid.raw().parse() else { return value.skip() };
            contacts.insert(id, contact(value)?);
            Ok::<_, Malformed>(())
        })?;
    }
    Ok(contacts)
}

fn contact<'a>(value: &mut Scanner<'a>) -> Result<V1Contact<'a>, Malformed> {
    let mut contact = V1Contact::default();
    value.each_field(|key, value| {
        match key.raw() {
            "identity-profiles" if value.is_nested() => contact.profiles = Some(value.raw()?),
            "form-submissions" if value.is_nested() => contact.submissions = Some(value.raw()?),
            "addedAt" if !value.is_nested() => contact.added_at = text(value)?,
            "profile-token" if !value.is_nested() => contact.of_contact[2] = text(value)?,
            "profile-url" if !value.is_nested() => contact.of_contact[3] = text(value)?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    contact.of_contact[0] = contact.profiles.map(lead_guid).transpose()?.flatten();
    contact.of_contact[1] = contact.submissions.map(Cow::Borrowed);
    Ok(contact)
}

fn text<'a>(value: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, Malformed> {
    Ok(value.scalar()?.map(|text| text.text()).filter(|text| !text.is_empty()))
}

/// The first identity of that type.
fn lead_guid(profiles: &str) -> Result<Option<Cow<'_, str>>, Malformed> {
    let mut guid = None;
    Scanner::new(profiles).each_item(|profile| {
        profile.each_field(|key, value| {
            if key.raw() != "identities" || !value.is_nested() {
                return value.skip();
            }
            value.each_item(|identity| {
                let (mut is_guid, mut its_value) = (false, None);
                identity.each_field(|key, value| {
                    match key.raw() {
                        "type" if !value.is_nested() => {
                            is_guid = value.scalar()?.is_some_and(|kind| kind.raw() == "LEAD_GUID");
                        }
                        "value" if !value.is_nested() => its_value = text(value)?,
                        _ => value.skip()?,
                    }
                    Ok::<_, Malformed>(())
                })?;
                if is_guid && guid.is_none() {
                    guid = its_value;
                }
                Ok::<_, Malformed>(())
            })
        })
    })?;
    Ok(guid)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_contact_tells_what_it_has() {
        let answer = Body::new(Bytes::from_static(
            br#"{"216677834118":{"vid":216677834118,"addedAt":5,"properties":{"email":{"value":"a@b"}},
                "form-submissions":[{"conversion-id":"c"}],"merge-audits":[],
                "identity-profiles":[{"vid":1,"identities":[{"type":"EMAIL","value":"a@b"}]},
                    {"vid":2,"identities":[{"value":"g1","type":"LEAD_GUID"},{"type":"LEAD_GUID","value":"g2"}]}]},
               "7":{"identity-profiles":[],"profile-token":""},"status":{"x":1}}"#,
        ))
        .unwrap();
        let answers = [answer];
        let contacts = contacts(&answers).unwrap();
        assert_eq!(contacts.len(), 2);
        let full = &contacts[&216_677_834_118];
        assert_eq!(full.of_contact[0].as_deref(), Some("g1"));
        assert_eq!(full.of_contact[1].as_deref(), Some(r#"[{"conversion-id":"c"}]"#));
        assert_eq!(full.added_at.as_deref(), Some("5"));
        let empty = &contacts[&7];
        assert_eq!((&empty.of_contact[..], empty.submissions), (&[None, None, None, None][..], None));
    }
}
