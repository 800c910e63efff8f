//! `hubspot-source.toml`: names of flags, at the top for all commands that have them, or in the section of one command.
//! All of it is checked, whichever command is run. Messages quote no line of it: somebody may have put a secret there.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail};
use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalog::{
    commands, has_settings, is_flag_only, is_for_one_call, setting_of, settings_of, with_setting,
};
use super::given::{Given, Origin};
use super::program::Variables;
use super::secrets::{Secret, has_password, meant_secret, next_step};
use super::values::{Kind, checked, meant};

/// The settings of a file.
#[derive(Debug, Default)]
pub(super) struct File {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    section: Option<String>,
    name: String,
    given: Given,
}

/// A file while it is read.
struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    program: &'a Command,
    home: Option<&'a str>,
    entries: Vec<Entry>,
    wrong: Vec<(usize, String)>,
}

/// Refuses a file of the working folder that somebody else may have put there: it can name a command to run, and a place
/// to send the token to.
///
/// # Errors
/// For a file that belongs to somebody else, or that all may write.
pub(super) fn check_owner(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::metadata(path).with_context(|| format!("{} can't be read", path.display()))?;
    let own = nix::unistd::Uid::effective().as_raw();
    let shown = path.display();
    if file.uid() != own && file.uid() != 0 {
        bail!("{shown} belongs to another user: name it with --config {shown} if you trust what is in it");
    }
    if file.mode() & 0o002 != 0 {
        bail!("{shown} may be written by everybody: chmod o-w {shown}");
    }
    Ok(())
}

impl File {
    /// # Errors
    /// For each wrong setting, with the line.
    pub(super) fn read(path: &Path, program: &Command, variables: &Variables) -> anyhow::Result<File> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the settings file {shown} can't be read: name another --config"))?;
        File::parse(path, &text, program, variables.get("HOME").map(String::as_str))
    }

    fn parse(path: &Path, text: &str, program: &Command, home: Option<&str>) -> anyhow::Result<File> {
        let mut reading = Reading { path, text, program, home, entries: Vec::new(), wrong: Vec::new() };
        match DeTable::parse(text) {
            Ok(table) => reading.top(table.get_ref()),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                reading.wrong.push((start, format!("this is no TOML: {}", error.message())));
            }
        }
        if !reading.wrong.is_empty() {
            reading.wrong.sort();
            let place = |start: usize| format!("{}:{}", path.display(), line(text, start));
            let wrong = reading.wrong.iter().map(|(start, why)| format!("{}: {why}", place(*start)));
            bail!("{}", wrong.collect::<Vec<_>>().join("\n"));
        }
        Ok(File { entries: reading.entries })
    }

    /// Returns what the file says for a command: in its section, or else at the top.
    pub(super) fn get(&self, command: &str, name: &str) -> Option<Given> {
        let find = |section: Option<&str>| {
            let mut entries = self.entries.iter();
            entries.find(|entry| entry.name == name && entry.section.as_deref() == section)
        };
        find(Some(command)).or_else(|| find(None)).map(|entry| entry.given.clone())
    }
}

impl Reading<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(section)
                    if with_setting(self.program, name).is_none() || is_command(self.program, name) =>
                {
                    self.section(key, section);
                }
                _ => match with_setting(self.program, name) {
                    Some((command, arg)) => self.entry(None, command, arg, value, key.span().start),
                    None => self.unknown(key, None),
                },
            }
        }
    }

    fn section(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, section: &DeTable<'_>) {
        let name = key.get_ref().as_ref();
        let program = self.program;
        let Some(command) = program.find_subcommand(name).filter(|_| has_settings(name)) else {
            let names = || commands(program).map(Command::get_name);
            let instead = match meant(name, names()) {
                Some(meant) => format!("did you mean [{meant}]?"),
                None => format!("use one of {}", names().collect::<Vec<_>>().join(", ")),
            };
            let why = format!("[{name}] is the section of no command that has settings: {instead}");
            return self.wrong.push((key.span().start, why));
        };
        for (key, value) in section {
            match setting_of(program, command, key.get_ref()) {
                Some(arg) => self.entry(Some(name), command, arg, value, key.span().start),
                None => self.unknown(key, Some(command)),
            }
        }
    }

    fn entry(
        &mut self,
        section: Option<&str>,
        command: &Command,
        arg: &Arg,
        value: &Spanned<DeValue<'_>>,
        at: usize,
    ) {
        let name = arg.get_long().unwrap_or_default();
        // Before anything that may be wrong with it: that message would show it.
        if name == "warehouse" && value.get_ref().as_str().is_some_and(has_password) {
            let why = format!(
                "the URL of warehouse holds a secret, for which this file is no place: leave it out of the \
                               URL, and {}",
                next_step(Secret::Password)
            );
            return self.wrong.push((at, why));
        }
        let values = match checked(command, arg, value.get_ref()) {
            Ok(values) => values,
            Err(why) => return self.wrong.push((value.span().start, why)),
        };
        let values = values.into_iter().map(|value| self.as_seen_from_here(arg, value)).collect();
        let place = format!("{}:{}", self.path.display(), line(self.text, at));
        let origin = match section {
            Some(_) => Origin::Section { place },
            None => Origin::Top { place },
        };
        let section = section.map(str::to_owned);
        self.entries.push(Entry { section, name: name.to_owned(), given: Given { values, origin } });
    }

    /// Makes a path one from the folder of the file.
    fn as_seen_from_here(&self, arg: &Arg, value: String) -> String {
        let as_seen_from_here = |path: &str| {
            let path = match (path.strip_prefix("~/"), self.home) {
                (Some(rest), Some(home)) => Path::new(home).join(rest),
                _ => Path::new(path).to_owned(),
            };
            // A folder of the working folder's is named as it stands.
            self.path.parent().map_or(path.clone(), |folder| folder.join(path)).display().to_string()
        };
        match value.strip_prefix("duckdb:") {
            _ if Kind::of(arg) == Kind::Path => as_seen_from_here(&value),
            Some(path) if arg.get_long() == Some("warehouse") && !path.is_empty() => {
                format!("duckdb:{}", as_seen_from_here(path))
            }
            _ => value,
        }
    }

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, command: Option<&Command>) {
        let (name, program) = (key.get_ref().as_ref(), self.program);
        let elsewhere = with_setting(program, name);
        let why = match (command, meant_secret(name)) {
            (None, Some(secret)) => {
                format!("{name} is a secret, for which this file is no place: {}", next_step(secret))
            }
            (Some(_), Some(secret)) if elsewhere.is_none() => {
                format!("{name} is a secret, for which this file is no place: {}", next_step(secret))
            }
            (Some(command), _) if is_for_one_call(command.get_name(), name) => {
                format!("{name} is for one call of {}: give it there, as --{name}", command.get_name())
            }
            (None, _) if is_flag_only(name) => format!("{name} is for one call: give it there, as --{name}"),
            (Some(command), _) if elsewhere.is_some() => {
                format!("{} has no setting {name}", command.get_name())
            }
            _ => format!("unknown setting {name:?}: {}", self.instead(name, command)),
        };
        self.wrong.push((key.span().start, why));
    }

    fn instead(&self, name: &str, command: Option<&Command>) -> String {
        let program = self.program;
        let of = |command| settings_of(program, command).filter_map(Arg::get_long);
        let mut names: Vec<&str> = match command {
            Some(command) => of(command).collect(),
            None => commands(program).flat_map(of).collect(),
        };
        names.sort_unstable();
        names.dedup();
        match meant(name, names.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("use one of {}", names.join(", ")),
        }
    }
}

