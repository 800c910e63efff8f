//! Moving over from Segment: its tables are put aside under another name, loads make ours, and the rows that HubSpot shows
//! no more come in from there, in the oldest version that there is. A table that is aside is never changed, and stays until
//! a person drops it.
//!
//! Each step looks at what is there: after a crash, the same command goes on.

mod columns;
mod elsewhere;
mod report;
mod rows;
mod tables;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::bail;
use extract::End;
use load::{Loaded, load};
use staging::{Bucket, State};
use warehouse::{Kind, Maker, TableMode, Warehouse};

use columns::Columns;
pub(crate) use elsewhere::run;
pub(crate) use report::{Adopted, text};
use report::{NOT_READ, Step};
use rows::{Found, Source};
use tables::{aside, entry};

/// Reason why no deleted rows come into a table that has none.
const NO_DELETED: &str = "the table is kept without deleted rows (--hard-delete), which these would be";

/// The tables of Segment's in a schema, and what has become of them.
#[derive(Debug)]
pub(crate) struct Adoption(Mutex<BTreeMap<String, Adopted>>);

/// The place of what is brought in, on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) account_id: u64,
    pub(crate) state: &'a State,
    pub(crate) bucket: &'a Bucket,
    pub(crate) warehouse: &'a dyn Warehouse,
}

impl Adoption {
    /// Looks at all tables.
    ///
    /// # Errors
    /// For each table that can't be put aside; nothing is changed.
    pub(crate) async fn look(warehouse: &dyn Warehouse, collections: &[&str]) -> anyhow::Result<Adoption> {
        let away: Vec<String> = collections.iter().map(|name| aside(name)).collect();
        let names: Vec<&str> = collections.iter().copied().chain(away.iter().map(String::as_str)).collect();
        let makers = warehouse.makers(&names).await?;
        let (mut found, mut refused) = (BTreeMap::new(), Vec::new());
        let (here, there) = makers.split_at(collections.len());
        for ((name, aside), (here, there)) in collections.iter().zip(&away).zip(here.iter().zip(there)) {
            match (here, there) {
                (Some(Maker::AnotherView), _) => {
                    refused
                        .push(format!("{name} is a view, where a table is to be: rename or drop the view"));
                }
                (Some(Maker::Another), Some(_)) => {
                    refused.push(format!(
                        "{name} can't become {aside}, which is there: rename or drop one of them"
                    ));
                }
                (Some(Maker::Another), None) => _ = found.insert((*name).to_owned(), Adopted::default()),
                (_, Some(Maker::Another)) => {
                    found.insert((*name).to_owned(), Adopted::renamed(aside));
                }
                _ => {}
            }
        }
        if !refused.is_empty() {
            bail!("tables can't be put aside, and nothing was changed: {}", refused.join("; "));
        }
        Ok(Adoption(Mutex::new(found)))
    }

    /// Loads a collection. If it has a table of Segment's: puts that aside before, once HubSpot was read to its `end`, and
    /// brings in behind it what HubSpot shows no more, if nothing is missing and everything was read (`is_whole`).
    pub(crate) async fn load(
        &self,
        name: &str,
        (end, is_whole): (End, bool),
        way: Way<'_>,
        options: &load::Options,
    ) -> anyhow::Result<Loaded> {
        let Way { state, bucket, warehouse, .. } = way;
        source(name, &aside(name), way).strike_off_lost().await?;
        let Some(mut adopted) = self.of(name) else {
            return load(name, state, bucket, warehouse, options).await;
        };
        if adopted.renamed_to.is_none() {
            if !matches!(end, End::Complete | End::Incomplete) {
                adopted.is(Step::Left, NOT_READ);
                self.set(name, adopted);
                return Ok(Loaded::default());
            }
            self.put_aside(name, warehouse).await?;
        }
        let mut loaded = load(name, state, bucket, warehouse, options).await?;
        if end != End::Complete {
            let reason = "HubSpot was not read completely, so that what it shows no more is not known yet";
            self.change(name, |adopted| adopted.is(Step::Waiting, reason));
            return Ok(loaded);
        }
        if !is_whole {
            let reason = "the run that has ended was over a window (--since, --until), and HubSpot was not read whole \
                          before: run the same command again";
            self.change(name, |adopted| adopted.is(Step::Waiting, reason));
            return Ok(loaded);
        }
        if self.bring_in(name, way, options.mode).await? {
            loaded = sum(loaded, load(name, state, bucket, warehouse, options).await?);
        }
        Ok(loaded)
    }

