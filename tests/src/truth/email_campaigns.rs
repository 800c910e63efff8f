//! E-mail campaigns and their counters; a counter that never counted is NULL.

use std::collections::HashMap;

use duckdb::Connection;
use fake_hubspot::{Account, TruthCampaign};

use super::Expectations;
use super::row::{Cell, Findings, each_row};

const COUNTERS: &str = "counters_";

pub(super) fn differences(database: &Connection, account: &Account, _: &Expectations<'_>) -> Findings {
    let mut expected: HashMap<u64, TruthCampaign> =
        account.truth_campaigns().into_iter().map(|campaign| (campaign.id, campaign)).collect();
    let mut findings = Findings::default();
    each_row(database, "SELECT * FROM hubspot.email_campaigns", |row| {
        let id = row.id_in("id");
        let Some(campaign) = expected.remove(&id) else {
            findings.note(|| format!("{id}: in the table, or twice in it, but not in the account"));
            return;
        };
        let mut check = row.check(id, &mut findings);
        check.is("is_deleted", false);
        check.is("app_id", campaign.app_id);
        check.is("app_name", campaign.app_name.as_str());
        check.is("content_id", campaign.content_id);
        check.is("group_id", campaign.group_id);
        check.is("name", campaign.name.as_str());
        check.is("subject", campaign.subject.as_str());
        check.is("type", campaign.r#type.as_str());
        check.is("sub_type", campaign.sub_type.as_deref());
        check.is("num_included", campaign.num_included);
        check.is("num_queued", campaign.num_queued);
        check.is("last_updated_time", Cell::Instant(campaign.last_updated));
        check.are_null(&["deleted_at", "deleted_reason", "_extra", "_unparsed"]);
        for (name, count) in &campaign.counters {
            check.is(&format!("{COUNTERS}{name}"), *count);
        }
        for (column, _) in row.columns() {
            let name = column.strip_prefix(COUNTERS);
            if name.is_some_and(|name| !campaign.counters.contains_key(name)) {
                check.is(column, Cell::Null);
            }
        }
    });
    for campaign in expected.values() {
        findings.note(|| format!("{}: missing ({:?})", campaign.id, campaign.name));
    }
    findings
}
