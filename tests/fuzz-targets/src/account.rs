//! Answers about the account, its calls of the day and its scopes: one a line. A line that begins with a status and a
//! space is an answer of that status.

use chrono::{DateTime, Utc};
use futures::executor::block_on;
use hubspot::{Account, DailyUsage, families};

use crate::feeds::answers;

pub fn run(data: &[u8]) {
    let client = hubspot::fuzzing::client(answers(data), 0.1);
    if let Ok(account) = block_on(Account::of(&client)) {
        let now = DateTime::<Utc>::from_timestamp_millis(1_790_000_000_000).expect("an instant");
        let midnight = account.midnight(now);
        let hours = (midnight - now).num_hours();
        assert!((0..=48).contains(&hours), "midnight is {hours} hours away in {:?}", account.time_zone);
    }
    if let Some(usage) = block_on(DailyUsage::of(&client)) {
        let _ = usage.resets_at.map(|at| at.to_rfc3339());
    }
    if let Some(granted) = block_on(families::granted_scopes(&client)) {
        let all: Vec<_> = families::FAMILIES.iter().collect();
        assert!(families::lacking(&all, &granted).len() <= families::FAMILIES.len());
    }
}
