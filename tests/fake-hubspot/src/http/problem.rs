//! Error answers: HubSpot's error bodies in their several shapes, and the HTML pages that come in their place.

use hyper::StatusCode;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    body: Body,
    pub(crate) retry_after: Option<u64>,
}

#[derive(Debug)]
enum Body {
    /// A JSON body, without its correlation id.
    Json(Value),
    Html(&'static str),
}

/// Status of an account that moves to another data centre. Unofficial, and not among the codes that `http` names.
const MIGRATING: u16 = 477;

impl Problem {
    fn json(status: StatusCode, body: Value) -> Self {
        Self { status, body: Body::Json(body), retry_after: None }
    }

    fn html(status: u16, title: &'static str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self { status, body: Body::Html(title), retry_after: None }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self::json(
            StatusCode::BAD_REQUEST,
            json!({"status": "error", "message": message, "category": "VALIDATION_ERROR"}),
        )
    }

    /// Makes the error for one thing that HubSpot can't show.
    pub(crate) fn of_status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::json(status, json!({"status": "error", "message": "This one can't be shown"}))
    }

    /// Makes the error for an unknown record, which has no category.
    pub(crate) fn record_not_found() -> Self {
        Self::json(StatusCode::NOT_FOUND, json!({"status": "error", "message": "resource not found"}))
    }

    pub(crate) fn unknown_object_type(name: &str) -> Self {
        let message = format!("Unable to infer object type from: {name}");
        Self::validation(message)
    }

    pub(crate) fn property_not_found(name: &str) -> Self {
        Self::json(
            StatusCode::NOT_FOUND,
            json!({
                "status": "error",
                "message": format!("Property \"{name}\" does not exist"),
                "context": {"propertyName": [name]},
                "category": "OBJECT_NOT_FOUND",
                "subCategory": "PropertyValidationError.PROPERTY_DOES_NOT_EXIST",
            }),
        )
    }

    pub(crate) fn unknown_path() -> Self {
        Self::html(404, "Page not found")
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::json(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            json!({"status": "error", "message": "HTTP 415 Unsupported Media Type"}),
        )
    }

    pub(crate) fn target_too_long() -> Self {
        Self::html(414, "URI Too Long")
    }

    pub(crate) fn no_credentials() -> Self {
        Self::json(
            StatusCode::UNAUTHORIZED,
            json!({
                "status": "error",
                "message": "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
                "category": "INVALID_AUTHENTICATION",
            }),
        )
    }

    pub(crate) fn token_expired(seconds_ago: u64) -> Self {
        Self::json(
            StatusCode::UNAUTHORIZED,
            json!({
                "status": "error",
                "message": format!("The OAuth token used to make this call expired {seconds_ago} second(s) ago."),
                "category": "EXPIRED_AUTHENTICATION",
                "context": {"expireTime": [seconds_ago.to_string()]},
            }),
        )
    }

    pub(crate) fn malformed_token() -> Self {
        Self::html(530, "Origin DNS error")
    }

    pub(crate) fn bad_refresh_token() -> Self {
        Self::json(
            StatusCode::BAD_REQUEST,
            json!({
                "error": "invalid_grant",
                "error_description": "missing or invalid refresh token",
                "status": "BAD_REFRESH_TOKEN",
                "message": "missing or invalid refresh token",
            }),
        )
    }

    pub(crate) fn bad_client() -> Self {
        Self::json(
            StatusCode::BAD_REQUEST,
            json!({
                "error": "invalid_client",
                "error_description": "missing or invalid client id or secret",
                "status": "BAD_CLIENT_ID",
                "message": "missing or invalid client id or secret",
            }),
        )
    }

    pub(crate) fn list_not_found(id: &str) -> Self {
        Self::json(
            StatusCode::NOT_FOUND,
            json!({
                "status": "error",
                "message": format!("List does not exist with ID {id}."),
                "context": {"listId": [id]},
                "category": "OBJECT_NOT_FOUND",
                "subCategory": "ListError.LIST_ID_DOES_NOT_EXIST",
            }),
        )
    }

    /// Makes the error for a page token that was never given out, or for other filters.
    pub(crate) fn invalid_cursor() -> Self {
        Self::json(
            StatusCode::BAD_REQUEST,
            json!({
                "status": "error",
                "message": "The paging cursor is invalid",
                "category": "VALIDATION_ERROR",
                "subCategory": "ListError.INVALID_CURSOR",
            }),
        )
    }

    /// Makes the error for a body that is null, in which errors are plain strings.
    pub(crate) fn null_body() -> Self {
        Self::json(
            StatusCode::BAD_REQUEST,
            json!({
                "status": "error",
                "message": "Invalid input",
                "errors": ["The request body may not be null"],
            }),
        )
    }

    /// Makes v1's error for an unknown thing, which has no category.
    pub(crate) fn not_found(message: &str) -> Self {
        Self::json(StatusCode::NOT_FOUND, json!({"status": "error", "message": message}))
    }

    pub(crate) fn form_type_not_allowed(form_type: &str) -> Self {
        let message = format!("Submissions of forms of the type {form_type} can't be read");
        Self::json(
            StatusCode::BAD_REQUEST,
            json!({
                "status": "error",
                "message": message,
                "errors": [{"message": message, "errorType": "FORM_TYPE_NOT_ALLOWED"}],
            }),
        )
    }

    /// Makes the error for an account whose products lack the API. HubSpot documents no shape.
    pub(crate) fn not_in_product() -> Self {
        let message = "This hub doesn't have access to this feature with its current subscription.";
        Self::json(
            StatusCode::FORBIDDEN,
            json!({"status": "error", "message": message, "category": "FORBIDDEN"}),
        )
    }

    /// Makes the error for missing scopes, any of which would do: one of the shapes that were seen, chosen by the
    /// scopes.
    pub(crate) fn missing_scope(scopes: &[String]) -> Self {
        let joined = scopes.join(", ");
        let message = "This app hasn't been granted all required scopes to make this call. \
                       Read more about required scopes here: https://developers.hubspot.com/scopes.";
        let detail = "One or more of the following scopes are required.";
        let body = match joined.len() % 4 {
            0 => json!({
                "status": "error", "message": message, "category": "MISSING_SCOPES",
                "errors": [{"message": detail, "context": {"requiredScopes": scopes}}],
                "links": {"scopes": "https://developers.hubspot.com/scopes"},
            }),
            1 => json!({
                "status": "error", "message": message, "category": "MISSING_SCOPES",
                "errors": [{"message": detail, "context": {"requiredGranularScopes": scopes}}],
                "links": {"scopes": "https://developers.hubspot.com/scopes"},
            }),
            2 => json!({
                "status": "error", "message": message, "category": "MISSING_SCOPES",
                "context": {"missingScopes": scopes},
            }),
            _ => json!({
                "status": "error",
                "message": format!("This access_token does not have proper permissions! (requires any of [{joined}])"),
            }),
        };
        Self::json(StatusCode::FORBIDDEN, body)
    }

    pub(crate) fn limit_reached(policy: &str, retry_after: Option<u64>) -> Self {
        let body = json!({
            "status": "error",
            "message": format!("You have reached your {} limit.", policy.to_lowercase()),
            "errorType": "RATE_LIMIT",
            "policyName": policy,
        });
        Self { retry_after, ..Self::json(StatusCode::TOO_MANY_REQUESTS, body) }
    }

    pub(crate) fn internal_error() -> Self {
        Self::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({"status": "error", "message": "internal error", "category": "INTERNAL_ERROR"}),
        )
    }

    pub(crate) fn bad_gateway() -> Self {
        Self::html(502, "Bad gateway")
    }

    pub(crate) fn unavailable() -> Self {
        Self::json(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({"status": "error", "message": "Service temporarily unavailable"}),
        )
    }

    pub(crate) fn gateway_timeout() -> Self {
        Self::html(504, "Gateway time-out")
    }

    pub(crate) fn origin_down() -> Self {
        Self::html(521, "Web server is down")
    }

    pub(crate) fn locked() -> Self {
        Self::json(
            StatusCode::LOCKED,
            json!({"status": "error", "message": "The resource is locked, try again later", "category": "LOCKED"}),
        )
    }

    pub(crate) fn migrating(retry_after: u64) -> Self {
        let status = StatusCode::from_u16(MIGRATING).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let body = json!({"status": "error", "message": "The account is being moved to another data center"});
        Self { retry_after: Some(retry_after), ..Self::json(status, body) }
    }

    /// Returns the media type and the body.
    pub(crate) fn body(&self, correlation_id: &str) -> (&'static str, Vec<u8>) {
        match &self.body {
            Body::Json(body) => {
                let mut body = body.clone();
                body["correlationId"] = correlation_id.into();
                ("application/json;charset=utf-8", body.to_string().into_bytes())
            }
            Body::Html(title) => {
                let page = format!(
                    "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1></body></html>\n"
                );
                ("text/html; charset=UTF-8", page.into_bytes())
            }
        }
    }
}
