//! A person is forgotten: rows leave the warehouse, staged files are written anew without them, and keyed hashes keep
//! out what comes late ([`staging::Forgotten`]).
//!
//! The ids and addresses stand in the state, in plain, until all is done: after a crash, whoever is named next, the
//! same work goes on. Each step may be done twice. The list of hashes comes first, and the leases of the feeds after
//! it: a run that has not seen the list holds one of them, and is waited for.

mod files;
mod lift;
mod records;
mod removed;
#[cfg(test)]
#[cfg(feature = "duckdb")]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use staging::{
    Bucket, ErrorKind, Forgotten, Lease, Person, PersonColumns, Pseudonyms, RunRecord, Shared, State, Why,
    snapshot_name,
};
use warehouse::{Erase, Warehouse};

use crate::kept::Table;

pub use lift::{Lifted, lift};
pub use removed::{
    ForgetDeleted, RemovedOptions, contacts_of, forget_removed, is_forgetting_removed,
    stop_forgetting_removed,
};

/// The lease of whoever forgets, and the name of the reports.
pub const FORGET: &str = "forget";
/// Shared document with whoever is being forgotten.
const UNDER_WAY: &str = "forgetting";
/// Time between two tries to get a lease.
const PAUSE: Duration = Duration::from_secs(1);

/// Options of [`forget`].
#[derive(Debug, Clone, Copy)]
pub struct ForgetOptions<'a> {
    /// Columns by which rows are known.
    pub columns: &'a [PersonColumns],
    /// `true`: rows and files are counted, and stay.
    pub is_dry_run: bool,
    /// `true`: rows that are known by one address alone, such as e-mail events, stay under a pseudonym.
    pub pseudonymise: bool,
    /// `true`: PostgreSQL writes its tables anew, while nobody can read them.
    pub vacuum_full: bool,
    /// Time for which a run that is under way is waited for.
    pub patience: Duration,
    /// Time after which no further collection is begun.
    pub deadline: Option<Instant>,
}

/// Report of a person, or of several, who are forgotten. Nothing in it says who.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ForgetReport {
    pub run_id: String,
    /// `asked`: somebody named them. `removed`: HubSpot shows their contacts nowhere any more.
    pub why: String,
    /// `forgotten`, `counted` or `left`: a part is left, and the same call does it.
    pub outcome: String,
    /// Ids and addresses of contacts that were found to be theirs.
    pub ids: u64,
    pub addresses: u64,
    /// By collection; those with nothing of the person are left out.
    pub collections: BTreeMap<String, CollectionForgotten>,
    /// Collections that are left, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<String, String>,
    /// A sentence about what the warehouse keeps of deleted rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// `true`: the time was over, and another call goes on.
    pub goes_on: bool,
}

impl ForgetReport {
    fn new(why: Why) -> ForgetReport {
        let why = match why {
            Why::Asked => "asked",
            Why::Removed { .. } => "removed",
        };
        let run_id = uuid::Uuid::now_v7().to_string();
        ForgetReport { run_id, why: why.to_owned(), ..ForgetReport::default() }
    }
}

/// Rows and files of one collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectionForgotten {
    /// Rows deleted from tables, by table.
    pub tables: BTreeMap<String, u64>,
    /// Rows that stay: those about something else that lost the id, and those that got a pseudonym.
    pub changed_rows: u64,
    /// Staged files that were written anew.
    pub files: u64,
    /// Rows that these lost, and those that got a pseudonym.
    pub file_rows: u64,
}

impl CollectionForgotten {
    pub fn rows(&self) -> u64 {
        self.tables.values().sum()
    }

    fn is_empty(&self) -> bool {
        self.rows() + self.changed_rows + self.files == 0
    }
}

/// Whoever is being forgotten, and what is done by now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct UnderWay {
    ids: Vec<u64>,
    addresses: Vec<String>,
    /// Their e-mail events stay under a pseudonym.
    pseudonymise: bool,
    done: BTreeMap<String, CollectionForgotten>,
}

impl UnderWay {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.addresses.is_empty()
    }

    fn person(&self) -> Person {
        let mut person = Person { ids: self.ids.iter().copied().collect(), ..Person::default() };
        self.addresses.iter().for_each(|address| _ = person.add_address(address));
        person
    }
}

/// The places from which persons are removed.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    pub state: &'a State,
    pub bucket: &'a Bucket,
    /// `None`: files are staged only.
    pub warehouse: Option<&'a dyn Warehouse>,
}

