//! Forms and their submissions. A submission belongs to a form and to the contact of that time; it stays in the form's
//! list when the contact is merged or deleted.

mod generate;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub(super) use self::generate::generate;
use super::guid::Guid;
use super::journal::{Journal, Place};
use super::past::Source;
use super::{Account, ChangeError, State};
use crate::ObjectType;

/// HubSpot's `formType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormType {
    Hubspot,
    Captured,
    Flow,
    /// A form whose submissions are shown on contacts only.
    BlogComment,
}

impl FormType {
    pub const ALL: [Self; 4] = [Self::Hubspot, Self::Captured, Self::Flow, Self::BlogComment];

    pub fn name(self) -> &'static str {
        match self {
            Self::Hubspot => "hubspot",
            Self::Captured => "captured",
            Self::Flow => "flow",
            Self::BlogComment => "blog_comment",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) id: Guid,
    pub(crate) name: Arc<str>,
    pub(crate) kind: FormType,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) archived_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) id: Guid,
    pub(crate) form: Guid,
    pub(crate) kind: FormType,
    /// The contact of that time.
    pub(crate) contact: u64,
    pub(crate) timestamp: i64,
    /// The form's name at that time.
    pub(crate) title: Arc<str>,
    pub(crate) page: Option<Page>,
    /// The e-mail address as it was filled in.
    pub(crate) email: Arc<str>,
}

