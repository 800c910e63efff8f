//! Memory of the rows and columns that loads left in a table, by which a load notices what somebody else removed. Lost
//! rows make loads fail until the table is filled again or the loss is accepted. For a dropped column, which a merge
//! would add without its values, all staged files are merged once more.

use std::collections::{BTreeSet, HashSet};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use staging::{Shared, StagedFile, State};
use warehouse::{Extent, Warehouse};

use crate::changes::ColumnChanges;
use crate::options::{LostRows, Scope};

/// Most columns that a message names.
const MAX_NAMED: usize = 5;

/// Columns and rows that loads left in a table. A shared document of the state for each table; only the holder of the
/// table's lease writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// Columns that merges gave the table.
    #[serde(default)]
    columns: BTreeSet<String>,
    /// Rows that the last load left in the table. `None`: a load is running, or was interrupted.
    #[serde(default)]
    rows: Option<u64>,
    /// Rows that somebody has removed since, and that are not back.
    #[serde(default)]
    lost_rows: u64,
    /// `true`: all staged files are being merged once more, and some are left.
    #[serde(default)]
    is_refilled: bool,
    /// Dropped columns that these merges have not given back yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    awaited: BTreeSet<String>,
    /// Files in the ledger when these columns were looked for last.
    #[serde(default)]
    awaited_files: u64,
    /// The ledger as the last load left it. `None`: a load is running, was interrupted, or left files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<LeftLedger>,
}

/// The ledger of a table that holds all registered files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LeftLedger {
    files: u64,
    /// The newest file.
    last: String,
}

/// Registered files, as far as a load has to know them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Files that the warehouse lacks, in the order in which they were staged.
    pub(crate) missing: Vec<StagedFile>,
    /// Files that it holds.
    pub(crate) held: Vec<String>,
    /// The newest file.
    last: Option<String>,
}

impl Kept {
    fn dropped<'k>(&'k self, extent: &'k Extent) -> impl Iterator<Item = &'k str> {
        self.columns.iter().filter(|name| !extent.columns.contains(*name)).map(String::as_str)
    }

    /// `true`: the table is not the one that the last load left, but that of another warehouse that the same files are
    /// loaded into, or of an older copy: its ledger lacks files that are merged. A ledger in which a compaction that was
    /// cut off has exchanged files lacks none.
    async fn is_of_other_table(&self, of: (&str, &State, &dyn Warehouse)) -> anyhow::Result<bool> {
        let (collection, state, warehouse) = of;
        let Some(left) = &self.ledger else { return Ok(false) };
        let now = warehouse.ledger(collection, &[&left.last]).await?;
        if now.files >= left.files && now.held.contains(&left.last) {
            return Ok(false);
        }
        let pending = state.pending(Some(collection)).await?;
        let pending: HashSet<&str> = pending.iter().map(|file| file.key.as_str()).collect();
        let held = warehouse.loaded(collection).await?;
        let mut merged = state.files(collection).await?.into_iter();
        Ok(merged.any(|file| !pending.contains(file.key.as_str()) && !held.contains(&file.key)))
    }
}

/// One table during a load.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    collection: &'a str,
    state: &'a State,
    warehouse: &'a dyn Warehouse,
    document: Shared<Kept>,
    /// `true`: the last load ended.
    is_known: bool,
    /// `None`: there is no such table.
    extent: Option<Extent>,
    /// The ledger as the last load left it, if that load ended with all files merged.
    ledger: Option<LeftLedger>,
}

