//! The token endpoint of OAuth apps, and the scopes of a private app's token or a service key.

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Call, Reply, Route};
use crate::http::limits::Bucket;
use crate::http::problem::Problem;
use crate::http::request::Request;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match (&request.method, segments.as_slice()) {
        (&Method::POST, ["oauth", "v3" | "2026-03" | "2026-09", "token"]) => Some(Route {
            endpoint: "oauth.token",
            bucket: None,
            objects: Vec::new(),
            scopes: Vec::new(),
            is_enterprise: false,
            is_open: true,
            answer: Box::new(token),
        }),
        (&Method::POST, ["oauth", "v2", "private-apps", "get", "access-token-info"]) => {
            Some(Route::new("oauth.token_info", Bucket::General, token_info))
        }
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenInfo {
    token_key: String,
}

/// Answers the scopes of a token. A token of an OAuth app is unknown here.
fn token_info(call: &Call<'_>) -> Answer {
    let TokenInfo { token_key } = call.request.json()?;
    let settings = call.account().settings();
    if !settings.tokens.contains(&token_key) {
        return Err(Problem::not_found("No token was found"));
    }
    Ok(Reply::json(&json!({
        "userId": 41_000_007,
        "hubId": settings.account_id,
        "appId": 1_234_567,
        "scopes": settings.scopes,
    })))
}

fn token(call: &Call<'_>) -> Answer {
    let form = call.request.form()?;
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    let settings = call.account().settings();
    let app = &settings.oauth;
    if given("grant_type") != "refresh_token" {
        return Err(Problem::validation("grant_type must be refresh_token"));
    }
    if given("client_id") != app.client_id || given("client_secret") != app.client_secret {
        return Err(Problem::bad_client());
    }
    if given("refresh_token") != app.refresh_token {
        return Err(Problem::bad_refresh_token());
    }
    Ok(Reply::json(&json!({
        "token_type": "bearer",
        "token_use": "access_token",
        "access_token": call.site.mint_token(),
        "refresh_token": app.refresh_token,
        "expires_in": call.behaviour.token_lifetime.as_secs(),
        "hub_id": settings.account_id,
        "scopes": settings.scopes,
    })))
}
