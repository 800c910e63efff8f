//! The program in a terminal and in a shell, as people meet it: help, completions, manual pages, the demo.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod checks;
mod help;
mod signals;

use tests::{CommandOutput, ended, program};

/// Columns of the narrowest terminal that people use.
const WIDTH: usize = 80;

async fn run(arguments: &[&str]) -> CommandOutput {
    ended(program(arguments)).await
}

/// Checks that a text fits a terminal and has no codes of one.
#[track_caller]
fn assert_plain_and_narrow(text: &str) {
    assert!(!text.contains('\u{1b}'), "codes of a terminal in a pipe: {text}");
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}\n{text}", line.chars().count());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_fits_a_screen_and_tells_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(&["demo", "--folder", folder.path().join("demo").to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_plain_and_narrow(&ended.stdout.replace(folder.path().to_str().unwrap(), ""));
    let lines = ended.stdout.lines().count();
    assert!(lines < 60, "{lines} lines: {}", ended.stdout);
    for words in
        ["is renamed", "archived", "merged", "Demo Booked", "is kept, not lost", "up to date", "FROM"]
    {
        assert!(ended.stdout.contains(words), "no {words:?} in {}", ended.stdout);
    }
}
