//! Commands and options of the command line.

mod examples;
mod modes;
mod overview;
mod secrets;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hubspot::feeds::{HistoryProperties, Mode};
use load::ForgetDeleted;
use staging::Codec;

use examples::{
    ADOPT_EXAMPLES, BACKFILL_EXAMPLES, COMPACT_EXAMPLES, COMPLETIONS_EXAMPLES, DBT_EXAMPLES, DEMO_EXAMPLES,
    DICTIONARY_EXAMPLES, DOCTOR_EXAMPLES, EXAMPLES, FORGET_EXAMPLES, GENERATE_EXAMPLES, INIT_EXAMPLES,
    MAN_EXAMPLES, PLAN_EXAMPLES, RECONCILE_EXAMPLES, REPLAY_EXAMPLES, STATUS_EXAMPLES, SYNC_EXAMPLES,
};
pub(crate) use modes::modes;
pub(crate) use overview::Overview;
pub(crate) use secrets::{PasswordFrom, TokenFrom};

use crate::version::VERSION;

#[derive(Debug, Parser)]
#[command(name = "hubspot-source", version = VERSION, about = "HubSpot into your warehouse", after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log the steps of the run
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// File of settings: flags by their names [default: hubspot-source.toml, if there is one in the working folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
    /// Write a page about all runs, to look at in a browser: one HTML file
    Report(Overview),
    /// Start a backfill in a deployed stack, and follow it
    Backfill(Backfill),
    /// Have a deployed stack compare a table with HubSpot's records; differing records are read again
    Reconcile(Reconcile),
    /// Fill the warehouse of a deployed stack again from the staged files, without a call to HubSpot
    Replay(Replay),
    /// Forget a person: remove them from the warehouse, the staged files and the state, and keep them out
    Forget(Forget),
    /// Make the staged files of a stack, or of a state folder, as few as can be
    Compact(Compact),
    /// Put tables that Segment made in a warehouse aside, so that loads make ours; and bring in their rows
    Adopt(Adopt),
    /// Try it without a HubSpot account: sync a fake one, change it, and sync again
    Demo(Demo),
    /// Write a dbt project over the tables of a warehouse: sources, tests, and views for dbt_hubspot
    Dbt(Dbt),
    /// Write hubspot-source.toml with every setting, and .env.example; asks HubSpot what the credential may read
    Init(Init),
    /// Print every collection and column: type, and source of the value, or why it is NULL (Markdown)
    #[command(after_help = DICTIONARY_EXAMPLES)]
    Dictionary,
    /// Print what completes this command line in a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(Man),
    /// Write the files of a checkout anew that are made from the list of feeds
    #[command(hide = true)]
    Generate(Generate),
}