fn is_command(program: &Command, name: &str) -> bool {
    program.find_subcommand(name).is_some_and(|_| has_settings(name))
}

/// Returns the number of the line of a place in a text.
fn line(text: &str, start: usize) -> usize {
    text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;
    use crate::settings::SETTINGS;

    fn parse(path: &str, text: &str) -> Result<File, String> {
        File::parse(Path::new(path), text, &Args::command(), Some("/home/ada"))
            .map_err(|error| error.to_string())
    }

    fn value(file: &File, command: &str, name: &str) -> String {
        file.get(command, name).unwrap().values.join(",")
    }

    #[test]
    fn the_example_of_every_setting_is_accepted() {
        for setting in SETTINGS {
            let text = format!("{} = {}", setting.name, setting.value);
            parse("s.toml", &text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn paths_begin_at_the_folder_of_the_file() {
        let text = "state = \"state\"\nwarehouse = \"duckdb:w.duckdb\"\ntoken-file = \"~/.token\"\n\
                    [status]\nstate = \"/var/state\"";
        let file = parse("conf/s.toml", text).unwrap();
        assert_eq!(value(&file, "sync", "state"), "conf/state");
        assert_eq!(value(&file, "status", "state"), "/var/state");
        assert_eq!(value(&file, "sync", "warehouse"), "duckdb:conf/w.duckdb");
        assert_eq!(value(&file, "sync", "token-file"), "/home/ada/.token");
        let here = parse("s.toml", text).unwrap();
        assert_eq!(value(&here, "sync", "warehouse"), "duckdb:w.duckdb");
        let other = parse("conf/s.toml", "warehouse = \"postgres://u@h/d\"").unwrap();
        assert_eq!(value(&other, "sync", "warehouse"), "postgres://u@h/d");
    }

    #[test]
    fn lists_and_commands_are_a_text_or_words() {
        let text = "collections = [\"contacts\", \"deals\"]\nhard-delete = \"contacts, deals\"\n\
                    token-command = [\"op\", \"read\", \"op://my vault/x\"]\nforget-deleted = 30\nhistory = []";
        let file = parse("s.toml", text).unwrap();
        assert_eq!(file.get("sync", "collections").unwrap().values, ["contacts", "deals"]);
        assert_eq!(file.get("sync", "hard-delete").unwrap().values, ["contacts", "deals"]);
        assert_eq!(value(&file, "sync", "token-command"), "op read 'op://my vault/x'");
        assert_eq!(value(&file, "sync", "forget-deleted"), "30");
        assert!(file.get("sync", "history").unwrap().values.is_empty());
        assert!(file.get("compact", "collections").is_some_and(|given| given.values.len() == 2));
    }

    #[test]
    fn no_message_quotes_the_file() {
        for text in [
            "token = \"geheim\"",
            "token = geheim",
            "geheim",
            "[sync]\npassword = \"geheim\"",
            "a = \"geheim",
        ] {
            let error = parse("s.toml", text).unwrap_err();
            assert!(
                error.starts_with("s.toml:") && !error.contains("= geheim") && !error.contains("\"geheim"),
                "{error}"
            );
        }
        let error = parse("s.toml", "warehouse = \"postgres://u:geheim@h/d\"").unwrap_err();
        assert!(!error.contains("geheim"), "{error}");
    }

    #[test]
    fn lines_are_counted_from_one() {
        let error = parse("s.toml", "schema = \"a\"\n\n# x\nreserve = 95\nreport = 1\n").unwrap_err();
        let lines: Vec<&str> = error.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(lines, ["s.toml:4:", "s.toml:5:"], "{error}");
        assert!(error.contains("95 is not in 0..=90"), "{error}");
    }
}
