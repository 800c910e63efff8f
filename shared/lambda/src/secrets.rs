//! Values from Secrets Manager, by ARN: asked once for all who want them, kept for a while, never shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata};
use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::diagnostic::{Failure, FailureKind};

/// A secret that was rotated is known after this long, or at once when it is refused.
const KEPT: Duration = Duration::from_secs(900);
/// Further answers that stay the same: a wrong ARN, a secret that is marked as deleted, a key that may not be used, a
/// credential of AWS that is none. Whatever else goes wrong may be well at the next try.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
const REFUSALS: [&str; 5] = [
    "InvalidParameterException",
    "ValidationException",
    "InvalidRequestException",
    "DecryptionFailure",
    "UnrecognizedClientException",
];

#[derive(Debug)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    kept: Mutex<HashMap<String, (Instant, SecretString)>>,
}

impl Secrets {
    pub fn new(client: aws_sdk_secretsmanager::Client) -> Secrets {
        Secrets { client, kept: Mutex::new(HashMap::new()) }
    }

    /// # Errors
    /// A [`FailureKind::Configuration`] where the secret is refused or holds no text; a [`FailureKind::Run`] where Secrets
    /// Manager could not be asked.
    pub async fn get(&self, arn: &str) -> Result<SecretString, Failure> {
        let mut kept = self.kept.lock().await;
        if let Some((read, secret)) = kept.get(arn)
            && read.elapsed() < KEPT
        {
            return Ok(secret.clone());
        }
        let secret = self.read(arn).await?;
        kept.insert(arn.to_owned(), (Instant::now(), secret.clone()));
        Ok(secret)
    }

    /// The value as it is now: what was kept is refused by whom it is for.
    ///
    /// # Errors
    /// As of [`Secrets::get`].
    pub async fn get_anew(&self, arn: &str) -> Result<SecretString, Failure> {
        self.kept.lock().await.remove(arn);
        self.get(arn).await
    }

    async fn read(&self, arn: &str) -> Result<SecretString, Failure> {
        let unread = |kind: FailureKind, error: anyhow::Error| {
            Failure::new(kind, error.context(format!("the secret {arn} can't be read")))
        };
        if self.client.config().region().is_none() {
            return Err(unread(FailureKind::Configuration, anyhow!("no region is known: set AWS_REGION")));
        }
        let got = self.client.get_secret_value().secret_id(arn).send().await;
        let got = got.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => unread(
                FailureKind::Configuration,
                anyhow!(
                    "there is no such secret, or it has no value yet: `aws secretsmanager put-secret-value --secret-id \
                     {arn} --secret-string ...`"
                ),
            ),
            Some("AccessDeniedException") => {
                unread(FailureKind::Configuration, anyhow!("this role may not read the secret {arn}"))
            }
            code => {
                let is_refusal = code.is_some_and(|code| REFUSALS.contains(&code));
                let kind = if is_refusal { FailureKind::Configuration } else { FailureKind::Run };
                unread(kind, anyhow!("{}", DisplayErrorContext(&error)))
            }
        })?;
        let text = got.secret_string.with_context(|| format!("the secret {arn} holds bytes, not text"));
        Ok(text.map_err(|error| Failure::new(FailureKind::Configuration, error))?.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use aws_sdk_secretsmanager::config::retry::RetryConfig;
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
    use secrecy::ExposeSecret;

    use super::*;

    /// Secrets of a service that answers one call so.
    fn answered(status: u16, body: &'static str) -> Secrets {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            _ = stream.read(&mut [0; 16 << 10]).unwrap();
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} Answer\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        });
        of_url(&url)
    }

    fn of_url(url: &str) -> Secrets {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(crate::http_client())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(url);
        Secrets::new(aws_sdk_secretsmanager::Client::from_conf(config.build()))
    }

    #[tokio::test]
    async fn an_outage_is_no_wrong_use() {
        for (status, body, kind) in [
            (400, r#"{"__type": "ResourceNotFoundException"}"#, FailureKind::Configuration),
            (400, r#"{"__type": "AccessDeniedException"}"#, FailureKind::Configuration),
            (400, r#"{"__type": "InvalidRequestException"}"#, FailureKind::Configuration),
            (200, r#"{"SecretBinary": "AA=="}"#, FailureKind::Configuration),
            (400, r#"{"__type": "ThrottlingException"}"#, FailureKind::Run),
            (400, r#"{"__type": "ExpiredTokenException"}"#, FailureKind::Run),
            (500, r#"{"__type": "InternalServiceError"}"#, FailureKind::Run),
            (503, "", FailureKind::Run),
        ] {
            let failure = answered(status, body).get("arn").await.unwrap_err();
            assert_eq!(failure.kind, kind, "{status} {body}: {:#}", failure.error);
        }
        let gone = of_url("http://127.0.0.1:1").get("arn").await.unwrap_err();
        assert_eq!(gone.kind, FailureKind::Run, "{:#}", gone.error);
        let got = answered(200, r#"{"SecretString": "pat"}"#).get("arn").await.unwrap();
        assert_eq!(got.expose_secret(), "pat");
    }

    #[tokio::test]
    async fn without_a_region_nothing_can_be_asked() {
        let config = Config::builder().behavior_version(BehaviorVersion::latest());
        let config = config.http_client(crate::http_client()).build();
        let secrets = Secrets::new(aws_sdk_secretsmanager::Client::from_conf(config));
        let failure = secrets.get("arn").await.unwrap_err();
        assert!(
            failure.kind == FailureKind::Configuration
                && format!("{:#}", failure.error).contains("AWS_REGION")
        );
    }
}