impl<'a> Table<'a> {
    /// Compares the table with what the last load left.
    pub(crate) async fn look(
        collection: &'a str,
        state: &'a State,
        warehouse: &'a dyn Warehouse,
    ) -> anyhow::Result<Table<'a>> {
        let mut document: Shared<Kept> = state.shared(&document_name(collection)).await?;
        let extent = warehouse.extent(collection).await?;
        match &extent {
            Some(extent) => {
                let lost = document.value.rows.map_or(0, |rows| rows.saturating_sub(extent.rows));
                let is_less = lost > 0 || document.value.dropped(extent).next().is_some();
                if is_less && document.value.is_of_other_table((collection, state, warehouse)).await? {
                    document.value = Kept::default();
                } else {
                    document.value.lost_rows += lost;
                }
            }
            // A table that is dropped is made anew, with all that was staged.
            None => document.value = Kept::default(),
        }
        let is_known = document.value.rows.is_some();
        let ledger = document.value.ledger.clone();
        Ok(Table { collection, state, warehouse, document, is_known, extent, ledger })
    }

    /// `true`: the warehouse has no such table.
    pub(crate) fn is_missing(&self) -> bool {
        self.extent.is_none()
    }

    /// Columns that merges gave the table, and that it lacks now.
    pub(crate) fn dropped(&self) -> Vec<&str> {
        let Some(extent) = &self.extent else { return Vec::new() };
        self.document.value.dropped(extent).collect()
    }

    /// `true`: the table has to be mended, reported or counted, even if no file is pending. It is not counted yet where a
    /// load was cut off behind its last merge.
    pub(crate) fn is_changed(&self) -> bool {
        let is_counted = self.is_known || self.is_missing();
        !is_counted || self.document.value.lost_rows > 0 || !self.dropped().is_empty()
    }

    /// Returns a line for each column whose type could not be changed.
    pub(crate) fn degraded(&self) -> Vec<String> {
        let beside = self.extent.iter().flat_map(|extent| &extent.beside);
        let line = |(column, holder): &(String, String)| {
            format!(
                "column {column} has the type that it had before HubSpot changed it, since something in the warehouse \
                 depends on that: all values are in {holder}, whose comment says what it is, and {column} has those \
                 that fit"
            )
        };
        beside.map(line).collect()
    }

    /// `true`: all files are being merged once more, and the table is incomplete until they are.
    pub(crate) fn is_refilled(&self) -> bool {
        self.document.value.is_refilled
    }

    /// Divides the registered files by whether the warehouse holds them. Where it holds all that the last load left,
    /// only the pending files are looked at, so that the cost does not depend on the number of earlier runs. A warehouse
    /// that was lost, or restored from a copy, lacks some of those: then all files are looked at.
    pub(crate) async fn files(&self, scope: Scope, pending: &[StagedFile]) -> anyhow::Result<Files> {
        if let Some(left) = self.ledger.as_ref().filter(|_| scope != Scope::Replay && !self.is_refilled()) {
            let keys: Vec<&str> =
                pending.iter().map(|file| file.key.as_str()).chain([left.last.as_str()]).collect();
            let now = self.warehouse.ledger(self.collection, &keys).await?;
            if now.files >= left.files && now.held.contains(&left.last) {
                let mut files = Files::new(pending.to_vec(), &now.held);
                files.last.get_or_insert_with(|| left.last.clone());
                return Ok(files);
            }
        }
        let registered = self.state.files(self.collection).await?;
        if registered.is_empty() {
            return Ok(Files::default());
        }
        Ok(Files::new(registered, &self.warehouse.loaded(self.collection).await?))
    }

    /// Notes that a merge begins. If a column was dropped, or rows are to be put back, all files have to be merged
    /// once more.
    ///
    /// After a crash, the next load goes on from here.
    pub(crate) async fn begin(&mut self, scope: Scope, lost_rows: LostRows) -> anyhow::Result<()> {
        if lost_rows == LostRows::Accept {
            self.document.value.lost_rows = 0;
        }
        let dropped: BTreeSet<String> = self.dropped().into_iter().map(str::to_owned).collect();
        let is_short = scope == Scope::Replay && self.document.value.lost_rows > 0;
        let begins = match self.is_refilled() {
            true => self.is_dropped_again(&dropped).await?,
            false => !dropped.is_empty() || is_short,
        };
        if begins {
            tracing::warn!(
                collection.name = self.collection,
                columns.dropped = dropped.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
                rows.lost = self.document.value.lost_rows,
                "somebody else changed the table: all staged files are merged once more"
            );
            self.warehouse.forget(self.collection).await?;
            let kept = &mut self.document.value;
            (kept.is_refilled, kept.awaited, kept.awaited_files) = (true, dropped, 0);
        }
        (self.document.value.rows, self.document.value.ledger) = (None, None);
        self.save().await
    }

    /// Returns `true` if a column that is missing was there since all files are merged once more. After a load that was
    /// cut off when it had merged files, any may have been.
    async fn is_dropped_again(&self, dropped: &BTreeSet<String>) -> anyhow::Result<bool> {
        let Kept { awaited, awaited_files, .. } = &self.document.value;
        if dropped.is_empty() || !dropped.is_subset(awaited) {
            return Ok(!dropped.is_empty());
        }
        Ok(!self.is_known && self.warehouse.ledger(self.collection, &[]).await?.files != *awaited_files)
    }

    /// Notes that files were merged, and returns what that changed of the table's columns. `last` is the newest registered
    /// file, if none is left.
    pub(crate) async fn end(&mut self, last: Option<String>) -> anyhow::Result<ColumnChanges> {
        let after = self.warehouse.extent(self.collection).await?;
        let before = std::mem::replace(&mut self.extent, after);
        let Some(after) = &self.extent else { return Ok(ColumnChanges::default()) };
        let changes = before.as_ref().map(|before| ColumnChanges::between(before, after)).unwrap_or_default();
        let kept = &mut self.document.value;
        // A column that was there before, and that no load knows, is somebody else's.
        let is_known = self.is_known;
        let others =
            |name: &&String| is_known && before.as_ref().is_some_and(|before| before.columns.contains(name));
        let ours: Vec<String> = after.columns.iter().filter(|name| !others(name)).cloned().collect();
        kept.columns.extend(ours);
        kept.rows = Some(after.rows);
        kept.awaited.retain(|name| !after.columns.contains(name));
        let files = match last.is_some() || !kept.awaited.is_empty() {
            true => self.warehouse.ledger(self.collection, &[]).await?.files,
            false => 0,
        };
        kept.awaited_files = if kept.awaited.is_empty() { 0 } else { files };
        if let Some(last) = last {
            if kept.is_refilled {
                (kept.is_refilled, kept.lost_rows) = (false, 0);
                (kept.awaited, kept.awaited_files) = (BTreeSet::new(), 0);
            }
            kept.ledger = Some(LeftLedger { files, last });
        }
        self.save().await?;
        Ok(changes)
    }

    /// Notes that rows are deleted on purpose.
    ///
    /// After a crash, the next load counts the rows anew.
    pub(crate) async fn begin_erasing(&mut self) -> anyhow::Result<()> {
        self.document.value.rows = None;
        self.save().await
    }

    /// Notes how many rows are left.
    pub(crate) async fn end_erasing(&mut self) -> anyhow::Result<()> {
        let after = self.warehouse.extent(self.collection).await?;
        if self.is_known {
            self.document.value.rows = after.map(|extent| extent.rows);
        }
        self.save().await
    }

    /// # Errors
    /// When rows are lost that may not be; the message says what to do.
    pub(crate) fn check(&self, lost_rows: LostRows) -> anyhow::Result<()> {
        let lost = self.document.value.lost_rows;
        if lost == 0 || lost_rows != LostRows::Refuse {
            return Ok(());
        }
        bail!(
            "{lost} rows that loads had put into the table of {0} are gone from it: somebody else deleted them. Drop the \
             table, and the next load makes it anew from the staged files; for a stack, \
             `hubspot-source replay --stack NAME --collections {0}` puts them back. Or have it compared with HubSpot (mode reconcile), where it is. If they are to \
             stay deleted, confirm it once: --accept-removals, or {{\"accept_removals\": true}} to the load function",
            self.collection
        );
    }

    async fn save(&mut self) -> anyhow::Result<()> {
        let name = document_name(self.collection);
        let before: Shared<Kept> = self.state.shared(&name).await?;
        if before == self.document {
            return Ok(());
        }
        if !self.state.swap_shared(&name, &self.document).await? {
            bail!("another load works on the same table: its lease was taken over");
        }
        self.document.version += 1;
        Ok(())
    }
}

