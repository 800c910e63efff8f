//! `report`: a page about all runs, as one HTML file that loads nothing.

use std::path::Path;

use anyhow::{Context, bail};
use load::{Of, overview};

use crate::args::Overview;
use crate::connect::connect;
use crate::print::{print, say};
use crate::stack;

/// In the place of a file: standard output.
const STDOUT: &str = "-";

/// Writes the page. `true`: it is written, whatever it shows.
///
/// # Errors
/// When the runs can't be read, or the file can't be written.
pub(crate) async fn run(args: &Overview) -> anyhow::Result<bool> {
    let has_state = args.stack.is_some() || args.state.is_some();
    if args.warehouse.is_none() && !has_state {
        bail!("name what the page is about: --warehouse URL, --state DIR, both, or --stack NAME");
    }
    let state = match has_state {
        true => Some(stack::state(args.stack.as_deref(), args.state.as_deref()).await?),
        false => None,
    };
    let warehouse = match &args.warehouse {
        Some(url) => Some(connect(url, &args.schema, &args.password).await?),
        None => None,
    };
    let of = Of {
        state: state.as_ref(),
        stack: args.stack.as_deref(),
        warehouse: warehouse.as_deref(),
        days: args.days,
    };
    let page = overview(&of).await?;
    if args.html == Path::new(STDOUT) {
        print(&page.html);
        return Ok(true);
    }
    let written = std::fs::write(&args.html, page.html);
    written.with_context(|| format!("{} can't be written", args.html.display()))?;
    say(&format!("{} {}", page.verdict, args.html.display()));
    Ok(true)
}
