//! Who we are to HubSpot: a service key or private app token, which is sent as it is, or an OAuth app, whose access
//! token lives for half an hour and is refreshed before it ends.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};

/// Refreshed when less than this is left: longer than any one request takes. Of a token that lives shorter than
/// HubSpot's half hour, a quarter of its life.
const REFRESH_BEFORE: Duration = Duration::from_secs(180);

/// What the user has. `Debug` shows none of it.
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
    /// A token as users paste it: white space around it is dropped.
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

/// The bearer token of the moment, refreshed once for all who wait for it.
#[derive(Debug)]
pub(crate) struct Bearer {
    credential: Credential,
    access: Mutex<Option<Access>>,
}

#[derive(Debug, Clone)]
struct Access {
    token: SecretString,
    refresh_token: SecretString,
    refresh_at: Instant,
}

/// HubSpot's answer to a refresh.
#[derive(serde::Deserialize)]
struct Refreshed {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: u64,
}

impl Bearer {
    pub(crate) fn new(credential: Credential) -> Bearer {
        Bearer { credential, access: Mutex::new(None) }
    }

    /// A 401 can be mended by asking for a new token.
    pub(crate) fn can_refresh(&self) -> bool {
        matches!(self.credential, Credential::OAuth { .. })
    }

    /// The token to send. `refused` is one that HubSpot no longer takes: it is not given again.
    pub(crate) async fn token(
        &self,
        http: &reqwest::Client,
        token_url: &str,
        refused: Option<&SecretString>,
    ) -> Result<SecretString> {
        let (client_id, client_secret, refresh_token) = match &self.credential {
            Credential::Token(token) => return Ok(token.clone()),
            Credential::OAuth { client_id, client_secret, refresh_token } => {
                (client_id, client_secret, refresh_token)
            }
        };
        let mut access = self.access.lock().await;
        if let Some(current) = &*access {
            let is_refused =
                refused.is_some_and(|token| token.expose_secret() == current.token.expose_secret());
            if !is_refused && current.refresh_at > Instant::now() {
                return Ok(current.token.clone());
            }
        }
        let refresh_token = access.as_ref().map_or(refresh_token, |access| &access.refresh_token).clone();
        let fresh = refresh(http, token_url, client_id, client_secret, &refresh_token).await?;
        Ok(access.insert(fresh).token.clone())
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
    let refreshed: Refreshed = serde_json::from_slice(&body).map_err(|source| {
        Error::new(ErrorKind::Malformed, "the answer to a token refresh does not parse").caused_by(source)
    })?;
    let life = Duration::from_secs(refreshed.expires_in);
    Ok(Access {
        token: refreshed.access_token.into(),
        refresh_token: refreshed.refresh_token.map_or_else(|| refresh_token.clone(), SecretString::from),
        refresh_at: asked + life - REFRESH_BEFORE.min(life / 4),
    })
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
    fn form_values_are_encoded() {
        assert_eq!(form_encoded(&[("a", "1 &=2"), ("b", "x")]), "a=1%20%26%3D2&b=x");
    }
}
