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
    /// Where the warehouse's password is, if it takes one.
    pub(super) warehouse_secret_arn: Option<String>,
    /// `None`: all.
    collections: Option<Vec<String>>,
    pub(super) modes: Modes,
    /// Invocations of itself after which the rest is left to the next schedule.
    pub(super) max_continuations: u32,
}

impl Config {
    pub(super) fn of_process() -> anyhow::Result<Config> {
        let mut environment = Environment::of_process();
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
        environment.check()?;
        Ok(config)
    }

    /// A snapshot is wanted as what it is of.
    pub(super) fn is_wanted(&self, name: &str) -> bool {
        let collection = snapshot_of(name).unwrap_or(name);
        self.collections.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| wanted == collection))
    }
}
