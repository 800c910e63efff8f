//! Stages the rows of one table that is aside, as far as ours lacks them: in pages, and with a cursor that moves together
//! with the files, as a feed's does. Whatever ends it, the next call goes on behind the last file.

use anyhow::{Context, bail};
use chrono::Utc;
use hubspot::feeds::person_columns;
use serde::{Deserialize, Serialize};
use staging::{Bucket, FileWriter, Forgotten, Known, Lease, RECEIVED_AT, State, adopting};
use warehouse::{LeftOver, Warehouse};

use super::columns::{Columns, Taken};

/// Values in a page: what is in memory at a time.
const PAGE_VALUES: usize = 200_000;
const PAGE_ROWS: std::ops::RangeInclusive<usize> = 50..=5_000;
/// Most rows of one id; a table has one.
const MOST_OF_ONE_ID: u64 = 1_000_000;
/// Bytes of a file behind which another one begins.
const FILE_BYTES: u64 = 64 << 20;

/// The position in a table that is aside, and what was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Position {
    /// The first part of the key of the last row that is staged.
    after: Option<String>,
    pub(super) is_done: bool,
    pub(super) found: Found,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Found {
    /// Rows of the table that is aside.
    pub(crate) rows: u64,
    /// Rows that ours lacks, and that are staged for it.
    pub(crate) brought_in: u64,
    /// Rows whose key is missing, or is none of HubSpot's.
    pub(crate) without_key: u64,
    /// Older rows of an id that has several.
    pub(crate) repeated: u64,
    /// Values of the staged rows that did not parse.
    pub(crate) unparsed_values: u64,
    /// Columns that ours lacks.
    pub(crate) columns_aside: Vec<String>,
}

/// One table.
pub(super) struct Source<'a> {
    pub(super) collection: &'a str,
    pub(super) aside: &'a str,
    pub(super) account_id: u64,
    pub(super) state: &'a State,
    pub(super) bucket: &'a Bucket,
    pub(super) warehouse: &'a dyn Warehouse,
}

