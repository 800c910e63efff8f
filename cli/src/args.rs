//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Parser, Subcommand, ValueEnum};
use hubspot::feeds::{FEEDS, Feed, Mode};
use load::Modes;

const EXAMPLES: &str = "\
Examples:
  hubspot-source demo
      a fake HubSpot account into ./demo/demo.duckdb, without a HubSpot account

  export HUBSPOT_TOKEN=pat-...
  hubspot-source doctor
      the rights of this credential, and missing scopes; writes nothing

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state
      everything the first time, changes afterwards; interrupt it at any point, and run it again

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --collections deals --report json
      one collection, with a report for machines

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --collections email_events --since 2026-01-01
      e-mail events from further back than the month that a first run reads

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --mode reconcile
      changes; then every record's id is compared with the tables, and differing records are read again

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --without contact_identity_profiles
      all collections but one, such as one that this credential may not read

Exit codes:
  0  complete
  1  something failed or is incomplete; the report names it
  2  wrong use or configuration; the message names the next step";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  export HUBSPOT_TOKEN=pat-...
  hubspot-source doctor
      some twenty small calls

  hubspot-source doctor --report json
      the same for machines

Exit codes:
  0  every collection can be filled, some perhaps not in full; the report names the gaps
  1  a collection can't be filled; the report names it, and the scope to add
  2  wrong use or configuration; the message names the next step";

const PLAN_EXAMPLES: &str = "\
Examples:
  export HUBSPOT_TOKEN=pat-...
  hubspot-source plan
      the first run of a stack, which reads everything

  hubspot-source plan --collections contacts,deals --since 2026-01-01 --memory 256
      a smaller backfill, with the memory of its function";

const STATUS_EXAMPLES: &str = "\
Examples:
  hubspot-source status --stack hubspot
      a deployed stack, with the AWS credentials of the environment

  hubspot-source status --state ./state --report json
      the state folder of a sync, for machines

Exit codes:
  0  the last run of every collection ended well, or one is running
  1  one failed, or a collection can't be filled; the report names it
  2  wrong use or configuration; the message names the next step";

const BACKFILL_EXAMPLES: &str = "\
Examples:
  hubspot-source backfill contacts --stack hubspot
      everything again; Ctrl-C leaves it running

  hubspot-source backfill contacts --stack hubspot --follow
      follows a backfill that is running

  hubspot-source backfill email_events --stack hubspot --since 2026-01-01 --until 2026-04-01 --detach
      a quarter of events, started without waiting for it

Exit codes:
  0  complete, or started with --detach
  1  it ended early or failed; the report says why
  2  wrong use or configuration; the message names the next step";

const RECONCILE_EXAMPLES: &str = "\
Examples:
  hubspot-source reconcile contacts --stack hubspot
      a snapshot of all ids; the next load compares it with the table, and the next run reads differing records again

  hubspot-source reconcile deals --stack hubspot --refresh
      the same with calculated properties and associations

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --mode reconcile
      without a stack, and to its end

Exit codes:
  0  the snapshot is staged, or was started with --detach
  1  it ended early or failed; the report says why
  2  wrong use or configuration; the message names the next step";

const REPLAY_EXAMPLES: &str = "\
Examples:
  hubspot-source replay --stack hubspot
      fills every table that lacks staged rows; drop a table first to have it made anew

  hubspot-source replay --stack hubspot --collections deals
      one table";

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
    /// Try it without a HubSpot account: sync a fake one, change it, and sync again
    Demo(Demo),
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
    /// Collections to sync, separated by commas [default: all]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Collections to leave out, separated by commas
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) without: Option<Vec<String>>,
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
    /// Format of the report on stdout
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct Doctor {
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
    /// Collections to plan, separated by commas [default: all]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
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

/// The feeds to run, and the collections to merge.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Feeds in the order in which they run.
    pub(crate) feeds: Vec<&'static dyn Feed>,
    /// Selected collections. Others that the same pages fill are read with them, but not merged.
    pub(crate) collections: BTreeSet<&'static str>,
}

