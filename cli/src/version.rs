//! Text of `--version`: the version, the commit of the sources, and the platform of the program.

/// Such as `0.1.0 (1f0c2a9b8d7e, x86_64-unknown-linux-gnu)`. The commit is `unknown` where the sources came without git;
/// a release that was built from changed files has `-changed` behind it.
pub(crate) const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("HUBSPOT_SOURCE_COMMIT"),
    ", ",
    env!("HUBSPOT_SOURCE_TARGET"),
    ")"
);

#[cfg(test)]
mod tests {
    use std::process::Command;

    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    /// Commit and platform of a text of `--version`.
    fn parts(text: &str) -> Option<(&str, &str)> {
        let within = text.strip_prefix(env!("CARGO_PKG_VERSION"))?.strip_prefix(" (")?.strip_suffix(')')?;
        within.split_once(", ")
    }

    #[test]
    fn the_command_tells_version_commit_and_platform() {
        let text = Args::command().render_version();
        assert_eq!(text.trim_end(), format!("hubspot-source {VERSION}"));
        let (_, platform) = parts(VERSION).unwrap();
        assert!(platform.starts_with(std::env::consts::ARCH) && platform.contains("-"), "{platform}");
    }

    #[test]
    fn the_commit_is_one_of_the_checkout_or_unknown() {
        let (commit, _) = parts(VERSION).unwrap();
        let git = |words: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(env!("CARGO_MANIFEST_DIR")).args(words);
            git.output().is_ok_and(|answer| answer.status.success())
        };
        let object = format!("{}^{{commit}}", commit.trim_end_matches("-changed"));
        if git(&["rev-parse", "HEAD"]) {
            assert!(git(&["cat-file", "-e", &object]), "{commit} is no commit of this repository");
        } else {
            assert_eq!(commit, "unknown");
        }
    }
}
