//! Commands and options of the command line.

mod examples;
mod modes;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use hubspot::feeds::{HistoryProperties, Mode};
use staging::Codec;

use examples::{
    ADOPT_EXAMPLES, BACKFILL_EXAMPLES, DBT_EXAMPLES, DOCTOR_EXAMPLES, EXAMPLES, PLAN_EXAMPLES,
    RECONCILE_EXAMPLES, REPLAY_EXAMPLES, STATUS_EXAMPLES,
};
pub(crate) use modes::modes;

#[derive(Debug, Parser)]
#[command(name = "hubspot-source", version, about = "HubSpot into your warehouse", after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log the steps of the run
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read what is new in HubSpot and merge it into the warehouse
    Sync(Sync),
    /// Ask HubSpot what the credential may read: missing scopes, limits, versions that end; writes nothing
    Doctor(Doctor),
    /// Estimate a backfill: calls, minutes at the account's limit, dollars; asks for counts and writes nothing
    Plan(Plan),
    /// Show the last runs, the age of the data, and the files that wait for a merge: of a stack, or of a state folder
    Status(Status),
    /// Start a backfill in a deployed stack, and follow it
    Backfill(Backfill),
    /// Have a deployed stack compare a table with HubSpot's records; differing records are read again
    Reconcile(Reconcile),
    /// Fill the warehouse of a deployed stack again from the staged files, without a call to HubSpot
    Replay(Replay),
    /// Put tables that Segment made in a warehouse aside, so that loads make ours; and bring in their rows
    Adopt(Adopt),
    /// Try it without a HubSpot account: sync a fake one, change it, and sync again
    Demo(Demo),
    /// Write a dbt project over the tables of a warehouse: sources, tests, and views for dbt_hubspot
    Dbt(Dbt),
    /// Print every collection and column: type, and source of the value, or why it is NULL (Markdown)
    Dictionary,
    /// Write the files of a checkout anew that are made from the list of feeds
    #[command(hide = true)]
    Generate(Generate),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Generate {
    /// Folder of the checkout
    #[arg(default_value = ".")]
    pub(crate) repository: PathBuf,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sync {
    /// Warehouse for the tables: duckdb:PATH, postgres://USER@HOST/DATABASE (password in WAREHOUSE_PASSWORD), or none
    /// to stage Parquet files only
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,
    /// Folder for the cursors and the staged files; keep it, or the next run reads everything again
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// Collections to sync, separated by commas: their names, segment for those of Segment's source, metadata for
    /// what gives ids their meaning, all for whatever the account has; a name with a minus sign is left out [default:
    /// segment]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Collections to leave out, separated by commas
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) without: Option<Vec<String>>,
    /// Properties whose past values go to the table property_history, by object, as in
    /// deals:dealstage,amount;contacts:lifecyclestage; it then need not be among the collections. Without a list, the
    /// table has stages, owners, amounts and close dates
    #[arg(long, value_name = "LIST")]
    pub(crate) property_history: Option<HistoryProperties>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// Collections whose deleted rows are removed, separated by commas, or all; others keep them, with is_deleted
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) hard_delete: Vec<String>,
    /// Collections that get a second table, COLLECTION_history, with all versions of their records, separated by
    /// commas
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) history: Vec<String>,
    /// Keep views with another product's names and columns, in the schema of the tables with _fivetran behind it
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) compat: Option<Compat>,
    /// Put tables aside that Segment made, as NAME_of_segment, and bring in their rows that HubSpot shows no more
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub(crate) adopt: bool,
    /// URL of HubSpot's API, or of a fake one
    #[arg(long, value_name = "URL", default_value = hubspot::DEFAULT_BASE_URL)]
    pub(crate) hubspot_url: String,
    /// Records to read: all, the changed ones, or those that are due
    #[arg(long, value_enum, default_value_t = ModeArg::Auto)]
    pub(crate) mode: ModeArg,
    /// Only what changed since this day or instant, such as 2026-09-01 or 2026-09-01T12:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<String>,
    /// Only what changed until this day or instant; later runs are not moved by it
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Most calls for the subscriptions of contacts' addresses that are not in the timeline, one for each address; the
    /// next run goes on after the last one
    #[arg(long, value_name = "CALLS", default_value_t = 0)]
    pub(crate) address_calls: u64,
    /// Accept missing rows as removed, however many: those that somebody deleted from a table, and records that
    /// HubSpot shows no more
    #[arg(long)]
    pub(crate) accept_removals: bool,
    /// Share of HubSpot's limits that is left to the account's other apps, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) reserve: u8,
    /// Compression of staged files: zstd, or snappy for readers that don't know zstd
    #[arg(long, value_name = "CODEC", default_value = "zstd")]
    pub(crate) codec: Codec,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct Doctor {
    /// Collections to look at, separated by commas: their names, segment, or all; a name with a minus sign is left out
    /// [default: segment]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Collections to leave out, separated by commas
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) without: Option<Vec<String>>,
    /// URL of HubSpot's API, or of a fake one
    #[arg(long, value_name = "URL", default_value = hubspot::DEFAULT_BASE_URL)]
    pub(crate) hubspot_url: String,
    /// Share of HubSpot's limits that is left to the account's other apps, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) reserve: u8,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub(crate) struct Plan {
    /// Collections to plan, separated by commas: their names, segment, metadata, or all [default: segment]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Properties whose past values are read, by object, as in deals:dealstage,amount;contacts:lifecyclestage
    #[arg(long, value_name = "LIST")]
    pub(crate) property_history: Option<HistoryProperties>,
    /// Only what changed since this day or instant
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<String>,
    /// Only what changed until this day or instant
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Memory of the function, in MB: it is billed by memory and time
    #[arg(long, value_name = "MB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(128..=10_240))]
    pub(crate) memory: u32,
    /// URL of HubSpot's API, or of a fake one
    #[arg(long, value_name = "URL", default_value = hubspot::DEFAULT_BASE_URL)]
    pub(crate) hubspot_url: String,
    /// Share of HubSpot's limits that is left to the account's other apps, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) reserve: u8,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct Status {
    /// Name of the deployed stack; region and credentials as every AWS program takes them
    #[arg(long, value_name = "NAME", conflicts_with = "state")]
    pub(crate) stack: Option<String>,
    /// The state folder of a sync
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

