//! Submissions by form, for when contacts v1 does not answer: newest first, 50 a page, and no filter by time, so each
//! form is read down to what its last run had seen. Each form has a mark of its own: one for all would skip what other
//! forms got meanwhile.
//!
//! A form that can't be read is set aside, and its mark stays where it was: the next run reads it from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;

use super::sources::FORMS;
use super::state::{ContactRun, Form, FormSlice};
use super::submissions::{self, SUBMISSIONS};
use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::feeds::document::Writer;
use crate::feeds::open_feed::RunOf;
use crate::feeds::quarantine::Thing;
use crate::feeds::unfinished::Unfinished;
use crate::json::{Body, Malformed, Scanner};
use crate::paging::Passed;
use crate::retry::Patience;
use crate::version;

/// HubSpot documents no number; it is what connectors ask for.
const FORMS_IN_A_PAGE: usize = 100;
/// <https://developers.hubspot.com/docs/methods/forms/get-submissions-for-a-form>
const SUBMISSIONS_IN_A_PAGE: usize = 50;
/// HubSpot refuses to show their submissions, and says so.
const UNREADABLE_TYPE: &str = "blog_comment";
const TYPE_NOT_ALLOWED: &str = "FORM_TYPE_NOT_ALLOWED";
/// Kinds, in the quarantine, of a form, of submissions of one that are none, and of the list of forms.
pub(super) const KIND: &str = "form";
const ODD_KIND: &str = "submissions of form";
pub(super) const LIST_KIND: &str = "list of forms";
pub(super) const ALL: &str = "all";
/// Forms that are asked for to find out whether it is the whole family that is refused.
const OTHERS: usize = 2;

#[derive(Deserialize)]
struct Forms {
    results: Vec<serde_json::Value>,
}

