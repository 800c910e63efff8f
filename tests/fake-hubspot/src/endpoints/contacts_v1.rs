//! The reads of contacts that are left of contacts v1, which had lists too. Only they show identities, and only the
//! list of all contacts shows when one was added.

use chrono::{DateTime, Utc};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Reply, Route};
use crate::account::{Catalog, Kind, Record, Sensitivity, State, Submission, TruthProfile};
use crate::behaviour::V1Contacts;
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::{ObjectType, time};

const MOST: usize = 100;
const BY_DEFAULT: usize = 20;
/// Scopes of contacts v1, of which one is enough.
const SCOPES: [&str; 3] = ["crm.objects.contacts.read", "content", "crm.objects.contacts.write"];
const SHOWN_BY_DEFAULT: [&str; 4] = ["company", "firstname", "lastmodifieddate", "lastname"];

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let ["contacts", "v1", rest @ ..] = segments.as_slice() else { return None };
    let route = match (&request.method, rest) {
        (&Method::GET, ["contact", "vids", "batch"]) => {
            Route::new("contacts_v1.batch", Bucket::General, batch)
        }
        (&Method::GET, ["lists", "all", "contacts", "all"]) => {
            Route::new("contacts_v1.list", Bucket::General, list)
        }
        (&Method::GET, ["contact", "vid", vid, "profile"]) => {
            let vid = (*vid).to_owned();
            Route::new("contacts_v1.profile", Bucket::General, move |call| profile(call, &vid))
        }
        _ => return None,
    };
    Some(route.requires_one_of(&SCOPES))
}

fn is_alive(call: &Call<'_>) -> Result<(), Problem> {
    match call.behaviour.v1_contacts {
        V1Contacts::Alive => Ok(()),
        V1Contacts::Gone => Err(Problem::unknown_path()),
        V1Contacts::Forbidden => Err(Problem::missing_scope(&SCOPES.map(str::to_owned))),
    }
}

/// Answers a batch of ids. Unknown ids are left out, those that were merged away too.
fn batch(call: &Call<'_>) -> Answer {
    is_alive(call)?;
    let vids: Vec<u64> = call.request.list("vid").iter().filter_map(|vid| vid.parse().ok()).collect();
    if vids.len() > MOST {
        return Err(Problem::validation(format!("{} vids are too many, the maximum is {MOST}", vids.len())));
    }
    let view = View::new(call, None, "all")?;
    let state = call.account().read();
    let live = &state.objects[ObjectType::Contacts].live;
    let contacts = vids.iter().filter_map(|vid| live.get(vid)).filter(|contact| view.shows(contact));
    let shown: Map<String, Value> =
        contacts.map(|contact| (contact.id.to_string(), view.contact(&state, contact))).collect();
    Ok(Reply::json(&shown))
}

/// Answers a page of all contacts, ascending by id; `vid-offset` is the last id of the page. A count above the limit
/// counts as the limit.
fn list(call: &Call<'_>) -> Answer {
    is_alive(call)?;
    let number = |name: &str| call.request.parameter(name).map(str::parse::<u64>).transpose();
    let invalid = |_| Problem::validation("count and vidOffset must be numbers");
    let count = number("count").map_err(invalid)?.map_or(BY_DEFAULT, |count| (count as usize).clamp(1, MOST));
    let offset = number("vidOffset").map_err(invalid)?.unwrap_or(0);
    let view = View::new(call, Some(&SHOWN_BY_DEFAULT), "newest")?;
    let state = call.account().read();
    let live = state.objects[ObjectType::Contacts].live.range(offset + 1..).map(|(_, contact)| contact);
    let (rows, has_more) = call.page(live.filter(|contact| view.shows(contact)), count);
    let shown: Vec<Value> = rows
        .iter()
        .map(|contact| {
            let mut shown = view.contact(&state, contact);
            shown["addedAt"] = contact.created_at.timestamp_millis().into();
            shown
        })
        .collect();
    let last = rows.last().map_or(offset, |contact| contact.id);
    Ok(Reply::json(&json!({"contacts": shown, "has-more": has_more, "vid-offset": last})))
}

/// Answers one contact. An id that was merged away leads to the survivor.
fn profile(call: &Call<'_>, vid: &str) -> Answer {
    is_alive(call)?;
    let view = View::new(call, None, "all")?;
    let state = call.account().read();
    let contacts = &state.objects[ObjectType::Contacts];
    let contact = vid.parse().ok().and_then(|vid| contacts.live.get(&contacts.survivor(vid)));
    let contact = contact.filter(|contact| view.shows(contact));
    let contact = contact.ok_or_else(|| Problem::not_found("contact does not exist"))?;
    Ok(Reply::json(&view.contact(&state, contact)))
}

