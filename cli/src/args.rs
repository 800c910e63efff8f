//! What can be asked for on the command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate};
use clap::{Parser, Subcommand, ValueEnum};
use hubspot::feeds::{FEEDS, Feed, Mode};

const EXAMPLES: &str = "\
Examples:
  hubspot-source demo
      a fake HubSpot account into ./demo/demo.duckdb, without a HubSpot account

  export HUBSPOT_TOKEN=pat-...
  hubspot-source doctor
      what this credential may read, and which scopes are missing; writes nothing

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state
      everything the first time, what changed afterwards; interrupt it at any point, and run it again

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --collections deals --report json
      one collection, with a report for machines

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --collections email_events --since 2026-01-01
      e-mail events from further back than the month that a first run reads

  hubspot-source sync --warehouse duckdb:warehouse.duckdb --state ./state --without contact_identity_profiles
      all but one: what can't be had with this credential need not make the run incomplete

Exit codes:
  0  complete
  1  something failed or is incomplete; the report says what
  2  wrong use or configuration; the message says what to do next";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  export HUBSPOT_TOKEN=pat-...
  hubspot-source doctor
      some twenty calls that read next to nothing

  hubspot-source doctor --report json
      the same for machines

Exit codes:
  0  every collection can be filled, if not in full; the report says what is missing
  1  a collection can't be filled; the report says which, and the scope to add
  2  wrong use or configuration; the message says what to do next";

#[derive(Debug, Parser)]
#[command(name = "hubspot-source", version, about = "HubSpot into your warehouse", after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say what happens while it happens
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read what is new in HubSpot and merge it into the warehouse
    Sync(Sync),
    /// Ask HubSpot what the credential may read: missing scopes, limits, versions that end; writes nothing
    Doctor(Doctor),
    /// Try it without a HubSpot account: a fake one is synced, changed, and synced again
    Demo(Demo),
    /// Print every collection and column: type, and where its value comes from, or why it is NULL (Markdown)
    Dictionary,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sync {
    /// Where the tables are: duckdb:PATH, postgres://USER@HOST/DATABASE (password in WAREHOUSE_PASSWORD), or none to stage
    /// Parquet files only
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: String,
    /// Folder for the cursors and the staged files; keep it, or the next run reads everything again
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// Collections to sync, separated by commas [default: all eleven]
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) collections: Option<Vec<String>>,
    /// Collections to leave out, separated by commas
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub(crate) without: Option<Vec<String>>,
    /// Schema of the tables in the warehouse
    #[arg(long, default_value = "hubspot")]
    pub(crate) schema: String,
    /// HubSpot's API, or a stand-in for it
    #[arg(long, value_name = "URL", default_value = hubspot::DEFAULT_BASE_URL)]
    pub(crate) hubspot_url: String,
    /// What to read: everything, what changed, or what is due
    #[arg(long, value_enum, default_value_t = ModeArg::Auto)]
    pub(crate) mode: ModeArg,
    /// Only what changed since this day or instant, such as 2026-09-01 or 2026-09-01T12:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<String>,
    /// Only what changed until this day or instant; later runs are not moved by it
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Calls to spend on the subscriptions of contacts' addresses that the timeline does not know: one for each address;
    /// the next run goes on behind the last one
    #[arg(long, value_name = "CALLS", default_value_t = 0)]
    pub(crate) address_calls: u64,
    /// Share of HubSpot's limits that is left to the account's other apps, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) reserve: u8,
    /// How the report on stdout is written
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct Doctor {
    /// HubSpot's API, or a stand-in for it
    #[arg(long, value_name = "URL", default_value = hubspot::DEFAULT_BASE_URL)]
    pub(crate) hubspot_url: String,
    /// Share of HubSpot's limits that is left to the account's other apps, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) reserve: u8,
    /// How the report on stdout is written
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Demo {
    /// Contacts in the fake account; there is one company and one deal to every five
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub(crate) contacts: u32,
    /// Folder for the database; what an earlier demo left in it is replaced
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// An interrupted run goes on; else everything the first time, what changed afterwards
    Auto,
    /// Everything again; rows that are known already merge into themselves
    Backfill,
    /// What changed since the last run
    Incremental,
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
        }
    }
}

/// What is to be synced.
#[derive(Debug)]
pub(crate) struct Selection {
    /// In the order in which they run.
    pub(crate) feeds: Vec<&'static dyn Feed>,
    /// Collections that the same pages fill as a selected one are read with it, but not merged.
    pub(crate) collections: BTreeSet<&'static str>,
}

/// The named collections, or all, but for those to leave out.
pub(crate) fn selection(
    collections: Option<&[String]>,
    without: Option<&[String]>,
) -> anyhow::Result<Selection> {
    let known: Vec<&'static str> = FEEDS.iter().flat_map(|feed| feed.collections()).copied().collect();
    let named = |names: &[String]| -> anyhow::Result<BTreeSet<&'static str>> {
        let find = |name: &String| known.iter().copied().find(|known| known == name);
        let unknown: Vec<String> =
            names.iter().filter(|name| find(name).is_none()).map(|name| format!("{name:?}")).collect();
        if !unknown.is_empty() {
            bail!("unknown collection {}: use some of {}", unknown.join(", "), known.join(", "));
        }
        Ok(names.iter().filter_map(find).collect())
    };
    let mut collections = collections.map_or_else(|| Ok(known.iter().copied().collect()), named)?;
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

/// A day (its midnight, UTC) or an instant, in milliseconds.
pub(crate) fn instant_ms(name: &str, text: &str) -> anyhow::Result<i64> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
    }
    let instant = DateTime::parse_from_rfc3339(text).with_context(|| {
        format!("{name} {text:?} is neither a day nor an instant: write 2026-09-01 or 2026-09-01T12:00:00Z")
    })?;
    Ok(instant.timestamp_millis())
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
    fn feeds_run_in_their_own_order_and_once() {
        let selected = selection(Some(&names(&["deals", "contact_identities", "contacts", "deals"])), None);
        let selected = selected.unwrap();
        let feeds: Vec<&str> = selected.feeds.iter().map(|feed| feed.name()).collect();
        assert_eq!(feeds, ["contacts", "deals"]);
        assert_eq!(selected.collections, BTreeSet::from(["contact_identities", "contacts", "deals"]));
    }

    #[test]
    fn all_eleven_are_synced_but_for_those_left_out() {
        assert_eq!(selection(None, None).unwrap().collections.len(), 11);
        let selected = selection(None, Some(&names(&["email_events", "contact_identities"]))).unwrap();
        assert_eq!(selected.collections.len(), 9);
        assert!(selected.feeds.iter().all(|feed| feed.name() != "email_events"));
        let all = FEEDS.iter().flat_map(|feed| feed.collections()).map(|name| (*name).to_owned());
        assert!(selection(None, Some(&all.collect::<Vec<_>>())).is_err());
    }

    #[test]
    fn days_and_instants_are_understood() {
        assert_eq!(instant_ms("--since", "2026-09-01").unwrap(), 1_788_220_800_000);
        assert_eq!(instant_ms("--since", "2026-09-01T02:00:00+02:00").unwrap(), 1_788_220_800_000);
        assert!(
            instant_ms("--since", "yesterday").unwrap_err().to_string().contains("--since \"yesterday\"")
        );
    }
}