/// Forgets whoever has one of these ids or addresses, and whoever an earlier call has begun to forget. Twice is once.
///
/// # Errors
/// Of the state, the bucket and the warehouse; another call goes on. No message has an id or an address of the person.
pub async fn forget(
    asked: &Person,
    places: Places<'_>,
    options: ForgetOptions<'_>,
) -> anyhow::Result<ForgetReport> {
    let lease = wait_for(places.state, FORGET, options.patience).await?;
    let forgetting = Forgetting { places, options, why: Why::Asked, document: UNDER_WAY };
    let forgotten = forgetting.forget(asked).await;
    places.state.release(lease).await;
    forgotten
}

/// A person as rows have them.
#[derive(Debug, Clone)]
struct Whose {
    person: Person,
    /// `Some`: rows that may stay get these.
    pseudonyms: Option<Pseudonyms>,
}

#[derive(Debug)]
struct WhoseRows {
    that_go: Whose,
    that_may_stay: Whose,
}

impl WhoseRows {
    fn of(&self, columns: &PersonColumns) -> &Whose {
        if columns.may_stay() { &self.that_may_stay } else { &self.that_go }
    }
}

#[derive(Debug, Clone, Copy)]
struct Forgetting<'a> {
    places: Places<'a>,
    options: ForgetOptions<'a>,
    why: Why,
    /// Shared document with whoever is being forgotten.
    document: &'static str,
}

