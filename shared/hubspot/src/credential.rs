//! Credentials for HubSpot: a service key or private app token, which is sent as it is, or an OAuth app, whose access
//! token lives for half an hour and is refreshed before it ends.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};

/// Time before its end at which a token is refreshed: longer than any one request takes. For a token with a shorter
/// life than HubSpot's half hour it is a quarter of that life.
const REFRESH_BEFORE: Duration = Duration::from_secs(180);

/// Longest time for which a token is used, whatever life its answer gives.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// The user's credential. `Debug` shows none of it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A service key, or the token of a private or static-token app.
    Token(SecretString),
    OAuth {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
    },
}

impl Credential {
    /// Makes the credential of a token as users paste it, without the white space around it.
    ///
    /// # Errors
    /// When it is empty or can't be sent in a header.
    pub fn token(text: &str) -> Result<Credential> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Config, "the HubSpot token is empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message =
                "the HubSpot token holds characters that no token has: copy it again, without quotes";
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(Credential::Token(text.to_owned().into()))
    }
}

/// The source of a credential that may be replaced while a run goes on, such as a secret that is rotated.
#[async_trait]
pub trait CredentialSource: fmt::Debug + Send + Sync {
    /// Reads the present credential, after HubSpot has refused the one that was read before.
    async fn read_anew(&self) -> Result<Credential>;
}

/// The present bearer token, refreshed once for all calls that wait for it.
#[derive(Debug)]
pub(crate) struct Bearer {
    source: Option<Arc<dyn CredentialSource>>,
    held: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    credential: Credential,
    access: Option<Access>,
}

#[derive(Debug, Clone)]
pub(crate) struct Access {
    token: SecretString,
    refresh_token: SecretString,
    refresh_at: Instant,
    /// The token's scopes; empty if the answer has none.
    scopes: Vec<String>,
}

/// HubSpot's answer to a refresh.
#[derive(serde::Deserialize)]
struct Refreshed {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: u64,
    /// Scopes, which the answer has since 2025-08-18
    /// (<https://developers.hubspot.com/changelog/additional-details-returned-when-generating-oauth-access-tokens>).
    /// A token without them works all the same.
    #[serde(default)]
    scopes: serde_json::Value,
}

impl Bearer {
    pub(crate) fn new(credential: Credential, source: Option<Arc<dyn CredentialSource>>) -> Bearer {
        Bearer { source, held: Mutex::new(Current { credential, access: None }) }
    }

    /// Returns the token to send. `refused` is one that HubSpot no longer accepts.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] when the only token there is was refused.
    pub(crate) async fn token(
        &self,
        http: &reqwest::Client,
        token_url: &str,
        refused: Option<&SecretString>,
    ) -> Result<SecretString> {
        let mut held = self.held.lock().await;
        let is_refused = |token: &SecretString| {
            refused.is_some_and(|refused| refused.expose_secret() == token.expose_secret())
        };
        if let Credential::Token(token) = &held.credential
            && !is_refused(token)
        {
            return Ok(token.clone());
        }
        // Somebody may have put another secret meanwhile. The first who was refused asks, for all.
        let is_current_refused = held.access.as_ref().is_some_and(|access| is_refused(&access.token));
        if let Some(source) = &self.source
            && (is_current_refused || matches!(held.credential, Credential::Token(_)))
        {
            held.credential = source.read_anew().await?;
            held.access = None;
        }
        match &held.credential {
            Credential::Token(token) if is_refused(token) => {
                let message = "the token was refused (401), and the secret holds no other one: make a \
                               new key under Development > Keys, and put it into the secret";
                Err(Error::new(ErrorKind::Unauthorized, message))
            }
            Credential::Token(token) => Ok(token.clone()),
            Credential::OAuth { client_id, client_secret, refresh_token } => {
                if let Some(current) = &held.access
                    && !is_refused(&current.token)
                    && current.refresh_at > Instant::now()
                {
                    return Ok(current.token.clone());
                }
                let latest = held.access.as_ref().map(|access| &access.refresh_token);
                let refresh_token = latest.unwrap_or(refresh_token).clone();
                let fresh = refresh(http, token_url, client_id, client_secret, &refresh_token).await?;
                Ok(held.access.insert(fresh).token.clone())
            }
        }
    }

