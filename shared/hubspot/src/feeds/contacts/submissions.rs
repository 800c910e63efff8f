//! Form submissions: what people sent with a form. Contacts v1 shows them with the contact; without it they come from
//! the forms, which know neither contact nor page title.
//!
//! They are events: an archived contact leaves them as they are. One that somebody deletes leaves no trace in HubSpot.

use staging::ColumnType::{BigInt, Json, Text, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use super::v1::V1Contact;
use crate::error::Result;
use crate::feeds::collection::{Collection, field, made};
use crate::feeds::document::Writer;
use crate::json::{Malformed, Scanner};
use crate::value;

/// Columns that nothing but contacts v1 fills, and those that nothing but the forms do.
pub(super) const OF_V1: [&str; 5] =
    ["contact_id", "page_id", "page_title", "contact_associated_by", "meta_data"];
pub(super) const OF_FORMS: [&str; 1] = ["values"];

pub(super) static SUBMISSIONS: Collection = Collection {
    name: "form_submissions",
    about: "One submission of a form.",
    primary_key: &["id"],
    key_reason: "HubSpot's conversion id, which a contact's merge does not change; where it is missing, the form, the \
                 time and a hash of the whole submission, which is the same in every read",
    set_key: &[],
    is_deletable: false,
    calls: "none of its own: read with `contacts`. Without contacts v1, 1 for each 100 forms and 1 for each form",
    columns: &[
        made("id", Text, "`conversion-id`, else form, time and hash"),
        field("conversion_id", Text, "conversion-id"),
        made("contact_id", BigInt, "the contact that shows it; NULL where submissions come from the forms"),
        field("form_id", Text, "form-id"),
        field("form_type", Text, "form-type"),
        field("page_id", Text, "page-id"),
        field("page_title", Text, "page-title"),
        field("page_url", Text, "page-url"),
        field("portal_id", BigInt, "portal-id"),
        field("timestamp", Timestamp, "timestamp"),
        field("title", Text, "title"),
        field("contact_associated_by", Json, "contact-associated-by"),
        field("meta_data", Json, "meta-data"),
        made("values", Json, "what was filled in, a JSON list; only where submissions come from the forms"),
    ],
};

/// A submission's identity and time, as either source spells them.
#[derive(Debug, Default)]
struct Identity {
    conversion_id: String,
    form_id: String,
    at_ms: Option<i64>,
}

/// Answers with the number of those that are none.
pub(super) fn of_contact(writer: &mut Writer<'_>, contact_id: u64, contact: &V1Contact<'_>) -> Result<u64> {
    let mut odd = 0;
    Scanner::new(contact.submissions.unwrap_or("[]")).each_item(|submission| {
        if !submission.is_object() {
            odd += 1;
            return submission.skip();
        }
        let whole = submission.raw()?;
        let Ok(identity) = Identity::read(whole) else {
            odd += 1;
            return Ok(());
        };
        writer.set("id", |cell| cell.text(&identity.id(whole)));
        writer.set("contact_id", |cell| cell.bigint(contact_id as i64));
        writer.fill(&mut Scanner::new(whole))?;
        writer.finish(identity.at_ms);
        Ok::<_, Malformed>(())
    })?;
    Ok(odd)
}

/// The key of a submission that a form shows, and its time.
pub(super) fn of_form(submission: &str, form_id: &str) -> Result<(String, Option<i64>)> {
    let identity = Identity { form_id: form_id.to_owned(), ..Identity::read(submission)? };
    Ok((identity.id(submission), identity.at_ms))
}

impl Identity {
    fn read(submission: &str) -> Result<Identity, Malformed> {
        let mut identity = Identity::default();
        Scanner::new(submission).each_field(|key, value| {
            if value.is_nested() {
                return value.skip();
            }
            let text = value.scalar()?.map(|text| text.text().into_owned()).unwrap_or_default();
            match key.raw() {
                "conversion-id" | "conversionId" => identity.conversion_id = text,
                "form-id" => identity.form_id = text,
                "timestamp" | "submittedAt" => identity.at_ms = value::instant_ms(&text),
                _ => {}
            }
            Ok::<_, Malformed>(())
        })?;
        if identity.conversion_id.is_empty() && identity.at_ms.is_none() {
            return Err(Malformed { at: 0, expected: "a submission with its id or its time" });
        }
        Ok(identity)
    }

    fn id(&self, whole: &str) -> String {
        if !self.conversion_id.is_empty() {
            return self.conversion_id.clone();
        }
        let at_ms = self.at_ms.unwrap_or(0);
        format!("{}:{at_ms}:{:032x}", self.form_id, xxh3_128(whole.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_has_one_key_in_every_read() {
        let of_contact = r#"{"conversion-id":"c-1","timestamp":1790000000000,"form-id":"f"}"#;
        let shown_by_form = r#"{"conversionId":"c-1","submittedAt":1790000000000,"values":[]}"#;
        assert_eq!(Identity::read(of_contact).unwrap().id(of_contact), "c-1");
        assert_eq!(of_form(shown_by_form, "f").unwrap(), ("c-1".to_owned(), Some(1_790_000_000_000)));
    }

    #[test]
    fn what_has_neither_id_nor_time_is_no_submission() {
        for odd in ["{}", r#"{"conversionId":null,"values":[]}"#, r#"{"submittedAt":"soon"}"#] {
            assert!(of_form(odd, "f").is_err(), "{odd}");
        }
    }

    #[test]
    fn without_a_conversion_id_equal_submissions_are_one() {
        let key = |json: &str| of_form(json, "f").unwrap().0;
        let one = key(r#"{"submittedAt":1790000000000,"values":[{"name":"email","value":"a@b"}]}"#);
        let other = key(r#"{"submittedAt":1790000000000,"values":[{"name":"email","value":"c@d"}]}"#);
        assert!(one.starts_with("f:1790000000000:"), "{one}");
        assert_ne!(one, other);
    }
}
