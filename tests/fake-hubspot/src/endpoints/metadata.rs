//! Pipelines, owners, users with their roles and teams, and exchange rates. Shapes and scopes are those of HubSpot's
//! specifications of August 2026 (github.com/HubSpot/HubSpot-public-api-spec-collection). None of the lists promises an
//! order, and none has one here.

use hyper::Method;
use serde_json::{Value, json};

use super::objects::unknown_type;
use super::{Answer, Call, Reply, Route, limit};
use crate::account::{Metadata, Owner, Pipeline, Stage};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::{Request, Version};
use crate::{ObjectType, time};

/// Greatest page of owners, users and rates: the default of owners in the specification, which names no greatest one.
const MOST: usize = 100;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    if request.method != Method::GET {
        return None;
    }
    let general = |endpoint, answer: fn(&Call<'_>) -> Answer| Route::new(endpoint, Bucket::General, answer);
    let route = match segments.as_slice() {
        ["settings", "users", "v3" | "2026-03", rest @ ..] => match rest {
            [] => general("users.list", users).requires_one_of(&USERS),
            ["roles"] => general("users.roles", roles).requires_one_of(&USERS),
            ["teams"] => general("users.teams", teams).requires("settings.users.teams.read"),
            _ => return None,
        },
        ["settings", "currencies", "v3" | "2026-03" | "2026-09", "exchange-rates"] => {
            general("currencies.rates", rates).requires("settings.currencies.read")
        }
        _ => return of_crm(request),
    };
    Some(route)
}

const USERS: [&str; 2] = ["settings.users.read", "crm.objects.users.read"];

fn of_crm(request: &Request) -> Option<Route> {
    if let Some((Version::V3 | Version::Dated, rest)) = request.resource("crm", "owners") {
        let route = Route::new("owners.list", Bucket::General, owners).requires("crm.objects.owners.read");
        return rest.is_empty().then_some(route);
    }
    let (Version::V3 | Version::Dated, rest) = request.resource("crm", "pipelines")? else { return None };
    let [object] = rest.as_slice() else { return None };
    let Ok(object) = object.parse::<ObjectType>() else {
        return Some(unknown_type("pipelines.list", object));
    };
    Some(Route::new("pipelines.list", Bucket::General, move |call| pipelines(call, object)).reads(object))
}

/// Returns the results in no order that could be relied on.
fn unordered(call: &Call<'_>, mut results: Vec<Value>) -> Vec<Value> {
    let places = results.len().max(1);
    results.rotate_left(call.number as usize % places);
    results
}

fn all(call: &Call<'_>, results: Vec<Value>) -> Answer {
    Ok(Reply::json(&json!({ "results": unordered(call, results) })))
}

/// Returns a page of the results, which are pairs of an id that pages go by, and a body.
fn paged(call: &Call<'_>, results: Vec<(u64, Value)>) -> Answer {
    let limit = limit(call.request.parameter("limit"), MOST, MOST)?;
    let after = call.request.parameter("after").map(str::parse::<u64>).transpose();
    let after = after.map_err(|_| Problem::invalid_cursor())?;
    let rest = results.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
    let (rows, has_more) = call.page(rest, limit);
    let last = rows.last().map(|(id, _)| id.to_string());
    let rows = rows.into_iter().map(|(_, body)| body).collect();
    let mut answer = json!({ "results": unordered(call, rows) });
    if let Some(last) = last.filter(|_| has_more) {
        answer["paging"] =
            json!({"next": {"after": last, "link": format!("https://api.hubapi.com/?after={last}")}});
    }
    Ok(Reply::json(&answer))
}

fn with_metadata<T>(call: &Call<'_>, of: impl FnOnce(&Metadata) -> T) -> T {
    of(&call.account().read().metadata)
}

fn pipelines(call: &Call<'_>, object: ObjectType) -> Answer {
    let pipeline = |(order, pipeline): (usize, &Pipeline)| {
        json!({
            "id": pipeline.id,
            "label": pipeline.label,
            "displayOrder": order,
            "stages": pipeline.stages.iter().enumerate().map(|stage| stage_body(object, stage)).collect::<Vec<_>>(),
            "createdAt": time::text(pipeline.created_at),
            "updatedAt": time::text(pipeline.updated_at),
            "archived": false,
        })
    };
    let pipelines = with_metadata(call, |metadata| {
        let pipelines = metadata.pipelines.get(&object).into_iter().flatten();
        pipelines.enumerate().map(pipeline).collect()
    });
    all(call, pipelines)
}

