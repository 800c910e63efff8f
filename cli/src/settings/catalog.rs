//! The settings that there are, in the order in which `init` writes them. Each is a flag of one command or several; a test
//! holds that each flag is a setting or stands below as one for a single call.

use clap::{Arg, Command};

/// A setting, as `init` writes it.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// Its default, or where it has none an example, in TOML.
    pub(crate) value: &'static str,
    pub(crate) words: &'static str,
    pub(crate) place: Place,
}

/// The place of a setting in the file that `init` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the top, and in force.
    Set,
    /// At the top, behind a `#`.
    Top,
    /// The same; it is an example, since there is no default.
    Example,
    /// It excludes the one before.
    Instead,
    /// In the section of the only command that has it.
    Section(&'static str),
}

use Place::{Example, Instead, Section, Set, Top};

const fn setting(name: &'static str, value: &'static str, place: Place, words: &'static str) -> Setting {
    Setting { name, value, words, place }
}

pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        "warehouse",
        "\"duckdb:warehouse.duckdb\"",
        Set,
        "Warehouse: duckdb:PATH, postgres://USER@HOST/DATABASE and others, or none",
    ),
    setting("state", "\"state\"", Set, "Folder for the cursors and the staged files: keep it"),
    setting(
        "stack",
        "\"hubspot-source\"",
        Instead,
        "Name of a deployed stack, for status, backfill, reconcile, replay, compact, forget",
    ),
    setting("schema", "\"hubspot\"", Top, "Schema of the tables"),
    setting(
        "collections",
        "[\"segment\"]",
        Top,
        "Collections: names, and the groups segment, metadata and all",
    ),
    setting("without", "[\"email_events\"]", Example, "Collections to leave out"),
    setting(
        "property-history",
        "\"deals:dealstage,amount;contacts:lifecyclestage\"",
        Example,
        "Properties whose past values go to property_history",
    ),
    setting(
        "hard-delete",
        "[\"contacts\"]",
        Example,
        "Collections whose deleted rows are removed, or all; others keep them, with is_deleted",
    ),
    setting(
        "history",
        "[\"deals\"]",
        Example,
        "Collections with a second table that has all versions of their records",
    ),
    setting(
        "forget-deleted",
        "\"auto\"",
        Top,
        "Forget contacts that HubSpot shows nowhere any more: auto, on, off, or days",
    ),
    setting(
        "pseudonymise",
        "false",
        Top,
        "Keep e-mail events and subscriptions of the forgotten, under a pseudonym",
    ),
    setting("compat", "\"fivetran\"", Example, "Keep views with the names and columns of another product"),
    setting(
        "reserve",
        "10",
        Top,
        "Percent of HubSpot's limits that are left to other apps; for doctor the default is 0",
    ),
    setting("address-calls", "0", Top, "Most calls for the subscriptions of single addresses"),
    setting("keep-staged", "0", Top, "Days for which loaded files are kept; 0 keeps them always"),
    setting("codec", "\"zstd\"", Top, "Compression of staged files: zstd or snappy"),
    setting("hubspot-url", "\"https://api.hubapi.com\"", Top, "URL of HubSpot's API"),
    setting("report", "\"text\"", Top, "Reports: text, or json"),
    setting("verbose", "false", Top, "Log the steps of a run"),
    setting(
        "token-file",
        "\".hubspot-token\"",
        Example,
        "File with HubSpot's token, which you alone may read",
    ),
    setting(
        "token-command",
        "\"secret-tool lookup service hubspot\"",
        Instead,
        "Command that prints the token",
    ),
    setting(
        "warehouse-password-file",
        "\".warehouse-password\"",
        Example,
        "File with the warehouse's password",
    ),
    setting(
        "warehouse-password-command",
        "\"secret-tool lookup service warehouse\"",
        Instead,
        "Command that prints the password",
    ),
    setting("memory", "128", Section("plan"), "Memory of the function that is planned, in MB"),
    setting(
        "dialect",
        "\"duckdb\"",
        Section("dbt"),
        "SQL of the views; that of the warehouse where it is not set",
    ),
    setting("compat-schema", "\"hubspot_fivetran\"", Section("dbt"), "Schema of the views"),
    setting("vacuum-full", "false", Section("forget"), "Have PostgreSQL write its tables anew"),
];

