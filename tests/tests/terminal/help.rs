//! What the program tells of itself.

use std::process::Command;

use tests::ended;

use super::run;

/// Returns the names of all commands, as the help lists them.
async fn commands() -> Vec<String> {
    let help = run(&["--help"]).await.stdout;
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> = names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    assert!(names.len() > 12, "{help}");
    names.into_iter().filter(|name| name != "help").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_help_lists_its_exit_codes() {
    for name in commands().await.iter().map(String::as_str).chain([""]) {
        let arguments: Vec<&str> = [name, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let help = run(&arguments).await;
        assert_eq!(help.code, Some(0), "{help:#?}");
        let codes = help.stdout.split("Exit codes:\n").nth(1).unwrap_or_default();
        for code in ["  0 ", "  2 "] {
            assert!(codes.lines().any(|line| line.starts_with(code)), "{name}: {}", help.stdout);
        }
    }
    let sync = run(&["sync", "--help"]).await.stdout;
    assert!(sync.contains("\n  130 ") && sync.contains("\n  143 "), "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_get_completions_that_name_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).await;
        assert_eq!(script.code, Some(0), "{script:#?}");
        for word in commands().await.iter().map(String::as_str).chain(["property-history", "keep-staged"]) {
            assert!(script.stdout.contains(word), "no {word} for {shell}");
        }
    }
    let unknown = run(&["completions", "tcsh"]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
    assert!(unknown.stderr.contains("powershell"), "{unknown:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    std::fs::write(&script, run(&["completions", "bash"]).await.stdout).unwrap();
    let asked = "source \"$1\"; made=$(complete -p hubspot-source); made=${made##*-F }; made=${made%% *}; \
                 COMP_WORDS=(hubspot-source sync --prop); COMP_CWORD=2; \
                 $made hubspot-source --prop sync; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", asked, "bash"]).arg(&script);
    let completed = ended(bash).await;
    assert_eq!(completed.stdout.trim(), "--property-history", "{completed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let written = run(&["man", "--dir", pages.to_str().unwrap()]).await;
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{written:#?}");
    for name in commands().await {
        let page = std::fs::read_to_string(pages.join(format!("hubspot-source-{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH EXIT STATUS\n.nf\n  0"), "{page}");
    }
    assert!(!pages.join("hubspot-source-generate.1").exists(), "a hidden command");
    let page = run(&["man"]).await.stdout;
    assert_eq!(page, std::fs::read_to_string(pages.join("hubspot-source.1")).unwrap());
    let failed = run(&["man", "--dir", "/dev/null/pages"]).await;
    assert_eq!(failed.code, Some(2), "{failed:#?}");
    assert!(failed.stderr.contains("choose another --dir"), "{failed:#?}");
}
