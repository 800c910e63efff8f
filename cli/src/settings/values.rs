//! Values of settings, as the parser of the command line takes them: it says what is wrong with one, in the words that it
//! has for the flag.

use std::any::TypeId;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use toml::de::DeValue;

use super::program::relaxed;
use crate::alike;

/// Returns the value of a file as words of the command line.
pub(super) fn checked(command: &Command, arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let (name, kind) = (arg.get_long().unwrap_or_default(), Kind::of(arg));
    let texts = match value {
        DeValue::String(text) => Ok(vec![text.to_string()]),
        DeValue::Integer(number) => Ok(vec![number.to_string()]),
        DeValue::Boolean(is_on) => Ok(vec![is_on.to_string()]),
        DeValue::Float(number) => Ok(vec![number.as_str().to_owned()]),
        DeValue::Datetime(at) => Ok(vec![at.to_string()]),
        DeValue::Array(values) => {
            let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
            let texts: Option<Vec<String>> = values.iter().map(|value| text(value.get_ref())).collect();
            texts.ok_or_else(|| format!("{name} {}", kind.words(name)))
        }
        DeValue::Table(_) => Err(format!("{name} {}", kind.words(name))),
    }?;
    let fits = match value {
        DeValue::String(_) => !matches!(kind, Kind::Switch | Kind::Number),
        DeValue::Integer(_) => matches!(kind, Kind::Number | Kind::Other),
        DeValue::Boolean(_) => kind == Kind::Switch,
        DeValue::Array(_) => matches!(kind, Kind::List | Kind::Command),
        _ => false,
    };
    let text = match kind {
        Kind::Command if texts.len() != 1 || matches!(value, DeValue::Array(_)) => {
            let words = texts.iter().map(String::as_str);
            shlex::try_join(words).map_err(|_| format!("{name} has a word with a NUL in it"))?
        }
        _ => texts.join(","),
    };
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    // Its own words come first: what is no number is none, quoted or not.
    let values = checked_text(command, arg, &text)?;
    if fits { Ok(values) } else { Err(format!("{name} {}", kind.words(name))) }
}

/// Returns a text as words of the command line.
pub(super) fn checked_text(command: &Command, arg: &Arg, text: &str) -> Result<Vec<String>, String> {
    let name = arg.get_long().unwrap_or_default();
    if Kind::of(arg) == Kind::Switch {
        return match text {
            "true" | "false" => Ok(vec![text.to_owned()]),
            _ => Err(format!("invalid value '{text}' for '--{name}': it is true or false")),
        };
    }
    // A global one is not among the command's own arguments.
    let line = [command.get_name().to_owned(), format!("--{name}={text}")];
    match relaxed(Command::new("settings").subcommand(command.clone()))
        .try_get_matches_from(["settings".to_owned()].iter().chain(&line))
    {
        Err(error) => Err(first_part(&error.render().to_string())),
        Ok(_) => Ok(match arg.get_value_delimiter() {
            Some(delimiter) => text.split(delimiter).map(|part| part.trim().to_owned()).collect(),
            None => vec![text.to_owned()],
        }),
    }
}

/// Returns what an error of the parser says, in one line, without its hints at the help.
pub(super) fn first_part(error: &str) -> String {
    let text = error.strip_prefix("error: ").unwrap_or(error);
    let end = ["\n\nFor more information", "\n\nUsage:"].iter().filter_map(|hint| text.find(hint)).min();
    let words: Vec<&str> = text[..end.unwrap_or(text.len())].split_whitespace().collect();
    words.join(" ")
}

/// Returns the known name that an unknown one was meant for.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    alike::meant(&name.replace('_', "-"), known)
}

/// Type of a setting's value in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Number,
    List,
    Path,
    /// A command with its arguments: a text, or a list of words.
    Command,
    Text,
    /// A text or a number, as its parser says.
    Other,
}

impl Kind {
    pub(super) fn of(arg: &Arg) -> Kind {
        let of_value = arg.get_value_parser().type_id();
        let is = |types: &[TypeId]| types.iter().any(|one| of_value == *one);
        match arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            _ if arg.get_value_delimiter().is_some() => Kind::List,
            _ if is(&[TypeId::of::<u8>(), TypeId::of::<u32>(), TypeId::of::<u64>()]) => Kind::Number,
            _ if is(&[TypeId::of::<PathBuf>()]) => Kind::Path,
            _ if arg.get_long().is_some_and(|name| name.ends_with("-command")) => Kind::Command,
            _ if is(&[TypeId::of::<String>()]) => Kind::Text,
            _ => Kind::Other,
        }
    }

    fn words(self, name: &str) -> String {
        match self {
            Kind::Switch => format!("is true or false, without quotes: {name} = true"),
            Kind::Number => format!("is a number, without quotes: {name} = 10"),
            Kind::List => format!("is a list of names in quotes: {name} = [\"contacts\", \"deals\"]"),
            Kind::Command => format!("is a command in quotes: {name} = \"pass show hubspot\""),
            Kind::Path | Kind::Text | Kind::Other => format!("is a text in quotes: {name} = \"...\""),
        }
    }
}