    /// Renames a table of Segment's. Nothing if that was done before.
    async fn put_aside(&self, name: &str, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
        let aside = aside(name);
        warehouse.put_aside(name, &aside).await?;
        tracing::info!(collection.name = name, "the table that another program made is now {aside}");
        self.set(name, Adopted::renamed(&aside));
        Ok(())
    }

    /// Stages the rows that ours lacks. `true`: there may be files to load.
    async fn bring_in(&self, name: &str, way: Way<'_>, mode: TableMode) -> anyhow::Result<bool> {
        let aside = aside(name);
        let shapes = way.warehouse.shapes(&[name, &aside]).await?;
        let columns = match (entry(name), shapes.as_slice()) {
            (Err(reason), _) => Err(reason),
            (Ok(entry), [Some(ours), Some(theirs)]) => Columns::new(&entry, ours, theirs),
            (Ok(_), _) => {
                let reason = "no load has made the new table yet: run the same command again when one has";
                self.change(name, |adopted| adopted.is(Step::Waiting, reason));
                return Ok(false);
            }
        };
        let columns = match columns {
            Ok(columns) if mode.hard_delete && columns.has_deletions() => Err(NO_DELETED.to_owned()),
            columns => columns,
        };
        let columns = match columns {
            Ok(columns) => columns,
            Err(reason) => {
                let extent = way.warehouse.extent(&aside).await?;
                self.change(name, |adopted| {
                    adopted.found.rows = extent.map_or(0, |extent| extent.rows);
                    adopted.is(Step::Aside, &reason);
                });
                return Ok(false);
            }
        };
        let found: Found = source(name, &aside, way).stage(&columns).await?;
        self.change(name, |adopted| {
            adopted.found = found.into();
            adopted.is_brought_in();
        });
        Ok(true)
    }

    /// Returns what has become of the tables, by collection.
    pub(crate) fn end(self, schema: &str) -> BTreeMap<String, Adopted> {
        let mut tables = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        tables.values_mut().for_each(|adopted| adopted.end(schema));
        tables
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn of(&self, name: &str) -> Option<Adopted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn set(&self, name: &str, adopted: Adopted) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), adopted);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Adopted)) {
        if let Some(adopted) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            change(adopted);
        }
    }
}

/// Refuses a schema with tables that another program made, before anything is read for it.
///
/// # Errors
/// The message names them, and the next step.
pub(crate) async fn refuse_others(warehouse: &dyn Warehouse, collections: &[&str]) -> anyhow::Result<()> {
    let makers = match warehouse.makers(collections).await {
        // A merge looks once more.
        Err(locked) if locked.kind() == Kind::Locked => return Ok(()),
        makers => makers?,
    };
    let others = collections.iter().zip(makers);
    let others: Vec<&str> = others
        .filter(|(_, maker)| maker.is_some_and(|it| it != Maker::Load))
        .map(|(name, _)| *name)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    bail!(
        "the schema has tables that another program made, such as Segment: {}. Nothing was written. Either use another \
         --schema; or run the same command with --adopt, which puts each aside as NAME{}, makes ours, and brings in the \
         rows that HubSpot shows no more (docs/from-segment.md)",
        others.join(", "),
        aside("")
    )
}

fn source<'a>(collection: &'a str, aside: &'a str, way: Way<'a>) -> Source<'a> {
    let Way { account_id, state, bucket, warehouse } = way;
    Source { collection, aside, account_id, state, bucket, warehouse }
}

fn sum(mut a: Loaded, b: Loaded) -> Loaded {
    a.column_changes.absorb(b.column_changes);
    Loaded {
        files: a.files + b.files,
        staged_rows: a.staged_rows + b.staged_rows,
        merged_rows: a.merged_rows + b.merged_rows,
        bytes: a.bytes + b.bytes,
        statements_that_write: a.statements_that_write + b.statements_that_write,
        files_left: b.files_left,
        degraded: b.degraded,
        column_changes: a.column_changes,
    }
}
