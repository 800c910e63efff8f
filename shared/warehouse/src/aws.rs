//! Errors of AWS's services that refuse a call.

use aws_sdk_athena::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::error::{Error, Kind};

/// Returns the error of a refused call to the service `whom`, whose codes for too many calls are `too_many`.
pub(crate) fn refused<E>(call: &str, whom: &str, too_many: &[&str], error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (kind, advice) = match error.code() {
        Some(code) if too_many.contains(&code) => {
            (Kind::Locked, ": it has too much to do at the moment, try again later")
        }
        Some("AccessDeniedException") => (Kind::Unreachable, ": allow the caller to do it"),
        Some("ExpiredTokenException" | "UnrecognizedClientException") => {
            (Kind::Unreachable, ": renew the AWS credentials")
        }
        _ => (Kind::Unreachable, ": check the names in the url, and the AWS region"),
    };
    let message = format!("{call} on {whom} failed{advice}");
    match (error.code(), error.message()) {
        (Some(code), Some(words)) => Error::new(kind, message).because(format!("{code}: {words}")),
        _ => Error::new(kind, message).because(DisplayErrorContext(&error).to_string()),
    }
}
