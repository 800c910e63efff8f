//! Records that a list, or a search, names: their ids, and the instants that tell whether they are known.

use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, Malformed, Scanner};
use crate::value;

/// Records in a page of the list and in a batch read
/// (<https://developers.hubspot.com/docs/api-reference/latest/crm/using-object-apis>).
pub(in crate::feeds::objects) const PAGE_RECORDS: usize = 100;
/// Records in a page of the search (<https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm>).
pub(in crate::feeds::objects) const SEARCH_RECORDS: usize = 200;

/// A page of a list.
pub(in crate::feeds::objects) struct ListPage {
    pub(in crate::feeds::objects) body: Body,
    /// Records that were asked for.
    pub(in crate::feeds::objects) limit: usize,
}

/// A record's id, and the instant that tells whether it is known: `archivedAt` of an archived record, `updatedAt` of a
/// live one.
pub(in crate::feeds::objects) type Head = (u64, Option<i64>);

/// The records an answer names.
pub(in crate::feeds::objects) struct Listed {
    pub(in crate::feeds::objects) records: Vec<Head>,
    pub(in crate::feeds::objects) total: Option<u64>,
}

/// A page of a search.
pub(in crate::feeds::objects) struct Found {
    pub(in crate::feeds::objects) records: Vec<Head>,
    /// The id at which the search goes on.
    pub(in crate::feeds::objects) next: Option<u64>,
    /// Records from the page's first on, by HubSpot's count.
    pub(in crate::feeds::objects) total: Option<u64>,
}

/// Ids and instants of an answer whose values nobody needs. An entry that is no record with an id is left out.
pub(in crate::feeds::objects) fn records(body: &str) -> Result<Listed> {
    listed(body, None)
}

/// `modified` is the property that tells of changes which `updatedAt` may not tell of.
pub(in crate::feeds::objects) fn listed(body: &str, modified: Option<&str>) -> Result<Listed> {
    let mut listed = Listed { records: Vec::new(), total: None };
    let mut has_results = false;
    Scanner::new(body).each_field(|key, value| match key.raw() {
        "results" => {
            has_results = true;
            value.each_item(|record| {
                let mut entry = record.clone();
                match record_head(record, modified) {
                    Ok(head) => listed.records.push(head),
                    Err(_) => {
                        entry.skip()?;
                        *record = entry;
                    }
                }
                Ok::<_, Malformed>(())
            })
        }
        "total" => {
            listed.total = value.scalar()?.and_then(|total| total.raw().parse().ok());
            Ok(())
        }
        _ => value.skip(),
    })?;
    if !has_results {
        return Err(Error::new(ErrorKind::Malformed, "an answer has no results"));
    }
    Ok(listed)
}

fn record_head(record: &mut Scanner<'_>, modified: Option<&str>) -> Result<Head, Malformed> {
    let (mut id, mut updated_ms, mut archived_ms) = (None, None, None);
    let mut head = record.clone();
    let instant = |value: &mut Scanner<'_>| {
        Ok::<_, Malformed>(value.scalar()?.and_then(|text| value::instant_ms(&text.text())))
    };
    record.each_field(|key, value| {
        match key.raw() {
            "id" => id = Some(value.id()?),
            "updatedAt" => updated_ms = updated_ms.max(instant(value)?),
            "archivedAt" => archived_ms = instant(value)?,
            "properties" if modified.is_some() && value.is_object() => value.each_field(|key, value| {
                if Some(key.raw()) != modified || value.is_nested() {
                    return value.skip();
                }
                updated_ms = updated_ms.max(instant(value)?);
                Ok::<_, Malformed>(())
            })?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    match id {
        Some(id) => Ok((id, archived_ms.or(updated_ms))),
        // Points at the record: it has no id.
        None => head.id().map(|id| (id, None)),
    }
}

/// The ids that an answer shows.
pub(in crate::feeds) fn record_ids(body: &str) -> Result<Vec<u64>> {
    Ok(records(body)?.records.into_iter().map(|(id, _)| id).collect())
}
