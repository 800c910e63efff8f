//! `dbt`: a dbt project over the tables of a warehouse: sources with descriptions and tests, and views for the packages of
//! others. It reads the warehouse, writes files, and asks HubSpot nothing.

mod folder;
mod known;
mod project;
mod relations;
mod sources;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use compat::{DIALECTS, Dialect, dialect, dialect_of_url, schema_of_views};

use crate::alike::did_you_mean;
use crate::args::Dbt;
use crate::connect::connect;
use crate::print::{print, wrapped};
use known::Known;
use project::{Places, Project, project};

/// Writes the project, and names the views that lack collections. `true`.
///
/// # Errors
/// For wrong use or configuration, before anything is written.
pub(crate) async fn run(args: &Dbt) -> anyhow::Result<bool> {
    let (dialect, has_views) = dialect_of(args)?;
    let warehouse = connect(&args.warehouse, &args.schema, &args.password).await?;
    let known = Known::of(&*warehouse).await?;
    if known.tables.0.is_empty() {
        bail!(
            "the warehouse's schema {} has no tables of HubSpot: sync first, or name another --schema",
            args.schema
        );
    }
    let compat = args.compat_schema.clone().unwrap_or_else(|| schema_of_views(&args.schema));
    if has_views && compat == args.schema {
        bail!(
            "the views can't be in the schema of the tables, which has a table users, too: name another --compat-schema"
        );
    }
    let path = args.warehouse.strip_prefix("duckdb:").filter(|_| dialect.name == "duckdb");
    let database = path.and_then(|path| Path::new(path).file_stem()?.to_str());
    let places = Places {
        schema: &args.schema,
        compat: has_views.then_some(compat.as_str()),
        database: database.filter(|name| *name == args.schema),
    };
    let project = project(&known, dialect, &places);
    folder::write(&args.folder, &project.files)?;
    print(&text(args, &known, &project, dialect, &compat));
    Ok(true)
}

/// Returns the dialect that is asked for, or that of the warehouse; and `false` if it is none that views are made for.
fn dialect_of(args: &Dbt) -> anyhow::Result<(&'static Dialect, bool)> {
    let names: Vec<&str> = DIALECTS.iter().map(|dialect| dialect.name).collect();
    if let Some(name) = &args.dialect {
        return match dialect(name) {
            Some(dialect) => Ok((dialect, true)),
            None => {
                let meant = did_you_mean(&[name], &names);
                bail!("unknown dialect {name:?}: {meant}use one of {}", names.join(", "))
            }
        };
    }
    Ok(match dialect_of_url(&args.warehouse) {
        Some(dialect) => (dialect, true),
        // Names in sources are plain ones: any dialect will do.
        None => (DIALECTS[0], false),
    })
}

fn text(args: &Dbt, known: &Known, project: &Project, dialect: &Dialect, compat: &str) -> String {
    let columns: usize = known.tables.0.values().map(|table| table.columns.len()).sum();
    let mut text =
        format!("{}: {} sources with {columns} columns", args.folder.display(), known.tables.0.len(),);
    if project.views.is_empty() {
        return text + "; no views, which dbt_hubspot could not use on this warehouse";
    }
    text += &format!(", and {} views for {}, in the schema {compat}", project.views.len(), dialect.name);
    text = wrapped(&text, 2);
    let mut lacking: BTreeMap<(bool, &[&str]), Vec<&str>> = BTreeMap::new();
    for it in project.views.iter().filter(|it| !it.lacking.is_empty()) {
        lacking.entry((it.is_empty, &it.lacking)).or_default().push(it.view.name);
    }
    for ((is_empty, collections), views) in lacking {
        let what = if is_empty { "empty" } else { "incomplete" };
        let (views, collections) = (views.join(", "), collections.join(","));
        let line = format!("! {what}: {views}; sync with `--collections ...,{collections}` to fill them");
        text += &format!("\n{}", wrapped(&line, 2));
    }
    text
}