impl Source<'_> {
    /// Stages and registers what ours lacks. Nothing, if that was done before.
    pub(super) async fn stage(&self, columns: &Columns) -> anyhow::Result<Found> {
        let lease = self.state.lease(&self.lease_name()).await?;
        let staged = self.stage_under(&lease, columns).await;
        self.state.release(lease).await;
        staged.with_context(|| format!("the rows of {} can't be brought in", self.aside))
    }

    fn lease_name(&self) -> String {
        adopting(self.collection)
    }

    /// Strikes off staged files that are gone and that the warehouse does not hold, and begins anew: their rows are still
    /// aside. To be called before a load, which would fail for want of them. Those that it holds may go: somebody keeps
    /// files for some days.
    pub(super) async fn strike_off_lost(&self) -> anyhow::Result<()> {
        if !self.state.files_by_feed(self.collection).await?.contains_key(&self.lease_name()) {
            return Ok(());
        }
        let lease = self.state.lease(&self.lease_name()).await?;
        let struck_off = self.strike_off_lost_under(&lease).await;
        self.state.release(lease).await;
        struck_off
    }

    async fn strike_off_lost_under(&self, lease: &Lease) -> anyhow::Result<()> {
        let mut files = self.state.registered_by(lease, self.collection, true).await?;
        let held = self.warehouse.loaded(self.collection).await?;
        files.retain(|file| !held.contains(&file.key));
        let lost = self.bucket.lost(&files).await?;
        if lost.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            collection.name = self.collection,
            files = lost.len(),
            "staged files with rows of {} are gone: they are brought in again, if it is there",
            self.aside
        );
        self.state.checkpoint(lease, &Position::default(), &[]).await?;
        self.state.strike_off(lease, &lost).await?;
        Ok(())
    }

    /// `true`: a load has merged all that is staged.
    pub(super) async fn is_loaded(&self) -> anyhow::Result<bool> {
        let staged = self.state.files_by_feed(self.collection).await?.remove(&self.lease_name());
        let loaded = self.warehouse.loaded(self.collection).await?;
        Ok(staged.unwrap_or_default().iter().all(|file| loaded.contains(&file.key)))
    }

    async fn stage_under(&self, lease: &Lease, columns: &Columns) -> anyhow::Result<Found> {
        let mut position: Position = self.state.cursor(lease.name()).await?.unwrap_or_default();
        if position.is_done {
            return Ok(position.found);
        }
        self.bucket.clear(&format!("{}-", lease.name()), &[]).await?;
        let run_id = extract::new_run_id();
        let scratch = self.bucket.scratch(&format!("{}-{run_id}", lease.name()))?;
        let extent = self.warehouse.extent(self.aside).await?;
        let Some(extent) = extent else { bail!("{} is gone", self.aside) };
        let id: Vec<&str> = columns.key.iter().map(|(name, _)| name.as_str()).collect();
        let forgotten = Forgotten::read(self.state).await?.zip(Known::of(&columns.table, person_columns()));
        let mut file_number = 0;
        while !position.is_done {
            let now = Utc::now();
            file_number += 1;
            let file = format!("{run_id}-adopted-{file_number:06}");
            let key = self.bucket.key(self.collection, &file, now);
            let path = scratch.join(&file);
            let mut writer = FileWriter::create(&path, &key, self.account_id, &run_id, &columns.table)?;
            while !position.is_done && writer.size_bytes() < FILE_BYTES && !writer.is_full() {
                let before = writer.rows().len();
                self.append_page(columns, &run_id, &mut writer, &mut position).await?;
                if let Some((forgotten, known)) = &forgotten {
                    position.found.brought_in -= forgotten.take_back(known, writer.rows(), before);
                }
                writer.page_done()?;
            }
            if position.is_done {
                position.found.rows = extent.rows;
                position.found.columns_aside.clone_from(&columns.aside);
            }
            let files = match writer.is_empty() {
                true => {
                    writer.discard()?;
                    Vec::new()
                }
                false => vec![self.bucket.put(writer.finish()?, now).await?],
            };
            if position.is_done {
                position.after = None;
                position.found.without_key += self.warehouse.keyless(self.aside, &id).await?;
            }
            self.state.checkpoint(lease, &position, &files).await?;
        }
        Ok(position.found)
    }

    async fn append_page(
        &self,
        columns: &Columns,
        run_id: &str,
        writer: &mut FileWriter,
        position: &mut Position,
    ) -> anyhow::Result<()> {
        let width = columns.key.len() + columns.further.len();
        let most = (PAGE_VALUES / width).clamp(*PAGE_ROWS.start(), *PAGE_ROWS.end()) as u64;
        let page = self.page(columns, position.after.as_deref(), most).await?;
        let Some(last) = page.rows.last() else {
            position.is_done = true;
            return Ok(());
        };
        let after = last.first().cloned().flatten();
        let found = &mut position.found;
        for same in page.rows.chunk_by(|a, b| a[..columns.key.len()] == b[..columns.key.len()]) {
            let Some(newest) = newest(columns, same) else { continue };
            found.repeated += same.len() as u64 - 1;
            match columns.append(writer.rows(), newest, run_id) {
                Taken::Staged(unparsed) => {
                    found.brought_in += 1;
                    found.unparsed_values += unparsed;
                }
                Taken::WithoutKey => found.without_key += 1,
            }
        }
        position.after = after;
        position.is_done = page.is_last;
        Ok(())
    }

    /// Reads a page that has all rows of each id, or none of them.
    async fn page(&self, columns: &Columns, after: Option<&str>, mut most: u64) -> anyhow::Result<Page> {
        loop {
            let wanted = LeftOver {
                table: self.aside.to_owned(),
                held_by: self.collection.to_owned(),
                key: columns.key.clone(),
                columns: columns.further.clone(),
                after: after.map(str::to_owned),
                most,
            };
            let mut rows = self.warehouse.left_over(&wanted).await?;
            if (rows.len() as u64) < most {
                return Ok(Page { rows, is_last: true });
            }
            let last = rows.last().and_then(|row| row.first()).cloned();
            let whole = rows.iter().position(|row| row.first() == last.as_ref()).unwrap_or_default();
            if whole > 0 {
                rows.truncate(whole);
                return Ok(Page { rows, is_last: false });
            }
            if most >= MOST_OF_ONE_ID {
                bail!("{most} rows have one id: is its column id what it should be?");
            }
            most *= 2;
        }
    }
}

struct Page {
    rows: Vec<Vec<Option<String>>>,
    is_last: bool,
}

/// Returns the row that Segment received last; of equal ones the last in the page, whose order is no accident only where
/// the texts differ.
fn newest<'a>(columns: &Columns, same: &'a [Vec<Option<String>>]) -> Option<&'a [Option<String>]> {
    let received = columns.further.iter().position(|name| name.eq_ignore_ascii_case(RECEIVED_AT));
    let place = received.map(|place| place + columns.key.len());
    same.iter().max_by_key(|row| (place.and_then(|place| row.get(place)), *row)).map(Vec::as_slice)
}
