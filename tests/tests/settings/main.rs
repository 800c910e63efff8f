//! Settings in `hubspot-source.toml` and in the environment, secrets in files and from commands, and what `init` writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod init;
mod secrets;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fake_hubspot::{Behaviour, PerType, Settings};
use tests::{CommandOutput, Sandbox, ended, program};

const FILE: &str = "hubspot-source.toml";

fn small() -> Settings {
    Settings { records: PerType { contacts: 60, companies: 20, deals: 20 }, ..Settings::default() }
}

async fn sandbox() -> Sandbox {
    Sandbox::new(&small(), Behaviour::default()).await
}

/// Returns the program in the sandbox's folder, with its token.
fn here(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.current_dir(sandbox.path("")).env("HUBSPOT_TOKEN", "pat-na1-fake");
    command
}

async fn run(sandbox: &Sandbox, arguments: &[&str]) -> CommandOutput {
    ended(here(sandbox, arguments)).await
}

fn write(sandbox: &Sandbox, text: &str) {
    std::fs::write(sandbox.path(FILE), text).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn assert_ended(ended: &CommandOutput, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:#?}");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_needs_no_flags_here_or_elsewhere() {
    let sandbox = sandbox().await;
    let settings = format!(
        "warehouse = \"duckdb:warehouse.duckdb\"\nstate = \"state\"\ncollections = [\"contacts\", \"owners\"]\n\
         hubspot-url = \"{}\"\nreport = \"json\"\n",
        sandbox.server.url()
    );
    write(&sandbox, &settings);
    let report = run(&sandbox, &["sync"]).await.complete();
    let names: Vec<&String> = report["collections"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["contacts", "owners"]);
    assert!(sandbox.path("state/feeds/contacts.json").exists() && sandbox.path("warehouse.duckdb").exists());

    // From another folder, the same file means the same places.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = here(&sandbox, &["sync", "--config", sandbox.path(FILE).to_str().unwrap()]);
    command.current_dir(elsewhere.path());
    let report = ended(command).await.complete();
    assert_eq!(report["collections"]["contacts"]["mode"], "incremental", "{report:#}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    let mut command = here(&sandbox, &["sync"]);
    command.current_dir(elsewhere.path()).env("HUBSPOT_SOURCE_CONFIG", sandbox.path(FILE));
    ended(command).await.complete();

    // Without a file, the flags are missed as ever.
    let mut command = here(&sandbox, &["sync"]);
    command.current_dir(elsewhere.path());
    assert_ended(&ended(command).await, 2, &["--warehouse <URL>", "--state <DIR>"]);
}

/// The address of nobody makes `doctor` end with 1, that of the account with 0.
#[tokio::test(flavor = "multi_thread")]
async fn flags_go_before_the_environment_and_that_before_the_file() {
    let sandbox = sandbox().await;
    let (wrong, right) = ("http://127.0.0.1:9", sandbox.server.url().to_owned());
    let file = |top: &str, section: &str| {
        write(&sandbox, &format!("hubspot-url = \"{top}\"\n[doctor]\n{section}"));
    };
    let doctor = async |environment: &str, flag: &[&str]| {
        let mut command = here(&sandbox, &[&["doctor"], flag].concat());
        command.env("HUBSPOT_SOURCE_HUBSPOT_URL", environment);
        ended(command).await.code
    };
    file(&right, "");
    assert_eq!(doctor("", &[]).await, Some(0), "the top");
    file(wrong, &format!("hubspot-url = \"{right}\""));
    assert_eq!(doctor("", &[]).await, Some(0), "a section before the top");
    assert_eq!(doctor(wrong, &[]).await, Some(1), "the environment before the file");
    file(wrong, &format!("hubspot-url = \"{wrong}\""));
    assert_eq!(doctor(&right, &[]).await, Some(0), "the environment before the file");
    assert_eq!(doctor(wrong, &["--hubspot-url", &right]).await, Some(0), "a flag before all");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_line_and_the_next_step() {
    let sandbox = sandbox().await;
    for (text, words) in [
        ("colections = [\"deals\"]", &[":1: unknown setting \"colections\": did you mean collections?"][..]),
        ("\nproperty_history = \"deals:amount\"", &[":2: unknown setting", "did you mean property-history?"]),
        ("xyz = 1", &[":1: unknown setting \"xyz\": use one of address-calls, codec"]),
        ("[snyc]\nschema = \"a\"", &[":1: [snyc]", "did you mean [sync]?"]),
        ("[demo]\ncontacts = 1", &[":1: [demo]", "use one of sync, doctor"]),
        ("[doctor]\nschema = \"a\"", &[":2: doctor has no setting schema"]),
        ("[sync]\nmode = \"backfill\"", &[":2: mode is for one call of sync", "--mode"]),
        ("yes = true", &[":1: yes is for one call", "--yes"]),
        (
            "reserve = \"ten\"",
            &[":1: invalid value 'ten' for '--reserve <PERCENT>': invalid digit found in string"],
        ),
        ("reserve = 95", &[":1: invalid value '95' for '--reserve <PERCENT>': 95 is not in 0..=90"]),
        ("reserve = \"10\"", &[":1: reserve is a number, without quotes: reserve = 10"]),
        ("report = \"xml\"", &[":1: invalid value 'xml' for '--report <REPORT>'", "text, json"]),
        ("verbose = \"yes\"", &[":1: invalid value 'yes' for '--verbose': it is true or false"]),
        ("schema = 5", &[":1: schema is a text in quotes"]),
        ("collections = [1]", &[":1: collections is a list of names in quotes"]),
        ("property-history = \"deals\"", &[":1: invalid value 'deals' for '--property-history <LIST>'"]),
        ("schema = \"a\"\nschema = \"b\"", &[":2: this is no TOML: duplicate key"]),
        ("schema = a", &[":1: this is no TOML: string values must be quoted"]),
        ("a = 1\nb = 2", &[":1: unknown setting \"a\"", ":2: unknown setting \"b\""]),
    ] {
        write(&sandbox, text);
        let refused = run(&sandbox, &["doctor", "--report", "json"]).await;
        assert_ended(&refused, 2, words);
        assert_eq!(
            (&refused.report()["outcome"], &refused.report()["exit_code"]),
            (&"failed".into(), &2.into())
        );
        assert!(refused.report()["error"].as_str().unwrap().starts_with(FILE), "{refused:#?}");
    }
    // Commands that read no settings are not in the way of a wrong file.
    assert_eq!(run(&sandbox, &["dictionary"]).await.code, Some(0));
    assert_eq!(run(&sandbox, &["sync", "--help"]).await.code, Some(0));
    let missing = run(&sandbox, &["doctor", "--config", "nowhere.toml"]).await;
    assert_ended(&missing, 2, &["nowhere.toml can't be read", "--config"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_checked_as_the_file_is() {
    let sandbox = sandbox().await;
    for (variable, value, words) in [
        ("HUBSPOT_SOURCE_RESERV", "5", "did you mean HUBSPOT_SOURCE_RESERVE?"),
        (
            "HUBSPOT_SOURCE_RESERVE",
            "95",
            "HUBSPOT_SOURCE_RESERVE: invalid value '95' for '--reserve <PERCENT>'",
        ),
        ("HUBSPOT_SOURCE_VERBOSE", "1", "HUBSPOT_SOURCE_VERBOSE: invalid value '1' for '--verbose'"),
        ("HUBSPOT_SOURCE_TOKEN", "pat-x", "as HUBSPOT_TOKEN"),
        ("HUBSPOT_SOURCE_YES", "true", "--yes is for one call"),
    ] {
        let mut command = here(&sandbox, &["doctor"]);
        command.env(variable, value);
        assert_ended(&ended(command).await, 2, &[words]);
    }
    let mut command = here(&sandbox, &["doctor", "--hubspot-url", sandbox.server.url()]);
    let lists = [("COLLECTIONS", "contacts, deals"), ("REPORT", "json"), ("VERBOSE", "true"), ("SCHEMA", "")];
    command.envs(lists.map(|(name, value)| (format!("HUBSPOT_SOURCE_{name}"), value)));
    let found = ended(command).await.complete();
    assert_eq!(found["collections"].as_object().unwrap().len(), 2, "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_puts_aside_settings_that_exclude_it() {
    let sandbox = sandbox().await;
    std::fs::create_dir(sandbox.path("state")).unwrap();
    write(&sandbox, "stack = \"hubspot\"\nschema = \"crm\"\n");
    let asked = run(&sandbox, &["status", "--state", "state"]).await;
    assert!(asked.code == Some(0) && !asked.stderr.contains("cannot be used"), "{asked:#?}");
    // In the file, too, a section goes before the top.
    write(&sandbox, "stack = \"hubspot\"\n[status]\nstate = \"state\"\n");
    assert_eq!(run(&sandbox, &["status"]).await.code, Some(0));
    write(&sandbox, "stack = \"hubspot\"\nstate = \"state\"\n");
    let both = run(&sandbox, &["status"]).await;
    let words = ["hubspot-source.toml:1", "hubspot-source.toml:2", "not both", "[status]", "--stack"];
    assert_ended(&both, 2, &words);
    // What a command does not have is nothing to it.
    assert_eq!(run(&sandbox, &["doctor", "--hubspot-url", sandbox.server.url()]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_everybody_may_write_is_taken_only_by_name() {
    let sandbox = sandbox().await;
    write(&sandbox, &format!("hubspot-url = \"{}\"", sandbox.server.url()));
    set_mode(&sandbox.path(FILE), 0o666);
    assert_ended(&run(&sandbox, &["doctor"]).await, 2, &["may be written by everybody", "chmod o-w"]);
    assert_eq!(run(&sandbox, &["doctor", "--config", FILE]).await.code, Some(0));
    set_mode(&sandbox.path(FILE), 0o664);
    assert_eq!(run(&sandbox, &["doctor"]).await.code, Some(0));
}