impl Files {
    fn new(files: Vec<StagedFile>, held: &HashSet<String>) -> Files {
        let last = files.last().map(|file| file.key.clone());
        let (held, missing): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| held.contains(&file.key));
        Files { missing, held: held.into_iter().map(|file| file.key).collect(), last }
    }

    /// Returns the newest file; `None` if there is no file, or if some are left.
    pub(crate) fn last(self, files_left: u64) -> Option<String> {
        self.last.filter(|_| files_left == 0)
    }
}

/// Resets the count of lost rows, after the table was found equal to HubSpot.
pub(crate) async fn set_equal(collection: &str, state: &State) -> anyhow::Result<()> {
    let name = document_name(collection);
    let mut document: Shared<Kept> = state.shared(&name).await?;
    if document.value.lost_rows > 0 {
        document.value.lost_rows = 0;
        // Whoever came in between looks at the table anew.
        state.swap_shared(&name, &document).await.context("the count of lost rows can't be reset")?;
    }
    Ok(())
}

/// Notes that a file took the place of others in the ledger, so that the next load finds it as it was left.
pub(crate) async fn set_replaced(
    collection: &str,
    old: &[&str],
    new: &str,
    state: &State,
    warehouse: &dyn Warehouse,
) -> anyhow::Result<()> {
    let name = document_name(collection);
    let mut document: Shared<Kept> = state.shared(&name).await?;
    let Some(left) = &mut document.value.ledger else { return Ok(()) };
    left.files = warehouse.ledger(collection, &[]).await?.files;
    if old.contains(&left.last.as_str()) {
        left.last = new.to_owned();
    }
    // Where somebody came in between, the next load looks at all files once.
    state.swap_shared(&name, &document).await?;
    Ok(())
}

/// # Errors
/// When somebody dropped columns of the table: a comparison can't find equal what it does not see.
pub(crate) fn check_columns(table: &Table<'_>) -> anyhow::Result<()> {
    let dropped = table.dropped();
    if dropped.is_empty() {
        return Ok(());
    }
    let named = &dropped[..dropped.len().min(MAX_NAMED)];
    bail!(
        "{} columns of the table were dropped ({}{}): its next load fills them again from the staged files; for a stack, \
         `hubspot-source replay --stack NAME --collections {}` does it at once",
        dropped.len(),
        named.join(", "),
        if dropped.len() > MAX_NAMED { ", ..." } else { "" },
        table.collection
    );
}

fn document_name(collection: &str) -> String {
    format!("table-{collection}")
}
