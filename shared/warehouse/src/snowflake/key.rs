//! A user's private key, and the tokens that are signed with it.
//!
//! <https://docs.snowflake.com/en/developer-guide/sql-api/authenticating>

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest::{SHA256, digest};
use ring::rsa::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::url::Target;
use crate::error::{Error, Kind, Result};
use crate::jwt::{key_pair, signed};

/// Snowflake takes no token that lives longer than an hour.
const LIFETIME: TimeDelta = TimeDelta::minutes(59);
/// Clocks differ.
const BACKDATED: TimeDelta = TimeDelta::seconds(30);
/// The first bytes of an RSA public key, as X.509 has it: its algorithm.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

pub(super) struct Key {
    pair: KeyPair,
    /// `ACCOUNT.USER`.
    subject: String,
    /// The fingerprint of the public half, as `DESCRIBE USER` shows it.
    fingerprint: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("subject", &self.subject)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// # Errors
    /// When the text is no RSA key that is in the clear. No message shows any of it.
    pub(super) fn new(target: &Target, pem: Option<&SecretString>) -> Result<Key> {
        let Some(pem) = pem else {
            return Err(refused("and there is none: give it where other warehouses have their password"));
        };
        let pair = key_pair(pem.expose_secret()).map_err(|what| refused(&format!("and {what}")))?;
        let fingerprint = BASE64_STANDARD.encode(digest(&SHA256, &public_key_info(pair.public().as_ref())));
        Ok(Key { pair, subject: format!("{}.{}", target.account, target.user), fingerprint })
    }

    /// The token that authorizes a call, and its end.
    pub(super) fn token(&self, now: DateTime<Utc>) -> Result<(SecretString, DateTime<Utc>)> {
        let (issued, expires) = (now - BACKDATED, now - BACKDATED + LIFETIME);
        let claims = json!({
            "iss": format!("{}.SHA256:{}", self.subject, self.fingerprint),
            "sub": self.subject,
            "iat": issued.timestamp(),
            "exp": expires.timestamp(),
        });
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let token = signed(&self.pair, &header, &claims).ok_or_else(|| refused("and it does not sign"))?;
        Ok((token, expires))
    }
}

/// The public half as X.509 has it, which is what its fingerprint is of. `key` is the same as PKCS #1 has it.
fn public_key_info(key: &[u8]) -> Vec<u8> {
    let bits = [&[0x00], key].concat();
    let bits = [&[0x03][..], &length(bits.len()), &bits].concat();
    let info = [&RSA_ALGORITHM[..], &bits].concat();
    [&[0x30][..], &length(info.len()), &info].concat()
}

fn length(bytes: usize) -> Vec<u8> {
    let digits: Vec<u8> = bytes.to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
    match (bytes, u8::try_from(digits.len())) {
        (0..=0x7f, _) | (_, Err(_)) => vec![(bytes & 0x7f) as u8],
        (_, Ok(count)) => [vec![0x80 | count], digits].concat(),
    }
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("snowflake takes a user's private key, {why}"))
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::super::url::target;
    use super::*;

    const PEM: &str = include_str!("tests/key.pem");

    fn key(pem: &str) -> Result<Key> {
        let target = target("snowflake://loader@org-acc/d?warehouse=w&stage=a.b.c").unwrap();
        Key::new(&target, Some(&pem.to_owned().into()))
    }

    #[test]
    fn the_fingerprint_is_what_openssl_says() {
        // openssl pkey -in key.pem -pubout -outform DER | openssl dgst -sha256 -binary | base64
        let of_openssl = "bIca9bLJs+H1a9RD2d81fj7MTOBgm4P1ZbBcu4QbxDc=";
        assert_eq!(key(PEM).unwrap().fingerprint, of_openssl);
        assert_eq!(key(&PEM.trim().replace('\n', "\\n")).unwrap().fingerprint, of_openssl);
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let (token, until) = key(PEM).unwrap().token(now).unwrap();
        let parts: Vec<&str> = token.expose_secret().split('.').collect();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["sub"], "ORG-ACC.LOADER");
        assert!(claims["iss"].as_str().unwrap().starts_with("ORG-ACC.LOADER.SHA256:"), "{claims}");
        assert_eq!(claims["exp"], until.timestamp());
        assert!(until > now && until < now + TimeDelta::hours(1));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        for (pem, words) in [
            ("s3cret", "this is none: it begins with"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----",
                "decrypt it",
            ),
            ("-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----", "needs RSA"),
        ] {
            let refusal = key(pem).unwrap_err();
            assert!(refusal.to_string().contains(words), "{refusal}");
            let shown = format!("{refusal:?}");
            assert!(!shown.contains("s3cret") && !shown.contains("c2VjcmV0"), "{refusal:?}");
        }
        assert!(!format!("{:?}", key(PEM).unwrap()).contains("pair"));
    }

    #[test]
    fn lengths_are_as_der_has_them() {
        assert_eq!(length(5), [5]);
        assert_eq!(length(0x7f), [0x7f]);
        assert_eq!(length(0x80), [0x81, 0x80]);
        assert_eq!(length(0x126), [0x82, 0x01, 0x26]);
    }
}
