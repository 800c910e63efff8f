//! `redshift://` URLs. An unknown parameter is refused.

use url::Url;

use crate::error::{Error, Kind, Result};

const EXAMPLE: &str = "redshift://WORKGROUP/DATABASE?role=arn:aws:iam::123456789012:role/NAME";
const PARAMETERS: &str = "role, cluster, user, secret";

/// The workgroup or cluster that runs the statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Workgroup(String),
    Cluster(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) database: String,
    /// The role's ARN, or `default` for the one that the warehouse is configured with.
    pub(crate) role: String,
    /// A database user, for a cluster; without one it is named like the caller.
    pub(crate) user: Option<String>,
    /// The ARN of a secret with a user and a password.
    pub(crate) secret: Option<String>,
}

pub(crate) fn target(url: &str) -> Result<Target> {
    let parsed = Url::parse(url).map_err(|_| refused("is no url"))?;
    if parsed.fragment().is_some() || !parsed.username().is_empty() || parsed.port().is_some() {
        return Err(refused("has a part that means nothing in it"));
    }
    let (mut role, mut user, mut secret, mut is_cluster) = (None, None, None, false);
    for (name, value) in parsed.query_pairs() {
        let given = || match value.is_empty() {
            true => Err(refused(&format!("has an empty {name}"))),
            false => Ok(Some(value.clone().into_owned())),
        };
        match name.as_ref() {
            "role" => role = given()?,
            "user" => user = given()?,
            "secret" => secret = given()?,
            "cluster" if value.is_empty() => is_cluster = true,
            "cluster" => {
                return Err(refused("has a value for cluster: the cluster's name goes where the host is"));
            }
            other => {
                return Err(refused(&format!(
                    "has the unknown parameter {other:?}: use some of {PARAMETERS}"
                )));
            }
        }
    }
    let host = parsed.host_str().unwrap_or_default().to_owned();
    let database = parsed.path().trim_start_matches('/').to_owned();
    let what = if is_cluster { "cluster" } else { "workgroup" };
    let missing: Vec<&str> =
        [(what, host.is_empty()), ("database", database.is_empty()), ("role", role.is_none())]
            .into_iter()
            .filter_map(|(name, is_missing)| is_missing.then_some(name))
            .collect();
    let (Some(role), true) = (role, missing.is_empty()) else {
        return Err(refused(&format!("names no {}", missing.join(", no "))));
    };
    if role != "default" && !role.starts_with("arn:") {
        return Err(refused("has a role that is neither an ARN nor default"));
    }
    match (is_cluster, &user, &secret) {
        (false, Some(_), _) => {
            Err(refused("has a user, which only a cluster takes: a workgroup's is named like the caller"))
        }
        (true, Some(_), Some(_)) => Err(refused("has a user and a secret: the secret names the user")),
        _ => Ok(Target {
            host: if is_cluster { Host::Cluster(host) } else { Host::Workgroup(host) },
            database,
            role,
            user,
            secret,
        }),
    }
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("the redshift url {why}; for example {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/read-staged";

    #[test]
    fn workgroups_and_clusters() {
        let workgroup = target(&format!("redshift://my-group/dev?role={ROLE}")).unwrap();
        assert_eq!(workgroup.host, Host::Workgroup("my-group".to_owned()));
        assert_eq!((workgroup.database.as_str(), workgroup.role.as_str()), ("dev", ROLE));
        let cluster = target("redshift://my-cluster/dev?cluster&user=loader&role=default").unwrap();
        assert_eq!(cluster.host, Host::Cluster("my-cluster".to_owned()));
        assert_eq!((cluster.user.as_deref(), cluster.role.as_str()), (Some("loader"), "default"));
        let secret = target("redshift://g/dev?secret=arn:aws:secretsmanager:x&role=default").unwrap();
        assert_eq!(secret.secret.as_deref(), Some("arn:aws:secretsmanager:x"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, words) in [
            ("redshift://", "names no workgroup, no database, no role"),
            ("redshift:///dev?cluster", "names no cluster, no role"),
            ("redshift://g/dev?role=default&rolle=x", "unknown parameter \"rolle\": use some of role"),
            ("redshift://g/dev?role=reader", "neither an ARN nor default"),
            ("redshift://g/dev?role=default&user=me", "only a cluster takes"),
            ("redshift://c/dev?cluster&role=default&user=me&secret=arn:x", "the secret names the user"),
            ("redshift://c/dev?cluster=yes&role=default", "a value for cluster"),
            ("redshift://g/dev?role=", "an empty role"),
        ] {
            let refusal = target(url).unwrap_err().to_string();
            assert!(refusal.contains(words), "{url}: {refusal}");
        }
    }
}
