//! The function's configuration: read once, when the process starts.

use lambda::{Environment, list};
use load::Modes;
use staging::snapshot_of;

const DEFAULT_MAX_CONTINUATIONS: u32 = 100;

#[derive(Debug)]
pub(super) struct Config {
    pub(super) stack: String,
    pub(super) state_table: String,
    pub(super) bucket: String,
    pub(super) schema: String,
    pub(super) warehouse_url: String,
    /// ARN of the secret with the warehouse's password, if it needs one.
    pub(super) warehouse_secret_arn: Option<String>,
    /// Collections to load; `None`: all.
    collections: Option<Vec<String>>,
    pub(super) modes: Modes,
    /// Invocations of itself after which the rest is left to the next schedule.
    pub(super) max_continuations: u32,
}

impl Config {
    pub(super) fn of_process() -> anyhow::Result<Config> {
        Config::of(Environment::of_process())
    }

    fn of<V: Fn(&str) -> Option<String>>(mut environment: Environment<V>) -> anyhow::Result<Config> {
        let config = Config {
            stack: environment.required("STACK"),
            state_table: environment.required("STATE_TABLE"),
            bucket: environment.required("BUCKET"),
            schema: environment.required("SCHEMA"),
            warehouse_url: environment.required("WAREHOUSE_URL"),
            warehouse_secret_arn: environment.optional("WAREHOUSE_SECRET_ARN"),
            collections: list(environment.optional("COLLECTIONS")),
            modes: Modes {
                hard_delete: list(environment.optional("HARD_DELETE")).unwrap_or_default(),
                history: list(environment.optional("HISTORY")).unwrap_or_default(),
            },
            max_continuations: environment.parsed("MAX_CONTINUATIONS", DEFAULT_MAX_CONTINUATIONS),
        };
        let without_history = list(environment.optional("WITHOUT_HISTORY")).unwrap_or_default();
        if let Err(why) = config.modes.check(&without_history) {
            environment.wrong("HISTORY", why);
        }
        environment.check()?;
        Ok(config)
    }

    /// `true`: the collection is loaded, or that of the snapshot with this name.
    pub(super) fn is_wanted(&self, name: &str) -> bool {
        let collection = snapshot_of(name).unwrap_or(name);
        self.collections.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| wanted == collection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_can_not_be_kept_is_refused_with_all_that_is_wrong() {
        let with_history = |history: &'static str| {
            Config::of(Environment::new(move |name: &str| match name {
                "BUCKET" => None,
                "MAX_CONTINUATIONS" => Some("3".to_owned()),
                "HISTORY" => Some(history.to_owned()),
                "WITHOUT_HISTORY" => Some("members, identities".to_owned()),
                _ => Some("x".to_owned()),
            }))
        };
        let refused = with_history("contacts,identities").unwrap_err().to_string();
        assert!(refused.contains("BUCKET not set"), "{refused}");
        assert!(refused.contains("HISTORY can't be used (identities can't have a history"), "{refused}");
        assert!(!with_history("contacts").unwrap_err().to_string().contains("HISTORY"));
    }
}
