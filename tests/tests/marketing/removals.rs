//! A credential that sees less than the one before it.

use fake_hubspot::{Behaviour, Marketing, PerType, Settings};
use tests::Sandbox;

use super::{assert_equal, value};

/// Checks lists and campaigns that the credential does not see, which look like deleted ones.
#[tokio::test(flavor = "multi_thread")]
async fn most_lists_and_campaigns_are_not_taken_for_removed_without_a_confirmation() {
    let settings = Settings {
        records: PerType { contacts: 60, companies: 10, deals: 10 },
        marketing: Marketing { lists: 120, campaigns: 80, ..Marketing::default() },
        ..Settings::default()
    };
    let sandbox = Sandbox::new(&settings, Behaviour::default()).await;
    sandbox.sync(&[]).await.complete();
    let rows = |condition: &str| {
        let query = |table: &str| format!("SELECT count(*) FROM hubspot.{table} WHERE {condition}");
        ["contact_lists", "email_campaigns"].map(|table| value(&sandbox, &query(table)).unwrap())
    };
    let before = rows("NOT is_deleted");

    sandbox.server.set_behaviour(Behaviour { hidden: 0.7, ..sandbox.server.behaviour() });
    let alone = ["--collections", "contact_lists,email_campaigns"];
    for _ in 0..2 {
        let ended = sandbox.sync(&alone).await;
        let report = ended.report();
        for name in ["contact_lists", "email_campaigns"] {
            let reason = report["collections"][name]["reason"].as_str().unwrap_or_default();
            assert!(reason.contains("--accept-removals"), "{name}: {report:#}");
        }
        assert_eq!((ended.code, rows("NOT is_deleted")), (Some(1), before.clone()));
    }
    // It is given back what it saw.
    sandbox.server.set_behaviour(Behaviour { hidden: 0.0, ..sandbox.server.behaviour() });
    sandbox.sync(&[]).await.complete();
    assert_equal(&sandbox);

    sandbox.server.set_behaviour(Behaviour { hidden: 0.7, ..sandbox.server.behaviour() });
    sandbox.sync(&[&alone[..], &["--accept-removals"]].concat()).await.complete();
    let left = rows("NOT is_deleted").map(|rows| rows.parse::<u64>().unwrap());
    assert!(left[0] < 60 && left[1] < 40, "{left:?}");
    assert_eq!(rows("true"), before.map(|rows| rows.clone()), "the rows stay");
}
