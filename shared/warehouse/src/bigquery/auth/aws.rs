//! An AWS role as a Google identity. The role signs a question who it is, Google asks it, and so knows.
//!
//! <https://google.aip.dev/auth/4117> and
//! <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>

use std::fmt;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{SHA256, digest};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::refusal::{refused, safe};
use crate::error::Result;

pub(super) const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";
/// `{region}` is where this program runs.
const VERIFICATION_URL: &str =
    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";

pub(super) struct AwsRole {
    /// The provider of the pool.
    pub(super) audience: String,
    pub(super) token_url: String,
    /// The service account that the role stands for. Without one, the role itself is granted access.
    pub(super) impersonation_url: Option<String>,
    verification_url: String,
}

impl fmt::Debug for AwsRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsRole").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// The role's credentials, as Lambda has them.
struct Keys {
    id: String,
    secret: SecretString,
    session: Option<SecretString>,
    region: String,
}

impl AwsRole {
    /// `fields` are what `gcloud iam workload-identity-pools create-cred-config --aws` writes.
    pub(super) fn new(fields: &Value) -> Result<AwsRole> {
        let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
        let needed =
            |field: &str| text(field).ok_or_else(|| refused(&format!("and this one has no {field}")));
        if needed("subject_token_type")? != SUBJECT_TOKEN_TYPE {
            return Err(refused("and an external_account of AWS alone: make it with --aws"));
        }
        let verification_url =
            fields.pointer("/credential_source/regional_cred_verification_url").and_then(Value::as_str);
        Ok(AwsRole {
            audience: needed("audience")?,
            token_url: safe("token_url", needed("token_url")?)?,
            impersonation_url: text("service_account_impersonation_url")
                .map(|url| safe("service_account_impersonation_url", url))
                .transpose()?,
            verification_url: safe(
                "regional_cred_verification_url",
                verification_url.unwrap_or(VERIFICATION_URL).to_owned(),
            )?,
        })
    }

    pub(super) fn subject_token(
        &self,
        variable: fn(&str) -> Option<String>,
        now: DateTime<Utc>,
    ) -> Result<SecretString> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let needed = |name: &str| {
            variable(name).ok_or_else(|| {
                refused(&format!(
                    "and one of AWS needs AWS credentials in the environment: there is no {name}"
                ))
            })
        };
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
        self.signed(
            &Keys {
                id: needed("AWS_ACCESS_KEY_ID")?,
                secret: needed("AWS_SECRET_ACCESS_KEY")?.into(),
                session: variable("AWS_SESSION_TOKEN").map(Into::into),
                region: region.ok_or_else(|| refused("and one of AWS needs AWS_REGION"))?,
            },
            now,
        )
    }

    /// The question, signed as AWS wants it (Signature Version 4):
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>.
    fn signed(&self, keys: &Keys, now: DateTime<Utc>) -> Result<SecretString> {
        let url = self.verification_url.replace("{region}", &keys.region);
        let no_url = || refused("and the regional_cred_verification_url of this one is no url");
        let parsed = Url::parse(&url).map_err(|_| no_url())?;
        let host = parsed.host_str().ok_or_else(no_url)?.to_owned();
        let (time, day) = (now.format("%Y%m%dT%H%M%SZ").to_string(), now.format("%Y%m%d").to_string());
        // In the order of their names.
        let mut headers = vec![("host", host), ("x-amz-date", time.clone())];
        if let Some(session) = &keys.session {
            headers.push(("x-amz-security-token", session.expose_secret().to_owned()));
        }
        headers.push(("x-goog-cloud-target-resource", self.audience.clone()));
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let mut query: Vec<(String, String)> =
            parsed.query_pairs().map(|(name, value)| (encoded(&name), encoded(&value))).collect();
        query.sort();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = format!(
            "POST\n{}\n{}\n{lines}\n{names}\n{}",
            parsed.path(),
            query.join("&"),
            hex(digest(&SHA256, b"").as_ref())
        );
        let scope = format!("{day}/{}/sts/aws4_request", keys.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex(digest(&SHA256, request.as_bytes()).as_ref())
        );
        let mut key = format!("AWS4{}", keys.secret.expose_secret()).into_bytes();
        for part in [day.as_str(), &keys.region, "sts", "aws4_request"] {
            key = mac(&key, part);
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            keys.id,
            hex(&mac(&key, &text))
        );
        headers.push(("Authorization", authorization));
        let headers: Vec<Value> =
            headers.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let token = json!({"url": url, "method": "POST", "headers": headers}).to_string();
        Ok(encoded(&token).into())
    }
}

fn encoded(text: &str) -> String {
    // All but what RFC 3986 leaves unreserved.
    const RESERVED: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    fn role() -> AwsRole {
        AwsRole::new(&json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws",
            "subject_token_type": SUBJECT_TOKEN_TYPE,
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"environment_id": "aws1", "regional_cred_verification_url": VERIFICATION_URL},
        }))
        .unwrap()
    }

    /// The signature is the one that botocore makes of the same request.
    #[test]
    fn the_question_is_signed_as_aws_signs() {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session: Some("the/session+token==".to_owned().into()),
            region: "eu-central-1".to_owned(),
        };
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let token = role().signed(&keys, now).unwrap();
        let token = percent_decode_str(token.expose_secret()).decode_utf8().unwrap();
        let token: Value = serde_json::from_str(&token).unwrap();
        assert_eq!(
            token["url"],
            "https://sts.eu-central-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        );
        let headers = token["headers"].as_array().unwrap();
        let value =
            |name: &str| headers.iter().find(|it| it["key"] == name).unwrap()["value"].as_str().unwrap();
        assert_eq!(value("x-amz-date"), "20260921T141320Z");
        assert_eq!(value("x-goog-cloud-target-resource"), role().audience);
        assert!(value("Authorization").ends_with(OF_BOTOCORE), "{}", value("Authorization"));
    }

    const OF_BOTOCORE: &str = "SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource, \
                               Signature=a41a9c8f28e064d26cfd1e29fe67cc59c46f64990ce31693e80c85e4fdf3e895";

    #[test]
    fn other_federations_are_refused() {
        let refusal = AwsRole::new(&json!({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}));
        assert!(refusal.unwrap_err().to_string().contains("make it with --aws"));
    }
}
