//! Contacts that HubSpot shows nowhere any more are forgotten by themselves.
//!
//! The tables say who they are: rows that a comparison has found to be gone, and HubSpot by its word for each id, and
//! that a later comparison has not found again. So nothing is lost in a crash. A credential that sees less looks the
//! same, so some days pass first, and too many at a time wait until somebody says that they are deleted.
//!
//! A contact that was merged, or whose person has another one by now, is none of them: whatever a contact that HubSpot
//! shows has, by merges or by its addresses, stays. An address may be another person's, and so does not lead from one
//! contact to the next.

use std::collections::BTreeSet;
use std::str::FromStr;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use staging::{Forgotten, Person, PersonColumns, Shared, State, Wanted, Why};
use warehouse::{AskedFor, Erase, Presence, Warehouse};

use super::{FORGET, ForgetOptions, ForgetReport, Forgetting, Places, UnderWay};

/// Shared document with those who are being forgotten.
pub(super) const UNDER_WAY: &str = "forgetting-removed";
/// Contacts that are begun to be forgotten at a time: a function ends with them, and an item of DynamoDB has room for them.
const MOST: usize = 100;
/// Contacts that are forgotten behind a comparison without a question, and the part of the live ones: one in so many.
const FEW: u64 = 20;
const PART: u64 = 100;
const DAY_MS: i64 = 24 * 3_600_000;
/// Days for which HubSpot keeps a contact in the recycle bin.
const DAYS_IN_RECYCLE_BIN: i64 = 90;
const DEFAULT_DAYS: u32 = 7;

/// Whether contacts that HubSpot shows no more are forgotten, and after how many days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForgetDeleted {
    /// Where deleted contacts leave the table.
    #[default]
    Auto,
    On,
    Off,
    After(u16),
}

impl ForgetDeleted {
    /// `hard_delete`: deleted contacts leave the table. `None`: they are not forgotten.
    pub fn days(self, hard_delete: bool) -> Option<u32> {
        match self {
            ForgetDeleted::Auto => hard_delete.then_some(DEFAULT_DAYS),
            ForgetDeleted::On => Some(DEFAULT_DAYS),
            ForgetDeleted::Off => None,
            ForgetDeleted::After(days) => Some(days.into()),
        }
    }
}

impl FromStr for ForgetDeleted {
    type Err = String;

    fn from_str(text: &str) -> Result<ForgetDeleted, String> {
        match text {
            "auto" => Ok(ForgetDeleted::Auto),
            "on" => Ok(ForgetDeleted::On),
            "off" => Ok(ForgetDeleted::Off),
            days => match days.parse() {
                Ok(days) => Ok(ForgetDeleted::After(days)),
                Err(_) => Err("it is auto, on, off or a number of days".to_owned()),
            },
        }
    }
}

/// Options of [`forget_removed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedOptions {
    /// Days for which HubSpot has to show them nowhere. In any case, two comparisons have to find so.
    pub days: u32,
    /// `true`: a comparison has just found the table equal to HubSpot's records. Otherwise, nothing is begun; what was
    /// begun goes on.
    pub is_compared: bool,
    /// `true`: however many they are; and also where the last comparison was an earlier one.
    pub accepts: bool,
}

/// Returns the collection whose rows are the contacts; `None`: no columns are known.
pub fn contacts_of(columns: &[PersonColumns]) -> Option<&str> {
    columns.iter().find(|columns| columns.identifies).map(|columns| columns.collection.as_str())
}

/// `true`: some are being forgotten by themselves, and nothing keeps a load from going on with it. `contacts` is the
/// collection whose rows they are.
///
/// # Errors
/// Of the state.
pub async fn is_forgetting_removed(contacts: &str, state: &State) -> anyhow::Result<bool> {
    let begun: Shared<UnderWay> = state.shared(UNDER_WAY).await?;
    Ok(!begun.value.is_empty() && compared_ms(contacts, state).await?.is_some())
}

/// The time of the comparison that says which contacts HubSpot shows. `None`: it is not done, or what waits for a load may
/// show one of them again.
async fn compared_ms(contacts: &str, state: &State) -> anyhow::Result<Option<i64>> {
    let wanted: Shared<Wanted> = state.shared(&Wanted::document(contacts)).await?;
    let compared_ms = wanted.value.reconciled_ms.filter(|_| !wanted.value.is_open());
    let is_waiting = compared_ms.is_some() && !state.pending(Some(contacts)).await?.is_empty();
    Ok(compared_ms.filter(|_| !is_waiting))
}

