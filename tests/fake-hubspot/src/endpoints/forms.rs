//! Forms and their submissions. Without `formTypes` only forms of the type `hubspot` are listed.

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Call, Reply, Route, limit};
use crate::account::{Form, FormType, Guid, Submission};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::time;

/// Greatest page size. HubSpot documents no number; connectors ask for up to 500.
const MOST: usize = 500;
const MOST_SUBMISSIONS: usize = 50;
const BY_DEFAULT: usize = 20;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let route = match (&request.method, segments.as_slice()) {
        (&Method::GET, ["form-integrations", "v1", "submissions", "forms", form]) => {
            let form = (*form).to_owned();
            Route::new("form_submissions.list", Bucket::General, move |call| submissions(call, &form))
        }
        (&Method::GET, _) => {
            // There is no dated version yet.
            let (Version::V3, rest) = request.resource("marketing", "forms")? else { return None };
            rest.is_empty().then(|| Route::new("forms.list", Bucket::General, list))?
        }
        _ => return None,
    };
    Some(route.requires("forms"))
}

fn list(call: &Call<'_>) -> Answer {
    let request = call.request;
    let limit = limit(request.parameter("limit"), BY_DEFAULT, MOST)?;
    let after = request.parameter("after").filter(|after| !after.is_empty()).map(str::parse::<Guid>);
    let after = after.transpose().map_err(|_| Problem::validation("Invalid paging cursor"))?;
    let types = request.list("formTypes");
    let types: &[String] = if types.is_empty() { &[FormType::Hubspot.name().to_owned()] } else { &types };
    let is_wanted = |form: &Form| types.iter().any(|wanted| wanted == "all" || wanted == form.kind.name());
    let archived = request.flag("archived");
    let state = call.account().read();
    let forms = state.forms.forms.values();
    let rest = forms.filter(|form| after.is_none_or(|after| form.id > after));
    let (rows, has_more) =
        call.page(rest.filter(|form| is_wanted(form) && form.archived_at.is_some() == archived), limit);
    let mut answer = json!({"results": rows.iter().map(|form| form_body(form)).collect::<Vec<_>>()});
    if let Some(last) = rows.last().filter(|_| has_more) {
        answer["paging"] = paging(&last.id.to_string());
    }
    Ok(Reply::json(&answer))
}

fn paging(after: &str) -> Value {
    json!({"next": {"after": after, "link": format!("https://api.hubapi.com/?after={after}")}})
}

fn form_body(form: &Form) -> Value {
    let mut body = json!({
        "id": form.id,
        "name": &*form.name,
        "formType": form.kind,
        "createdAt": time::text(form.created_at),
        "updatedAt": time::text(form.updated_at),
        "archived": form.archived_at.is_some(),
        "fieldGroups": [{
            "groupType": "default_group",
            "richTextType": "text",
            "fields": [{
                "objectTypeId": "0-1",
                "name": "email",
                "label": "E-mail",
                "required": true,
                "hidden": false,
                "fieldType": "email",
                "validation": {"blockedEmailDomains": [], "useDefaultBlockList": false},
                "dependentFields": [],
            }],
        }],
        "configuration": {
            "language": "en",
            "cloneable": true,
            "editable": true,
            "archivable": true,
            "recaptchaEnabled": false,
            "notifyContactOwner": false,
            "notifyRecipients": [],
            "createNewContactForNewEmail": false,
            "prePopulateKnownValues": true,
            "allowLinkToResetKnownValues": false,
            "lifecycleStages": [],
            "postSubmitAction": {"type": "thank_you", "value": "Thanks!"},
        },
        "displayOptions": {
            "renderRawHtml": false,
            "theme": "default_style",
            "submitButtonText": "Submit",
            "style": {
                "fontFamily": "arial",
                "backgroundWidth": "100%",
                "labelTextColor": "#33475b",
                "labelTextSize": "14px",
                "helpTextColor": "#7C98B6",
                "helpTextSize": "11px",
                "legalConsentTextColor": "#33475b",
                "legalConsentTextSize": "14px",
                "submitColor": "#ff7a59",
                "submitAlignment": "left",
                "submitFontColor": "#ffffff",
                "submitSize": "12px",
            },
        },
        "legalConsentOptions": {"type": "none"},
    });
    if let Some(archived_at) = form.archived_at {
        body["archivedAt"] = time::text(archived_at).into();
    }
    body
}

fn submissions(call: &Call<'_>, form: &str) -> Answer {
    let request = call.request;
    let limit = limit(request.parameter("limit"), BY_DEFAULT, MOST_SUBMISSIONS)?;
    let after = request.parameter("after").filter(|after| !after.is_empty()).map(read).transpose()?;
    let state = call.account().read();
    let form = form.parse().ok().and_then(|form: Guid| state.forms.forms.get(&form));
    let form = form.ok_or_else(|| Problem::not_found("form does not exist"))?;
    if form.kind == FormType::BlogComment {
        return Err(Problem::form_type_not_allowed(form.kind.name()));
    }
    let submissions = state.forms.submissions(form.id);
    let newest_first = submissions.into_iter().flat_map(|all| all.newest_first(i64::MIN, i64::MAX, after));
    let (rows, has_more) = call.page(newest_first, limit);
    let results: Vec<Value> = rows.iter().map(|(_, submission)| submission_body(submission)).collect();
    let mut answer = json!({"results": results});
    if let Some(((at, order), _)) = rows.last().filter(|_| has_more) {
        answer["paging"] = paging(&format!("{at:x}-{order:x}"));
    }
    Ok(Reply::json(&answer))
}

fn read(after: &str) -> Result<(i64, u64), Problem> {
    let number = |text| u64::from_str_radix(text, 16).ok();
    let parts = after.split_once('-').and_then(|(at, order)| Some((number(at)? as i64, number(order)?)));
    parts.ok_or_else(|| Problem::validation(format!("Invalid paging cursor: {after}")))
}

fn submission_body(submission: &Submission) -> Value {
    let mut body = json!({
        "conversionId": submission.id,
        "submittedAt": submission.timestamp,
        "values": [{"name": "email", "value": &*submission.email, "objectTypeId": "0-1"}],
    });
    if let Some(page) = submission.page {
        body["pageUrl"] = page.url.into();
    }
    body
}
