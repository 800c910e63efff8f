//! Details of the account, and its use of the daily limit.

use chrono::{Offset, Utc};
use hyper::Method;
use serde_json::json;

use super::{Answer, Call, Reply, Route};
use crate::http::limits::{Bucket, next_midnight};
use crate::http::request::Request;
use crate::time;

pub(super) fn route(request: &Request) -> Option<Route> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let ["account-info", "v3" | "2026-03" | "2026-09", rest @ ..] = segments.as_slice() else { return None };
    match (&request.method, rest) {
        (&Method::GET, ["details"]) => {
            Some(Route::new("account.details", Bucket::General, details).requires("oauth"))
        }
        (&Method::GET, ["api-usage", "daily", "private-apps"]) => {
            Some(Route::new("account.daily_usage", Bucket::General, daily_usage).requires("oauth"))
        }
        _ => None,
    }
}

fn details(call: &Call<'_>) -> Answer {
    let settings = call.account().settings();
    let seconds = Utc::now().with_timezone(&settings.time_zone).offset().fix().local_minus_utc();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    Ok(Reply::json(&json!({
        "portalId": settings.account_id,
        "accountType": "STANDARD",
        "timeZone": settings.time_zone.name(),
        "companyCurrency": "USD",
        "additionalCurrencies": ["EUR"],
        "utcOffset": format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        "utcOffsetMilliseconds": i64::from(seconds) * 1000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    })))
}

fn daily_usage(call: &Call<'_>) -> Answer {
    let now = time::now();
    Ok(Reply::json(&json!({"results": [{
        "name": "private-apps-api-calls-daily",
        "usageLimit": call.behaviour.limits.daily,
        "currentUsage": call.site.limiter().today(),
        "collectedAt": time::text(now),
        "fetchStatus": "SUCCESS",
        "resetsAt": time::text(next_midnight((now, call.account().settings().time_zone))),
    }]})))
}
