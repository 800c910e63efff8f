//! More lists than the search pages through.

use fake_hubspot::{Behaviour, Marketing, PerType, Processing, Settings};
use tests::{COLLECTIONS, Expectations, Sandbox, assert_all_equal};

use super::{CONTACTS, value};

const ALONE: [&str; 2] = ["--collections", "contact_lists"];
/// Number of results that the search pages through.
const MOST_RESULTS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn lists_beyond_the_last_page_are_read_too() {
    let settings = Settings {
        records: PerType { contacts: 60, companies: 20, deals: 20 },
        // Of these, some 10,650 are lists of contacts that are not deleted.
        marketing: Marketing { lists: 13_900, ..Marketing::default() },
        ..Settings::default()
    };
    let sandbox = Sandbox::new(&settings, Behaviour { has_all_lists: false, ..Behaviour::default() }).await;
    let account = sandbox.account();
    // A hole that is wider than what is asked for at once, and lists behind it.
    for number in 0..1_200 {
        let list = account.create_list(CONTACTS, &format!("new {number}"), Processing::Manual);
        if number < 1_150 {
            account.delete_list(list).unwrap();
        }
    }
    let shown = || {
        let lists = account.truth_lists().into_iter();
        lists.filter(|list| list.object == CONTACTS && list.deleted_at.is_none()).map(|list| list.id)
    };
    assert!(shown().count() > MOST_RESULTS + 600, "{}", shown().count());
    let without: Vec<&str> = COLLECTIONS.into_iter().filter(|name| *name != "contact_lists").collect();
    let expectations = Expectations { without: &without, ..Expectations::default() };
    let first = sandbox.sync(&ALONE).await.complete();
    assert_eq!(first["collections"]["contact_lists"]["rows"], shown().count());
    assert_all_equal(&sandbox.database(), account, &expectations);

    sandbox.server.reset_counters();
    let second = sandbox.sync(&ALONE).await.complete();
    assert_eq!(second["collections"]["contact_lists"]["rows"], 0, "{second:#}");
    assert_eq!(second["collections"]["contact_lists"]["merged_rows"], 0, "{second:#}");
    eprintln!("{} lists, unchanged: {:?}", shown().count(), sandbox.server.counters().endpoints);

    let (near, far) = (shown().next().unwrap(), shown().next_back().unwrap());
    account.delete_list(near).unwrap();
    account.delete_list(far).unwrap();
    sandbox.sync(&ALONE).await.complete();
    assert_all_equal(&sandbox.database(), account, &expectations);
    let deleted =
        format!("SELECT count(*) FROM hubspot.contact_lists WHERE archived AND id IN ({near}, {far})");
    assert_eq!(value(&sandbox, &deleted).as_deref(), Some("2"));
}
