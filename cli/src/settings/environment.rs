//! Settings in the environment: `HUBSPOT_SOURCE_` and the name of the flag, in capitals. An empty one is none.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Command;

use super::catalog::{SETTINGS, is_flag_only, with_setting};
use super::given::{Given, Origin};
use super::program::Variables;
use super::secrets::{meant_secret, next_step};
use super::values::{checked_text, meant};

const PREFIX: &str = "HUBSPOT_SOURCE_";
/// The variable that names the settings file.
pub(super) const CONFIG: &str = "HUBSPOT_SOURCE_CONFIG";

/// Returns the settings of the environment, by name.
///
/// # Errors
/// For each that is unknown or has a wrong value.
pub(super) fn settings(program: &Command, variables: &Variables) -> anyhow::Result<BTreeMap<String, Given>> {
    let (mut settings, mut wrong) = (BTreeMap::new(), Vec::new());
    let ours = variables.iter().filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty());
    for (variable, value) in ours.filter(|(name, _)| *name != CONFIG) {
        let name = variable[PREFIX.len()..].to_lowercase().replace('_', "-");
        match with_setting(program, &name) {
            Some((command, arg)) => match checked_text(command, arg, value) {
                Ok(values) => {
                    let origin = Origin::Environment(variable.clone());
                    settings.insert(name, Given { values, origin });
                }
                Err(why) => wrong.push(format!("{variable}: {why}")),
            },
            None => wrong.push(format!("{variable} is no setting: {}", instead(&name))),
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(settings)
}

fn instead(name: &str) -> String {
    if let Some(secret) = meant_secret(name) {
        return next_step(secret).to_owned();
    }
    if is_flag_only(name) {
        return format!("--{name} is for one call");
    }
    let variable = |name: &str| format!("{PREFIX}{}", name.to_uppercase().replace('-', "_"));
    match meant(name, SETTINGS.iter().map(|setting| setting.name)) {
        Some(meant) => format!("did you mean {}?", variable(meant)),
        None => "docs/settings.md lists them".to_owned(),
    }
}
