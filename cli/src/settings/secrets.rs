//! Secrets where none may be: in the settings file, or under a setting's name. Messages hold none of their values.

/// A kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    Token,
    OAuth,
    Password,
}

/// Returns the secret that an unknown name seems to be meant for.
pub(super) fn meant_secret(name: &str) -> Option<Secret> {
    let name = name.to_lowercase().replace('_', "-");
    if ["client-id", "client-secret", "refresh-token"].iter().any(|part| name.ends_with(part)) {
        return Some(Secret::OAuth);
    }
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match () {
        () if has(&["password", "passwd", "private-key"]) => Some(Secret::Password),
        () if has(&["token", "secret", "api-key", "apikey", "service-key", "credential"]) => {
            Some(Secret::Token)
        }
        () => None,
    }
}

/// Returns where to put it instead.
pub(super) fn next_step(secret: Secret) -> &'static str {
    match secret {
        Secret::Token => {
            "put the token into the environment, as HUBSPOT_TOKEN, or into a file that you alone may read, and set \
             token-file; or set token-command to the command of a keyring"
        }
        Secret::OAuth => {
            "put it into the environment, as HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET and HUBSPOT_REFRESH_TOKEN, or all \
             three into a file of JSON that you alone may read, and set token-file"
        }
        Secret::Password => {
            "put the password into the environment, as WAREHOUSE_PASSWORD, or into a file that you alone may read, and \
             set warehouse-password-file; or set warehouse-password-command to the command of a keyring"
        }
    }
}

/// `true`: the URL has a password in it.
pub(super) fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let in_user = user.split_once(':').is_some_and(|(_, password)| !password.is_empty());
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let in_query = query.split('&').filter_map(|pair| pair.split_once('='));
    in_user
        || in_query
            .into_iter()
            .any(|(name, value)| meant_secret(name).is_some() && !value.starts_with("arn:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_found() {
        for url in ["postgres://u:p@host/db", "postgres:///?user=u&password=p", "postgres://u:p%40@h"] {
            assert!(has_password(url), "{url}");
        }
        let without = [
            "postgres://u@host:5432/db?sslmode=require",
            "duckdb:a:b@c",
            "redshift://wg/db?role=arn:aws:iam::1:role/x&secret=arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "databricks://id@host/a.b?warehouse=1",
            "postgres://u:@host/db",
        ];
        for url in without {
            assert!(!has_password(url), "{url}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_names() {
        let names = [("token", Secret::Token), ("hubspot_token", Secret::Token), ("api-key", Secret::Token)];
        let more = [("client-secret", Secret::OAuth), ("WAREHOUSE_PASSWORD", Secret::Password)];
        for (name, secret) in names.into_iter().chain(more) {
            assert_eq!(meant_secret(name), Some(secret), "{name}");
        }
        assert_eq!(meant_secret("colections"), None);
    }
}
