//! The table of lists, and a row of it.

use staging::ColumnType::{BigInt, Boolean, Json, Text, Timestamp};

use crate::error::Result;
use crate::feeds::collection::{Collection, field, made, never};
use crate::feeds::document::Writer;
use crate::feeds::lineage::DeletedReason;
use crate::json::{Malformed, Scanner};
use crate::value;

pub(super) static LISTS: Collection = Collection {
    name: "contact_lists",
    about: "A list of contacts.",
    primary_key: &["id"],
    key_reason: "HubSpot's list id. It is not the id that the list had in v1, and the two ranges overlap",
    set_key: &[],
    is_deletable: true,
    calls: "1 for each 500 lists (at least 1)",
    columns: &[
        field("id", BigInt, "listId"),
        made("archived", Boolean, "true once the list is deleted, or not shown any more"),
        field("author_id", BigInt, "createdById"),
        field("created_at", Timestamp, "createdAt"),
        never("deleteable", Boolean, "HubSpot does not tell since the end of lists v1"),
        made("dynamic", Boolean, "`processingType` is `DYNAMIC`"),
        never(
            "filters_0_0_filter_family",
            Text,
            "filters have another shape since the end of lists v1: see `filter_branch`",
        ),
        field("filter_branch", Json, "filterBranch"),
        never("internal_list_id", BigInt, "HubSpot does not tell since the end of lists v1"),
        made("list_type", Text, "`DYNAMIC`, or `STATIC` for the processing types `MANUAL` and `SNAPSHOT`"),
        never(
            "meta_data_last_processing_state_change_at",
            Timestamp,
            "HubSpot does not tell since the end of lists v1",
        ),
        made(
            "meta_data_last_size_change_at",
            Timestamp,
            "the later one of `hs_last_record_added_at` and `hs_last_record_removed_at`",
        ),
        field("meta_data_processing", Text, "processingStatus"),
        field("meta_data_size", BigInt, "additionalProperties.hs_list_size"),
        field("name", Text, "name"),
        made("portal_id", BigInt, "`portalId` of the account's details"),
        field("updated_at", Timestamp, "updatedAt"),
        field("list_version", BigInt, "listVersion"),
        field("object_type_id", Text, "objectTypeId"),
        field("processing_type", Text, "processingType"),
        field("filters_updated_at", Timestamp, "filtersUpdatedAt"),
        field("updated_by_id", BigInt, "updatedById"),
        field("folder_name", Text, "additionalProperties.hs_folder_name"),
        field("reference_count", BigInt, "additionalProperties.hs_list_reference_count"),
    ],
};

/// Writes the row of a list that is there. `filter_branch` is `None` for a manual list.
pub(super) fn row(writer: &mut Writer<'_>, json: &str, filter_branch: Option<&str>) -> Result<(), Malformed> {
    let (head, account_id) = (Head::read(json)?, writer.account_id());
    writer.set("archived", |cell| cell.boolean(head.deleted_ms.is_some()));
    writer.set("portal_id", |cell| cell.bigint(account_id as i64));
    if let Some(processing_type) = &head.processing_type {
        let is_dynamic = processing_type == "DYNAMIC";
        writer.set("dynamic", |cell| cell.boolean(is_dynamic));
        writer.set("list_type", |cell| cell.text(if is_dynamic { "DYNAMIC" } else { "STATIC" }));
    }
    if let Some(changed_ms) = head.size_changed_ms {
        writer.set("meta_data_last_size_change_at", |cell| cell.timestamp(changed_ms));
    }
    if let Some(filter_branch) = filter_branch {
        writer.set_json("filter_branch", filter_branch);
    }
    writer.fill(&mut Scanner::new(json))?;
    // When a list was changed says nothing of its size: the newest read is the newest version.
    match head.deleted_ms {
        Some(deleted_ms) => writer.finish_gone(None, DeletedReason::Archived, Some(deleted_ms)),
        None => writer.finish(None),
    }
    Ok(())
}

/// Parts of a row besides its fields.
#[derive(Default)]
struct Head {
    processing_type: Option<String>,
    size_changed_ms: Option<i64>,
    /// HubSpot has a field for it, and was not seen to show a list that has it.
    deleted_ms: Option<i64>,
}

impl Head {
    fn read(list: &str) -> Result<Head, Malformed> {
        let mut head = Head::default();
        Scanner::new(list).each_field(|key, value| match key.raw() {
            "processingType" if !value.is_nested() => {
                head.processing_type = value.scalar()?.map(|text| text.text().into_owned());
                Ok(())
            }
            "deletedAt" if !value.is_nested() => {
                head.deleted_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text()));
                Ok(())
            }
            "additionalProperties" if value.is_object() => value.each_field(|key, value| match key.raw() {
                "hs_last_record_added_at" | "hs_last_record_removed_at" if !value.is_nested() => {
                    let changed_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text()));
                    head.size_changed_ms = head.size_changed_ms.max(changed_ms);
                    Ok(())
                }
                _ => value.skip(),
            }),
            _ => value.skip(),
        })?;
        Ok(head)
    }
}
