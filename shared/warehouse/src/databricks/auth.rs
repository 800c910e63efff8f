//! Credentials: the secret of a service principal, for which there are tokens of an hour, or a token itself.
//! <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m>

use std::fmt;

use chrono::Utc;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};

use super::url::Target;
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{KeptToken, TokenServer, form};

const WORKSPACE: TokenServer = TokenServer {
    name: "the workspace",
    unanswered: "and the workspace that gives tokens for it does not answer: check the host in the url",
    refused,
};

/// The way to a token.
#[derive(Debug)]
pub(super) struct Auth {
    credential: Credential,
    token: KeptToken,
}

enum Credential {
    Token(SecretString),
    Principal { token_url: String, client_id: String, secret: SecretString },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Token(_) => write!(f, "Token"),
            Credential::Principal { client_id, .. } => write!(f, "Principal({client_id})"),
        }
    }
}

impl Auth {
    pub(super) fn new(target: &Target, secret: Option<&SecretString>) -> Result<Auth> {
        let secret = secret.filter(|secret| !secret.expose_secret().is_empty());
        let Some(secret) = secret.cloned() else { return Err(refused("and there is none")) };
        let credential = match &target.client_id {
            None => Credential::Token(secret),
            Some(client_id) => Credential::Principal {
                token_url: format!("{}/oidc/v1/token", target.endpoint),
                client_id: client_id.clone(),
                secret,
            },
        };
        Ok(Auth { credential, token: KeptToken::default() })
    }

    /// `true`: another token may be let in where this one was not.
    pub(super) fn has_others(&self) -> bool {
        matches!(self.credential, Credential::Principal { .. })
    }

    /// Returns the token that authorizes a call; a new one where the last one was refused.
    pub(super) async fn token(&self, http: &Client, is_refused: bool) -> Result<SecretString> {
        let (token_url, client_id, secret) = match &self.credential {
            Credential::Token(token) => return Ok(token.clone()),
            Credential::Principal { token_url, client_id, secret } => (token_url, client_id, secret),
        };
        let new = async {
            let now = Utc::now();
            let call = || {
                let call = http.post(token_url).basic_auth(client_id, Some(secret.expose_secret()));
                form(call, &[("grant_type", "client_credentials"), ("scope", "all-apis")])
            };
            WORKSPACE.granted(&WORKSPACE.sent(call).await?, now)
        };
        self.token.or_new(is_refused, new).await
    }
}

fn refused(why: &str) -> Error {
    let message = format!(
        "databricks takes the secret of the service principal in the url, or a token where the url names none, {why}"
    );
    Error::new(Kind::Unreachable, message)
}