    /// Returns the scopes of an OAuth app's present token; `None` if they are not known.
    pub(crate) async fn scopes(&self) -> Option<Vec<String>> {
        let held = self.held.lock().await;
        held.access.as_ref().map(|access| access.scopes.clone()).filter(|scopes| !scopes.is_empty())
    }

    /// `true`: a refused token may have a successor.
    pub(crate) async fn can_renew(&self) -> bool {
        self.source.is_some() || matches!(self.held.lock().await.credential, Credential::OAuth { .. })
    }
}

async fn refresh(
    http: &reqwest::Client,
    token_url: &str,
    client_id: &str,
    client_secret: &SecretString,
    refresh_token: &SecretString,
) -> Result<Access> {
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", client_id),
        ("client_secret", client_secret.expose_secret()),
        ("refresh_token", refresh_token.expose_secret()),
    ];
    let asked = Instant::now();
    let answer = http
        .post(token_url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form_encoded(&form))
        .send()
        .await
        .map_err(|source| {
            Error::new(ErrorKind::Transport, "the token can't be refreshed").caused_by(source.without_url())
        })?;
    let status = answer.status().as_u16();
    if status != 200 {
        let kind = if status >= 500 || status == 429 { ErrorKind::Server } else { ErrorKind::Unauthorized };
        let message = format!(
            "HubSpot answered {status} to the refresh of the OAuth token: check the client id, the client secret and \
             the refresh token, or install the app again"
        );
        return Err(Error::new(kind, message));
    }
    let body = answer.bytes().await.map_err(|source| {
        Error::new(ErrorKind::Transport, "the token can't be refreshed").caused_by(source.without_url())
    })?;
    Access::read(&body, asked, refresh_token)
}

impl Access {
    /// Reads the answer to a refresh that was sent at this moment.
    pub(crate) fn read(body: &[u8], asked: Instant, refresh_token: &SecretString) -> Result<Access> {
        let refreshed: Refreshed = serde_json::from_slice(body).map_err(|source| {
            Error::new(ErrorKind::Malformed, "the answer to a token refresh does not parse").caused_by(source)
        })?;
        let life = Duration::from_secs(refreshed.expires_in).min(LONGEST_LIFE);
        Ok(Access {
            token: refreshed.access_token.into(),
            refresh_token: refreshed.refresh_token.map_or_else(|| refresh_token.clone(), SecretString::from),
            refresh_at: asked + life - REFRESH_BEFORE.min(life / 4),
            scopes: serde_json::from_value(refreshed.scopes).unwrap_or_default(),
        })
    }
}

fn form_encoded(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_token_is_trimmed_and_never_shown() {
        let credential = Credential::token(" pat-eu1-secret\n").unwrap();
        assert!(!format!("{credential:?}").contains("secret"));
        let Credential::Token(token) = credential else { panic!("a token") };
        assert_eq!(token.expose_secret(), "pat-eu1-secret");
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        for text in ["", "  ", "two words", "sec\u{201c}ret"] {
            let error = Credential::token(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!error.to_string().contains("ret"));
        }
    }

    #[test]
    fn a_token_that_lives_for_ever_is_refreshed_all_the_same() {
        let body = br#"{"access_token":"t","expires_in":18446744073709551615}"#;
        let asked = Instant::now();
        let access = Access::read(body, asked, &"r".into()).unwrap();
        assert!(access.refresh_at <= asked + LONGEST_LIFE);
    }

    #[test]
    fn scopes_are_read_where_they_are_told() {
        for (told, scopes) in [
            (r#","scopes":["oauth","content"]"#, &["oauth", "content"][..]),
            ("", &[]),
            (r#","scopes":"oauth content""#, &[]),
        ] {
            let body = format!(r#"{{"access_token":"t","expires_in":1800{told}}}"#);
            let access = Access::read(body.as_bytes(), Instant::now(), &"r".into()).unwrap();
            assert_eq!(access.scopes, scopes, "{told}");
        }
    }

    #[test]
    fn form_values_are_encoded() {
        assert_eq!(form_encoded(&[("a", "1 &=2"), ("b", "x")]), "a=1%20%26%3D2&b=x");
    }
}
