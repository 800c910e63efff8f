//! Why a call to AWS failed, in words for people.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// The service's words, or else what happened on the way to it.
pub(crate) fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => chain(error).join(": "),
    }
}

/// `true`: the service was not reached, or could not answer. Credentials that are missing or refused are no outage.
pub(crate) fn is_outage<E>(error: &SdkError<E>) -> bool
where
    E: StdError + Send + Sync + 'static,
{
    match error {
        SdkError::DispatchFailure(_) => !lacks_credentials(error),
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => answer.raw().status().as_u16() >= 500,
        _ => false,
    }
}

fn lacks_credentials<E>(error: &SdkError<E>) -> bool
where
    E: StdError + Send + Sync + 'static,
{
    chain(error).iter().any(|words| words.contains("credentials"))
}

/// Advice for when the service was not reached.
pub(crate) fn advice_on_the_way<E>(error: &SdkError<E>) -> &'static str
where
    E: StdError + Send + Sync + 'static,
{
    match error {
        SdkError::DispatchFailure(_) if lacks_credentials(error) => {
            "give AWS credentials, for example by AWS_PROFILE"
        }
        SdkError::DispatchFailure(_) => "check the network and AWS_REGION, and try again",
        _ => "try again",
    }
}

/// Each error and what caused it; some say what their cause says.
fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        chain.push(error.to_string());
        next = error.source();
    }
    chain.dedup();
    chain
}