/// The values of `metadata` are texts, whatever they mean.
fn stage_body(object: ObjectType, (order, stage): (usize, &Stage)) -> Value {
    let is_closed = stage.is_closed.to_string();
    let metadata = match object {
        ObjectType::Deals => {
            json!({"isClosed": is_closed, "probability": stage.probability.unwrap_or("0.5")})
        }
        ObjectType::Tickets => {
            let state = if stage.is_closed { "CLOSED" } else { "OPEN" };
            json!({"isClosed": is_closed, "ticketState": state})
        }
        _ => json!({"isClosed": is_closed}),
    };
    json!({
        "id": stage.id,
        "label": stage.label,
        "displayOrder": order,
        "metadata": metadata,
        "createdAt": time::text(stage.created_at),
        "updatedAt": time::text(stage.updated_at),
        "archived": false,
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
    })
}

fn owners(call: &Call<'_>) -> Answer {
    let archived = call.request.flag("archived");
    let is_mixed = archived && call.behaviour.mixed_owners;
    let owners = with_metadata(call, |metadata| {
        let wanted = metadata.owners.iter().filter(|(_, owner)| owner.is_archived == archived || is_mixed);
        wanted.map(|(id, owner)| (*id, owner_body(metadata, *id, owner))).collect()
    });
    paged(call, owners)
}

fn owner_body(metadata: &Metadata, id: u64, owner: &Owner) -> Value {
    let team = |(place, id): (usize, &u64)| {
        let name = metadata.teams.iter().find(|team| team.id == *id).map_or("", |team| &team.name);
        json!({"id": id.to_string(), "name": name, "primary": place == 0})
    };
    let mut body = json!({
        "id": id.to_string(),
        "email": owner.email,
        "type": "PERSON",
        "userIdIncludingInactive": owner.user_id,
        "createdAt": time::text(owner.created_at),
        "updatedAt": time::text(owner.updated_at),
        "archived": owner.is_archived,
    });
    if !owner.is_archived {
        body["firstName"] = json!(owner.first_name);
        body["lastName"] = json!(owner.last_name);
        body["userId"] = json!(owner.user_id);
    }
    if !owner.teams.is_empty() {
        body["teams"] = owner.teams.iter().enumerate().map(team).collect();
    }
    body
}

fn users(call: &Call<'_>) -> Answer {
    let users = with_metadata(call, |metadata| {
        let users = metadata.users.iter().map(|(id, user)| {
            let role = user.role.map(|role| role.to_string());
            let mut body = json!({
                "id": id.to_string(),
                "email": user.email,
                "roleIds": role.iter().collect::<Vec<_>>(),
                "superAdmin": user.is_super_admin,
            });
            if let Some(role) = role {
                body["roleId"] = json!(role);
            }
            (*id, body)
        });
        users.collect()
    });
    paged(call, users)
}

fn roles(call: &Call<'_>) -> Answer {
    let roles = with_metadata(call, |metadata| {
        let body = |role: &crate::account::Role| json!({"id": role.id.to_string(), "name": role.name, "requiresBillingWrite": false});
        metadata.roles.iter().map(body).collect()
    });
    all(call, roles)
}

fn teams(call: &Call<'_>) -> Answer {
    let texts = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<Vec<_>>();
    let teams = with_metadata(call, |metadata| {
        let body = |team: &crate::account::Team| {
            json!({
                "id": team.id.to_string(),
                "name": team.name,
                "userIds": texts(&team.users),
                "secondaryUserIds": texts(&team.secondary_users),
            })
        };
        metadata.teams.iter().map(body).collect()
    });
    all(call, teams)
}

fn rates(call: &Call<'_>) -> Answer {
    let rates = with_metadata(call, |metadata| {
        let rates = metadata.rates.iter().map(|rate| {
            let at = time::text(rate.effective_at);
            let number: Value = serde_json::from_str(&rate.rate).unwrap_or_default();
            let body = json!({
                "id": rate.id.to_string(),
                "fromCurrencyCode": rate.from,
                "toCurrencyCode": "USD",
                "conversionRate": number,
                "effectiveAt": at,
                "visibleInUI": true,
                "createdAt": at,
                "updatedAt": at,
            });
            (rate.id, body)
        });
        rates.collect()
    });
    paged(call, rates)
}
