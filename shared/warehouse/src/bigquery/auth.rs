//! Access tokens, by each of the credentials that Google's own clients know by their `type`: a service account's key, a
//! person's (`gcloud auth application-default login`), an AWS role that stands for a service account (workload identity
//! federation), and the metadata server of a machine at Google.
//!
//! <https://google.aip.dev/auth/4110>

mod aws;
mod refusal;

use std::env;
use std::fmt;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use ring::rsa::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use self::aws::AwsRole;
use self::refusal::{refused, safe};
use crate::error::Result;
use crate::jwt::{key_pair, signed};
use crate::sql_over_http::{KeptToken, TokenServer, form};

const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";
/// The scope of tokens by federation and impersonation: <https://google.aip.dev/auth/4117>.
const WIDE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Google takes no assertion that lives longer than an hour.
const LIFETIME: TimeDelta = TimeDelta::minutes(59);
/// Clocks differ.
const BACKDATED: TimeDelta = TimeDelta::seconds(30);
const GOOGLE: TokenServer = TokenServer {
    name: "google",
    unanswered: "and there is nobody who gives a token for it: set GOOGLE_APPLICATION_CREDENTIALS, run gcloud auth \
                 application-default login, or give a key where other warehouses have their password",
    refused,
};
/// <https://cloud.google.com/compute/docs/metadata/querying-metadata>
const METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";

/// The way to a token.
#[derive(Debug)]
pub(super) struct Auth {
    credential: Credential,
    /// The environment, where Lambda has its role's credentials.
    pub(super) variable: fn(&str) -> Option<String>,
    token: KeptToken,
}

enum Credential {
    /// A server on this machine, which wants none.
    Nobody,
    Service {
        email: String,
        key_id: String,
        pair: Box<KeyPair>,
        token_url: String,
    },
    Person {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
        token_url: String,
    },
    Aws(AwsRole),
    Machine,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Nobody => write!(f, "Nobody"),
            Credential::Service { email, .. } => write!(f, "Service({email})"),
            Credential::Person { client_id, .. } => write!(f, "Person({client_id})"),
            Credential::Aws(role) => write!(f, "{role:?}"),
            Credential::Machine => write!(f, "Machine"),
        }
    }
}

impl Auth {
    /// `secret` is a credential as JSON. Without one it is what Google's own clients would find on this machine, or
    /// none at all where the API is on this machine, too.
    pub(super) fn new(secret: Option<&SecretString>, is_local: bool) -> Result<Auth> {
        let credential = match secret {
            Some(secret) => credential(secret.expose_secret())?,
            None if is_local => Credential::Nobody,
            None => found()?,
        };
        let variable = |name: &str| env::var(name).ok();
        Ok(Auth { credential, variable, token: KeptToken::default() })
    }

    /// Returns the token that authorizes a call; a new one where the last one was refused.
    pub(super) async fn token(&self, http: &Client, is_refused: bool) -> Result<Option<SecretString>> {
        if let Credential::Nobody = self.credential {
            return Ok(None);
        }
        self.token.or_new(is_refused, self.new_token(http)).await.map(Some)
    }

    async fn new_token(&self, http: &Client) -> Result<(SecretString, DateTime<Utc>)> {
        let now = Utc::now();
        let answer = match &self.credential {
            Credential::Service { email, key_id, pair, token_url } => {
                let assertion = assertion(email, key_id, pair, token_url, now)?;
                let fields = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", assertion.expose_secret()),
                ];
                GOOGLE.sent(|| form(http.post(token_url), &fields)).await?
            }
            Credential::Person { client_id, client_secret, refresh_token, token_url } => {
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id.as_str()),
                    ("client_secret", client_secret.expose_secret()),
                    ("refresh_token", refresh_token.expose_secret()),
                ];
                GOOGLE.sent(|| form(http.post(token_url), &fields)).await?
            }
            Credential::Aws(role) => return self.of_role(http, role, now).await,
            Credential::Machine => {
                GOOGLE.sent(|| http.get(METADATA).header("Metadata-Flavor", "Google")).await?
            }
            Credential::Nobody => Value::Null,
        };
        GOOGLE.granted(&answer, now)
    }

    /// An AWS role's signature becomes a token of the pool, and that becomes a service account's.
    async fn of_role(
        &self,
        http: &Client,
        role: &AwsRole,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, DateTime<Utc>)> {
        let subject = role.subject_token(self.variable, now)?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", role.audience.as_str()),
            ("scope", WIDE_SCOPE),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", aws::SUBJECT_TOKEN_TYPE),
            ("subject_token", subject.expose_secret()),
        ];
        let federated =
            GOOGLE.granted(&GOOGLE.sent(|| form(http.post(&role.token_url), &fields)).await?, now)?;
        let Some(url) = &role.impersonation_url else { return Ok(federated) };
        let body = json!({"scope": [WIDE_SCOPE], "lifetime": "3600s"}).to_string();
        let answer = GOOGLE.sent(|| {
            http.post(url)
                .header(AUTHORIZATION, format!("Bearer {}", federated.0.expose_secret()))
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone())
        });
        let answer = answer.await?;
        let field = |name: &str| answer.get(name).and_then(Value::as_str);
        let until = field("expireTime").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        match (field("accessToken"), until) {
            (Some(token), Some(until)) => Ok((token.to_owned().into(), until.to_utc())),
            _ => Err(refused("and the service account's token did not come")),
        }
    }
}

