//! The function's configuration: read once, when the process starts.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use compat::Product;
use lambda::{Environment, list};
use load::{ALL, ForgetDeleted, Modes, contacts_of};
use staging::{PersonColumns, snapshot_of};

/// Name for the collections of Segment's source, and for the tables that give ids their meaning.
const SEGMENT: &str = "segment";
const METADATA: &str = "metadata";

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
    wanted: Wanted,
    pub(super) modes: Modes,
    /// Columns by which rows of persons are known.
    pub(super) person_columns: Vec<PersonColumns>,
    forget_deleted: ForgetDeleted,
    /// `true`: e-mail events of forgotten persons stay under a pseudonym.
    pub(super) pseudonymise: bool,
    /// The product whose views are kept beside the tables.
    pub(super) compat: Option<Product>,
    /// Days after which merged staged files are removed; 0: never.
    staged_days: u32,
    /// Invocations of itself after which the rest is left to the next schedule.
    pub(super) max_continuations: u32,
}

/// The collections to load, in the words that `extract` and the command take.
#[derive(Debug)]
struct Wanted {
    /// Names of collections, or `all`; none stands for whatever is staged.
    names: Vec<String>,
    without: Vec<String>,
    /// The collections of Segment's source, and the tables of metadata.
    segment: Vec<String>,
    metadata: Vec<String>,
}

impl Wanted {
    /// Takes names, and the collections that `segment` and `metadata` stand for.
    fn new(given: Vec<String>, segment: Vec<String>, metadata: Vec<String>) -> Wanted {
        let (mut names, mut without) = (Vec::new(), Vec::new());
        for name in given {
            let (list, name) = match name.strip_prefix('-') {
                Some(left_out) => (&mut without, left_out),
                None => (&mut names, name.as_str()),
            };
            match name {
                SEGMENT => list.extend_from_slice(&segment),
                METADATA => list.extend_from_slice(&metadata),
                name => list.push(name.to_owned()),
            }
        }
        if names.is_empty() && !without.is_empty() {
            names.clone_from(&segment);
        }
        Wanted { names, without, segment, metadata }
    }

    fn select(&self, collection: &str) -> bool {
        let holds = |names: &[String], name: &str| names.iter().any(|named| named == name);
        let is_named = self.names.is_empty() || holds(&self.names, ALL) || holds(&self.names, collection);
        is_named && !holds(&self.without, collection)
    }
}

impl Config {
    pub(super) fn of_process() -> anyhow::Result<Config> {
        Config::of(Environment::of_process())
    }

    fn of<V: Fn(&str) -> Option<String>>(mut environment: Environment<V>) -> anyhow::Result<Config> {
        let mut config = Config {
            stack: environment.required("STACK"),
            state_table: environment.required("STATE_TABLE"),
            bucket: environment.required("BUCKET"),
            schema: environment.required("SCHEMA"),
            warehouse_url: environment.required("WAREHOUSE_URL"),
            warehouse_secret_arn: environment.optional("WAREHOUSE_SECRET_ARN"),
            wanted: Wanted::new(
                list(environment.optional("COLLECTIONS")).unwrap_or_default(),
                list(environment.optional("SEGMENT_COLLECTIONS")).unwrap_or_default(),
                list(environment.optional("METADATA_COLLECTIONS")).unwrap_or_default(),
            ),
            modes: Modes {
                hard_delete: list(environment.optional("HARD_DELETE")).unwrap_or_default(),
                history: list(environment.optional("HISTORY")).unwrap_or_default(),
            },
            person_columns: Vec::new(),
            forget_deleted: environment.parsed("FORGET_DELETED", ForgetDeleted::Auto),
            pseudonymise: environment.parsed("PSEUDONYMISE", false),
            compat: None,
            staged_days: environment.parsed("STAGED_DAYS", 0),
            max_continuations: environment.parsed("MAX_CONTINUATIONS", DEFAULT_MAX_CONTINUATIONS),
        };
        for line in list(environment.optional("PERSON_COLUMNS")).unwrap_or_default() {
            match line.parse() {
                Ok(columns) => config.person_columns.push(columns),
                Err(why) => environment.wrong("PERSON_COLUMNS", why),
            }
        }
        match environment.optional("COMPAT").map(|name| name.parse()) {
            Some(Ok(product)) => config.compat = Some(product),
            Some(Err(why)) => environment.wrong("COMPAT", why),
            None => {}
        }
        let without_history = list(environment.optional("WITHOUT_HISTORY")).unwrap_or_default();
        if let Err(why) = config.modes.check(&without_history) {
            environment.wrong("HISTORY", why);
        }
        environment.check()?;
        Ok(config)
    }

