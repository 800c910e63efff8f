//! Authentication by static tokens (a service key, a private app) and by OAuth tokens, which expire.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::problem::Problem;
use crate::Settings;

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    minted: HashMap<String, Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    Static,
    /// A token of an OAuth app, whose answers have no headers of daily limits.
    Oauth,
}

impl Tokens {
    /// Makes an OAuth token that expires after `lifetime`.
    pub(crate) fn mint(&mut self, lifetime: Duration) -> String {
        let token = format!("fake-oauth-{:08}-{}", self.minted.len(), "x".repeat(280));
        self.minted.insert(token.clone(), Instant::now() + lifetime);
        token
    }

    pub(crate) fn check(
        &self,
        token: Option<&str>,
        settings: &Settings,
        malformed_is_530: bool,
    ) -> Result<Credential, Problem> {
        let token = token.ok_or_else(Problem::no_credentials)?;
        let is_well_formed =
            token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        if malformed_is_530 && !is_well_formed {
            return Err(Problem::malformed_token());
        }
        if settings.tokens.iter().any(|known| known == token) {
            return Ok(Credential::Static);
        }
        let dies_at = self.minted.get(token).ok_or_else(Problem::no_credentials)?;
        match Instant::now().checked_duration_since(*dies_at) {
            Some(ago) => Err(Problem::token_expired(ago.as_secs())),
            None => Ok(Credential::Oauth),
        }
    }
}