/// The parts of its contacts that a call asks for.
struct View {
    account_id: u32,
    seed: u64,
    /// Names of the wanted properties; `None`: all that have a value.
    names: Option<Vec<String>>,
    with_versions: bool,
    sees_sensitive: bool,
    submissions: Submissions,
    /// Newest moment that contacts v1 shows yet.
    until: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Submissions {
    None,
    All,
    Newest,
    Oldest,
}

impl View {
    fn new(call: &Call<'_>, by_default: Option<&[&str]>, submissions: &str) -> Result<Self, Problem> {
        let request = call.request;
        let named = request.list("property");
        let by_default = by_default.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let submissions = match request.parameter("formSubmissionMode").unwrap_or(submissions) {
            "none" => Submissions::None,
            "all" => Submissions::All,
            "newest" => Submissions::Newest,
            "oldest" => Submissions::Oldest,
            other => return Err(Problem::validation(format!("Invalid formSubmissionMode: {other}"))),
        };
        let settings = call.account().settings();
        Ok(Self {
            account_id: settings.account_id,
            seed: settings.seed,
            names: if named.is_empty() { by_default } else { Some(named) },
            with_versions: request.parameter("propertyMode") == Some("value_and_history"),
            sees_sensitive: call.may("crm.objects.contacts.sensitive.read.v2"),
            submissions,
            until: call.account().now() - call.behaviour.v1_lag,
        })
    }

    fn shows(&self, contact: &Record) -> bool {
        contact.created_at <= self.until
    }

    fn contact(&self, state: &State, contact: &Record) -> Value {
        let catalog = &state.objects[ObjectType::Contacts].catalog;
        let profiles = state.profiles(contact, self.seed);
        json!({
            "vid": contact.id,
            "canonical-vid": contact.id,
            "merged-vids": state.identities.merged_into(contact.id),
            "portal-id": self.account_id,
            "is-contact": true,
            "properties": self.properties(catalog, contact),
            "form-submissions": self.submissions(state.submissions_of(contact.id)),
            "identity-profiles": profiles.iter().map(profile_body).collect::<Vec<_>>(),
            "merge-audits": audits(state, contact),
        })
    }

    /// Returns the properties with a value; dates are milliseconds.
    fn properties(&self, catalog: &Catalog, contact: &Record) -> Map<String, Value> {
        let is_named = |name: &String| self.names.as_ref().is_none_or(|names| names.contains(name));
        let shown = catalog.current().filter(|(_, property)| {
            let is_visible = property.sensitivity == Sensitivity::NonSensitive || self.sees_sensitive;
            is_visible && is_named(&property.name)
        });
        let valued = shown.filter_map(|(index, property)| {
            let value = property.value_of(index, contact)?;
            let is_date = matches!(property.kind, Kind::Date | Kind::Datetime);
            let milliseconds = time::milliseconds(&value).filter(|_| is_date);
            let value = milliseconds.map_or_else(|| value.into_owned(), |ms| (ms as i64).to_string());
            let mut shown = json!({"value": value});
            if self.with_versions {
                let timestamp = contact.updated_at.timestamp_millis();
                shown["versions"] = json!([{
                    "value": value, "timestamp": timestamp, "source-type": "CRM_UI", "source-id": "userId:41000007",
                    "source-label": null, "selected": false,
                }]);
            }
            Some((property.name.clone(), shown))
        });
        valued.collect()
    }

    /// Returns the wanted submissions, from the newest one on.
    fn submissions(&self, mut newest_first: Vec<&Submission>) -> Vec<Value> {
        newest_first.retain(|submission| submission.timestamp <= self.until.timestamp_millis());
        let chosen = match self.submissions {
            Submissions::None => &[],
            Submissions::All => newest_first.as_slice(),
            Submissions::Newest => &newest_first[..newest_first.len().min(1)],
            Submissions::Oldest => &newest_first[newest_first.len().saturating_sub(1)..],
        };
        chosen.iter().map(|submission| self.submission_body(submission)).collect()
    }

    fn submission_body(&self, submission: &Submission) -> Value {
        let mut body = json!({
            "conversion-id": submission.id,
            "timestamp": submission.timestamp,
            "form-id": submission.form,
            "portal-id": self.account_id,
            "title": &*submission.title,
            "contact-associated-by": ["EMAIL"],
            "meta-data": [],
        });
        if submission.tells_form_type() {
            body["form-type"] = submission.kind.name().to_uppercase().into();
        }
        if let Some(page) = submission.page {
            body["page-url"] = page.url.into();
            for (key, value) in [("page-title", page.title), ("page-id", page.id)] {
                if let Some(value) = value {
                    body[key] = value.into();
                }
            }
        }
        body
    }
}

fn profile_body(profile: &TruthProfile) -> Value {
    let identities = profile.identities.iter().map(|identity| {
        let mut body =
            json!({"type": identity.r#type, "value": identity.value, "timestamp": identity.timestamp});
        if let Some(is_primary) = identity.is_primary {
            body["is-primary"] = is_primary.into();
        }
        body
    });
    json!({
        "vid": profile.vid,
        "saved-at-timestamp": profile.saved_at_timestamp,
        "deleted-changed-timestamp": profile.deleted_changed_timestamp,
        "identities": identities.collect::<Vec<_>>(),
    })
}

/// Returns the merges that made this contact, not those before them.
fn audits(state: &State, contact: &Record) -> Vec<Value> {
    let merges = state.identities.merges(contact.id).iter();
    let audits = merges.map(|merge| {
        json!({
            "canonical-vid": contact.id,
            "vid-to-merge": merge.gone,
            "timestamp": merge.at.timestamp_millis(),
            "entity-id": "auth:app-cookie | auth-level:app | user-id:41000007",
            "user-id": 41_000_007,
            "num-properties-moved": 12,
            "first-name": "",
            "last-name": "",
        })
    });
    audits.collect()
}
