//! Settings: what the environment and `hubspot-source.toml` say where the command line is silent. A setting has the name
//! of its flag, and becomes the flag's default: clap checks it, and nothing behind the parser knows where it came from.

mod catalog;
mod environment;
mod file;
mod given;
mod layers;
mod program;
mod secrets;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::OsStr;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::args::Args;
use crate::exit;
use crate::print::{print, say};
pub(crate) use catalog::{Place, SETTINGS, Setting};
use file::File;
use program::{Variables, relaxed};

/// The settings file, where nobody names another one.
pub(crate) const FILE: &str = "hubspot-source.toml";

/// Reasons why there are no arguments.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The command line is wrong, or asks for help.
    Usage(clap::Error),
    /// A setting is wrong.
    Settings(anyhow::Error),
}

/// Returns the arguments of this process.
///
/// # Errors
/// For a wrong command line, and for a wrong setting, wherever it stands.
pub(crate) fn arguments() -> Result<Args, Refused> {
    // What is not UTF-8 is none of ours.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    read(&std::env::args_os().collect::<Vec<_>>(), &variables.collect())
}

fn read(line: &[OsString], variables: &Variables) -> Result<Args, Refused> {
    let program = Args::command();
    let said = relaxed(program.clone()).try_get_matches_from(line)?;
    let program = match said.subcommand() {
        Some((name, said)) if catalog::has_settings(name) => with_settings(program, name, said, variables)?,
        _ => program,
    };
    Ok(Args::from_arg_matches(&program.try_get_matches_from(line)?)?)
}

/// Makes settings the defaults of the command's flags.
fn with_settings(
    program: Command,
    name: &str,
    said: &ArgMatches,
    variables: &Variables,
) -> anyhow::Result<Command> {
    let file = match named_file(said, variables) {
        Some(path) => File::read(&path, &program, variables)?,
        None if Path::new(FILE).exists() => {
            file::check_owner(Path::new(FILE))?;
            File::read(Path::new(FILE), &program, variables)?
        }
        None => File::default(),
    };
    let environment = environment::settings(&program, variables)?;
    let defaults = layers::defaults(&program, name, said, variables, &environment, &file)?;
    let with_defaults = |command: Command| {
        command.mut_args(|arg| match defaults.get(arg.get_id().as_str()) {
            Some(values) => arg.required(false).default_values(values.iter().map(OsStr::from)),
            None => arg,
        })
    };
    Ok(with_defaults(program).mut_subcommand(name, with_defaults))
}

fn named_file(said: &ArgMatches, variables: &Variables) -> Option<PathBuf> {
    let in_environment = || variables.get(environment::CONFIG).filter(|path| !path.is_empty());
    said.get_one::<PathBuf>("config").cloned().or_else(|| in_environment().map(PathBuf::from))
}

impl Refused {
    /// Says why, and returns the exit code.
    pub(crate) fn end(self) -> ExitCode {
        let error = match self {
            Refused::Usage(error) if !error.use_stderr() => error.exit(),
            Refused::Usage(error) => {
                // Nothing can be done for whoever does not read it.
                let _ = error.print();
                let text = error.render().to_string();
                values::first_part(&text)
            }
            Refused::Settings(error) => {
                say(&format!("error: {error:#}"));
                format!("{error:#}")
            }
        };
        if asks_for_json(&std::env::args_os().collect::<Vec<_>>()) {
            print(&exit::failed(&error, exit::MISUSED));
        }
        exit::exit_code(exit::MISUSED)
    }
}

/// `true`: the line asks for reports in JSON. It can't be parsed, or what it misses is in a wrong file.
fn asks_for_json(line: &[OsString]) -> bool {
    let pairs = line.windows(2).any(|pair| pair == ["--report", "json"]);
    pairs || line.iter().any(|word| word == "--report=json")
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Refused {
        Refused::Usage(error)
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Refused {
        Refused::Settings(error)
    }
}
