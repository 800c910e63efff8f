//! Submissions by form, for when contacts v1 does not answer: newest first, 50 a page, and no filter by time, so each
//! form is read down to what its last run had seen. Each form has a mark of its own: one for all would skip what other
//! forms got meanwhile.

use bytes::Bytes;
use serde::Deserialize;

use super::{FORMS, submissions};
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::cursor::Unfinished;
use crate::feeds::document::Writer;
use crate::feeds::objects::next_after;
use crate::feeds::slice::{self, Form, Slice};
use crate::json::{Body, Malformed, Scanner};
use crate::version;

/// HubSpot documents no number; it is what connectors ask for.
const FORMS_IN_A_PAGE: usize = 100;
/// <https://developers.hubspot.com/docs/methods/forms/get-submissions-for-a-form>
const SUBMISSIONS_IN_A_PAGE: usize = 50;
/// HubSpot refuses to show their submissions.
const UNREADABLE_TYPE: &str = "blog_comment";

#[derive(Deserialize)]
struct Forms {
    results: Vec<ListedForm>,
    #[serde(default)]
    paging: Option<Paging>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedForm {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    form_type: Option<String>,
}

#[derive(Deserialize)]
struct Paging {
    next: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    after: Option<String>,
}

pub(super) async fn answers(client: &Client) -> Result<bool> {
    match page(client, false, None, 1).await {
        Ok(_) => Ok(true),
        Err(lost) if lost.kind() == ErrorKind::SourceLost => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// All forms whose submissions can be read, archived ones included.
pub(super) async fn list(client: &Client) -> Result<Vec<Form>> {
    let mut forms = Vec::new();
    for archived in [false, true] {
        let mut after = None;
        loop {
            let listed = page(client, archived, after.as_deref(), FORMS_IN_A_PAGE).await?;
            forms.extend(listed.results.into_iter().map(|form| Form {
                id: form.id,
                name: form.name.unwrap_or_default(),
                form_type: form.form_type.unwrap_or_default(),
            }));
            let next = listed.paging.and_then(|paging| paging.next?.after);
            if next.is_none() || next == after {
                break;
            }
            after = next;
        }
    }
    forms.retain(|form| form.form_type != UNREADABLE_TYPE);
    forms.sort_by(|a, b| a.id.cmp(&b.id));
    forms.dedup_by(|a, b| a.id == b.id);
    Ok(forms)
}

/// Without `formTypes` only one of the types is listed.
async fn page(client: &Client, archived: bool, after: Option<&str>, limit: usize) -> Result<Forms> {
    let after = after.map(|after| format!("&after={}", percent_encoded(after))).unwrap_or_default();
    let path =
        format!("/marketing/{}/forms?formTypes=all&limit={limit}&archived={archived}{after}", version::FORMS);
    let body = client.send(&Call::get(path)).await.map_err(|error| error.lost_if_refused(FORMS))?;
    serde_json::from_str(&body).map_err(|source| {
        Error::new(ErrorKind::Malformed, "the list of forms does not parse").caused_by(source)
    })
}

pub(super) async fn submissions(client: &Client, form: &Form, after: Option<&str>) -> Result<Body> {
    let after = after.map(|after| format!("&after={}", percent_encoded(after))).unwrap_or_default();
    let path = format!(
        "/form-integrations/v1/submissions/forms/{}?limit={SUBMISSIONS_IN_A_PAGE}{after}",
        percent_encoded(&form.id)
    );
    match client.send(&Call::get(path)).await {
        Ok(body) => Ok(body),
        // The form was deleted since it was listed, or is of a type that is not shown: it has no more submissions.
        Err(gone)
            if matches!(gone.kind(), ErrorKind::NotFound | ErrorKind::BadRequest) && after.is_empty() =>
        {
            tracing::warn!(form.id, "the submissions of a form are not shown: {gone}");
            Ok(Body::new(Bytes::from_static(br#"{"results":[]}"#))?)
        }
        Err(error) => Err(error.lost_if_refused(FORMS)),
    }
}

/// Appends a page of submissions, and moves the slice past it. `true`: that was the last one.
pub(super) fn append(
    answer: &str,
    slice: &mut Slice,
    run: &mut Unfinished,
    writer: &mut Writer<'_>,
) -> Result<bool> {
    let Slice::Submitted { form, since_ms, after } = slice else { return Err(slice::foreign(slice)) };
    let (mut next, mut oldest_ms) = (None, i64::MAX);
    let newest = run.forms.entry(form.id.clone()).or_default();
    Scanner::new(answer).each_field(|key, value| match key.raw() {
        "results" if value.is_nested() => value.each_item(|submission| {
            let whole = submission.raw()?;
            let (id, at_ms) = submissions::of_form(whole, &form.id)?;
            if let Some(at_ms) = at_ms {
                *newest = (*newest).max(at_ms);
                oldest_ms = oldest_ms.min(at_ms);
            }
            writer.set("id", |cell| cell.text(&id));
            row(writer, form, whole, at_ms)?;
            writer.finish(at_ms);
            Ok::<_, Error>(())
        }),
        "paging" => {
            next = next_after(value)?;
            Ok(())
        }
        _ => Ok(value.skip()?),
    })?;
    if next.is_some() && next == *after {
        return Err(Error::new(ErrorKind::Malformed, "a page of submissions ends where it began"));
    }
    let is_last = next.is_none() || oldest_ms < *since_ms;
    *after = next;
    Ok(is_last)
}

fn row(writer: &mut Writer<'_>, form: &Form, submission: &str, at_ms: Option<i64>) -> Result<(), Malformed> {
    let account_id = writer.account_id();
    writer.set("form_id", |cell| cell.text(&form.id));
    writer.set("form_type", |cell| cell.text(&form.form_type.to_uppercase()));
    writer.set("title", |cell| cell.text(&form.name));
    writer.set("portal_id", |cell| cell.bigint(account_id as i64));
    if let Some(at_ms) = at_ms {
        writer.set("timestamp", |cell| cell.timestamp(at_ms));
    }
    Scanner::new(submission).each_field(|key, value| {
        let column = match key.raw() {
            "conversionId" => "conversion_id",
            "pageUrl" => "page_url",
            "values" => "values",
            "submittedAt" => return value.skip(),
            _ => return writer.keep(&key.text(), value),
        };
        if value.is_nested() {
            let json = value.raw()?;
            writer.set(column, |cell| cell.text(json));
        } else if let Some(text) = value.scalar()?.filter(|text| !text.is_empty()) {
            writer.set(column, |cell| cell.text(&text.text()));
        }
        Ok(())
    })
}
