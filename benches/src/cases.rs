//! The cases, and their runs.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::account::{Described, LimitUse, Served};
use crate::floor::Floored;
use crate::group::Group;
use crate::measure::{Cost, cost_of};

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

/// A line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) records: Option<u64>,
    pub(crate) calls: Option<u64>,
    /// Size of HubSpot's answers, decompressed.
    pub(crate) answer_bytes: Option<u64>,
    pub(crate) staged_bytes: Option<u64>,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) floors: Vec<FloorCost>,
    pub(crate) limit: Option<LimitUse>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FloorCost {
    pub(crate) name: &'static str,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) seconds: f64,
}

impl Row {
    /// Returns the product's CPU as a multiple of that of the highest floor.
    pub(crate) fn times_floor(&self) -> Option<f64> {
        Some(self.cpu_seconds? / self.floors.last()?.cpu_seconds)
    }
}

struct Case {
    name: &'static str,
    account: Described,
    kind: Kind,
    collections: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Backfill,
    /// One contact in a hundred has changed since the backfill.
    Incremental,
    /// A load into a DuckDB file: staged first and then merged by another run, and both in one run.
    Load,
    Sync,
    /// HubSpot's rate limits and latency.
    Limit,
    /// HubSpot's rate limits and latency, with the CPU and the memory of a Lambda function.
    Function {
        memory_mib: u64,
    },
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

impl Row {
    /// Returns the cheaper of two runs of the same case, with the cheaper of each floor.
    fn cheaper(self, other: Row) -> Row {
        let (mut row, other) =
            if other.cpu_seconds < self.cpu_seconds { (other, self) } else { (self, other) };
        for (floor, other) in row.floors.iter_mut().zip(other.floors) {
            if other.cpu_seconds < floor.cpu_seconds {
                *floor = other;
            }
        }
        row
    }
}

/// Fields of a sync's report that are used here.
#[derive(Debug, Deserialize)]
struct Report {
    collections: std::collections::BTreeMap<String, Collection>,
    api: std::collections::BTreeMap<String, Api>,
}

#[derive(Debug, Deserialize)]
struct Collection {
    rows: u64,
    bytes: u64,
    merged_rows: u64,
    merged_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Api {
    calls: u64,
}

/// Folders of one run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Case {
    fn run(&self) -> anyhow::Result<Row> {
        let place = Place { folder: tempfile::tempdir()? };
        let mut account = Served::start(&self.account)?;
        let file = format!("duckdb:{}", place.path("warehouse.duckdb").display());
        match self.kind {
            Kind::Backfill => {
                let cost = self.sync(&account, &place, "none", &[])?;
                self.row(cost, self.floors(&mut account, &place)?)
            }
            Kind::Incremental => {
                self.sync(&account, &place, "none", &[])?;
                account.touch(self.account.contacts / 100)?;
                account.reset()?;
                let cost = self.sync(&account, &place, "none", &[])?;
                self.row(cost, self.floors(&mut account, &place)?)
            }
            Kind::Load => {
                self.sync(&account, &place, "none", &[])?;
                let cost = self.sync(&account, &place, &file, &[])?;
                self.row(cost, vec![bare_copy(&place)?])
            }
            Kind::Sync => {
                let cost = self.sync(&account, &place, &file, &[])?;
                let (copy, mut floors) = (bare_copy(&place)?, self.floors(&mut account, &place)?);
                // Download, scan, Parquet, and the copy of it.
                if let Some((floor, _)) = floors.pop() {
                    floors.push((
                        FloorCost {
                            name: "download, scan, Parquet, bare copy",
                            cpu_seconds: floor.cpu_seconds + copy.0.cpu_seconds,
                            peak_memory_bytes: floor.peak_memory_bytes.max(copy.0.peak_memory_bytes),
                            seconds: floor.seconds + copy.0.seconds,
                        },
                        None,
                    ));
                }
                self.row(cost, floors)
            }
            Kind::Limit => self.filled(&mut account, &place, None),
            Kind::Function { memory_mib } => {
                self.filled(&mut account, &place, Some(&Group::of_function(memory_mib)?))
            }
        }
    }

    fn filled(&self, account: &mut Served, place: &Place, group: Option<&Group>) -> anyhow::Result<Row> {
        let cost = self.sync_in(group, account, place, "none", &["--reserve", "0"])?;
        let limit = Some(account.limit_use()?);
        Ok(Row { limit, ..self.row(cost, Vec::new())? })
    }

    fn sync(&self, account: &Served, place: &Place, warehouse: &str, more: &[&str]) -> anyhow::Result<Cost> {
        self.sync_in(None, account, place, warehouse, more)
    }

    fn sync_in(
        &self,
        group: Option<&Group>,
        account: &Served,
        place: &Place,
        warehouse: &str,
        more: &[&str],
    ) -> anyhow::Result<Cost> {
        let state = place.path("state");
        let arguments =
            ["sync", "--warehouse", warehouse, "--collections", self.collections, "--report", "json"];
        let mut arguments: Vec<OsString> = arguments.iter().chain(more).map(OsString::from).collect();
        arguments.extend([
            "--hubspot-url".into(),
            account.url.clone().into(),
            "--state".into(),
            state.into(),
        ]);
        cost_of(&program("hubspot-source")?, &arguments, &environment(account), group)
    }