/// A run of a deployed stack.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Target {
    /// The collection to read; others that the same pages fill are read with it
    pub(crate) collection: String,
    /// Name of the deployed stack; region and credentials as every AWS program takes them
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: String,
    /// Start nothing: follow the run that is running
    #[arg(long)]
    pub(crate) follow: bool,
    /// Start the run and don't wait for it
    #[arg(long, conflicts_with = "follow")]
    pub(crate) detach: bool,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = BACKFILL_EXAMPLES)]
pub(crate) struct Backfill {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only what changed or happened since this day or instant
    #[arg(long, value_name = "DATE", conflicts_with = "follow")]
    pub(crate) since: Option<String>,
    /// Only what changed or happened until this day or instant
    #[arg(long, value_name = "DATE", conflicts_with = "follow")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = RECONCILE_EXAMPLES)]
pub(crate) struct Reconcile {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Also compare values that change without a new modified date: calculated properties, associations, list
    /// memberships
    #[arg(long)]
    pub(crate) refresh: bool,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub(crate) struct Replay {
    /// Name of the deployed stack; region and credentials as every AWS program takes them
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: String,
    /// Collections to fill, separated by commas [default: all that the stack loads]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Demo {
    /// Number of contacts in the fake account, which has a fifth as many companies and deals
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) contacts: u32,
    /// Folder for the database; that of an earlier demo is replaced
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = DBT_EXAMPLES)]
pub(crate) struct Dbt {
    /// Folder of the project; one with other files in it is refused
    #[arg(default_value = "dbt")]
    pub(crate) folder: PathBuf,
    /// Warehouse with the tables: duckdb:PATH, postgres://USER@HOST/DATABASE and so on, as of sync (password in
    /// WAREHOUSE_PASSWORD); it is read, and stays as it is
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// SQL of the views: duckdb, postgres, redshift, snowflake, bigquery or databricks [default: that of the warehouse]
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// Schema of the views [default: that of the tables with _fivetran behind it]
    #[arg(long, value_name = "NAME")]
    pub(crate) compat_schema: Option<String>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = ADOPT_EXAMPLES)]
pub(crate) struct Adopt {
    /// Warehouse with the tables: duckdb:PATH, postgres://USER@HOST/DATABASE and so on, as of sync (password in
    /// WAREHOUSE_PASSWORD)
    #[arg(long, value_name = "URL", required_unless_present = "stack")]
    pub(crate) warehouse: Option<String>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// Folder for the files with the rows that are brought in; keep it until no table is aside any more
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Not for stacks: their warehouse is named
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// Go on with an interrupted run; else everything the first time, and changes afterwards
    Auto,
    /// Everything again; known rows stay as they are
    Backfill,
    /// Changes since the last run
    Incremental,
    /// As auto; then compare the ids of all records with the tables of contacts, companies and deals, and read
    /// missing, deleted and outdated records again
    Reconcile,
    /// As reconcile; also compare calculated properties, associations and list memberships, which change without a new
    /// modified date
    Refresh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compat {
    /// What Fivetran's dbt_hubspot reads
    Fivetran,
}

impl ModeArg {
    pub(crate) fn mode(self) -> Option<Mode> {
        match self {
            ModeArg::Auto => None,
            ModeArg::Backfill => Some(Mode::Backfill),
            ModeArg::Incremental => Some(Mode::Incremental),
            ModeArg::Reconcile => Some(Mode::Reconcile),
            ModeArg::Refresh => Some(Mode::Refresh),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
