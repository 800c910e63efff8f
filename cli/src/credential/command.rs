//! A secret that a command prints, such as one of a keyring. Its words go to the program as they stand: no shell expands or
//! joins anything. What it writes to stderr is shown, its output never.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::OutOfReach;
use super::secret::{MOST_BYTES, secret};

/// Time for the command: somebody may have to unlock a keyring.
const PATIENCE: Duration = Duration::from_secs(60);
/// Exit codes of a shell that can't run a program
/// (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02>).
const NOT_RUN: [i32; 2] = [126, 127];

/// # Errors
/// When it can't be run, fails, takes too long, or prints nothing; the message names the program, and shows nothing of its
/// output. [`OutOfReach`] where it fails or takes too long: what it asks may be out of reach just now.
pub(super) async fn run(line: &str) -> anyhow::Result<SecretString> {
    within(line, PATIENCE).await
}

async fn within(line: &str, patience: Duration) -> anyhow::Result<SecretString> {
    let words = words(line)?;
    let Some((program, arguments)) = words.split_first() else { bail!("the command is empty") };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("{program} can't be run"))?;
    let mut printed = Vec::new();
    let to_its_end = async {
        if let Some(output) = child.stdout.take() {
            output.take(MOST_BYTES).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let Ok(ended) = tokio::time::timeout(patience, to_its_end).await else {
        let seconds = patience.as_secs_f32();
        let message =
            format!("{program} has not ended within {seconds} s, and was stopped: run it by itself");
        return Err(OutOfReach(message).into());
    };
    let ended = ended.with_context(|| format!("{program} can't be waited for"))?;
    if !ended.success() {
        let message = format!("{program} failed ({ended}): run it by itself");
        match ended.code().is_some_and(|code| NOT_RUN.contains(&code)) {
            true => bail!(message),
            false => return Err(OutOfReach(message).into()),
        }
    }
    secret(printed).with_context(|| format!("{program} has printed no secret"))
}

/// Splits a line at its spaces, as far as they are not quoted.
fn words(line: &str) -> anyhow::Result<Vec<String>> {
    let Some(words) = shlex::split(line) else { bail!("a quote in the command has no end") };
    let of_shell = words
        .iter()
        .find(|word| ["|", "||", "&&", "&", ";", ">", ">>", "<", "2>&1"].contains(&word.as_str()));
    if let Some(word) = of_shell {
        bail!("the command has a {word}, and no shell reads it: write sh -c '...' around it");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn what_a_command_asks_may_be_out_of_reach() {
        for (line, is_out_of_reach) in [
            ("sh -c 'exit 1'", true),
            ("sh -c 'kill -9 $$'", true),
            ("sleep 60", true),
            ("sh -c 'no-such-keyring get'", false),
            ("/nowhere/keyring", false),
            ("true", false),
            ("echo 'a", false),
        ] {
            let failed = within(line, Duration::from_millis(500)).await.unwrap_err();
            assert_eq!(failed.is::<OutOfReach>(), is_out_of_reach, "{line}: {failed:#}");
        }
    }

    async fn printed(line: &str) -> Result<String, String> {
        let secret = within(line, Duration::from_millis(500)).await;
        secret.map(|secret| secret.expose_secret().to_owned()).map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn words_are_taken_as_they_stand() {
        assert_eq!(printed("printf %s 'a b'").await.unwrap(), "a b");
        assert_eq!(printed("printf '%s ' $HOME * ~ \"`id`\"").await.unwrap(), "$HOME * ~ `id` ");
        assert_eq!(printed("sh -c 'echo a | tr a b'").await.unwrap(), "b");
        assert!(printed("echo a | tr a b").await.unwrap_err().contains("sh -c"));
        assert!(printed("echo 'a").await.unwrap_err().contains("no end"));
        assert!(printed(" ").await.unwrap_err().contains("empty"));
    }

    #[tokio::test]
    async fn a_failure_names_the_program_and_never_its_output() {
        let failed = printed("sh -c 'echo secret; exit 3'").await.unwrap_err();
        assert!(
            failed.starts_with("sh failed") && failed.contains('3') && !failed.contains("secret"),
            "{failed}"
        );
        assert!(printed("sleep 60").await.unwrap_err().contains("not ended within 0.5 s"));
        assert!(printed("true").await.unwrap_err().contains("has printed no secret: it is empty"));
        assert!(
            printed("/nowhere/keyring x").await.unwrap_err().starts_with("/nowhere/keyring can't be run")
        );
    }
}
