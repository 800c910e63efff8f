//! `postgres://` URLs in libpq's form. An unknown parameter is refused instead of ignored.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Config, SslMode};
use url::Url;

use crate::error::{Error, Kind, Result};

const EXAMPLE: &str = "postgres://USER@HOST/DATABASE?sslmode=verify-full";
const PARAMETERS: &str =
    "user, password, host, port, dbname, sslmode, sslrootcert, connect_timeout, application_name";
const SSLMODES: &str = "disable, prefer, require, verify-ca, verify-full";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The check of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    Nothing,
    /// The certificate is of a trusted authority.
    Authority,
    /// The certificate is of a trusted authority, and for this host.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    System,
    File(PathBuf),
}

/// A parsed URL. Its `Debug` form and [`Target::name`] hold no password.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) verify: Verify,
    pub(crate) roots: Roots,
    /// Server and database in words.
    pub(crate) name: String,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { config, verify, roots, name } = self;
        f.debug_struct("Target")
            .field("name", name)
            .field("user", &config.get_user())
            .field("ssl_mode", &config.get_ssl_mode())
            .field("verify", verify)
            .field("roots", roots)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Parts {
    user: Option<String>,
    password: Option<SecretString>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    connect_timeout: Option<u64>,
    application_name: Option<String>,
}

pub(crate) fn target(url: &str, password: Option<SecretString>) -> Result<Target> {
    let mut parts = parts(url)?;
    let (verify, roots) = tls(&mut parts)?;
    let Parts { user, host, database, .. } = &parts;
    let (Some(user), Some(host), Some(database)) = (user, host, database) else {
        let missing = [("user", user), ("host", host), ("database", database)];
        let missing: Vec<&str> =
            missing.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        return Err(refused(&format!("names no {}", missing.join(", no "))));
    };
    let port = parts.port.unwrap_or(5432);
    let mut config = Config::new();
    // A host that begins with a slash is the folder of a Unix socket, as in libpq.
    config.user(user).dbname(database).host(host).port(port);
    config.application_name(parts.application_name.as_deref().unwrap_or("hubspot-source"));
    config.connect_timeout(parts.connect_timeout.map_or(CONNECT_TIMEOUT, Duration::from_secs));
    config.keepalives_idle(Duration::from_secs(60));
    config.ssl_mode(match parts.sslmode.as_deref() {
        Some("disable") => SslMode::Disable,
        None | Some("prefer") => SslMode::Prefer,
        Some(_) => SslMode::Require,
    });
    if let Some(password) = password.as_ref().or(parts.password.as_ref()) {
        config.password(password.expose_secret());
    }
    let name = format!("postgres database {database:?} at {host}:{port}");
    Ok(Target { config, verify, roots, name })
}

fn parts(url: &str) -> Result<Parts> {
    // Not the parser's words: they might repeat a piece of the password.
    let parsed = Url::parse(url).map_err(|_| {
        refused("is no url: write characters of names and passwords that mean something in urls as %XX")
    })?;
    if parsed.fragment().is_some() {
        return Err(refused("has a # in it: write it as %23"));
    }
    let mut parts = Parts {
        user: some(decoded(parsed.username())?),
        password: parsed.password().map(decoded).transpose()?.map(SecretString::from),
        host: some(decoded(parsed.host_str().unwrap_or_default())?)
            .map(|host| host.trim_matches(['[', ']']).to_owned()),
        port: parsed.port(),
        database: some(decoded(parsed.path().trim_start_matches('/'))?),
        ..Parts::default()
    };
    for (name, value) in parsed.query_pairs() {
        let number = || value.parse().map_err(|_| refused(&format!("has a {name} that is no number")));
        let text = Some(value.clone().into_owned());
        match name.as_ref() {
            "user" => parts.user = text,
            "password" => parts.password = text.map(SecretString::from),
            "host" => parts.host = text,
            "port" => {
                let port = value.parse().map_err(|_| refused("has a port that is no number up to 65535"))?;
                parts.port = Some(port);
            }
            "dbname" => parts.database = text,
            "sslmode" => parts.sslmode = text,
            "sslrootcert" => parts.sslrootcert = text,
            "connect_timeout" => parts.connect_timeout = Some(number()?),
            "application_name" => parts.application_name = text,
            other => {
                return Err(refused(&format!(
                    "has the unknown parameter {other:?}: use some of {PARAMETERS}"
                )));
            }
        }
    }
    Ok(parts)
}