    /// Measures the same requests by programs that do as little as they can.
    fn floors(
        &self,
        account: &mut Served,
        place: &Place,
    ) -> anyhow::Result<Vec<(FloorCost, Option<Floored>)>> {
        let requests = place.path("requests");
        account.write_requests(&requests)?;
        let arguments: Vec<OsString> = vec![
            "floor".into(),
            "--url".into(),
            account.url.clone().into(),
            "--requests".into(),
            requests.into(),
        ];
        let scanned = [arguments.clone(), vec!["--scan-to".into(), place.path("floor").into()]].concat();
        let bench = std::env::current_exe()?;
        [("download", arguments), ("download, scan, Parquet", scanned)]
            .into_iter()
            .map(|(name, arguments)| {
                let cost = cost_of(&bench, &arguments, &environment(account), None)?;
                let floored = serde_json::from_str(&cost.stdout)?;
                Ok((floor_cost(name, &cost), Some(floored)))
            })
            .collect()
    }

    fn row(&self, cost: Cost, floors: Vec<(FloorCost, Option<Floored>)>) -> anyhow::Result<Row> {
        let report: Report = serde_json::from_str(&cost.stdout)?;
        let collections = || report.collections.values();
        let answer_bytes = floors.iter().find_map(|(_, floored)| Some(floored.as_ref()?.bytes));
        Ok(Row {
            case: self.name.to_owned(),
            records: Some(collections().map(|of| of.rows.max(of.merged_rows)).sum()),
            calls: Some(report.api.values().map(|api| api.calls).sum()),
            answer_bytes,
            staged_bytes: Some(collections().map(|of| of.bytes.max(of.merged_bytes)).sum()),
            seconds: cost.seconds,
            cpu_seconds: Some(cost.cpu_seconds),
            peak_memory_bytes: Some(cost.peak_memory_bytes),
            floors: floors.into_iter().map(|(floor, _)| floor).collect(),
            limit: None,
        })
    }
}

/// Returns the variables of a run: the account's certificate, and logs off, since the account lacks some collections.
fn environment(account: &Served) -> Vec<(&'static str, OsString)> {
    let certificate = account.certificate.iter().map(|path| ("SSL_CERT_FILE", path.into()));
    certificate.chain([("RUST_LOG", "error".into())]).collect()
}

fn floor_cost(name: &'static str, cost: &Cost) -> FloorCost {
    FloorCost {
        name,
        cpu_seconds: cost.cpu_seconds,
        peak_memory_bytes: cost.peak_memory_bytes,
        seconds: cost.seconds,
    }
}

/// Measures DuckDB's own copy of the staged files.
fn bare_copy(place: &Place) -> anyhow::Result<(FloorCost, Option<Floored>)> {
    let arguments = [place.path("state").join("files/hubspot").into(), place.path("bare.duckdb").into()];
    let cost = cost_of(&program("bare-copy")?, &arguments, &[], None)?;
    Ok((floor_cost("bare copy", &cost), None))
}

/// Returns the path of a program of this workspace, in this one's folder.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let bench = std::env::current_exe()?;
    let path = bench.parent().unwrap_or(Path::new(".")).join(name);
    ensure!(path.exists(), "{} is not built: cargo build --release --workspace --bins", path.display());
    Ok(path)
}

/// Measures the time from the start of a function's process to its request for the first event, which is not answered.
fn start_seconds(function: &str) -> anyhow::Result<f64> {
    let runtime = TcpListener::bind("127.0.0.1:0")?;
    let address = runtime.local_addr()?.to_string();
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("STACK", "bench"),
        ("FEED", "contacts"),
        ("STATE_TABLE", "bench"),
        ("BUCKET", "bench"),
        ("SCHEMA", "hubspot"),
        ("HUBSPOT_SECRET_ARN", "arn:aws:secretsmanager:eu-central-1:000000000000:secret:bench"),
        ("WAREHOUSE_URL", "postgres://bench@127.0.0.1/bench"),
    ];
    let started = Instant::now();
    let mut process = Command::new(program(function)?)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let asked = first_question(&runtime, started);
    process.kill()?;
    process.wait()?;
    asked.with_context(|| format!("{function} does not ask for an event"))
}

fn first_question(runtime: &TcpListener, started: Instant) -> anyhow::Result<f64> {
    runtime.set_nonblocking(true)?;
    let mut connection = loop {
        match runtime.accept() {
            Ok((connection, _)) => break connection,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(started.elapsed() < Duration::from_secs(10), "nothing came in ten seconds");
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(error.into()),
        }
    };
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = [0; 512];
    let length = connection.read(&mut head)?;
    let seconds = started.elapsed().as_secs_f64();
    let question = String::from_utf8_lossy(&head[..length]);
    let line = question.lines().next().unwrap_or_default();
    let _ = connection.write_all(b"");
    ensure!(line.contains("/invocation/next"), "it asks {line:?}");
    Ok(seconds)
}