/// The web page that the form was on. Pages of other systems have no id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) url: &'static str,
    pub(crate) title: Option<&'static str>,
    pub(crate) id: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthForm {
    pub id: String,
    pub name: String,
    pub form_type: FormType,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TruthSubmission {
    pub conversion_id: String,
    pub form_id: String,
    pub form_type: FormType,
    /// The live contact that shows it today; `None` if there is none, and the form alone knows of it.
    pub contact: Option<u64>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub title: String,
    pub page_url: Option<String>,
    pub page_title: Option<String>,
    pub page_id: Option<String>,
    /// The v1 contact names its form type; a few don't.
    pub tells_form_type: bool,
    pub email: String,
}

#[derive(Debug, Default)]
pub(crate) struct Forms {
    pub(crate) forms: BTreeMap<Guid, Form>,
    by_form: HashMap<Guid, Journal<Submission>>,
    /// Oldest first.
    by_contact: HashMap<u64, Vec<(Guid, Place)>>,
}

impl Account {
    pub fn form_ids(&self) -> Vec<String> {
        self.read().forms.forms.keys().map(Guid::to_string).collect()
    }

    /// Submits a form as a live contact, which modifies the contact. Returns the conversion id.
    pub fn submit_form(&self, contact: u64, form: &str) -> Result<String, ChangeError> {
        let now = self.now();
        let mut state = self.write();
        let form = state.forms.known(form)?.clone();
        let email = state.email_of(contact)?.unwrap_or_default();
        let State { forms, dice, .. } = &mut *state;
        let id = Guid::draw(dice);
        forms.add(Submission {
            id,
            form: form.id,
            kind: form.kind,
            contact,
            timestamp: now.timestamp_millis(),
            title: Arc::clone(&form.name),
            page: generate::page(dice),
            email: email.into(),
        });
        state.note_submission(contact, &form, now);
        Ok(id.to_string())
    }

    /// Deletes a submission. Neither the form nor the contact shows that there was one.
    pub fn delete_submission(&self, conversion_id: &str) -> Result<(), ChangeError> {
        let mut state = self.write();
        let submission = state.forms.take(conversion_id)?;
        state.recount_submissions(submission.contact);
        Ok(())
    }

    pub fn rename_form(&self, form: &str, name: &str) -> Result<(), ChangeError> {
        let now = self.now();
        self.change_form(form, |form| {
            form.name = name.into();
            form.updated_at = now;
        })
    }

    pub fn archive_form(&self, form: &str) -> Result<(), ChangeError> {
        let now = self.now();
        self.change_form(form, |form| form.archived_at = Some(now))
    }

    fn change_form(&self, form: &str, change: impl FnOnce(&mut Form)) -> Result<(), ChangeError> {
        let mut state = self.write();
        let id = state.forms.known(form)?.id;
        if let Some(form) = state.forms.forms.get_mut(&id) {
            change(form);
        }
        Ok(())
    }

    pub fn truth_forms(&self) -> Vec<TruthForm> {
        let state = self.read();
        let truth = |form: &Form| TruthForm {
            id: form.id.to_string(),
            name: form.name.to_string(),
            form_type: form.kind,
            created_at: form.created_at,
            updated_at: form.updated_at,
            archived_at: form.archived_at,
        };
        state.forms.forms.values().map(truth).collect()
    }

    /// All submissions of all forms, form by form, oldest first.
    pub fn truth_form_submissions(&self) -> Vec<TruthSubmission> {
        let state = self.read();
        let forms = state.forms.forms.keys();
        let submissions =
            forms.filter_map(|form| state.forms.by_form.get(form)).flat_map(Journal::oldest_first);
        submissions.map(|(_, submission)| state.truth_of_submission(submission)).collect()
    }
}

impl State {
    pub(super) fn truth_of_submission(&self, submission: &Submission) -> TruthSubmission {
        let contacts = &self.objects[ObjectType::Contacts];
        let survivor = contacts.survivor(submission.contact);
        let owned = |text: &str| text.to_owned();
        TruthSubmission {
            conversion_id: submission.id.to_string(),
            form_id: submission.form.to_string(),
            form_type: submission.kind,
            contact: contacts.live.contains_key(&survivor).then_some(survivor),
            timestamp: submission.timestamp,
            title: submission.title.to_string(),
            page_url: submission.page.map(|page| owned(page.url)),
            page_title: submission.page.and_then(|page| page.title).map(owned),
            page_id: submission.page.and_then(|page| page.id).map(owned),
            tells_form_type: submission.tells_form_type(),
            email: submission.email.to_string(),
        }
    }

    /// Returns the submissions of the contact and of all that were merged into it, newest first.
    pub(crate) fn submissions_of(&self, contact: u64) -> Vec<&Submission> {
        let ids = [contact].into_iter().chain(self.identities.merged_into(contact));
        let mut submissions: Vec<_> = ids.flat_map(|id| self.forms.of_contact(id)).collect();
        submissions.sort_by_key(|submission| (std::cmp::Reverse(submission.timestamp), submission.id));
        submissions
    }

    fn note_submission(&mut self, contact: u64, form: &Form, now: DateTime<Utc>) {
        self.recount_submissions(contact);
        let count = self.submissions_of(contact).len().to_string();
        let contacts = &mut self.objects[ObjectType::Contacts];
        let at = crate::time::text(now);
        let noted = [
            ("recent_conversion_date", at.as_str()),
            ("recent_conversion_event_name", &form.name),
            ("num_conversion_events", &count),
        ];
        let known =
            noted.into_iter().filter_map(|(name, value)| Some((contacts.catalog.find(name)?.0, Some(value))));
        let changes: Vec<_> = known.collect();
        // The caller knows that the contact is live.
        let _ = contacts.replace(ObjectType::Contacts, contact, |record| {
            record.set(&changes, now, Some(Source::Form));
            record.updated_at = now.max(record.updated_at);
        });
    }

    /// Brings `hs_calculated_form_submissions` up to date; the modified date stays.
    pub(super) fn recount_submissions(&mut self, contact: u64) {
        let submissions = self.submissions_of(contact);
        let of = |submission: &&Submission| {
            let page = submission.page.and_then(|page| page.id).unwrap_or_default();
            format!("{}:{page}:{}", submission.form, submission.timestamp)
        };
        let listed: Vec<String> = submissions.iter().take(MOST_CALCULATED).map(of).collect();
        let value = listed.join(";");
        let contacts = &mut self.objects[ObjectType::Contacts];
        let Some((property, _)) = contacts.catalog.find("hs_calculated_form_submissions") else { return };
        let value = Some(value.as_str()).filter(|value| !value.is_empty());
        // A contact that isn't live keeps what it had.
        let Some(live) = contacts.live.get(&contact) else { return };
        if live.values.get(property) != value {
            let _ = contacts.replace(ObjectType::Contacts, contact, |record| {
                record.values = record.values.with(&[(property, value)]);
            });
        }
    }

    /// The e-mail address of a live contact.
    pub(crate) fn email_of(&self, contact: u64) -> Result<Option<String>, ChangeError> {
        let contacts = &self.objects[ObjectType::Contacts];
        let unknown = ChangeError::UnknownRecord { object: ObjectType::Contacts, id: contact };
        let record = contacts.live.get(&contact).ok_or(unknown)?;
        let email = contacts.catalog.find("email").and_then(|(property, _)| record.values.get(property));
        Ok(email.map(str::to_owned))
    }
}

impl Submission {
    /// `true`: v1 shows the form type of this submission, as it does of most.
    pub(crate) fn tells_form_type(&self) -> bool {
        self.id.dice().chance(0.9)
    }
}

impl Forms {
    fn known(&self, id: &str) -> Result<&Form, ChangeError> {
        let form = id.parse().ok().and_then(|id: Guid| self.forms.get(&id));
        form.ok_or_else(|| ChangeError::UnknownForm { id: id.to_owned() })
    }

    fn add(&mut self, submission: Submission) {
        let (form, contact) = (submission.form, submission.contact);
        let place = self.by_form.entry(form).or_default().add(submission.timestamp, submission);
        self.by_contact.entry(contact).or_default().push((form, place));
    }

    fn take(&mut self, conversion_id: &str) -> Result<Submission, ChangeError> {
        let unknown = || ChangeError::UnknownSubmission { id: conversion_id.to_owned() };
        let id: Guid = conversion_id.parse().map_err(|_| unknown())?;
        let submission = self.by_form.values_mut().find_map(|journal| {
            let (place, _) = journal.oldest_first().find(|(_, submission)| submission.id == id)?;
            journal.remove(place).map(|submission| (place, submission))
        });
        let (place, submission) = submission.ok_or_else(unknown)?;
        if let Some(of_contact) = self.by_contact.get_mut(&submission.contact) {
            of_contact.retain(|known| *known != (submission.form, place));
        }
        Ok(submission)
    }

    fn of_contact(&self, contact: u64) -> impl Iterator<Item = &Submission> {
        let places = self.by_contact.get(&contact).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|(form, place)| self.by_form.get(form)?.get(*place))
    }

    pub(crate) fn submissions(&self, form: Guid) -> Option<&Journal<Submission>> {
        self.by_form.get(&form)
    }
}

/// Most submissions in the calculated property: HubSpot calculates the newest ones only.
const MOST_CALCULATED: usize = 800;