/// Commands that read no settings.
const WITHOUT_SETTINGS: &[&str] = &["init", "demo", "dictionary", "completions", "man", "generate", "help"];

/// Flags that are for one call: in a file they would be forgotten there.
const FOR_ONE_CALL: &[(&str, &[&str])] = &[
    ("sync", &["mode", "since", "until", "adopt", "accept-removals", "accept-forgetting"]),
    ("plan", &["since", "until"]),
    ("backfill", &["since", "until", "follow", "detach"]),
    ("reconcile", &["refresh", "follow", "detach"]),
    // All that is loaded or staged, which is not what a sync selects.
    ("replay", &["collections"]),
    ("compact", &["collections"]),
    // Also the name of the setting for formats: it has no section.
    ("report", &["html", "days"]),
    ("forget", &["email", "contact", "dry-run", "lift", "yes"]),
    // Another folder than a sync's; a stack is named together with its bucket.
    ("adopt", &["state", "stack", "bucket"]),
];

pub(super) fn has_settings(command: &str) -> bool {
    !WITHOUT_SETTINGS.contains(&command)
}

/// Returns the commands that have settings.
pub(super) fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| has_settings(command.get_name()))
}

/// Returns the settings of a command, with those of all commands.
pub(super) fn settings_of<'a>(program: &'a Command, command: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let of_all = program.get_arguments().filter(|arg| arg.get_long() == Some("verbose"));
    let own = command.get_arguments().filter(|arg| {
        arg.get_long().is_some_and(|name| name != "help" && !is_for_one_call(command.get_name(), name))
    });
    own.chain(of_all)
}

pub(super) fn setting_of<'a>(program: &'a Command, command: &'a Command, name: &str) -> Option<&'a Arg> {
    settings_of(program, command).find(|arg| arg.get_long() == Some(name))
}

/// Returns a command that has the setting.
pub(super) fn with_setting<'a>(program: &'a Command, name: &str) -> Option<(&'a Command, &'a Arg)> {
    commands(program).find_map(|command| Some((command, setting_of(program, command, name)?)))
}

/// `true`: the flag is for one call of a command.
pub(super) fn is_for_one_call(command: &str, name: &str) -> bool {
    FOR_ONE_CALL.iter().any(|(of, names)| *of == command && names.contains(&name))
}

/// `true`: it is a flag of some command, and a setting of none.
pub(super) fn is_flag_only(name: &str) -> bool {
    FOR_ONE_CALL.iter().any(|(_, names)| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    #[test]
    fn each_flag_is_a_setting_or_for_one_call() {
        let program = Args::command();
        let flags = commands(&program).flat_map(|command| settings_of(&program, command));
        let flags: BTreeSet<&str> = flags.filter_map(Arg::get_long).collect();
        let listed: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(flags, listed, "write it into SETTINGS, or into FOR_ONE_CALL");
        assert_eq!(listed.len(), SETTINGS.len());
        for (name, flags) in FOR_ONE_CALL {
            let command = program.find_subcommand(name).unwrap();
            for flag in *flags {
                assert!(command.get_arguments().any(|arg| arg.get_long() == Some(flag)), "{name} --{flag}");
            }
        }
        let with_settings: BTreeSet<&str> = commands(&program).map(Command::get_name).collect();
        assert!(with_settings.is_superset(&["sync", "doctor", "plan", "dbt"].into()), "{with_settings:?}");
    }

    #[test]
    fn each_setting_is_in_the_docs() {
        let docs = std::fs::read_to_string("../docs/settings.md").unwrap();
        for setting in SETTINGS {
            assert!(docs.contains(&format!("`{}`", setting.name)), "{}", setting.name);
        }
    }

    #[test]
    fn defaults_are_those_of_the_flags() {
        let program = Args::command();
        for setting in SETTINGS.iter().filter(|setting| matches!(setting.place, Top | Section(_))) {
            let (_, arg) = with_setting(&program, setting.name).unwrap();
            let Some(default) = arg.get_default_values().first() else { continue };
            let value = setting.value.trim_matches(['"', '[', ']']);
            assert_eq!(value, default.to_str().unwrap(), "{}", setting.name);
        }
    }
}
