//! The files that `init` writes.

use super::*;

/// Takes away the `#` of each setting that is not in force.
fn opened(text: &str) -> String {
    let open = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|first: char| first.is_ascii_lowercase()) => setting.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(open).collect::<Vec<_>>().join("\n")
}

async fn init(sandbox: &Sandbox, more: &[&str]) -> CommandOutput {
    run(sandbox, &[&["init", "--hubspot-url", sandbox.server.url()], more].concat()).await
}

fn text(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path(FILE)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_accepted_as_it_is_and_with_every_comment_opened_up() {
    let sandbox = sandbox().await;
    let written = init(&sandbox, &[]).await;
    assert_ended(&written, 0, &[]);
    assert!(written.stdout.contains("Next: hubspot-source sync"), "{written:#?}");
    run(&sandbox, &["sync", "--report", "json"]).await.complete();

    let opened = opened(&text(&sandbox));
    let count =
        |text: &str| text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count();
    assert!(count(&opened) >= 22 && count(&text(&sandbox)) == 3, "{opened}");
    write(&sandbox, &opened);
    let report = run(&sandbox, &["sync", "--report", "json"]).await.complete();
    assert!(
        report["collections"].get("deals").is_some() && report["collections"].get("email_events").is_none()
    );
    for command in [&["doctor"][..], &["plan"], &["status"], &["compact"], &["dbt"]] {
        assert_ended(&run(&sandbox, command).await, 0, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_replaced_without_force() {
    let sandbox = sandbox().await;
    std::fs::write(sandbox.path(".env.example"), "mine").unwrap();
    let refused = init(&sandbox, &[]).await;
    assert_ended(&refused, 2, &[".env.example is there already", "--force"]);
    assert!(!sandbox.path(FILE).exists());
    write(&sandbox, "schema = \"mine\"");
    assert_ended(&init(&sandbox, &[]).await, 2, &["hubspot-source.toml and .env.example are there already"]);
    assert_eq!(text(&sandbox), "schema = \"mine\"");
    assert_ended(&init(&sandbox, &["--force"]).await, 0, &[]);
    assert!(text(&sandbox).contains("#schema = \"hubspot\""));
    let example = std::fs::read_to_string(sandbox.path(".env.example")).unwrap();
    assert!(example.contains("\nHUBSPOT_TOKEN=\n"), "{example}");

    std::fs::create_dir(sandbox.path("conf")).unwrap();
    assert_ended(&init(&sandbox, &["--config", "conf/my.toml"]).await, 0, &[]);
    assert!(sandbox.path("conf/my.toml").exists() && sandbox.path("conf/.env.example").exists());
    let failed = init(&sandbox, &["--config", "nowhere/my.toml"]).await;
    assert_ended(&failed, 2, &["nowhere/my.toml can't be written"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_credential_may_not_read_is_noted() {
    let settings = small().without_scope("content").without_scope("tickets");
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    let written = init(&sandbox, &[]).await;
    assert_ended(&written, 0, &[]);
    assert!(written.stdout.contains("HubSpot account 62515") && written.stdout.contains("as the file notes"));
    let text = text(&sandbox);
    for words in ["# HubSpot account 62515, on 20", "can be filled: ", "tickets", "needs scope content"] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let without = text.lines().find(|line| line.starts_with("#without = ")).unwrap();
    assert!(without.contains("\"email_events\"") && !without.contains("tickets"), "{without}");
    assert!(text.lines().all(|line| line.chars().count() <= 180), "{text}");
    // That is what makes a run complete.
    write(&sandbox, &text.replace("#without", "without"));
    run(&sandbox, &["sync", "--report", "json"]).await.complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_an_answer_the_file_is_written_all_the_same() {
    let sandbox = sandbox().await;
    let mut command = here(&sandbox, &["init"]);
    command.env_remove("HUBSPOT_TOKEN");
    let written = ended(command).await;
    assert_ended(&written, 0, &[]);
    assert!(written.stdout.contains("set HUBSPOT_TOKEN") && written.stderr.is_empty(), "{written:#?}");
    assert!(!text(&sandbox).contains("HubSpot account"), "{}", text(&sandbox));

    let mut command = here(&sandbox, &["init", "--force", "--hubspot-url", "http://127.0.0.1:9"]);
    let unreachable = ended(command).await;
    assert_ended(&unreachable, 1, &["HubSpot could not be asked"]);
    assert!(text(&sandbox).contains("# HubSpot could not be asked"), "{}", text(&sandbox));
    command = here(&sandbox, &["init", "--force", "--hubspot-url", sandbox.server.url()]);
    command.env("HUBSPOT_TOKEN", "pat-na1-revoked");
    let rejected = ended(command).await;
    assert_ended(&rejected, 1, &["HubSpot rejected the credential"]);
    assert!(!text(&sandbox).contains("revoked"));
}
