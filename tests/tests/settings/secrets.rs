//! HubSpot's token and the warehouse's password from files and commands, and never in the settings file.

use super::*;

const SECRET: &str = "pat-na1-fake";

/// Runs `doctor` with these settings and no token in its environment.
async fn doctor(sandbox: &Sandbox, settings: &str, flags: &[&str]) -> CommandOutput {
    write(sandbox, settings);
    let mut command = here(sandbox, &[&["doctor", "--hubspot-url", sandbox.server.url()], flags].concat());
    command.env_remove("HUBSPOT_TOKEN").env("PATH", "/usr/bin:/bin").env("RUST_LOG", "trace");
    let ended = ended(command).await;
    assert!(!ended.stderr.contains(SECRET) && !ended.stdout.contains(SECRET), "{ended:#?}");
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_taken_from_the_settings_file() {
    let sandbox = sandbox().await;
    for (name, words) in [
        ("token", &["token is a secret", "HUBSPOT_TOKEN", "token-file", "token-command"][..]),
        ("hubspot_token", &["hubspot_token is a secret", "HUBSPOT_TOKEN"]),
        ("client-secret", &["HUBSPOT_CLIENT_SECRET"]),
        (
            "warehouse-password",
            &["WAREHOUSE_PASSWORD", "warehouse-password-file", "warehouse-password-command"],
        ),
    ] {
        let refused = doctor(&sandbox, &format!("schema = \"a\"\n{name} = \"{SECRET}\""), &[]).await;
        assert_ended(&refused, 2, &[&["hubspot-source.toml:2: "], words].concat());
        let refused = doctor(&sandbox, &format!("[sync]\n{name} = \"{SECRET}\""), &[]).await;
        assert_ended(&refused, 2, &[&["hubspot-source.toml:2: "], words].concat());
    }
    let in_url = format!("warehouse = \"postgres://loader:{SECRET}@db/analytics\"");
    assert_ended(&doctor(&sandbox, &in_url, &[]).await, 2, &["holds a secret", "WAREHOUSE_PASSWORD"]);
    assert_ended(&doctor(&sandbox, &format!("token = {SECRET}"), &[]).await, 2, &[":1: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_holds_the_token_if_nobody_else_may_read_it() {
    let sandbox = sandbox().await;
    std::fs::write(sandbox.path("token"), format!("{SECRET}\n")).unwrap();
    set_mode(&sandbox.path("token"), 0o644);
    let open = doctor(&sandbox, "token-file = \"token\"", &[]).await;
    assert_ended(&open, 2, &["others may read token", "0644", "chmod 600 token"]);
    set_mode(&sandbox.path("token"), 0o600);
    assert_ended(&doctor(&sandbox, "token-file = \"token\"", &[]).await, 0, &[]);
    assert_ended(&doctor(&sandbox, "", &["--token-file", "token"]).await, 0, &[]);
    assert_ended(
        &doctor(&sandbox, "token-file = \"none\"", &[]).await,
        2,
        &["--token-file", "none can't be read"],
    );

    // As a stack's secret may be; one of another shape is refused without a word of it.
    std::fs::write(sandbox.path("token"), format!("{{\"token\": \"{SECRET}\"}}")).unwrap();
    assert_ended(&doctor(&sandbox, "token-file = \"token\"", &[]).await, 0, &[]);
    std::fs::write(sandbox.path("token"), format!("{{\"tokn\": \"{SECRET}\"}}")).unwrap();
    let other = doctor(&sandbox, "token-file = \"token\"", &[]).await;
    assert_ended(&other, 2, &["--token-file", "\"client_id\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_prints_the_token_without_a_shell() {
    let sandbox = sandbox().await;
    let printf = format!("token-command = \"printf %s {SECRET}\"");
    assert_ended(&doctor(&sandbox, &printf, &[]).await, 0, &[]);
    let words = format!("token-command = [\"sh\", \"-c\", \"echo unlocked >&2; echo {SECRET}\"]");
    assert_ended(&doctor(&sandbox, &words, &[]).await, 0, &["unlocked"]);
    let failed = format!("token-command = [\"sh\", \"-c\", \"echo {SECRET}; echo locked >&2; exit 4\"]");
    // What it asks may be out of reach just now, and another try may find it.
    assert_ended(&doctor(&sandbox, &failed, &[]).await, 1, &["locked", "--token-command: sh failed", "4"]);
    let lacking = "token-command = [\"sh\", \"-c\", \"no-such-keyring get\"]";
    assert_ended(&doctor(&sandbox, lacking, &[]).await, 2, &["--token-command: sh failed", "127"]);
    let piped = "token-command = \"pass show hubspot | head -1\"";
    assert_ended(&doctor(&sandbox, piped, &[]).await, 2, &["has a |", "sh -c"]);
    let unknown = "token-command = \"no-such-keyring get\"";
    assert_ended(&doctor(&sandbox, unknown, &[]).await, 2, &["no-such-keyring can't be run"]);
    let both = "token-command = \"true\"\ntoken-file = \"token\"";
    assert_ended(
        &doctor(&sandbox, both, &[]).await,
        2,
        &["hubspot-source.toml:1", "hubspot-source.toml:2", "not both"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_holds_the_token_before_the_file_and_a_flag_before_both() {
    let sandbox = sandbox().await;
    write(&sandbox, "token-command = \"/nowhere/keyring\"");
    let url = sandbox.server.url();
    assert_eq!(run(&sandbox, &["doctor", "--hubspot-url", url]).await.code, Some(0));
    let named = run(&sandbox, &["doctor", "--hubspot-url", url, "--token-command", "/nowhere/other"]).await;
    assert_ended(&named, 2, &["/nowhere/other can't be run"]);
    let nothing = doctor(&sandbox, "", &[]).await;
    assert_ended(&nothing, 2, &["set HUBSPOT_TOKEN", "--token-file", "--token-command"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_comes_from_a_file_or_a_command_where_one_is_taken() {
    let sandbox = sandbox().await;
    write(&sandbox, "state = \"state\"\nwarehouse-password-command = \"/nowhere/keyring\"");
    let sync = ["sync", "--hubspot-url", sandbox.server.url(), "--collections", "owners", "--warehouse"];
    let sync = |url: &'static str| [&sync[..], &[url]].concat();
    // DuckDB has none: the command is not run.
    assert_ended(&run(&sandbox, &sync("duckdb:w.duckdb")).await, 0, &[]);
    let asked = run(&sandbox, &sync("postgres://u@127.0.0.1:9/d")).await;
    assert_ended(&asked, 2, &["--warehouse-password-command: /nowhere/keyring can't be run"]);
    let mut command = here(&sandbox, &sync("postgres://u@127.0.0.1:9/d"));
    command.env("WAREHOUSE_PASSWORD", "x");
    let unreachable = ended(command).await;
    assert_eq!(unreachable.code, Some(1), "{unreachable:#?}");
}
