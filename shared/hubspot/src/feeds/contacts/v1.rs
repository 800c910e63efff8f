//! Contacts v1, as far as it is alive: one batch read for the contacts of a page. An answer is an object by contact id.
//! Contacts that are gone by now are simply not in it, and so are those that it is a moment behind with: whoever asked
//! for them looks at them again.

use std::borrow::Cow;
use std::collections::HashMap;

use super::sources::V1;
use super::table::OF_V1;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::feeds::batches::Batches;
use crate::feeds::objects::Unknown;
use crate::json::{Body, Malformed, Scanner, parse_id};

/// Contacts in one call
/// (<https://developers.hubspot.com/docs/api-reference/legacy/crm/objects/contacts/v1/get-contacts-v1-contactvids-batch>).
const MAX_CONTACTS: usize = 100;

/// Parts of a contact that contacts v1 alone knows.
#[derive(Debug, Default)]
pub(super) struct V1Contact<'a> {
    /// The values of [`OF_V1`].
    pub(super) of_contact: [Option<Cow<'a, str>>; OF_V1.len()],
    pub(super) added_at: Option<Cow<'a, str>>,
    /// JSON lists, as they came.
    pub(super) profiles: Option<&'a str>,
    pub(super) submissions: Option<&'a str>,
    /// A profile of it, or an identity, is not readable.
    pub(super) is_odd: bool,
}

/// The calls for contacts v1, in one run.
#[derive(Debug)]
pub(super) struct V1Calls(Batches);

/// `true`: contacts v1 answers, asked for a contact that need not exist.
pub(super) async fn answers(client: &Client) -> Result<bool> {
    match client.send(&batch_read(&[1])).await {
        Ok(_) => Ok(true),
        Err(refused) if refused.may_be_useless() => Ok(false),
        Err(failed) => Err(failed),
    }
}

fn batch_read(ids: &[u64]) -> Call {
    let vids: String = ids.iter().map(|id| format!("vid={id}&")).collect();
    // Without a property it would send all of them, which the records have already.
    Call::get(format!(
        "/contacts/v1/contact/vids/batch?{vids}property=email&propertyMode=value_only\
         &formSubmissionMode=all&showListMemberships=false"
    ))
}

impl V1Calls {
    pub(super) fn new() -> V1Calls {
        V1Calls(Batches::new(MAX_CONTACTS))
    }

    /// Reads these contacts from contacts v1; those that it refuses to show are named in `unknown`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::SourceLost`] when it shows nobody.
    pub(super) async fn read(
        &self,
        client: &Client,
        ids: &[u64],
        unknown: &mut Unknown,
    ) -> Result<Vec<Body>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let read = match self.0.read(client, ids, batch_read).await {
            Ok(mut read) if read.answers.is_empty() && !answers(client).await? => {
                let refused = read.refused.pop().map(|(_, refused)| refused);
                return refused.map_or(Ok(Vec::new()), |refused| Err(refused.lost_if_useless(V1)));
            }
            Err(refused) if refused.may_be_useless() => {
                return Err(match answers(client).await? {
                    true => refused.lost_if_refused(V1),
                    false => refused.lost_if_useless(V1),
                });
            }
            read => read?,
        };
        for (id, refused) in read.refused {
            unknown.add(id, V1, refused.to_string());
        }
        Ok(read.answers.into_iter().map(|(_, body)| body).collect())
    }
}

/// Contacts by their ids; null is none.
pub(super) fn contacts(answers: &[Body]) -> Result<HashMap<u64, V1Contact<'_>>> {
    let mut contacts = HashMap::new();
    for answer in answers {
        Scanner::new(answer).each_field(|vid, value| {
            let Some(id) = vid.raw().parse().ok().filter(|_| value.is_object()) else { return value.skip() };
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
            "identity-profiles" if value.is_nested() && !value.is_object() => {
                contact.profiles = Some(value.raw()?)
            }
            "form-submissions" if value.is_nested() && !value.is_object() => {
                contact.submissions = Some(value.raw()?)
            }
            // Null, or whatever else is no list.
            "form-submissions" => {
                contact.is_odd = true;
                value.skip()?;
            }
            "addedAt" if !value.is_nested() => contact.added_at = text(value)?,
            "profile-token" if !value.is_nested() => contact.of_contact[2] = text(value)?,
            "profile-url" if !value.is_nested() => contact.of_contact[3] = text(value)?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    let told = contact.profiles.map(profiles).transpose()?.unwrap_or_default();
    // Each contact has a profile of its own; without one, the answer is in part.
    contact.is_odd |= told.is_odd || contact.profiles.is_none();
    contact.of_contact[0] = told.lead_guid;
    contact.of_contact[1] = contact.submissions.map(Cow::Borrowed);
    Ok(contact)
}

fn text<'a>(value: &mut Scanner<'a>) -> Result<Option<Cow<'a, str>>, Malformed> {
    Ok(value.scalar()?.map(|text| text.text()).filter(|text| !text.is_empty()))
}

/// Values of the profiles.
#[derive(Debug, Default)]
struct ProfileValues<'a> {
    /// The first identity of that type.
    lead_guid: Option<Cow<'a, str>>,
    is_odd: bool,
}

fn profiles(profiles: &str) -> Result<ProfileValues<'_>, Malformed> {
    let mut told = ProfileValues::default();
    Scanner::new(profiles).each_item(|profile| {
        if !profile.is_object() {
            told.is_odd = true;
            return profile.skip();
        }
        profile.each_field(|key, value| match key.raw() {
            "vid" => {
                let vid = value.raw()?;
                told.is_odd |= parse_id(vid.trim_matches('"')).is_none();
                Ok(())
            }
            "identities" if value.is_nested() && !value.is_object() => {
                value.each_item(|identity| identity_of(identity, &mut told))
            }
            _ => value.skip(),
        })
    })?;
    Ok(told)
}

fn identity_of<'a>(identity: &mut Scanner<'a>, told: &mut ProfileValues<'a>) -> Result<(), Malformed> {
    if !identity.is_object() {
        told.is_odd = true;
        return identity.skip();
    }
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
    if is_guid && told.lead_guid.is_none() {
        told.lead_guid = its_value;
    }
    Ok(())
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
        assert!(!full.is_odd);
        let empty = &contacts[&7];
        assert_eq!((&empty.of_contact[..], empty.submissions), (&[None, None, None, None][..], None));
    }

    #[test]
    fn null_is_no_contact_and_an_odd_profile_is_known() {
        let answer = r#"{"1":null,"2":{"identity-profiles":[{"vid":2,"identities":[]}]},
            "3":{"identity-profiles":[{"vid":"x"}]},"4":{"identity-profiles":[null]},
            "5":{"identity-profiles":[{"vid":5,"identities":[null]}]},"6":{"vid":6},
            "7":{"identity-profiles":null},"8":{"identity-profiles":[],"form-submissions":null}}"#;
        let answers = [Body::new(answer.to_owned().into()).unwrap()];
        let contacts = contacts(&answers).unwrap();
        let mut odd: Vec<_> = contacts.iter().map(|(id, contact)| (*id, contact.is_odd)).collect();
        odd.sort_unstable();
        let expected = [(2, false), (3, true), (4, true), (5, true), (6, true), (7, true), (8, true)];
        assert_eq!(odd, expected);
    }
}
