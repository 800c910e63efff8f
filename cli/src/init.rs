//! `init`: writes a settings file with every setting, and an example of the environment. With a credential at hand it asks
//! HubSpot what that may read, and notes what it may not.

mod text;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

use crate::args::{Init, TokenFrom};
use crate::credential::{credential, is_given};
use crate::doctor::{self, Rights};
use crate::print::{print, say};
use crate::settings;

/// Writes both files. `true`: HubSpot was asked, or there is no credential to ask with.
///
/// # Errors
/// When a file is there already, or can't be written, and for a credential that is none.
pub(crate) async fn run(args: &Init, config: Option<&Path>) -> anyhow::Result<bool> {
    let settings = config.unwrap_or(Path::new(settings::FILE));
    let example = settings.with_file_name(".env.example");
    let there = [settings, &example].into_iter().filter(|path| path.exists());
    let there: Vec<String> = there.map(|path| path.display().to_string()).collect();
    if !there.is_empty() && !args.force {
        bail!(
            "{} {} there already, and nothing was written: replace with --force, or name another --config",
            there.join(" and "),
            if there.len() == 1 { "is" } else { "are" }
        );
    }
    let asked = match is_given(&args.token) {
        true => Some(doctor::rights(&args.hubspot_url, credential(&args.token).await?).await),
        false => None,
    };
    let (rights, failed) = match asked {
        Some(Ok(rights)) => (Some(rights), None),
        Some(Err(error)) => (None, Some(format!("{error:#}"))),
        None => (None, None),
    };
    write(settings, &text::settings(&in_force(args), rights.as_ref(), failed.as_deref()), args.force)?;
    write(&example, text::ENV_EXAMPLE, args.force)?;
    print(&said(settings, &example, rights.as_ref(), is_given(&args.token)));
    if let Some(why) = &failed {
        say(&format!("HubSpot could not be asked what the credential may read: {why}"));
    }
    Ok(failed.is_none())
}

/// Returns settings that the command line gave to `init` itself.
fn in_force(args: &Init) -> Vec<(&'static str, String)> {
    let TokenFrom { token_file, token_command } = &args.token;
    let url = Some(&args.hubspot_url).filter(|url| *url != hubspot::DEFAULT_BASE_URL);
    let given = [
        ("hubspot-url", url.cloned()),
        ("token-file", token_file.as_ref().map(|path| path.display().to_string())),
        ("token-command", token_command.clone()),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let failed = || format!("{} can't be written: name another --config", path.display());
    let mut options = OpenOptions::new();
    // Whoever made it meanwhile keeps it.
    options.write(true).truncate(force).create(force).create_new(!force);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).with_context(failed)
}

fn said(settings: &Path, example: &Path, rights: Option<&Rights>, has_token: bool) -> String {
    let mut said = format!("{} and {} are written.\n", settings.display(), example.display());
    if let Some(rights) = rights {
        let (can, not) = (rights.names("ok").len() + rights.names("degraded").len(), rights.not_filled());
        said += &format!("HubSpot account {}: {can} collections can be filled", rights.account);
        if not > 0 {
            said += &format!(", {not} can't, as the file notes");
        }
        said += ".\n";
    }
    said + match has_token {
        true => "Next: hubspot-source sync",
        false => "Next: set HUBSPOT_TOKEN, as .env.example shows, and run hubspot-source doctor",
    }
}
