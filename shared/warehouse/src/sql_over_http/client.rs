//! The HTTP client of engines that are called without a vendor's library.

use std::time::Duration;

use reqwest::Client;

use crate::error::{Error, Kind, Result};

/// Such an API answers in less, if only to say that it is not done: Snowflake's within 45 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(110);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a client. It follows no redirect: a credential stays with the address that it is for.
pub(crate) fn http_client() -> Result<Client> {
    // One provider for all TLS of the process; a second call finds the first one's and leaves it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("hubspot-source/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|source| Error::new(Kind::Unreachable, "no HTTP client can be made").because(source))
}