fn credential(json: &str) -> Result<Credential> {
    let Ok(fields) = serde_json::from_str::<Value>(json) else {
        return Err(refused("and this is none: it is JSON, with a type"));
    };
    let text = |field: &str| match fields.get(field).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(refused(&format!("and this one has no {field}"))),
    };
    let token_url = || match fields.get("token_uri") {
        None => Ok("https://oauth2.googleapis.com/token".to_owned()),
        Some(_) => text("token_uri").and_then(|url| safe("token_uri", url)),
    };
    match text("type")?.as_str() {
        "service_account" => Ok(Credential::Service {
            email: text("client_email")?,
            key_id: text("private_key_id")?,
            pair: key_pair(&text("private_key")?)
                .map(Box::new)
                .map_err(|what| refused(&format!("and of its private_key: {what}")))?,
            token_url: token_url()?,
        }),
        "authorized_user" => Ok(Credential::Person {
            client_id: text("client_id")?,
            client_secret: text("client_secret")?.into(),
            refresh_token: text("refresh_token")?.into(),
            token_url: token_url()?,
        }),
        "external_account" => AwsRole::new(&fields).map(Credential::Aws),
        other => Err(refused(&format!(
            "and not one of type {other:?}: use a service_account, an external_account of AWS, or an authorized_user"
        ))),
    }
}

/// Finds the credential that Google's own clients would: <https://cloud.google.com/docs/authentication/application-default-credentials>.
fn found() -> Result<Credential> {
    let named =
        env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = named {
        let json = std::fs::read_to_string(&path).map_err(|source| {
            refused(&format!(
                "and the file of GOOGLE_APPLICATION_CREDENTIALS, {}, can't be read",
                path.display()
            ))
            .because(source)
        })?;
        return credential(&json);
    }
    let config = env::var_os("CLOUDSDK_CONFIG").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".config/gcloud"));
    let file = config.or(home).map(|folder| folder.join("application_default_credentials.json"));
    match file.and_then(|path| std::fs::read_to_string(path).ok()) {
        Some(json) => credential(&json),
        None => Ok(Credential::Machine),
    }
}

/// <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth>
fn assertion(
    email: &str,
    key_id: &str,
    pair: &KeyPair,
    token_url: &str,
    now: DateTime<Utc>,
) -> Result<SecretString> {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": key_id});
    let issued = now - BACKDATED;
    let claims = json!({
        "iss": email,
        "scope": SCOPE,
        "aud": token_url,
        "iat": issued.timestamp(),
        "exp": (issued + LIFETIME).timestamp(),
    });
    signed(pair, &header, &claims).ok_or_else(|| refused("and its private_key does not sign"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("../snowflake/tests/key.pem");

    fn key() -> Value {
        json!({
            "type": "service_account", "client_email": "loader@p.iam.gserviceaccount.com", "private_key_id": "k1",
            "private_key": PEM, "token_uri": "https://oauth2.googleapis.com/token",
        })
    }

    #[test]
    fn an_assertion_says_who_and_for_what() {
        use base64::Engine as _;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD;
        let Credential::Service { email, key_id, pair, token_url } = credential(&key().to_string()).unwrap()
        else {
            panic!("no service account")
        };
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let token = assertion(&email, &key_id, &pair, &token_url, now).unwrap();
        let parts: Vec<&str> = token.expose_secret().split('.').collect();
        let part = |n: usize| -> Value {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[n]).unwrap()).unwrap()
        };
        assert_eq!(part(0)["kid"], "k1");
        assert_eq!(part(1)["iss"], "loader@p.iam.gserviceaccount.com");
        assert_eq!(part(1)["aud"], "https://oauth2.googleapis.com/token");
        assert!(part(1)["exp"].as_i64().unwrap() - part(1)["iat"].as_i64().unwrap() < 3600);
    }

    #[test]
    fn what_is_no_credential_is_refused_and_not_shown() {
        let with = |field: &str, value: &str| {
            let mut key = key();
            key[field] = value.into();
            key.to_string()
        };
        for (json, words) in [
            ("s3cret".to_owned(), "it is JSON"),
            (r#"{"key": "s3cret"}"#.to_owned(), "has no type"),
            (with("type", "gdch_service_account"), "not one of type"),
            (with("private_key", "s3cret"), "of its private_key: this is none"),
            (with("client_email", ""), "has no client_email"),
            (with("token_uri", "http://s3cret.example/"), "token_uri of this one is not https"),
            (
                r#"{"type": "authorized_user", "client_id": "i", "refresh_token": "s3cret"}"#.to_owned(),
                "has no client_secret",
            ),
        ] {
            let refusal = Auth::new(Some(&json.clone().into()), false).unwrap_err();
            assert!(refusal.to_string().contains(words), "{json}: {refusal}");
            assert!(!format!("{refusal:?}").contains("s3cret"), "{refusal:?}");
        }
        let shown = format!("{:?}", Auth::new(Some(&key().to_string().into()), false).unwrap());
        assert!(shown.contains("Service(loader@") && !shown.contains("PRIVATE"), "{shown}");
    }
}
