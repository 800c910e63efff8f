//! HubSpot's credential, read from Secrets Manager, and again when it is refused.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use hubspot::{Credential, CredentialSource};
use lambda::{Failure, FailureKind, Secrets};
use secrecy::ExposeSecret;

#[derive(Debug)]
pub(super) struct StoredCredential {
    secrets: Arc<Secrets>,
    arn: String,
}

impl StoredCredential {
    pub(super) fn new(secrets: Arc<Secrets>, arn: &str) -> StoredCredential {
        StoredCredential { secrets, arn: arn.to_owned() }
    }

    /// # Errors
    /// A [`FailureKind::Configuration`] where the secret can't be used; another kind where it could not be read now.
    pub(super) async fn read(&self) -> Result<Credential, Failure> {
        if let Ok(credential) = extract::credential(self.secrets.get(&self.arn).await?.expose_secret()) {
            return Ok(credential);
        }
        // What was kept can't be used: somebody may have put another value meanwhile.
        extract::credential(self.secrets.get_anew(&self.arn).await?.expose_secret())
            .with_context(|| format!("the secret {} can't be used", self.arn))
            .map_err(|error| Failure::new(FailureKind::Configuration, error))
    }
}

#[async_trait]
impl CredentialSource for StoredCredential {
    async fn read_anew(&self) -> hubspot::Result<Credential> {
        let unreadable = |failure: Failure| {
            let message = format!("the credential is refused, and {:#}", failure.error);
            match failure.kind {
                FailureKind::Configuration => hubspot::Error::of_credential(message),
                // An outage: the secret may hold another one.
                _ => hubspot::Error::of_unread_credential(message),
            }
        };
        self.secrets.get_anew(&self.arn).await.map_err(unreadable)?;
        self.read().await.map_err(unreadable)
    }
}
