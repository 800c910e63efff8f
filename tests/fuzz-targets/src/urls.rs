//! URLs of warehouses: an error names the fault, and never the password.

use url::Url;
use warehouse::fuzzing::parse;

const PASSWORD: &str = "c0rrect-h0rse";
const SCHEMES: [&str; 4] = ["postgres", "redshift", "snowflake", "athena"];
const OTHERS: [&str; 2] = ["bigquery", "databricks"];

/// Runs the target. The first byte chooses the scheme, and the presence of a user with a password.
pub fn run(data: &[u8]) {
    let Some((&chosen, rest)) = data.split_first() else { return };
    let Ok(rest) = std::str::from_utf8(rest) else { return };
    let scheme =
        if chosen & 8 == 0 { SCHEMES[usize::from(chosen % 4)] } else { OTHERS[usize::from(chosen % 2)] };
    let user = if chosen & 4 == 0 { String::new() } else { format!("u:{PASSWORD}@") };
    let url = format!("{scheme}://{user}{rest}");
    for password in [None, Some(PASSWORD)] {
        let shown = match parse(&url, password) {
            Ok(parsed) => {
                let endpoint = parsed.endpoint.filter(|_| !names_endpoint(&url));
                endpoint.iter().for_each(|endpoint| is_snowflakes(endpoint));
                parsed.shown
            }
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(PASSWORD), "a password is shown: {shown}");
    }
}

/// `true`: the URL names an endpoint, so that its author knows where tokens are sent.
fn names_endpoint(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "endpoint"))
}

/// Checks that tokens are sent to Snowflake only, whatever the account's name.
fn is_snowflakes(endpoint: &str) {
    let host =
        endpoint.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".snowflakecomputing.com"));
    let is_host =
        |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    assert!(host.is_some_and(is_host), "{endpoint:?} is not Snowflake's");
}