impl Forgetting<'_> {
    async fn forget(&self, asked: &Person) -> anyhow::Result<ForgetReport> {
        let mut document: Shared<UnderWay> = self.places.state.shared(self.document).await?;
        let mut person = document.value.person();
        let known = person.clone();
        person.ids.extend(&asked.ids);
        asked.addresses.iter().for_each(|address| _ = person.add_address(address));
        if person != known {
            person = self.identify(person).await?;
        }
        self.remove(&mut document, person).await
    }

    /// Removes the person. The document holds whoever an earlier call has begun to remove.
    async fn remove(&self, document: &mut Shared<UnderWay>, person: Person) -> anyhow::Result<ForgetReport> {
        let Places { state, bucket, warehouse } = self.places;
        // What a killed call was writing.
        bucket.clear(&format!("{FORGET}-"), &[]).await?;
        let mut report = ForgetReport {
            ids: person.ids.len() as u64,
            addresses: person.addresses.len() as u64,
            ..ForgetReport::new(self.why)
        };
        let begun = &document.value;
        // Of persons who are forgotten together, some may have been begun without.
        let pseudonymise = self.options.pseudonymise && (begun.is_empty() || begun.pseudonymise);
        let is_other = person != begun.person() || pseudonymise != begun.pseudonymise;
        if !self.options.is_dry_run && is_other {
            let (ids, addresses) = (person.ids.iter().copied(), person.addresses.iter().cloned());
            let (ids, addresses) = (ids.collect(), addresses.collect());
            document.value = UnderWay { ids, addresses, pseudonymise, done: BTreeMap::new() };
            self.save(document).await?;
        }
        if !self.options.is_dry_run {
            Forgotten::add(state, &person, self.why).await?;
        }
        let whose = self.whose(&person, pseudonymise).await?;
        // Those that tell who it is come last.
        let (last, first): (Vec<_>, Vec<_>) =
            self.options.columns.iter().partition(|columns| columns.identifies);
        for columns in first.into_iter().chain(last) {
            let name = &columns.collection;
            if document.value.done.contains_key(name) {
                continue;
            }
            if self.options.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                report.goes_on = true;
                break;
            }
            let done = self.collection(columns, whose.of(columns)).await;
            match done.with_context(|| format!("{name} still has rows of the person: run again"))? {
                Ok(done) => _ = document.value.done.insert(name.clone(), done),
                Err(busy) => _ = report.left.insert(name.clone(), busy),
            }
            if !self.options.is_dry_run {
                self.save(document).await?;
            }
        }
        report.collections = document
            .value
            .done
            .iter()
            .filter(|(_, done)| !done.is_empty())
            .map(|(n, d)| (n.clone(), d.clone()))
            .collect();
        let is_done = report.left.is_empty() && !report.goes_on;
        report.outcome = match (self.options.is_dry_run, is_done) {
            (true, _) => "counted",
            (false, true) => "forgotten",
            (false, false) => "left",
        }
        .to_owned();
        if self.options.is_dry_run || !is_done {
            return Ok(report);
        }
        if let Some(warehouse) = warehouse {
            let names: Vec<&str> =
                self.options.columns.iter().map(|columns| columns.collection.as_str()).collect();
            report.kept = Some(warehouse.scrub(&names, self.options.vacuum_full).await?);
        }
        records::without(&person, state).await?;
        document.value = UnderWay::default();
        self.save(document).await?;
        let value = serde_json::to_value(&report)?;
        let record = RunRecord { name: FORGET.to_owned(), run_id: report.run_id.clone(), report: value };
        state.record(&record).await?;
        Ok(report)
    }

    /// The person as rows have them.
    async fn whose(&self, person: &Person, pseudonymise: bool) -> anyhow::Result<WhoseRows> {
        let pseudonyms = Forgotten::pseudonyms(self.places.state, person).await?;
        let that_go = Whose { person: person.clone(), pseudonyms: None };
        let mut that_may_stay = that_go.clone();
        if pseudonymise {
            // Without a key nothing is written: it is a dry run.
            let nothing = || Pseudonyms::new(&person.addresses, |_| String::new());
            that_may_stay.pseudonyms = Some(pseudonyms.unwrap_or_else(nothing));
        } else {
            // They may have got one before.
            let known = &mut that_may_stay.person;
            pseudonyms
                .iter()
                .flat_map(Pseudonyms::all)
                .for_each(|pseudonym| _ = known.add_address(pseudonym));
        }
        Ok(WhoseRows { that_go, that_may_stay })
    }

    async fn save(&self, document: &mut Shared<UnderWay>) -> anyhow::Result<()> {
        if !self.places.state.swap_shared(self.document, document).await? {
            anyhow::bail!("another process forgets a person at the same time: run again when it has ended");
        }
        document.version += 1;
        Ok(())
    }

    /// Finds all ids and addresses of whoever has one of these, in tables and in files.
    async fn identify(&self, mut person: Person) -> anyhow::Result<Person> {
        loop {
            let before = person.clone();
            for columns in self.options.columns.iter().filter(|columns| columns.identifies) {
                if let Some(warehouse) = self.places.warehouse {
                    let erase =
                        Erase { columns: columns.clone(), person, pseudonyms: None, is_dry_run: true };
                    person = warehouse.identify(&erase).await?;
                }
                person = self.identify_in_files(columns, person, true).await?;
            }
            if person == before {
                return Ok(person);
            }
        }
    }

    /// Removes the rows from one collection. `Err`: somebody else works on it.
    async fn collection(
        &self,
        columns: &PersonColumns,
        whose: &Whose,
    ) -> anyhow::Result<Result<CollectionForgotten, String>> {
        let Places { state, warehouse, .. } = self.places;
        let names = [columns.collection.clone(), snapshot_name(&columns.collection)];
        let mut loads: Vec<Lease> = Vec::new();
        for name in &names {
            match wait_for(state, &format!("load-{name}"), self.options.patience).await {
                Ok(lease) => loads.push(lease),
                Err(error) => {
                    release(state, loads).await;
                    return match error.kind() {
                        ErrorKind::Busy => Ok(Err(format!("a load of {name} is running"))),
                        _ => Err(error.into()),
                    };
                }
            }
        }
        let mut done = CollectionForgotten::default();
        let mut removed = Ok(Ok(()));
        for (name, load) in names.iter().zip(&loads) {
            if matches!(removed, Ok(Ok(()))) {
                removed = self.files_of(name, load, whose, &mut done).await;
            }
        }
        if let (Ok(Ok(())), Some(warehouse)) = (&removed, warehouse) {
            removed = self.erase(columns, whose, warehouse, &mut done).await.map(Ok);
        }
        release(state, loads).await;
        Ok(removed?.map(|()| done))
    }

    async fn erase(
        &self,
        columns: &PersonColumns,
        whose: &Whose,
        warehouse: &dyn Warehouse,
        done: &mut CollectionForgotten,
    ) -> anyhow::Result<()> {
        let is_dry_run = self.options.is_dry_run;
        let Whose { person, pseudonyms } = whose.clone();
        let erase = Erase { columns: columns.clone(), person, pseudonyms, is_dry_run };
        let mut table = Table::look(&columns.collection, self.places.state, warehouse).await?;
        if !is_dry_run {
            table.begin_erasing().await?;
        }
        let erased = warehouse.erase(&erase).await?;
        if !is_dry_run {
            table.end_erasing().await?;
        }
        for table in erased {
            done.changed_rows += table.changed;
            if table.rows > 0 {
                tracing::info!(table.name = table.table, rows = table.rows, "rows of a person are deleted");
                *done.tables.entry(table.table).or_default() += table.rows;
            }
        }
        Ok(())
    }
}

/// Takes a lease, and waits for whoever holds it.
async fn wait_for(state: &State, name: &str, patience: Duration) -> Result<Lease, staging::Error> {
    let began = Instant::now();
    loop {
        match state.lease(name).await {
            Err(busy) if busy.kind() == ErrorKind::Busy && began.elapsed() < patience => {
                tokio::time::sleep(PAUSE.min(patience)).await;
            }
            taken => return taken,
        }
    }
}

async fn release(state: &State, leases: Vec<Lease>) {
    for lease in leases {
        state.release(lease).await;
    }
}
