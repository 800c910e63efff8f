//! Checks of a sync before anything is written: its options, the warehouse, and whose account that is.

use std::path::Path;

use anyhow::bail;
use extract::{Options, Selection};
use hubspot::Account;
use hubspot::feeds::{FEEDS, Mode};
use staging::State;
use warehouse::{Kind, Reads, Warehouse};

use crate::adopt::{self, Adoption};
use crate::args::Sync;
use crate::connect;

/// Looks for tables of another program: they are refused, unless they are to be adopted.
pub(super) async fn look(
    args: &Sync,
    selection: &Selection,
    warehouse: Option<&dyn Warehouse>,
) -> anyhow::Result<Option<Adoption>> {
    let collections: Vec<&str> = selection.collections.iter().copied().collect();
    match warehouse {
        None if args.adopt => bail!("--adopt is for tables of a warehouse: name a --warehouse"),
        None => Ok(None),
        Some(warehouse) if args.adopt => Ok(Some(Adoption::look(warehouse, &collections).await?)),
        Some(warehouse) => adopt::refuse_others(warehouse, &collections).await.map(|()| None),
    }
}

/// Returns the collections that earlier syncs have read. Where a document of the state can't be read, its feed says so.
pub(super) async fn read_before(folder: &Path) -> Vec<String> {
    // It is made further on, when nothing is wrong with the command.
    let state = folder.is_dir().then(|| State::open_folder(folder).ok()).flatten();
    match state {
        Some(state) => state.collections().await.unwrap_or_default().into_iter().collect(),
        None => Vec::new(),
    }
}

/// Returns the collections that are compared with snapshots.
pub(crate) fn compared() -> impl Iterator<Item = &'static str> {
    FEEDS.iter().filter_map(|feed| feed.compared())
}

/// Refuses a comparison of what is not compared.
pub(super) fn check_mode(mode: Option<Mode>, selection: &Selection) -> anyhow::Result<()> {
    let Some(mode) = mode.filter(|mode| mode.is_snapshot()) else { return Ok(()) };
    let mut selected = selection.feeds.iter().filter_map(|feed| feed.compared());
    if !selected.any(|name| selection.collections.contains(name)) {
        let compared: Vec<&str> = compared().collect();
        bail!(
            "--mode {} compares {} and other objects of the CRM: name one of them",
            mode.name(),
            compared.join(", ")
        );
    }
    Ok(())
}

pub(super) fn options(args: &Sync) -> anyhow::Result<Options> {
    let window = extract::window(("--since", args.since.as_deref()), ("--until", args.until.as_deref()))?;
    if let Some(mode) = args.mode.mode().filter(|mode| mode.is_snapshot()) {
        if !window.is_whole() {
            bail!("--mode {} is about all records: leave out --since and --until", mode.name());
        }
        if args.warehouse == connect::NONE {
            bail!("--mode {} compares tables: name a --warehouse", mode.name());
        }
    }
    Ok(Options {
        mode: args.mode.mode(),
        window,
        address_calls: args.address_calls,
        accepts_removals: args.accept_removals,
        ..Options::default()
    })
}

pub(super) async fn connect(args: &Sync) -> anyhow::Result<Option<Box<dyn Warehouse>>> {
    if args.warehouse == connect::NONE {
        return Ok(None);
    }
    let warehouse = connect::connect(&args.warehouse, &args.schema, &args.password).await?;
    if warehouse.reads() == Reads::S3 {
        bail!(
            "this warehouse reads staged files from S3, and a laptop keeps them in a folder: deploy a stack, which \
             stages to a bucket, or choose another warehouse"
        );
    }
    if args.compat.is_some() && !warehouse.keeps_views() {
        bail!(
            "this warehouse keeps no views: leave out --compat, and have dbt make them, from what hubspot-source dbt \
             writes"
        );
    }
    if let Some(file) = named_like_schema(&args.warehouse, &args.schema) {
        let (schema, others) = (&args.schema, "duckdb:warehouse.duckdb");
        tracing::warn!(
            "{file} has the name of its schema, so that DuckDB takes {schema}.contacts for ambiguous: write \
             {schema}.{schema}.contacts, or give the file another name, such as {others}"
        );
    }
    Ok(Some(warehouse))
}

/// Returns a DuckDB file whose name, which DuckDB takes for the database's, is that of the schema.
fn named_like_schema<'a>(url: &'a str, schema: &str) -> Option<&'a str> {
    let path = url.strip_prefix("duckdb:")?;
    let name = Path::new(path).file_stem()?.to_str()?;
    name.eq_ignore_ascii_case(schema).then_some(path)
}

/// Refuses a credential of another account than the one that the warehouse belongs to.
pub(super) async fn check_account(
    account: &Account,
    warehouse: Option<&dyn Warehouse>,
) -> anyhow::Result<()> {
    let Some(warehouse) = warehouse else { return Ok(()) };
    let bound = match warehouse.account().await {
        // Whoever has it open may be done when there is something to merge; the merge compares the accounts, too.
        Err(locked) if locked.kind() == Kind::Locked => {
            tracing::warn!("{locked}; HubSpot is read meanwhile");
            None
        }
        bound => bound?,
    };
    if let Some(bound) = bound.filter(|bound| *bound != account.id) {
        bail!(
            "the warehouse's schema belongs to HubSpot account {bound}, but the credential is of account {}: use that \
             account's credential, or another --schema and --state for this one",
            account.id
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_name_of_its_schema_is_noticed() {
        assert_eq!(named_like_schema("duckdb:data/HubSpot.duckdb", "hubspot"), Some("data/HubSpot.duckdb"));
        assert_eq!(named_like_schema("duckdb:warehouse.duckdb", "hubspot"), None);
        assert_eq!(named_like_schema("postgres://hubspot@host/hubspot", "hubspot"), None);
    }
}
