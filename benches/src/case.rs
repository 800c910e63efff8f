//! One case: how it is run, and what is run beside it.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;
use tempfile::TempDir;

use crate::account::{Described, Served};
use crate::floor::Floored;
use crate::group::Group;
use crate::measure::{Cost, cost_of, program};
use crate::row::{FloorCost, Row};

/// An account, and what is run on it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) account: Described,
    pub(crate) kind: Kind,
    pub(crate) collections: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
    pub(crate) fn run(&self) -> anyhow::Result<Row> {
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