/// Returns the tables whose deleted rows are removed, and those with a history.
pub(crate) fn modes(hard_delete: &[String], history: &[String]) -> anyhow::Result<Modes> {
    let by_name: Vec<String> = hard_delete.iter().filter(|name| *name != load::ALL).cloned().collect();
    named(&by_name)?;
    named(history)?;
    let modes = Modes { hard_delete: hard_delete.to_vec(), history: history.to_vec() };
    let in_sets =
        FEEDS.iter().flat_map(|feed| feed.dictionary()).filter(|collection| !collection.set_key.is_empty());
    let in_sets: Vec<&str> = in_sets.map(|collection| collection.name).collect();
    modes.check(&in_sets).map_err(|why| anyhow!("--history can't be used: {why}"))?;
    Ok(modes)
}

fn known() -> Vec<&'static str> {
    FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect()
}

/// Returns the collections of these names, or refuses unknown ones.
fn named(names: &[String]) -> anyhow::Result<BTreeSet<&'static str>> {
    let known = known();
    let find = |name: &String| known.iter().copied().find(|known| known == name);
    let unknown: Vec<String> =
        names.iter().filter(|name| find(name).is_none()).map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        bail!("unknown collection {}: use some of {}", unknown.join(", "), known.join(", "));
    }
    Ok(names.iter().filter_map(find).collect())
}

/// Returns the named collections, or all, without those to leave out.
pub(crate) fn selection(
    collections: Option<&[String]>,
    without: Option<&[String]>,
) -> anyhow::Result<Selection> {
    let mut collections = collections.map_or_else(|| Ok(known().into_iter().collect()), named)?;
    for left_out in without.map_or_else(|| Ok(BTreeSet::new()), named)? {
        collections.remove(left_out);
    }
    if collections.is_empty() {
        bail!("no collection is left to sync: --without leaves all of them out");
    }
    let is_wanted =
        |feed: &&'static dyn Feed| feed.collections().iter().any(|name| collections.contains(name));
    Ok(Selection { feeds: FEEDS.iter().copied().filter(is_wanted).collect(), collections })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn an_unknown_collection_lists_the_known_ones() {
        let error = selection(Some(&names(&["contacts", "kontakte"])), None).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown collection \"kontakte\": use some of contacts, contact_"),
            "{error}"
        );
        let error = selection(None, Some(&names(&[""]))).unwrap_err().to_string();
        assert!(error.starts_with("unknown collection \"\""), "{error}");
    }

    #[test]
    fn a_history_is_refused_of_what_is_read_in_sets_and_of_nothing_else() {
        for collection in FEEDS.iter().flat_map(|feed| feed.dictionary()) {
            let modes = modes(&[], &names(&[collection.name]));
            assert_eq!(modes.is_err(), !collection.set_key.is_empty(), "{}: {modes:?}", collection.name);
        }
        let refused = modes(&[], &names(&["contacts", "contact_identities"])).unwrap_err().to_string();
        assert!(refused.starts_with("--history can't be used: contact_identities can't have"), "{refused}");
        assert!(refused.contains("leave it out"), "{refused}");
    }

    #[test]
    fn feeds_run_in_their_own_order_and_once() {
        let selected = selection(Some(&names(&["deals", "contact_identities", "contacts", "deals"])), None);
        let selected = selected.unwrap();
        let feeds: Vec<&str> = selected.feeds.iter().map(|feed| feed.name()).collect();
        assert_eq!(feeds, ["contacts", "deals"]);
        assert_eq!(selected.collections, BTreeSet::from(["contact_identities", "contacts", "deals"]));
    }

    #[test]
    fn all_are_synced_but_for_those_left_out() {
        let all: BTreeSet<&str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
        assert_eq!(selection(None, None).unwrap().collections, all);
        let selected = selection(None, Some(&names(&["email_events", "contact_identities"]))).unwrap();
        assert_eq!(selected.collections.len(), all.len() - 2);
        assert!(selected.feeds.iter().all(|feed| feed.name() != "email_events"));
        assert!(selection(None, Some(&names(&all.into_iter().collect::<Vec<_>>()))).is_err());
    }
}