impl Command {
    /// Returns the format of the command's report, if it has one.
    pub(crate) fn report(&self) -> Option<ReportFormat> {
        match self {
            Command::Sync(args) => Some(args.report),
            Command::Doctor(args) => Some(args.report),
            Command::Plan(args) => Some(args.report),
            Command::Status(args) => Some(args.report),
            Command::Backfill(args) => Some(args.target.report),
            Command::Reconcile(args) => Some(args.target.report),
            Command::Replay(args) => Some(args.report),
            Command::Compact(args) => Some(args.report),
            Command::Forget(args) => Some(args.report),
            Command::Adopt(args) => Some(args.report),
            Command::Report(_)
            | Command::Init(_)
            | Command::Demo(_)
            | Command::Dbt(_)
            | Command::Dictionary
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Generate(_) => None,
        }
    }
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = INIT_EXAMPLES)]
pub(crate) struct Init {
    /// Replace files that are there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) token: TokenFrom,
    /// URL of HubSpot's API, or of a fake one
    #[arg(long, value_name = "URL", default_value = hubspot::DEFAULT_BASE_URL)]
    pub(crate) hubspot_url: String,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct Man {
    /// Folder for the pages of the program and of each command; it is made
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = GENERATE_EXAMPLES)]
pub(crate) struct Generate {
    /// Folder of the checkout
    #[arg(default_value = ".")]
    pub(crate) repository: PathBuf,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = SYNC_EXAMPLES)]
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
    /// Forget contacts that HubSpot shows nowhere any more, as forget does: auto (where contacts are in --hard-delete), on,
    /// off, or the days for which HubSpot has to show them nowhere (7 with auto and on)
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) forget_deleted: ForgetDeleted,
    /// Keep e-mail events of contacts that are forgotten so, under a pseudonym
    #[arg(long)]
    pub(crate) pseudonymise: bool,
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
    /// Forget contacts that HubSpot shows nowhere any more, however many they are: see --forget-deleted
    #[arg(long)]
    pub(crate) accept_forgetting: bool,
    /// Share of HubSpot's limits that is left to the account's other apps, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) reserve: u8,
    /// Days after which staged files that the warehouse has are removed; 0 keeps them, for a warehouse that is filled
    /// again. In any case, many small ones become one
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub(crate) keep_staged: u32,
    /// Compression of staged files: zstd, or snappy for readers that don't know zstd
    #[arg(long, value_name = "CODEC", default_value = "zstd")]
    pub(crate) codec: Codec,
    #[command(flatten)]
    pub(crate) token: TokenFrom,
    #[command(flatten)]
    pub(crate) password: PasswordFrom,
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
    #[command(flatten)]
    pub(crate) token: TokenFrom,
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
    #[command(flatten)]
    pub(crate) token: TokenFrom,
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
#[command(after_help = COMPACT_EXAMPLES)]
pub(crate) struct Compact {
    /// Name of the deployed stack; region and credentials as every AWS program takes them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["state", "warehouse", "schema"])]
    pub(crate) stack: Option<String>,
    /// The state folder of a sync
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Warehouse of that sync, whose list of loaded files becomes as short
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// Collections with a history, as of the sync, separated by commas: all versions of their rows stay
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', conflicts_with = "stack")]
    pub(crate) history: Vec<String>,
    /// Collections to compact, separated by commas [default: all]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    #[command(flatten)]
    pub(crate) password: PasswordFrom,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = DEMO_EXAMPLES)]
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
    #[command(flatten)]
    pub(crate) password: PasswordFrom,
    /// SQL of the views: duckdb, postgres, redshift, snowflake, bigquery or databricks [default: that of the warehouse]
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// Schema of the views [default: that of the tables with _fivetran behind it]
    #[arg(long, value_name = "NAME")]
    pub(crate) compat_schema: Option<String>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = FORGET_EXAMPLES)]
pub(crate) struct Forget {
    /// Address of the person; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Vec<String>,
    /// Id of the person's contact in HubSpot; may be given several times
    #[arg(long, value_name = "ID")]
    pub(crate) contact: Vec<u64>,
    /// Warehouse with the tables: duckdb:PATH, postgres://USER@HOST/DATABASE and so on, as of sync (password in
    /// WAREHOUSE_PASSWORD), or none
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// Folder with the cursors and the staged files, as of sync
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Name of a deployed stack, whose load function does it; region and credentials as every AWS program takes them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["warehouse", "state"])]
    pub(crate) stack: Option<String>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// Count rows and files, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Let persons back in who were forgotten, by each id and address that is named; removes nothing, and needs no
    /// warehouse
    #[arg(long, conflicts_with_all = ["dry_run", "vacuum_full", "pseudonymise"])]
    pub(crate) lift: bool,
    /// Keep e-mail events of the person: with a pseudonym in the place of the address, and without details that may tell
    /// who it is [default: false; of a stack, its parameter Pseudonymise]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) pseudonymise: Option<bool>,
    /// Remove without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Have PostgreSQL write the tables anew, so that nothing of the rows is left in its files; nobody can read a table
    /// meanwhile
    #[arg(long)]
    pub(crate) vacuum_full: bool,
    #[command(flatten)]
    pub(crate) password: PasswordFrom,
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = ADOPT_EXAMPLES)]
pub(crate) struct Adopt {
    /// Warehouse with the tables: duckdb:PATH, postgres://USER@HOST/DATABASE and so on, as of sync (password in
    /// WAREHOUSE_PASSWORD)
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// Stack that loads the warehouse: rows are staged in its bucket, and its next load brings them in; region and
    /// credentials as every AWS program takes them
    #[arg(long, value_name = "NAME", requires = "bucket")]
    pub(crate) stack: Option<String>,
    /// Bucket of the stack: its output Bucket
    #[arg(long, value_name = "NAME", requires = "stack", conflicts_with = "state")]
    pub(crate) bucket: Option<String>,
    /// Without a stack: folder for the files with the rows that are brought in; keep it until no table is aside any more
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) password: PasswordFrom,
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
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_help_has_exit_codes_and_fits_80_columns() {
        let program = Args::command();
        let every = program.get_subcommands().chain([&program]);
        for command in every.filter(|command| command.get_name() != "help") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(help.contains("Exit codes:\n  0 ") && help.contains("\n  2 "), "{name}: {help}");
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
