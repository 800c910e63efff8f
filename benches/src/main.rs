//! `bench`: the cost of a run, of the whole process, beside the floor measured in the same run: a program that
//! downloads the same pages and drops them, or scans them and writes them as text. `make bench` runs it.

mod account;
mod case;
mod cases;
mod floor;
mod group;
mod measure;
mod row;
mod scan;
mod start;
mod table;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::account::Described;
use crate::cases::Chosen;
use crate::floor::Floor;

const EXAMPLES: &str = "\
Examples:
  bench
      everything, at full size

  bench --scale 0.1 --only contacts --repeat 3
      the cases with contacts, a tenth of the records, the cheapest of three runs";

/// Cost of a run: CPU, memory, time and calls, beside the floor.
#[derive(Debug, Parser)]
#[command(name = "bench", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    chosen: Chosen,
    /// One JSON object a case instead of the table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The processes that the bench starts.
#[derive(Debug, Subcommand)]
enum Part {
    /// The fake account
    #[command(hide = true)]
    Serve(Described),
    /// Runs a program and prints its cost
    #[command(hide = true)]
    Measure {
        /// A control group's list of members, to join before
        #[arg(long)]
        join: Vec<PathBuf>,
        program: Vec<OsString>,
    },
    /// Sends recorded requests again
    #[command(hide = true)]
    Floor(Floor),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Measure { join, program }) => measure::measure(&join, &program),
        Some(Part::Serve(described)) => tokio::runtime::Runtime::new()?.block_on(account::serve(described)),
        Some(Part::Floor(floor)) => {
            // One thread, as the product has.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let floored = runtime.block_on(floor::floor(floor))?;
            Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&floored)?)?)
        }
        None => {
            let rows = cases::run(&arguments.chosen)?;
            let text = if arguments.json { table::json(&rows)? } else { table::text(&rows) };
            Ok(writeln!(std::io::stdout(), "{text}")?)
        }
    }
}