impl Forms {
    /// Those that have an id: without one, none can be asked for.
    fn forms(self) -> Vec<Form> {
        let listed =
            self.results.into_iter().filter_map(|form| serde_json::from_value::<ListedForm>(form).ok());
        let form = |form: ListedForm| Form {
            id: form.id,
            name: form.name.unwrap_or_default(),
            form_type: form.form_type.unwrap_or_default(),
        };
        listed.map(form).collect()
    }
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

pub(super) async fn answers(client: &Client) -> Result<bool> {
    // One form is asked for to see whether any are shown.
    let sent = client.send_for_list(&forms_call(false, 1, ""), "results").await;
    match sent.map_err(|error| error.lost_if_refused(FORMS)) {
        Ok(_) => Ok(true),
        Err(lost) if lost.kind() == ErrorKind::SourceLost => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// All forms whose submissions can be read, archived ones included; and the number of entries that name no form.
pub(super) async fn list(client: &Client) -> Result<(Vec<Form>, usize)> {
    let (mut forms, mut odd) = (Vec::new(), 0);
    for archived in [false, true] {
        let add = |body: Body| {
            let listed = parsed(&body)?;
            let entries = listed.results.len();
            let named = listed.forms();
            odd += entries - named.len();
            forms.extend(named);
            Ok(())
        };
        let call = |limit: usize, after: &str| forms_call(archived, limit, after).with(Patience::Little);
        let listed = client.each_page(call, FORMS_IN_A_PAGE, "results", "the forms", add).await;
        listed.map_err(|error| error.lost_if_refused(FORMS))?;
    }
    forms.retain(|form| form.form_type != UNREADABLE_TYPE);
    forms.sort_by(|a, b| a.id.cmp(&b.id));
    forms.dedup_by(|a, b| a.id == b.id);
    Ok((forms, odd))
}

fn parsed(body: &Body) -> Result<Forms> {
    serde_json::from_str(body).map_err(|source| {
        Error::new(ErrorKind::Malformed, "the list of forms does not parse").caused_by(source)
    })
}

/// Returns the call for a page of forms. Without `formTypes` only one of the types is listed.
fn forms_call(archived: bool, limit: usize, after: &str) -> Call {
    let version = version::FORMS;
    Call::get(format!("/marketing/{version}/forms?formTypes=all&limit={limit}&archived={archived}{after}"))
}

/// A page of the submissions of a form.
#[derive(Debug)]
pub(in crate::feeds) struct Page {
    answer: Answer,
    /// The position that the slice had is dead: the page is the form's first one.
    is_from_the_top: bool,
}

#[derive(Debug)]
enum Answer {
    /// And where the next page begins.
    Shown(Body, Option<String>),
    Refused(Error),
}

impl Page {
    pub(super) fn size_bytes(&self) -> usize {
        match &self.answer {
            Answer::Shown(body, _) => body.len(),
            Answer::Refused(_) => 0,
        }
    }
}

/// Reader of submissions, with what the calls of this run have shown.
#[derive(Debug, Default)]
pub(super) struct FormReader {
    /// Forms that earlier runs have asked for in vain.
    held: BTreeSet<String>,
    /// Some form's submissions were shown.
    has_shown: AtomicBool,
    /// Forms that were read from the top again.
    from_the_top: Mutex<BTreeSet<String>>,
    /// Positions that were asked for, by form.
    passed: Mutex<BTreeMap<String, Passed>>,
}

impl FormReader {
    pub(super) fn new<'a>(held: impl Iterator<Item = &'a str>) -> FormReader {
        FormReader { held: held.map(str::to_owned).collect(), ..FormReader::default() }
    }

    /// The page at the position; the first one, once, if HubSpot does not know the position any more.
    ///
    /// # Errors
    /// When the answer says nothing of this form alone.
    pub(super) async fn page(&self, client: &Client, form: &Form, after: Option<&str>) -> Result<Page> {
        let patience = if self.held.contains(&form.id) { Patience::Once } else { Patience::Little };
        if let Some(Err(repeated)) = after.map(|after| self.pass(form, after)) {
            return Ok(Page { answer: Answer::Refused(repeated), is_from_the_top: false });
        }
        let refused = match self.ask(client, &form.id, after, patience).await {
            Ok((body, next)) => {
                return Ok(Page { answer: Answer::Shown(body, next), is_from_the_top: false });
            }
            Err(dead)
                if dead.kind() == ErrorKind::BadRequest && after.is_some() && self.may_restart(form) =>
            {
                tracing::warn!(form.id, "the position in a form is refused: it is read from the top");
                match self.ask(client, &form.id, None, patience).await {
                    Ok((body, next)) => {
                        return Ok(Page { answer: Answer::Shown(body, next), is_from_the_top: true });
                    }
                    Err(refused) => refused,
                }
            }
            Err(refused) => refused,
        };
        if refused.error_type() == Some(TYPE_NOT_ALLOWED) {
            tracing::warn!(form.id, "the submissions of a form are not shown: {refused}");
            let none = Body::new(Bytes::from_static(br#"{"results":[]}"#))?;
            return Ok(Page { answer: Answer::Shown(none, None), is_from_the_top: true });
        }
        if !refused.may_be_of_one_thing() {
            return Err(refused);
        }
        match self.answers_for_others(client, form, &refused).await? {
            true => Ok(Page { answer: Answer::Refused(refused), is_from_the_top: false }),
            false => Err(refused.lost_if_refused(FORMS)),
        }
    }

    /// A page, and where the next one begins.
    async fn ask(
        &self,
        client: &Client,
        id: &str,
        after: Option<&str>,
        patience: Patience,
    ) -> Result<(Body, Option<String>)> {
        let after = after.map(|after| format!("&after={}", percent_encoded(after))).unwrap_or_default();
        let id = percent_encoded(id);
        let call = |limit: usize| {
            let path = format!("/form-integrations/v1/submissions/forms/{id}?limit={limit}{after}");
            Call::get(path).with(patience)
        };
        let body = client.send_for_list(&call(SUBMISSIONS_IN_A_PAGE), "results").await?;
        let next = client.position_behind(&body, call, SUBMISSIONS_IN_A_PAGE, "results").await?;
        self.has_shown.store(true, Ordering::Relaxed);
        Ok((body, next))
    }

    fn pass(&self, form: &Form, after: &str) -> Result<()> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.entry(form.id.clone()).or_default().pass(after, "its submissions")
    }

    fn may_restart(&self, form: &Form) -> bool {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).remove(&form.id);
        self.from_the_top.lock().unwrap_or_else(PoisonError::into_inner).insert(form.id.clone())
    }

    /// `true`: single forms are refused, and others shown.
    async fn answers_for_others(&self, client: &Client, form: &Form, refused: &Error) -> Result<bool> {
        if self.has_shown.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let call = |limit: usize| forms_call(false, limit, "");
        let sent = client.send_for_list(&call(FORMS_IN_A_PAGE), "results").await;
        let body = sent.map_err(|error| error.lost_if_refused(FORMS))?;
        client.position_behind(&body, call, FORMS_IN_A_PAGE, "results").await?;
        let listed = parsed(&body)?.forms();
        let is_other = |other: &Form| other.id != form.id && other.form_type != UNREADABLE_TYPE;
        let others: Vec<Form> = listed
            .into_iter()
            .filter(is_other)
            .filter(|form| !self.held.contains(&form.id))
            .take(OTHERS)
            .collect();
        for other in &others {
            match self.ask(client, &other.id, None, Patience::Little).await {
                Ok(_) => return Ok(true),
                Err(failed) if !failed.may_be_of_one_thing() => return Err(failed),
                Err(_) => {}
            }
        }
        // Of the only form there is, the list has just been read.
        Ok(others.is_empty() && refused.kind() != ErrorKind::MissingScope)
    }
}

/// Appends a page of submissions, and moves the slice past it. `true`: that was the last one.
pub(super) fn append(
    page: Page,
    slice: &mut FormSlice,
    run: &mut RunOf<'_, ContactRun>,
    writer: &mut Writer<'_>,
) -> Result<bool> {
    let FormSlice::Submitted { form, since_ms, after } = slice;
    let (answer, next) = match page.answer {
        Answer::Shown(body, next) => (body, next),
        Answer::Refused(refused) => {
            set_aside(KIND, form, refused.reason(), run);
            return Ok(true);
        }
    };
    if page.is_from_the_top {
        *after = None;
    }
    let (mut newest_ms, mut odd) = (None, 0);
    // Before the old submissions at the page's end, which earlier runs have read, from here or from contacts v1, which
    // tells more. An old one before newer ones has an odd time, or is out of order.
    let mut before_old = None;
    Scanner::new(&answer).each_field(|key, value| match key.raw() {
        "results" if value.is_nested() => value.each_item(|submission| {
            let whole = submission.raw()?;
            let Ok((id, at_ms)) = submissions::of_form(whole, &form.id) else {
                odd += 1;
                return Ok(());
            };
            if let Some(at_ms) = at_ms {
                newest_ms = newest_ms.max(Some(at_ms));
            }
            before_old = match at_ms {
                Some(at_ms) if at_ms < *since_ms => before_old.or(Some(writer.mark())),
                _ => None,
            };
            writer.set("id", |cell| cell.text(&id));
            row(writer, form, whole, at_ms)?;
            writer.finish(at_ms);
            Ok::<_, Error>(())
        }),
        _ => Ok(value.skip()?),
    })?;
    if let Some(mark) = before_old {
        writer.take_back(mark);
    }
    if odd > 0 {
        set_aside(ODD_KIND, form, &format!("{odd} of a page are no submissions"), run);
    } else if !run.quarantine.holds(ODD_KIND, &form.id) {
        // One that tells of a time to come would hide all until then.
        let newest_ms = newest_ms.unwrap_or(0).min(run.started_ms);
        let newest = run.own.forms.entry(form.id.clone()).or_default();
        *newest = (*newest).max(newest_ms);
    }
    // A page of old ones, not a single old one: its time may be wrong.
    let is_last = next.is_none() || newest_ms.is_some_and(|newest_ms| newest_ms < *since_ms);
    *after = next;
    Ok(is_last)
}

/// The form's mark stays where the run before has left it.
fn set_aside(kind: &str, form: &Form, reason: &str, run: &mut RunOf<'_, ContactRun>) {
    run.own.forms.remove(&form.id);
    run.set_aside(Thing { kind, id: &form.id, collection: SUBMISSIONS.name }, reason);
}

/// At the end of a run, in which every form that is listed was asked for.
pub(super) fn release_what_is_read(run: &mut Unfinished) {
    run.release_what_was_not_set_aside_again(LIST_KIND);
    if !run.quarantine.holds(LIST_KIND, ALL) {
        run.release_what_was_not_set_aside_again(KIND);
        run.release_what_was_not_set_aside_again(ODD_KIND);
    }
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

#[cfg(test)]
mod tests {
    use staging::Rows;

    use super::*;
    use crate::feeds::Session;
    use crate::feeds::document::Document;
    use crate::feeds::open_feed::Planned;
    use crate::feeds::unfinished::Mode;

    const SINCE_MS: i64 = 1_700_000_000_000;

    fn form() -> Form {
        Form { id: "f1".to_owned(), name: "Newsletter".to_owned(), form_type: "hubspot".to_owned() }
    }

    fn shown(times_ms: &[i64], next: Option<&str>) -> Page {
        let submission = |ms: &i64| format!(r#"{{"conversionId":"c{ms}","submittedAt":{ms},"values":[]}}"#);
        let submissions: Vec<String> = times_ms.iter().map(submission).collect();
        let body = format!(r#"{{"results":[{}]}}"#, submissions.join(","));
        let body = Body::new(body.into()).unwrap();
        Page { answer: Answer::Shown(body, next.map(str::to_owned)), is_from_the_top: false }
    }

    /// Rows that the page gives, whether it is the last one, and the run after it.
    fn append_to(after: Option<&str>, page: Page) -> (usize, bool, Planned<FormSlice, ContactRun>) {
        let document = Document::new(&SUBMISSIONS, &[]).unwrap();
        let mut rows = Rows::new(&document.table);
        let session = Session::unanswered();
        let mut writer = document.writer(&mut rows, session.reading(SINCE_MS));
        let mut run = Planned::new(Mode::Incremental, SINCE_MS + 9_000, 0);
        let after = after.map(str::to_owned);
        let mut slice = FormSlice::Submitted { form: form(), since_ms: SINCE_MS, after };
        let is_last =
            append(page, &mut slice, &mut RunOf::new(&mut run.run, &mut run.own), &mut writer).unwrap();
        (rows.len(), is_last, run)
    }

    #[test]
    fn old_submissions_end_a_form_and_are_not_read_again() {
        let (rows, is_last, run) =
            append_to(None, shown(&[SINCE_MS + 2, SINCE_MS, SINCE_MS - 1, SINCE_MS - 5], Some("4")));
        assert_eq!((rows, is_last), (2, false));
        assert_eq!(run.own.forms["f1"], SINCE_MS + 2);
        assert!(append_to(Some("4"), shown(&[SINCE_MS - 2], Some("5"))).1);
    }

    #[test]
    fn an_old_submission_before_new_ones_is_read() {
        let seconds = SINCE_MS / 1_000;
        let (rows, is_last, run) =
            append_to(None, shown(&[seconds, SINCE_MS + 2, SINCE_MS - 7, SINCE_MS + 1, SINCE_MS - 9], None));
        assert_eq!((rows, is_last), (4, true));
        assert_eq!(run.own.forms["f1"], SINCE_MS + 2);
    }

    #[test]
    fn a_time_to_come_hides_no_later_submission() {
        let (_, _, run) = append_to(None, shown(&[SINCE_MS * 2, SINCE_MS + 2], None));
        assert_eq!(run.own.forms["f1"], run.started_ms);
    }

    #[tokio::test]
    async fn a_form_whose_pages_lead_back_is_set_aside() {
        let client = Session::unanswered().client;
        let reader = FormReader::default();
        reader.pass(&form(), "50").unwrap();
        let page = reader.page(&client, &form(), Some("50")).await.unwrap();
        let (rows, is_last, run) = append_to(Some("50"), page);
        assert_eq!((rows, is_last), (0, true));
        assert!(run.quarantine.holds(KIND, "f1") && !run.own.forms.contains_key("f1"));
    }
}
