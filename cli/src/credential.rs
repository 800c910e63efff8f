//! Secrets from the environment: HubSpot's token or an OAuth app's three values, and the warehouse's password. No
//! other file reads them.

use anyhow::bail;
use hubspot::Credential;
use secrecy::SecretString;

const TOKEN: &str = "HUBSPOT_TOKEN";
const OAUTH: [&str; 3] = ["HUBSPOT_CLIENT_ID", "HUBSPOT_CLIENT_SECRET", "HUBSPOT_REFRESH_TOKEN"];

const WAREHOUSE_PASSWORD: &str = "WAREHOUSE_PASSWORD";

/// Returns the warehouse's password; `None` if it is in the URL, or if there is none.
pub(crate) fn warehouse_password() -> Option<SecretString> {
    std::env::var(WAREHOUSE_PASSWORD).ok().filter(|password| !password.is_empty()).map(SecretString::from)
}

/// # Errors
/// When there is none, or half of one; the message says what to set.
pub(crate) fn credential() -> anyhow::Result<Credential> {
    credential_of(|name| std::env::var(name).ok())
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
             Service keys), or {} for an OAuth app",
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
}
