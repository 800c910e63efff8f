//! The environment, and the program that settings are of.

use std::collections::BTreeMap;

use clap::Command;

/// Variables of the environment.
pub(super) type Variables = BTreeMap<String, String>;

/// Returns the program without required arguments: a setting may give them.
pub(super) fn relaxed(program: Command) -> Command {
    program.mut_subcommands(|command| command.mut_args(|arg| arg.required(false)))
}
