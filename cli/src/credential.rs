//! Secrets: HubSpot's credential and the warehouse's password, each from a file, from a command, or from the environment.
//! No other file reads them.

mod command;
mod file;
mod secret;

use std::path::Path;

use anyhow::{Context, bail};
use hubspot::Credential;
use secrecy::{ExposeSecret, SecretString};

use crate::args::{PasswordFrom, TokenFrom};

/// A file or a command does not give its secret at present: a network drive or a vault, say, may answer at the next try.
#[derive(Debug)]
pub(crate) struct OutOfReach(String);

impl std::fmt::Display for OutOfReach {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for OutOfReach {}

pub(crate) const TOKEN: &str = "HUBSPOT_TOKEN";
pub(crate) const OAUTH: [&str; 3] = ["HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET", "HUBSPOT_REFRESH_TOKEN"];
pub(crate) const WAREHOUSE_PASSWORD: &str = "WAREHOUSE_PASSWORD";

/// Returns the warehouse's password; `None` if it is in the URL, or if there is none.
///
/// # Errors
/// When a file or a command is to give it, and does not.
pub(crate) async fn warehouse_password(from: &PasswordFrom) -> anyhow::Result<Option<SecretString>> {
    let (file, command) = (&from.warehouse_password_file, &from.warehouse_password_command);
    match named("warehouse-password", file.as_deref(), command.as_deref()).await? {
        Some(password) => Ok(Some(password)),
        None => {
            let password = std::env::var(WAREHOUSE_PASSWORD).ok();
            Ok(password.filter(|password| !password.is_empty()).map(SecretString::from))
        }
    }
}

/// # Errors
/// When there is none, or half of one; the message says what to set.
pub(crate) async fn credential(from: &TokenFrom) -> anyhow::Result<Credential> {
    match named("token", from.token_file.as_deref(), from.token_command.as_deref()).await? {
        Some(secret) => extract::credential(secret.expose_secret())
            .with_context(|| format!("what {} gives is no credential", of_token(from))),
        None => credential_of(|name| std::env::var(name).ok()),
    }
}

/// `true`: there is a credential to try.
pub(crate) fn is_given(from: &TokenFrom) -> bool {
    let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    from.token_file.is_some() || from.token_command.is_some() || [TOKEN].iter().chain(&OAUTH).any(is_set)
}

fn of_token(from: &TokenFrom) -> &'static str {
    if from.token_file.is_some() { "--token-file" } else { "--token-command" }
}

/// Returns the secret of the file or of the command, if one is named.
async fn named(
    what: &str,
    file: Option<&Path>,
    command: Option<&str>,
) -> anyhow::Result<Option<SecretString>> {
    Ok(match (file, command) {
        (Some(path), _) => Some(file::read(path).with_context(|| format!("--{what}-file"))?),
        (None, Some(line)) => Some(command::run(line).await.with_context(|| format!("--{what}-command"))?),
        (None, None) => None,
    })
}

fn credential_of(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Credential> {
    let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    if let Some(token) = set(TOKEN) {
        return Ok(Credential::token(&token)?);
    }
    match OAUTH.map(set) {
        [Some(client_id), Some(client_secret), Some(refresh_token)] => Ok(Credential::OAuth {
            client_id: client_id.trim().to_owned(),
            client_secret: client_secret.trim().into(),
            refresh_token: refresh_token.trim().into(),
        }),
        [None, None, None] => bail!(
            "no HubSpot credential: set {TOKEN} to a service key or private app token (HubSpot: Development > Keys > \
             Service keys), or name a --token-file or a --token-command, or set {} for an OAuth app",
            OAUTH.join(", ")
        ),
        values => {
            let missing =
                OAUTH.iter().zip(&values).filter(|(_, value)| value.is_none()).map(|(name, _)| *name);
            bail!("the OAuth credential is incomplete: set {} too", missing.collect::<Vec<_>>().join(" and "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::secret::secret;
    use super::*;

    fn of(values: &[(&str, &str)]) -> anyhow::Result<Credential> {
        credential_of(|name| {
            values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_missing_credential_says_what_to_set() {
        let error = of(&[("HUBSPOT_TOKEN", " ")]).unwrap_err().to_string();
        assert!(error.contains("set HUBSPOT_TOKEN") && error.contains("HUBSPOT_REFRESH_TOKEN"), "{error}");
    }

    #[test]
    fn half_an_oauth_credential_names_the_other_half() {
        let error = of(&[("HUBSPOT_CLIENT_ID", "a")]).unwrap_err().to_string();
        assert!(error.contains("set HUBSPOT_CLIENT_SECRET and HUBSPOT_REFRESH_TOKEN too"), "{error}");
    }

    #[test]
    fn a_secret_is_text_without_its_line_end() {
        let text = |bytes: &[u8]| secret(bytes.to_vec()).map(|secret| secret.expose_secret().to_owned());
        assert_eq!(text(b"pat-1\r\n").unwrap(), "pat-1");
        assert_eq!(text(b"two\nlines\n\n").unwrap(), "two\nlines");
        assert_eq!(text(b" \n").unwrap_err().to_string(), "it is empty");
        assert_eq!(text(b"\xff").unwrap_err().to_string(), "it is no text");
    }
}
