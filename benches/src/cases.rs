//! The cases, and what is chosen of them.

use anyhow::Context as _;
use clap::Args;

use crate::account::Described;
use crate::case::{Case, Kind};
use crate::group::Group;
use crate::row::Row;
use crate::start::start_seconds;

#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// Share of the records of each case, 0 to 1
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Run cases whose names contain this text
    #[arg(long, default_value = "")]
    only: String,
    /// Number of runs of each case; the one with the least CPU counts
    #[arg(long, default_value_t = 1)]
    repeat: usize,
}

const CONTACTS: &str = "contacts,contact_identity_profiles,contact_identities,form_submissions";

fn cases(scale: f64) -> Vec<Case> {
    let scaled = |records: usize| ((records as f64 * scale) as usize).max(100);
    let nobody = Described {
        contacts: 0,
        deals: 0,
        email_events: 0,
        properties: 60,
        records_only: false,
        gzip: false,
        tls: false,
        limits: false,
        latency_ms: 0,
        jitter_ms: 0,
    };
    let of = |contacts: usize| Described { contacts: scaled(contacts), ..nobody.clone() };
    let alone = |properties| Described { properties, records_only: true, ..of(100_000) };
    let far = |latency_ms| Described { limits: true, latency_ms, jitter_ms: 50, gzip: true, ..of(60_000) };
    let case = |name, account, kind, collections| Case { name, account, kind, collections };
    use Kind::{Backfill, Function, Incremental, Limit, Load, Sync};
    vec![
        case("contacts, records alone, 12 properties", alone(12), Backfill, "contacts"),
        case("contacts, records alone, 60 properties", alone(60), Backfill, "contacts"),
        case(
            "contacts, records alone, 60 properties, gzip",
            Described { gzip: true, ..alone(60) },
            Backfill,
            "contacts",
        ),
        case(
            "contacts, records alone, 60 properties, gzip and TLS",
            Described { gzip: true, tls: true, ..alone(60) },
            Backfill,
            "contacts",
        ),
        case(
            "contacts, records alone, 60 properties, a tenth",
            Described { contacts: scaled(10_000), ..alone(60) },
            Backfill,
            "contacts",
        ),
        case("contacts, records alone, 600 properties", alone(600), Backfill, "contacts"),
        case("contacts, all sources, 60 properties", of(100_000), Backfill, CONTACTS),
        case(
            "contacts, all sources, 60 properties, gzip",
            Described { gzip: true, ..of(100_000) },
            Backfill,
            CONTACTS,
        ),
        case("contacts, all sources, 1 % changed", of(100_000), Incremental, CONTACTS),
        case(
            "deals with associations",
            Described { deals: scaled(100_000), ..of(20_000) },
            Backfill,
            "deals",
        ),
        case(
            "e-mail events",
            Described { email_events: scaled(100_000), ..of(1_000) },
            Backfill,
            "email_events",
        ),
        case("DuckDB, load alone, a tenth", of(10_000), Load, CONTACTS),
        case("DuckDB, load alone", of(100_000), Load, CONTACTS),
        case("DuckDB, sync, a tenth", of(10_000), Sync, CONTACTS),
        case("DuckDB, sync", of(100_000), Sync, CONTACTS),
        case("limit filled, 100 ms", far(100), Limit, CONTACTS),
        case("limit filled, 300 ms", far(300), Limit, CONTACTS),
        case("limit filled, 100 ms, 128 MB", far(100), Function { memory_mib: 128 }, CONTACTS),
    ]
}

pub(crate) fn run(chosen: &Chosen) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in cases(chosen.scale).iter().filter(|case| case.name.contains(&chosen.only)) {
        if let Kind::Function { memory_mib } = case.kind
            && let Err(error) = Group::of_function(memory_mib)
        {
            eprintln!("{}: not measured: {error:#}", case.name);
            continue;
        }
        let mut best: Option<Row> = None;
        for _ in 0..chosen.repeat.max(1) {
            let row = case.run().with_context(|| case.name.to_owned())?;
            eprintln!("{}: {:.2} CPU s", row.case, row.cpu_seconds.unwrap_or_default());
            best = Some(match best {
                None => row,
                Some(best) => best.cheaper(row),
            });
        }
        rows.extend(best);
    }
    for function in
        ["extract", "load"].into_iter().filter(|name| format!("start, {name}").contains(&chosen.only))
    {
        let starts: Vec<f64> = (0..5).map(|_| start_seconds(function)).collect::<anyhow::Result<_>>()?;
        rows.push(Row {
            case: format!("start, {function}: to the question for its first event, best of 5"),
            records: None,
            calls: None,
            answer_bytes: None,
            staged_bytes: None,
            seconds: starts.into_iter().fold(f64::INFINITY, f64::min),
            cpu_seconds: None,
            peak_memory_bytes: None,
            floors: Vec::new(),
            limit: None,
        });
    }
    Ok(rows)
}
