//! The table of e-mail campaigns.

use staging::ColumnType::{BigInt, Text, Timestamp};

use crate::feeds::collection::{Collection, field, made};

pub(super) static CAMPAIGNS: Collection = Collection {
    name: "email_campaigns",
    about: "An e-mail campaign, with what was counted of it.",
    primary_key: &["id"],
    key_reason: "HubSpot's campaign id; one e-mail may own several campaigns",
    set_key: &[],
    is_deletable: true,
    calls: "1 for each 500 campaigns, 1 for those with recent activity (at least 2)",
    columns: &[
        field("id", BigInt, "id"),
        field("app_id", BigInt, "appId"),
        field("app_name", Text, "appName"),
        field("content_id", BigInt, "contentId"),
        made("group_id", BigInt, "`groupId` of the list of campaigns"),
        field("name", Text, "name"),
        field("subject", Text, "subject"),
        field("type", Text, "type"),
        field("sub_type", Text, "subType"),
        field("counters_sent", BigInt, "counters.sent"),
        field("counters_delivered", BigInt, "counters.delivered"),
        field("counters_open", BigInt, "counters.open"),
        field("counters_click", BigInt, "counters.click"),
        field("counters_processed", BigInt, "counters.processed"),
        field("counters_deferred", BigInt, "counters.deferred"),
        field("counters_bounce", BigInt, "counters.bounce"),
        field("counters_dropped", BigInt, "counters.dropped"),
        field("counters_mta_dropped", BigInt, "counters.mta_dropped"),
        field("counters_suppressed", BigInt, "counters.suppressed"),
        field("counters_forward", BigInt, "counters.forward"),
        field("counters_print", BigInt, "counters.print"),
        field("counters_reply", BigInt, "counters.reply"),
        field("counters_spamreport", BigInt, "counters.spamreport"),
        field("counters_statuschange", BigInt, "counters.statuschange"),
        field("counters_unsubscribed", BigInt, "counters.unsubscribed"),
        field("num_included", BigInt, "numIncluded"),
        field("num_queued", BigInt, "numQueued"),
        made("last_updated_time", Timestamp, "`lastUpdatedTime` of the list of recent activity"),
    ],
};
