//! HubSpot's credential, as Secrets Manager holds it: a bare token, or JSON with a `token`, or with an OAuth app's
//! three values.

use anyhow::bail;
use hubspot::Credential;
use serde::Deserialize;

/// Both shapes at once; which it is shows by what is there. No `Debug`: it holds secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

/// # Errors
/// When there is none in the text; the message shows nothing of it.
pub fn credential(text: &str) -> anyhow::Result<Credential> {
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok(Credential::token(text)?);
    }
    // Not serde's own message: it may quote the secret.
    let Ok(shape) = serde_json::from_str::<Shape>(text) else {
        bail!("{WANTED}; it is JSON of another shape");
    };
    match shape {
        Shape { token: Some(token), client_id: None, client_secret: None, refresh_token: None } => {
            Ok(Credential::token(&token)?)
        }
        Shape {
            token: None,
            client_id: Some(client_id),
            client_secret: Some(client_secret),
            refresh_token: Some(refresh_token),
        } => Ok(Credential::OAuth {
            client_id: client_id.trim().to_owned(),
            client_secret: client_secret.trim().into(),
            refresh_token: refresh_token.trim().into(),
        }),
        _ => bail!("{WANTED}; some of it is missing, or there is too much"),
    }
}

const WANTED: &str = "it has to be a service key or private app token, or JSON with \"token\", or with \"client_id\", \
                      \"client_secret\" and \"refresh_token\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_understood() {
        assert!(matches!(credential(" pat-eu1-x\n").unwrap(), Credential::Token(_)));
        assert!(matches!(credential(r#"{"token": "pat-eu1-x"}"#).unwrap(), Credential::Token(_)));
        let oauth = r#"{"client_id": "a", "client_secret": "b", "refresh_token": "c"}"#;
        assert!(matches!(credential(oauth).unwrap(), Credential::OAuth { .. }));
    }

    #[test]
    fn what_is_no_credential_is_refused_without_showing_it() {
        for text in
            ["", "{}", "{\"token\": 7777}", "{\"key\": \"7777\"}", r#"{"client_id": "7777"}"#, "{7777"]
        {
            let error = format!("{:#}", credential(text).unwrap_err());
            assert!(!error.contains("7777"), "{error}");
        }
    }
}
