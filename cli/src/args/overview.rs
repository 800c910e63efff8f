//! Options of `report`.

use std::path::PathBuf;

use super::PasswordFrom;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Overview {
    /// File for the page, or - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) html: PathBuf,
    /// Warehouse of a sync or of a stack: its table _runs has all runs, and its tables have their number of rows
    /// (password in WAREHOUSE_PASSWORD)
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// The state folder of a sync, which has the last 50 runs of each feed
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    pub(crate) state: Option<PathBuf>,
    /// Name of a deployed stack, whose state has the runs of the last 90 days; region and credentials as every AWS program
    /// takes them
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    #[command(flatten)]
    pub(crate) password: PasswordFrom,
    /// Days to show, up to today
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(2..=1_100))]
    pub(crate) days: u32,
}

const EXAMPLES: &str = "\
Examples:
  hubspot-source report --html report.html --state ./state \\
    --warehouse duckdb:warehouse.duckdb
      one file to look at, which loads nothing from anywhere: rows and lag of
      each table, comparisons with HubSpot, calls, values that did not parse,
      changes of columns, and runs that were not complete

  hubspot-source report --html report.html --stack hubspot-source --days 30
      the same of a stack, as far as its state goes back, with the cost of its
      functions

Exit codes:
  0  the page is written, whatever it shows
  1  the warehouse or the state is in use, or does not answer now
  2  wrong use or configuration; the message names the next step";
