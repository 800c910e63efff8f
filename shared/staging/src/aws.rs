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

/// Advice for when the service was not reached.
pub(crate) fn advice_on_the_way<E>(error: &SdkError<E>) -> &'static str
where
    E: StdError + Send + Sync + 'static,
{
    match error {
        SdkError::DispatchFailure(_) if chain(error).iter().any(|words| words.contains("credentials")) => {
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