/// As libpq has it: a file with authorities makes `require` check them, and `sslrootcert=system` is only for
/// `verify-full`, which it stands for when no mode is given.
fn tls(parts: &mut Parts) -> Result<(Verify, Roots)> {
    let is_system = parts.sslrootcert.as_deref() == Some("system");
    if is_system && parts.sslmode.is_none() {
        parts.sslmode = Some("verify-full".to_owned());
    }
    let verify = match parts.sslmode.as_deref() {
        None | Some("disable" | "prefer") => Verify::Nothing,
        Some("require") if parts.sslrootcert.is_none() => Verify::Nothing,
        Some("require" | "verify-ca") => Verify::Authority,
        Some("verify-full") => Verify::Host,
        Some(other) => {
            return Err(refused(&format!("has the unknown sslmode {other:?}: use one of {SSLMODES}")));
        }
    };
    if is_system && verify != Verify::Host {
        return Err(refused(
            "has sslrootcert=system with a weak sslmode: anybody gets a certificate there; use verify-full",
        ));
    }
    let roots = match parts.sslrootcert.as_deref() {
        None | Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
    };
    Ok((verify, roots))
}

fn decoded(text: &str) -> Result<String> {
    let decoded =
        percent_decode_str(text).decode_utf8().map_err(|_| refused("has a %XX that is not UTF-8"))?;
    Ok(decoded.into_owned())
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("the postgres url {why}; for example {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    fn of(url: &str) -> Target {
        target(url, None).unwrap()
    }

    fn refusal(url: &str) -> String {
        target(url, None).unwrap_err().to_string()
    }

    #[test]
    fn every_part_of_a_url_arrives() {
        let target =
            of("postgresql://me%40x:p%2Fw@db.example.com:6543/hub%20spot?sslmode=disable&connect_timeout=3");
        assert_eq!(target.config.get_user(), Some("me@x"));
        assert_eq!(target.config.get_password(), Some(b"p/w".as_slice()));
        assert_eq!(target.config.get_dbname(), Some("hub spot"));
        assert_eq!(target.config.get_hosts(), [Host::Tcp("db.example.com".to_owned())]);
        assert_eq!(target.config.get_ports(), [6543]);
        assert_eq!(target.config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(target.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }

    #[test]
    fn sockets_are_hosts_with_a_slash() {
        for url in ["postgres://me@%2Fvar%2Frun/db", "postgres:///db?host=/var/run&user=me"] {
            assert_eq!(of(url).config.get_hosts(), [Host::Unix(PathBuf::from("/var/run"))], "{url}");
        }
    }

    #[test]
    fn a_password_given_apart_goes_before_one_in_the_url() {
        let target = target("postgres://me:one@h/db", Some(SecretString::from("two"))).unwrap();
        assert_eq!(target.config.get_password(), Some(b"two".as_slice()));
    }

    #[test]
    fn sslmode_means_what_libpq_means() {
        let tls = |query: &str| {
            let target = of(&format!("postgres://me@h/db{query}"));
            (target.config.get_ssl_mode(), target.verify)
        };
        assert_eq!(tls(""), (SslMode::Prefer, Verify::Nothing));
        assert_eq!(tls("?sslmode=require"), (SslMode::Require, Verify::Nothing));
        assert_eq!(tls("?sslmode=require&sslrootcert=ca.pem"), (SslMode::Require, Verify::Authority));
        assert_eq!(tls("?sslmode=verify-ca"), (SslMode::Require, Verify::Authority));
        assert_eq!(tls("?sslmode=verify-full"), (SslMode::Require, Verify::Host));
        assert_eq!(tls("?sslrootcert=system"), (SslMode::Require, Verify::Host));
        assert!(refusal("postgres://me@h/db?sslmode=allow").contains("use one of disable, prefer"));
        assert!(refusal("postgres://me@h/db?sslmode=require&sslrootcert=system").contains("use verify-full"));
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (url, words) in [
            ("postgres:///?password=secret", "names no user, no host, no database"),
            ("postgres://me:secret@h/db?sslmod=require", "unknown parameter \"sslmod\": use some of user"),
            ("postgres://me:secret@h/db?port=x", "port that is no number"),
            ("postgres://me:secret@h:99999/db", "is no url"),
            ("postgres://me:sec#ret@h/db", "the postgres url"),
        ] {
            let refusal = refusal(url);
            assert!(refusal.contains(words), "{url}: {refusal}");
            assert!(!refusal.contains("sec"), "{refusal}");
        }
        assert!(!format!("{:?}", of("postgres://me:secret@h/db")).contains("secret"));
    }
}
