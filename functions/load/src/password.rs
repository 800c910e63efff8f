//! The warehouse's password, as Secrets Manager holds it: bare, or JSON with `password`, as RDS makes it. Snowflake's
//! is a private key: PEM, or JSON with `private_key`. BigQuery's is one of Google's credentials: JSON with a `type`.

use anyhow::bail;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// # Errors
/// When there is none in it; the message shows nothing of the secret.
pub fn password(arn: &str, secret: &SecretString) -> anyhow::Result<SecretString> {
    let text = secret.expose_secret().trim();
    let password = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => {
            // Google's, whole.
            let is_googles = ["type", "audience", "client_email", "refresh_token"];
            if fields.contains_key("type") && is_googles.iter().skip(1).any(|name| fields.contains_key(*name))
            {
                return Ok(text.to_owned().into());
            }
            let field = fields.get("private_key").or_else(|| fields.get("password"));
            field.and_then(Value::as_str).map(str::to_owned)
        }
        _ => Some(text.to_owned()),
    };
    match password.filter(|password| !password.is_empty()) {
        Some(password) => Ok(password.into()),
        None => bail!(
            "the secret {arn} holds no password: it has to be one, or JSON with \"password\" or \"private_key\""
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        let parsed = password("arn", &text.to_owned().into()).ok()?;
        Some(parsed.expose_secret().to_owned())
    }

    #[test]
    fn bare_or_as_rds_makes_it() {
        assert_eq!(parsed(" s3cret\n").as_deref(), Some("s3cret"));
        assert_eq!(parsed(r#"{"username": "u", "password": "p{w"}"#).as_deref(), Some("p{w"));
        // A password of digits alone is JSON, too.
        assert_eq!(parsed("123").as_deref(), Some("123"));
        assert_eq!(parsed(r#"{"username": "u"}"#), None);
        assert_eq!(parsed("  "), None);
    }

    #[test]
    fn googles_credentials_stay_whole() {
        for json in [
            r#"{"type": "service_account", "client_email": "a@b", "private_key": "key"}"#,
            r#"{"type": "external_account", "audience": "//iam", "token_url": "https://sts"}"#,
            r#"{"type": "authorized_user", "refresh_token": "r"}"#,
        ] {
            assert_eq!(parsed(json).as_deref(), Some(json));
        }
        assert_eq!(parsed(r#"{"type": "mysql", "password": "p"}"#).as_deref(), Some("p"));
    }

    #[test]
    fn a_key_in_many_lines_is_one() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----";
        assert_eq!(parsed(&format!("{key}\n")).as_deref(), Some(key));
        let json = serde_json::json!({"private_key": key, "user": "u"}).to_string();
        assert_eq!(parsed(&json).as_deref(), Some(key));
    }
}