    /// Days after which contacts are forgotten that HubSpot shows no more; `None`: they are not.
    pub(super) fn forget_after_days(&self) -> Option<u32> {
        let contacts = contacts_of(&self.person_columns)?;
        self.forget_deleted.days(self.modes.of(contacts).hard_delete)
    }

    pub(super) fn retention(&self) -> Option<TimeDelta> {
        (self.staged_days > 0).then(|| TimeDelta::days(self.staged_days.into()))
    }

    /// `true`: the collection is loaded, or that of the snapshot with this name.
    pub(super) fn is_wanted(&self, name: &str) -> bool {
        self.wanted.select(snapshot_of(name).unwrap_or(name))
    }

    /// Returns the names, with their variables, of which nothing is staged.
    pub(super) fn unknown(&self, staged: &BTreeSet<String>) -> Vec<(&'static str, &str)> {
        let Modes { hard_delete, history } = &self.modes;
        let lists = [("COLLECTIONS", &self.wanted.names), ("HARD_DELETE", hard_delete), ("HISTORY", history)];
        let named =
            lists.into_iter().flat_map(|(variable, names)| names.iter().map(move |name| (variable, name)));
        // A group stands for tables, whether the account has them or not.
        let Wanted { segment, metadata, .. } = &self.wanted;
        let is_of_group = |name: &str| segment.iter().chain(metadata).any(|known| known == name);
        let is_unknown = |name: &str| name != ALL && !is_of_group(name) && !staged.contains(name);
        named.filter(|(_, name)| is_unknown(name)).map(|(variable, name)| (variable, name.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_are_chosen_in_the_words_of_the_command() {
        let select = |given: &str, name: &str| {
            let list = |text: &str| list(Some(text.to_owned())).unwrap_or_default();
            Wanted::new(list(given), list("contacts,deals"), list("owners")).select(name)
        };
        for (given, chosen) in [
            ("", [true, true, true, true]),
            ("segment", [true, true, false, false]),
            ("-deals", [true, false, false, false]),
            ("segment,cars,-contacts", [false, true, true, false]),
            ("all,-cars,-metadata", [true, true, false, false]),
            ("cars,metadata", [false, false, true, true]),
        ] {
            let names = ["contacts", "deals", "cars", "owners"];
            assert_eq!(names.map(|name| select(given, name)), chosen, "{given}");
        }
    }

    #[test]
    fn contacts_are_forgotten_where_deleted_ones_leave_the_table() {
        let days = |hard_delete: &'static str, setting: Option<&'static str>| {
            let config = Config::of(Environment::new(move |name: &str| match name {
                "FORGET_DELETED" => setting.map(str::to_owned),
                "HARD_DELETE" => Some(hard_delete.to_owned()),
                "PERSON_COLUMNS" => Some("contacts! id# email@, email_events recipient@ created~".to_owned()),
                "HISTORY" | "STAGED_DAYS" | "MAX_CONTINUATIONS" | "PSEUDONYMISE" | "COMPAT" => None,
                _ => Some("x".to_owned()),
            }));
            config.map(|config| config.forget_after_days()).map_err(|error| error.to_string())
        };
        assert_eq!(days("contacts", None), Ok(Some(7)));
        assert_eq!(days("all", Some("auto")), Ok(Some(7)));
        assert_eq!(days("deals", None), Ok(None));
        assert_eq!(days("deals", Some("on")), Ok(Some(7)));
        assert_eq!(days("all", Some("off")), Ok(None));
        assert_eq!(days("deals", Some("30")), Ok(Some(30)));
        assert!(days("all", Some("never")).unwrap_err().contains("FORGET_DELETED"));
    }

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
