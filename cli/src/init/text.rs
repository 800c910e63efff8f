//! The text of both files. A setting that is not in force stands behind a `#` without a space: with all of these taken
//! away, the file is still one that the program accepts.

use chrono::Utc;

use crate::doctor::Rights;
use crate::print;
use crate::settings::{Place, SETTINGS, Setting};

/// Width of comments.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Settings of hubspot-source. Each has the name of its flag, of which `hubspot-source sync --help` says more.
# A flag goes before a variable of the environment (HUBSPOT_SOURCE_SCHEMA for schema), and that before this file.
# What stands behind a # is not in force: it is the default, or an example where there is none.
# Paths begin at the folder of this file. Secrets are refused in it: .env.example shows where they go.
";

pub(super) const ENV_EXAMPLE: &str = "\
# Secrets of hubspot-source. Copy this file to .env, keep that out of version control, and fill it in. Then:
#   chmod 600 .env
#   set -a; . ./.env; set +a; hubspot-source sync      in a shell
#   docker run --env-file .env ...                     in a container
#   EnvironmentFile=/etc/hubspot-source/.env           in a unit of systemd

# HubSpot's token: a service key (Development > Keys > Service keys), or that of a private app.
HUBSPOT_TOKEN=

# An OAuth app's three values, instead.
#HUBSPOT_CLIENT_ID=
#HUBSPOT_CLIENT_SECRET=
#HUBSPOT_REFRESH_TOKEN=

# The warehouse's password, where it has one.
#WAREHOUSE_PASSWORD=

# Any setting of hubspot-source.toml, by its name in capitals.
#HUBSPOT_SOURCE_SCHEMA=hubspot
";

/// Returns the settings file, with these values in force.
pub(super) fn settings(in_force: &[(&str, String)], rights: Option<&Rights>, failed: Option<&str>) -> String {
    let mut text = HEAD.to_owned();
    match (rights, failed) {
        (Some(rights), _) => text += &of_account(rights),
        (None, Some(why)) => {
            text += &format!("\n{}", wrapped("", &format!("HubSpot could not be asked: {why}")))
        }
        (None, None) => {}
    }
    let mut section = None;
    for setting in SETTINGS {
        if let Place::Section(name) = setting.place
            && section != Some(name)
        {
            text += &format!("\n# For {name} alone.\n[{name}]\n");
            section = Some(name);
        } else if section.is_none() && setting.place != Place::Instead {
            text.push('\n');
        }
        let given = in_force.iter().find(|(name, _)| *name == setting.name).map(|(_, value)| quoted(value));
        text += &lines(setting, given, rights);
    }
    text
}

fn lines(setting: &Setting, given: Option<String>, rights: Option<&Rights>) -> String {
    let Setting { name, words, place, .. } = setting;
    let value = match rights.map(Rights::to_leave_out) {
        Some(names) if *name == "without" && !names.is_empty() => format!("[\"{}\"]", names.join("\", \"")),
        _ => setting.value.to_owned(),
    };
    match (place, given) {
        (_, Some(given)) => format!("# {words}.\n{name} = {given}\n"),
        (Place::Set, None) => format!("# {words}.\n{name} = {value}\n"),
        (Place::Example, None) => format!("# {words}. Not set; an example:\n#{name} = {value}\n"),
        (Place::Instead, None) => format!("# Instead: {words}.\n#   {name} = {value}\n"),
        (Place::Top | Place::Section(_), None) => format!("# {words}.\n#{name} = {value}\n"),
    }
}

/// Quotes a text for TOML, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns what the credential may read, and what not, with the reason.
fn of_account(rights: &Rights) -> String {
    let mut text = format!("\n# HubSpot account {}, on {}:\n", rights.account, Utc::now().date_naive());
    let full = rights.names("ok");
    if !full.is_empty() {
        text += &wrapped("  ", &format!("can be filled: {}", full.join(", ")));
    }
    for (state, words) in [
        ("degraded", "filled, but not in full"),
        ("skipped", "can't be filled"),
        ("unavailable", "not in the account, or not for this credential"),
    ] {
        for (reason, names) in rights.by_reason(state) {
            text += &wrapped("  ", &format!("{words}: {} ({reason})", names.join(", ")));
        }
    }
    text
}

/// Returns a comment in lines that fit.
fn wrapped(indent: &str, words: &str) -> String {
    let (mut text, mut line) = (String::new(), format!("# {indent}"));
    let begin = format!("# {indent}  ");
    let mut is_empty = true;
    for word in print::words(words) {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text += &format!("{line}\n");
            line = begin.clone();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line += word;
        is_empty = false;
    }
    format!("{text}{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_there_once_and_lines_are_short() {
        let text = settings(&[("hubspot-url", "http://x/\"".to_owned())], None, Some("no answer\nat all"));
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        for setting in SETTINGS {
            let of_it = |line: &&str| {
                line.trim_start_matches(['#', ' ']).starts_with(&format!("{} = ", setting.name))
            };
            assert_eq!(text.lines().filter(of_it).count(), 1, "{}: {text}", setting.name);
        }
        assert!(text.contains("\nhubspot-url = \"http://x/\\\"\"\n"), "{text}");
        assert!(text.contains("# HubSpot could not be asked: no answer at all\n"), "{text}");
    }
}
