//! What holds for each command: its text fits a terminal and has no codes in a pipe, a reader may leave, and an error is JSON
//! where reports are.

use std::process::{Command, Stdio};

use fake_hubspot::{Behaviour, PerType, Settings};
use futures::future::{join, join_all};
use tests::{Sandbox, ended, program};

use super::{assert_plain_and_narrow, run};

/// A sandbox after a sync, in which commands need no flags.
async fn synced() -> Sandbox {
    let records = PerType { contacts: 300, companies: 20, deals: 20 };
    let settings =
        Settings { records, ..Settings::default() }.without_scope("tickets").without_scope("content");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let text = format!(
        "warehouse = \"duckdb:warehouse.duckdb\"\nstate = \"state\"\ncollections = [\"segment\", \"tickets\"]\nhubspot-url = \"{}\"",
        sandbox.server.url()
    );
    std::fs::write(sandbox.path("hubspot-source.toml"), text).unwrap();
    ended(here(&sandbox, &["sync"])).await;
    sandbox
}

/// Returns a command in the sandbox; a stack is where nobody answers.
fn here(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.current_dir(sandbox.path("")).env("HUBSPOT_TOKEN", "pat-na1-fake");
    let aws = [
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    command.envs(aws);
    command
}

/// Commands with a text for people.
const TEXTS: [&[&str]; 9] = [
    &["sync"],
    &["doctor"],
    &["doctor", "--collections", "segment,tickets"],
    &["plan"],
    &["plan", "--collections", "segment"],
    &["status"],
    &["compact"],
    &["forget", "--contact", "101", "--dry-run"],
    &["dbt", "project"],
];

/// Commands with a text for programs, or without one here.
const OTHERS: [&[&str]; 6] = [
    &["report", "--html", "-"],
    &["adopt"],
    &["dictionary"],
    &["completions", "bash"],
    &["man"],
    &["--help"],
];

/// Commands that reach for a stack. They try for a while, so they are run at once.
const OF_STACKS: [&[&str]; 4] = [
    &["status", "--stack", "s"],
    &["backfill", "deals", "--stack", "s"],
    &["reconcile", "deals", "--stack", "s"],
    &["replay", "--stack", "s"],
];

#[tokio::test(flavor = "multi_thread")]
async fn texts_fit_80_columns_without_codes() {
    let sandbox = synced().await;
    for arguments in TEXTS.iter().chain(&[&["adopt"][..]]) {
        let ended = ended(here(&sandbox, arguments)).await;
        assert!(matches!(ended.code, Some(0 | 1)) && !ended.stdout.is_empty(), "{arguments:?}: {ended:#?}");
        assert_plain_and_narrow(&ended.stdout);
        assert!(!ended.stderr.contains('\u{1b}'), "{arguments:?}: {ended:#?}");
    }
    // Logs are for people, too.
    let logged = ended(here(&sandbox, &["sync", "--verbose"])).await;
    assert!(logged.stderr.contains("INFO") && !logged.stderr.contains('\u{1b}'), "{logged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_is_no_panic() {
    let sandbox = synced().await;
    let left = |arguments: &[&str], is_stderr_left: bool| {
        let mut command = here(&sandbox, arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        if is_stderr_left {
            command.stderr(writer.try_clone().unwrap());
        }
        command.stdout(writer).stdin(Stdio::null());
        drop(reader);
        let what = format!("{arguments:?} {is_stderr_left}");
        async move {
            let ended = ended(command).await;
            assert!(matches!(ended.code, Some(0..=2)), "{what}: {ended:#?}");
            assert!(!ended.stderr.contains("panicked"), "{what}: {ended:#?}");
        }
    };
    // As `| head` leaves, and as `2>&1 | head`.
    let of_stacks = OF_STACKS.iter().flat_map(|arguments| [left(arguments, false), left(arguments, true)]);
    let all_of_stacks = join_all(of_stacks);
    let others = async {
        for arguments in TEXTS.iter().chain(&OTHERS) {
            left(arguments, false).await;
            left(arguments, true).await;
        }
    };
    join(all_of_stacks, others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_json_where_reports_are() {
    let sandbox = Sandbox::new(&Settings::default(), Behaviour::default()).await;
    let url = sandbox.server.url();
    let cases = [
        (&["sync", "--warehouse", "mysql://x", "--state", "s", "--hubspot-url", url][..], 2),
        (&["sync", "--state", "s"], 2),
        (&["doctor", "--hubspot-url", "http://127.0.0.1:9"], 1),
        (&["doctor", "--colections", "x"], 2),
        (&["plan", "--since", "soon"], 2),
        (&["status", "--state", "nowhere"], 2),
        (&["status"], 2),
        (&["compact", "--state", "nowhere", "--warehouse", "duckdb:x"], 2),
        (&["forget", "--warehouse", "none", "--state", "nowhere", "--contact", "1", "--yes"], 2),
        (&["adopt", "--stack", "s"], 2),
    ];
    // Nobody answers, which may pass.
    let of_stacks = OF_STACKS.iter().map(|arguments| (*arguments, 1));
    let failing = cases.into_iter().chain(of_stacks).map(async |(arguments, code)| {
        let failed = ended(here(&sandbox, &[arguments, &["--report", "json"]].concat())).await;
        let report = failed.report();
        assert_eq!((failed.code, &report["exit_code"]), (Some(code), &code.into()), "{failed:#?}");
        assert_eq!(report["outcome"], "failed", "{failed:#?}");
        let error = report["error"].as_str().unwrap();
        assert!(!error.is_empty() && !error.contains("--help"), "{failed:#?}");
    });
    join_all(failing).await;
    let spelled = ended(here(&sandbox, &["status", "--report=json"])).await;
    assert_eq!(spelled.report()["outcome"], "failed", "{spelled:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_is_answered_with_what_was_meant() {
    let sandbox = synced().await;
    for (arguments, meant) in [
        (&["snyc"][..], "'sync'"),
        (&["sync", "--colections", "deals"], "'--collections'"),
        (&["sync", "--collections", "contcats"], "did you mean contacts?"),
        (&["sync", "--without", "contcats"], "did you mean contacts?"),
        (&["sync", "--history", "contcats"], "did you mean contacts?"),
        (&["sync", "--hard-delete", "contcats"], "did you mean contacts?"),
        (&["sync", "--mode", "recncile"], "'reconcile'"),
        (&["doctor", "--collections", "contcats"], "did you mean contacts?"),
        (&["plan", "--collections", "contcats"], "did you mean contacts?"),
        (&["compact", "--collections", "contcats"], "did you mean contacts?"),
        (&["dbt", "--dialect", "postgre"], "did you mean postgres?"),
    ] {
        let refused = ended(here(&sandbox, arguments)).await;
        assert_eq!(refused.code, Some(2), "{refused:#?}");
        assert!(refused.stderr.contains(meant), "no {meant:?} in {refused:#?}");
    }
}

/// Colours are for a terminal, and not for whoever has set `NO_COLOR`.
#[tokio::test(flavor = "multi_thread")]
async fn no_color_is_heard_on_a_terminal() {
    let sandbox = synced().await;
    let on_terminal = async |no_color: &str| {
        let status = here(&sandbox, &["status"]);
        let line = format!("stty cols 80; {} status", status.get_program().display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(sandbox.path("")).env("NO_COLOR", no_color);
        script
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ended(script).await.stdout
    };
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` to make a terminal with");
        return;
    }
    let (colored, plain) = (on_terminal("").await, on_terminal("1").await);
    assert!(colored.contains("contacts") && colored.contains('\u{1b}'), "{colored}");
    assert!(plain.contains("contacts"), "{plain}");
    assert_plain_and_narrow(&plain.replace('\r', ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_command_is_refused_with_help_at_hand() {
    let refused = run(&["frobnicate"]).await;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--help"), "{refused:#?}");
}
