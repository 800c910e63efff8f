//! Which setting holds: the environment's before the file's, and in the file that of the command's section before that at
//! the top. A flag on the command line goes before all, and puts aside settings that exclude it.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::catalog::settings_of;
use super::file::File;
use super::given::Given;
use super::program::Variables;
use crate::credential::{OAUTH, TOKEN, WAREHOUSE_PASSWORD};

/// Of a folder's tables and files: without a meaning for a stack, and no contradiction to it.
const OF_A_FOLDER: [&str; 2] = ["schema", "history"];

/// Returns the values that settings give to flags that the command line does not have, by the id of the flag.
///
/// # Errors
/// For two settings of one place that exclude each other.
pub(super) fn defaults(
    program: &Command,
    name: &str,
    said: &ArgMatches,
    variables: &Variables,
    environment: &BTreeMap<String, Given>,
    file: &File,
) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let Some(command) = program.find_subcommand(name) else { return Ok(BTreeMap::new()) };
    let is_said = |arg: &Arg| {
        let id = arg.get_id().as_str();
        matches!(said.try_contains_id(id), Ok(true))
            && said.value_source(id) == Some(ValueSource::CommandLine)
    };
    let on_line: Vec<&Arg> = command.get_arguments().filter(|arg| is_said(arg)).collect();
    let mut given: Vec<(&Arg, Given)> = Vec::new();
    for arg in settings_of(program, command).filter(|arg| !is_said(arg)) {
        let flag = arg.get_long().unwrap_or_default();
        let found = environment.get(flag).cloned().or_else(|| file.get(name, flag));
        let is_free = !on_line.iter().any(|said| exclude(command, said, arg));
        given.extend(
            found.filter(|_| is_free && !is_in_environment(flag, variables)).map(|found| (arg, found)),
        );
    }
    let mut weaker = Vec::new();
    for (place, (one, of_one)) in given.iter().enumerate() {
        for (other, of_other) in given[place + 1..].iter().filter(|(other, _)| exclude(command, one, other)) {
            let of_a_folder = |arg: &Arg| arg.get_long().is_some_and(|name| OF_A_FOLDER.contains(&name));
            weaker.push(match of_one.origin.rank().cmp(&of_other.origin.rank()) {
                _ if of_a_folder(one) => one.get_id(),
                _ if of_a_folder(other) => other.get_id(),
                std::cmp::Ordering::Less => one.get_id(),
                std::cmp::Ordering::Greater => other.get_id(),
                std::cmp::Ordering::Equal => {
                    let [one, other] = [one, other].map(|arg| arg.get_long().unwrap_or_default());
                    bail!(
                        "{name} takes {one} ({}) or {other} ({}), not both: leave one of them out, or put it under \
                         [{name}], or name --{one} or --{other}",
                        of_one.origin,
                        of_other.origin
                    )
                }
            });
        }
    }
    let kept =
        given.iter().filter(|(arg, given)| !weaker.contains(&arg.get_id()) && !given.values.is_empty());
    Ok(kept.map(|(arg, given)| (arg.get_id().to_string(), given.values.clone())).collect())
}

fn exclude(command: &Command, one: &Arg, other: &Arg) -> bool {
    // Those of all commands exclude nothing.
    let excludes = |one: &Arg, other: &Arg| {
        let is_own = command.get_arguments().any(|arg| arg.get_id() == one.get_id());
        is_own && command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
    };
    excludes(one, other) || excludes(other, one)
}

/// `true`: the environment has the secret itself.
fn is_in_environment(flag: &str, variables: &Variables) -> bool {
    let is_set = |name: &str| variables.get(name).is_some_and(|value| !value.trim().is_empty());
    match flag {
        "token-file" | "token-command" => is_set(TOKEN) || OAUTH.iter().any(|name| is_set(name)),
        "warehouse-password-file" | "warehouse-password-command" => is_set(WAREHOUSE_PASSWORD),
        _ => false,
    }
}