/// Lets go of those who are being forgotten by themselves and are not done yet, where it is not wanted any more.
///
/// # Errors
/// Of the state; another call goes on.
pub async fn stop_forgetting_removed(state: &State) -> anyhow::Result<()> {
    let begun: Shared<UnderWay> = state.shared(UNDER_WAY).await?;
    if begun.value.is_empty() {
        return Ok(());
    }
    let person = begun.value.person();
    // The document comes last: it says who is to be let go.
    Forgotten::lift_removed(state, &person).await?;
    take_out(&person, state).await?;
    tracing::warn!(
        "contacts that were being forgotten by themselves are let go, since it is not wanted any more"
    );
    Ok(())
}

/// Takes ids and addresses out of those who are being forgotten by themselves.
pub(super) async fn take_out(person: &Person, state: &State) -> anyhow::Result<()> {
    loop {
        let mut begun: Shared<UnderWay> = state.shared(UNDER_WAY).await?;
        let before = (begun.value.ids.len(), begun.value.addresses.len());
        begun.value.ids.retain(|id| !person.ids.contains(id));
        begun.value.addresses.retain(|address| !person.addresses.contains(address));
        if before == (begun.value.ids.len(), begun.value.addresses.len()) {
            return Ok(());
        }
        if begun.value.is_empty() {
            begun.value = UnderWay::default();
        }
        if state.swap_shared(UNDER_WAY, &begun).await? {
            return Ok(());
        }
    }
}

/// Forgets the contacts that HubSpot shows nowhere any more. `None`: there are none, or somebody else forgets a person,
/// and the next comparison comes back to it. Twice is once.
///
/// # Errors
/// Of the state, the bucket and the warehouse; another call goes on. No message has an id or an address.
pub async fn forget_removed(
    places: Places<'_>,
    options: ForgetOptions<'_>,
    removed: &RemovedOptions,
) -> anyhow::Result<Option<ForgetReport>> {
    let (Some(contacts), Some(warehouse)) = (contacts_of(options.columns), places.warehouse) else {
        return Ok(None);
    };
    let begun: Shared<UnderWay> = places.state.shared(UNDER_WAY).await?;
    if !removed.is_compared && !removed.accepts && begun.value.is_empty() {
        return Ok(None);
    }
    let lease = match places.state.lease(FORGET).await {
        Err(error) if error.kind() == staging::ErrorKind::Busy => return Ok(None),
        lease => lease?,
    };
    let work = Removed { contacts, warehouse, places, options, removed };
    let forgotten = work.forget().await;
    places.state.release(lease).await;
    forgotten.context("contacts that HubSpot shows no more are not forgotten yet: the next load goes on")
}

struct Removed<'a> {
    contacts: &'a str,
    warehouse: &'a dyn Warehouse,
    places: Places<'a>,
    options: ForgetOptions<'a>,
    removed: &'a RemovedOptions,
}

