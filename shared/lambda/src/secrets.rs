//! Values from Secrets Manager, by ARN: asked once for all who want them, kept for a while, never shown.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata};
use secrecy::SecretString;
use tokio::sync::Mutex;

/// A secret that was rotated is known after this long, or at once when it is refused.
const KEPT: Duration = Duration::from_secs(900);

#[derive(Debug)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    kept: Mutex<HashMap<String, (Instant, SecretString)>>,
}

impl Secrets {
    pub fn new(client: aws_sdk_secretsmanager::Client) -> Secrets {
        Secrets { client, kept: Mutex::new(HashMap::new()) }
    }

    pub async fn get(&self, arn: &str) -> anyhow::Result<SecretString> {
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
    pub async fn get_anew(&self, arn: &str) -> anyhow::Result<SecretString> {
        self.kept.lock().await.remove(arn);
        self.get(arn).await
    }

    async fn read(&self, arn: &str) -> anyhow::Result<SecretString> {
        let got = self.client.get_secret_value().secret_id(arn).send().await;
        let got = got.map_err(|error| match error.code() {
            Some("ResourceNotFoundException") => anyhow!(
                "there is no such secret, or it has no value yet: aws secretsmanager put-secret-value --secret-id {arn} \
                 --secret-string ..."
            ),
            Some("AccessDeniedException") => anyhow!("this role may not read the secret {arn}"),
            _ => anyhow!("{}", DisplayErrorContext(&error)),
        });
        let got = got.with_context(|| format!("the secret {arn} can't be read"))?;
        let text = got.secret_string.with_context(|| format!("the secret {arn} holds bytes, not text"))?;
        Ok(text.into())
    }
}