impl Removed<'_> {
    async fn forget(&self) -> anyhow::Result<Option<ForgetReport>> {
        let state = self.places.state;
        let Some(snapshot_ms) = compared_ms(self.contacts, state).await? else { return Ok(None) };
        let mut document: Shared<UnderWay> = state.shared(UNDER_WAY).await?;
        let mut person = document.value.person();
        if person.is_empty() {
            let found = self.found(snapshot_ms).await?;
            if found.is_empty() {
                return Ok(None);
            }
            if let Some(refused) = self.refused(found.len()).await? {
                return Ok(Some(refused));
            }
            let ids = found.into_iter().take(MOST).collect();
            person = self.of_nobody_else(Person { ids, ..Person::default() }, snapshot_ms, false).await?;
            if !person.ids.is_empty() {
                person = self.of_nobody_else(person, snapshot_ms, true).await?;
            }
        } else {
            // Another contact may have one of the addresses by now.
            person = self.of_nobody_else(person, snapshot_ms, true).await?;
        }
        if person.ids.is_empty() && document.value.is_empty() {
            return Ok(None);
        }
        let columns = self.options.columns.iter().filter_map(|columns| columns.of_removed(snapshot_ms));
        let columns: Vec<PersonColumns> = columns.collect();
        let why = Why::Removed { gone_ms: snapshot_ms };
        let options = ForgetOptions { columns: &columns, ..self.options };
        let forgetting = Forgetting { places: self.places, options, why, document: UNDER_WAY };
        forgetting.remove(&mut document, person).await.map(Some)
    }

    /// Contacts that HubSpot shows nowhere, and has not for long enough.
    async fn found(&self, snapshot_ms: i64) -> anyhow::Result<BTreeSet<u64>> {
        let asked = AskedFor::Removed {
            read_before_ms: snapshot_ms - i64::from(self.removed.days) * DAY_MS,
            archived_before_ms: snapshot_ms - (DAYS_IN_RECYCLE_BIN + i64::from(self.removed.days)) * DAY_MS,
        };
        self.presence(snapshot_ms, asked).await
    }

    async fn presence(&self, snapshot_ms: i64, asked: AskedFor) -> anyhow::Result<BTreeSet<u64>> {
        let presence = Presence { collection: self.contacts.to_owned(), snapshot_ms, asked };
        Ok(self.warehouse.presence(&presence).await?)
    }

    /// The report of too many at a time.
    async fn refused(&self, found: usize) -> anyhow::Result<Option<ForgetReport>> {
        let found = found as u64;
        if self.removed.accepts || found <= FEW {
            return Ok(None);
        }
        let live = self.warehouse.live_rows(self.contacts).await?;
        if found <= live / PART {
            return Ok(None);
        }
        let why = format!(
            "HubSpot shows {found} contacts no more, beside {live} that are live, and they are not forgotten by \
             themselves: does the credential see less than the one before? If they are deleted, confirm it: \
             sync --accept-forgetting, or {{\"accept_forgetting\": true}} to the load function, {MOST} at a time"
        );
        tracing::warn!("{why}");
        let mut report = ForgetReport::new(Why::Removed { gone_ms: 0 });
        report.outcome = "left".to_owned();
        report.left.insert(self.contacts.to_owned(), why);
        Ok(Some(report))
    }

    /// Adds what contacts were merged into these, and their addresses; takes out whatever a contact has that HubSpot
    /// shows. `in_files`: staged files know older values.
    async fn of_nobody_else(&self, of: Person, snapshot_ms: i64, in_files: bool) -> anyhow::Result<Person> {
        let mut removed = self.by_ids(of, in_files).await?;
        let owners = Person { addresses: removed.addresses.clone(), ..Person::default() };
        let mut ids = removed.ids.clone();
        for columns in self.identifying() {
            ids.extend(self.identify(columns, owners.clone()).await?.ids);
        }
        let ids = self.presence(snapshot_ms, AskedFor::Shown(ids)).await?;
        let others = self.by_ids(Person { ids, ..Person::default() }, in_files).await?;
        removed.ids.retain(|id| !others.ids.contains(id));
        removed.addresses.retain(|address| !others.addresses.contains(address));
        Ok(removed)
    }

    /// Adds the ids of merged contacts and all addresses. An address leads to nobody.
    async fn by_ids(&self, mut person: Person, in_files: bool) -> anyhow::Result<Person> {
        let forgetting =
            Forgetting { places: self.places, options: self.options, why: Why::Asked, document: UNDER_WAY };
        loop {
            let ids = person.ids.clone();
            if ids.is_empty() {
                return Ok(person);
            }
            for columns in self.identifying() {
                let asked = Person { ids: person.ids.clone(), ..Person::default() };
                let mut found = self.identify(columns, asked.clone()).await?;
                if in_files {
                    let in_files = forgetting.identify_in_files(columns, asked, false).await?;
                    found.ids.extend(in_files.ids);
                    found.addresses.extend(in_files.addresses);
                }
                person.ids.extend(found.ids);
                person.addresses.extend(found.addresses);
            }
            if person.ids == ids {
                return Ok(person);
            }
        }
    }

    fn identifying(&self) -> impl Iterator<Item = &PersonColumns> {
        self.options.columns.iter().filter(|columns| columns.identifies)
    }

    async fn identify(&self, columns: &PersonColumns, person: Person) -> anyhow::Result<Person> {
        let erase = Erase { columns: columns.clone(), person, pseudonyms: None, is_dry_run: true };
        Ok(self.warehouse.identify(&erase).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_read_as_it_is_said() {
        for (text, hard, soft) in [
            ("auto", Some(7), None),
            ("on", Some(7), Some(7)),
            ("off", None, None),
            ("30", Some(30), Some(30)),
        ] {
            let setting: ForgetDeleted = text.parse().unwrap();
            assert_eq!((setting.days(true), setting.days(false)), (hard, soft), "{text}");
        }
        assert!("never".parse::<ForgetDeleted>().is_err() && "-1".parse::<ForgetDeleted>().is_err());
    }
}
