//! Persons who are forgotten: keyed hashes of their ids and addresses, by which a row that comes late is known, and
//! nobody else. The key is random, made once, and kept in the state like the list.
//!
//! | shared document | holds |
//! |---|---|
//! | `forgotten` | the key, and the number of parts |
//! | `forgotten-<n>` | a part of the list: its size is bounded, as an item of DynamoDB is |
//! | `forgotten-removed-<n>` | a part of the list of those whom nobody named, and whom HubSpot shows no more |
//!
//! Whom somebody named stays out. A contact that HubSpot shows no more may be somebody else's by its address later, and
//! a credential may have hidden it: so its id is struck off the list once HubSpot shows the contact, and its address
//! once HubSpot shows a contact with it. Until then the address keeps out what happened while HubSpot showed the contact,
//! and rows that don't tell when; not rows that have a contact's id, and not what happened later.

use std::collections::{HashMap, HashSet};
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::known::Known;
use crate::person::{Holds, Person};
use crate::pseudonyms::{PSEUDONYM_DOMAIN, Pseudonyms};
use crate::rows::Rows;
use crate::shared::Shared;
use crate::state::State;

const DOCUMENT: &str = "forgotten";
const KEY_BYTES: usize = 32;
/// Enough to tell a hash from all rows that there will ever be.
const HASH_BYTES: usize = 12;
/// A part of so many is 160 KB, or 267 KB with times.
const PART: usize = 10_000;
const TIME_BYTES: usize = 8;
/// Times that a document is read again which another process has changed.
const ATTEMPTS: u32 = 20;

type Hash = [u8; HASH_BYTES];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Head {
    key: String,
    parts: u32,
    #[serde(default)]
    removed_parts: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Part {
    /// Base64 of one hash after the other, each with its time where the list has times.
    hashes: String,
}

/// Why a person is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Somebody named them.
    Asked,
    /// HubSpot shows the contact no more.
    Removed {
        /// A time at which it did not, in milliseconds.
        gone_ms: i64,
    },
}

/// One of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Asked,
    Removed,
}

impl List {
    fn part(self, number: u32) -> String {
        match self {
            List::Asked => format!("{DOCUMENT}-{number}"),
            List::Removed => format!("{DOCUMENT}-removed-{number}"),
        }
    }

    fn parts(self, head: &mut Head) -> &mut u32 {
        match self {
            List::Asked => &mut head.parts,
            List::Removed => &mut head.removed_parts,
        }
    }

    fn decode(self, part: &Part) -> Result<Vec<(Hash, i64)>, Error> {
        let bytes = BASE64_STANDARD.decode(&part.hashes).map_err(|_| corrupt())?;
        let size = HASH_BYTES + if self == List::Removed { TIME_BYTES } else { 0 };
        let entry = |entry: &[u8]| {
            let (hash, time) = entry.split_at_checked(HASH_BYTES)?;
            let time = if time.is_empty() { 0 } else { i64::from_be_bytes(time.try_into().ok()?) };
            Some((hash.try_into().ok()?, time))
        };
        Ok(bytes.chunks_exact(size).filter_map(entry).collect())
    }

    fn encode(self, entries: &[(Hash, i64)]) -> Part {
        let mut bytes = Vec::new();
        for (hash, time) in entries {
            bytes.extend(hash);
            if self == List::Removed {
                bytes.extend(time.to_be_bytes());
            }
        }
        Part { hashes: BASE64_STANDARD.encode(bytes) }
    }
}

/// The list, with its key.
pub struct Forgotten {
    key: hmac::Key,
    asked: HashSet<Hash>,
    /// With the time until which HubSpot may have shown the contact.
    removed: HashMap<Hash, i64>,
    /// Those of `removed` that HubSpot shows by now.
    shown_again: HashSet<Hash>,
}

impl fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forgotten({} hashes)", self.asked.len() + self.removed.len())
    }
}

impl Forgotten {
    /// Reads the list; `None`: nobody is on it.
    pub async fn read(state: &State) -> Result<Option<Forgotten>, Error> {
        let mut head: Shared<Head> = state.shared(DOCUMENT).await?;
        if head.value.parts + head.value.removed_parts == 0 {
            return Ok(None);
        }
        let mut forgotten = Forgotten::empty(&head.value)?;
        for list in [List::Asked, List::Removed] {
            for part in 1..=*list.parts(&mut head.value) {
                let part: Shared<Part> = state.shared(&list.part(part)).await?;
                let entries = list.decode(&part.value)?;
                match list {
                    List::Asked => forgotten.asked.extend(entries.into_iter().map(|(hash, _)| hash)),
                    List::Removed => forgotten.removed.extend(entries),
                }
            }
        }
        Ok(Some(forgotten))
    }

    fn empty(head: &Head) -> Result<Forgotten, Error> {
        let (asked, removed, shown_again) = Default::default();
        Ok(Forgotten { key: key_of(head)?, asked, removed, shown_again })
    }

    /// Adds the ids and addresses. Twice is once.
    pub async fn add(state: &State, person: &Person, why: Why) -> Result<(), Error> {
        let head = first_head(state).await?;
        let forgotten = match Forgotten::read(state).await? {
            Some(forgotten) => forgotten,
            None => Forgotten::empty(&head)?,
        };
        let (list, time) = match why {
            Why::Asked => (List::Asked, 0),
            Why::Removed { gone_ms } => (List::Removed, gone_ms),
        };
        let is_listed = |hash: &Hash| match list {
            List::Asked => forgotten.asked.contains(hash),
            List::Removed => forgotten.removed.get(hash).is_some_and(|known| *known >= time),
        };
        let hashes = forgotten.hashes_of(person).into_iter().filter(|hash| !is_listed(hash));
        let mut new: Vec<(Hash, i64)> = hashes.map(|hash| (hash, time)).collect();
        for _ in 0..ATTEMPTS {
            if new.is_empty() {
                return Ok(());
            }
            let mut head: Shared<Head> = state.shared(DOCUMENT).await?;
            let parts = list.parts(&mut head.value);
            let name = list.part((*parts).max(1));
            let mut part: Shared<Part> = state.shared(&name).await?;
            let mut entries = list.decode(&part.value)?;
            let room = PART.saturating_sub(entries.len());
            if *parts == 0 || room == 0 {
                // Before the part: one that nobody knew of would be lost.
                *parts += 1;
                state.swap_shared(DOCUMENT, &head).await?;
                continue;
            }
            let put = new.len().min(room);
            entries.extend(&new[..put]);
            part.value = list.encode(&entries);
            if state.swap_shared(&name, &part).await? {
                new.drain(..put);
            }
        }
        Err(contended())
    }

    /// Strikes ids and addresses off the list, whoever put them there. Returns the number of those that were on it.
    /// Twice is once.
    pub async fn lift(state: &State, person: &Person) -> Result<u64, Error> {
        let Some(forgotten) = Forgotten::read(state).await? else { return Ok(0) };
        let mut hashes: HashSet<Hash> = forgotten.hashes_of(person).into_iter().collect();
        hashes.retain(|hash| forgotten.asked.contains(hash) || forgotten.removed.contains_key(hash));
        for list in [List::Asked, List::Removed] {
            strike_off(state, list, &hashes).await?;
        }
        Ok(hashes.len() as u64)
    }

    /// Strikes a person off whom nobody named. Whoever was named stays on the list. Twice is once.
    pub async fn lift_removed(state: &State, person: &Person) -> Result<(), Error> {
        let Some(forgotten) = Forgotten::read(state).await? else { return Ok(()) };
        strike_off(state, List::Removed, &forgotten.hashes_of(person).into_iter().collect()).await
    }

    /// Returns the pseudonyms of the person's addresses: keyed hashes, which are not those of the list. `None`: there is no
    /// key yet, so nobody has one.
    pub async fn pseudonyms(state: &State, person: &Person) -> Result<Option<Pseudonyms>, Error> {
        let head: Shared<Head> = state.shared(DOCUMENT).await?;
        if head.value.key.is_empty() {
            return Ok(None);
        }
        let forgotten = Forgotten::empty(&head.value)?;
        let pseudonym = |address: &str| {
            let hash = forgotten.hash(&format!("pseudonym:{address}"));
            let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}@{PSEUDONYM_DOMAIN}")
        };
        Ok(Some(Pseudonyms::new(&person.addresses, pseudonym)))
    }

    /// `true`: the text of such a column names somebody whom somebody named.
    pub fn is_named(&self, holds: Holds, text: &str) -> bool {
        self.hashes_in(holds, text).any(|hash| self.asked.contains(&hash))
    }

    /// Takes the rows of forgotten persons back, from this row on, and their addresses out of rows of others. Returns the
    /// number of rows taken back.
    pub fn take_back(&self, known: &Known, rows: &mut Rows, from: usize) -> u64 {
        let keep: Vec<bool> = (from..rows.len()).map(|row| !self.keeps_out(known, rows, row)).collect();
        let gone = keep.iter().filter(|keep| !**keep).count();
        if gone > 0 {
            rows.retain(from, &keep);
        }
        for row in from..rows.len() {
            for &column in &known.mentioned {
                let text = rows.text(column, row);
                if text.is_some_and(|text| self.is_named(Holds::MentionedAddress, &text)) {
                    rows.clear(column, row);
                }
            }
        }
        gone as u64
    }

    fn keeps_out(&self, known: &Known, rows: &Rows, row: usize) -> bool {
        let text = |column: usize| rows.text(column, row);
        if known.is_any(&text, &|holds, text| self.is_named(holds, text)) {
            return true;
        }
        if self.removed.is_empty() || known.is_shared() {
            return false;
        }
        let has_ids = known.has_ids();
        let happened_ms = known.happened_ms(&text);
        known.is_any(&text, &|holds, text| {
            let is_id = matches!(holds, Holds::Id | Holds::Ids);
            let is_before = |gone_ms: i64| is_id || happened_ms.is_some_and(|happened| happened < gone_ms);
            (is_id || (!has_ids && holds == Holds::Address))
                && self.hashes_in(holds, text).any(|hash| {
                    let gone_ms = self.removed.get(&hash);
                    gone_ms.is_some_and(|gone_ms| is_before(*gone_ms))
                })
        })
    }

    /// Looks for contacts that HubSpot shows, from this row on: their ids and addresses are not kept out any more, unless
    /// somebody named them. To be told to the state by [`Forgotten::strike_off_shown`].
    pub fn let_in_shown(&mut self, known: &Known, rows: &Rows, from: usize) {
        if self.removed.is_empty() {
            return;
        }
        let mut shown = Vec::new();
        for row in from..rows.len() {
            let text = |column: usize| rows.text(column, row);
            if known.is_shown(&text) {
                known.each_text(&text, &mut |holds, text| {
                    shown.extend(self.hashes_in(holds, text).filter(|hash| self.removed.contains_key(hash)));
                });
            }
        }
        for hash in shown {
            self.removed.remove(&hash);
            self.shown_again.insert(hash);
        }
    }

    /// Strikes off the state's list what [`Forgotten::let_in_shown`] has found. Returns the number.
    pub async fn strike_off_shown(&mut self, state: &State) -> Result<u64, Error> {
        if !self.shown_again.is_empty() {
            strike_off(state, List::Removed, &self.shown_again).await?;
        }
        Ok(std::mem::take(&mut self.shown_again).len() as u64)
    }

    fn hashes_of(&self, person: &Person) -> Vec<Hash> {
        let ids = person.ids.iter().map(|id| self.of_id(*id));
        ids.chain(person.addresses.iter().map(|address| self.of_address(address))).collect()
    }

    fn hashes_in(&self, holds: Holds, text: &str) -> impl Iterator<Item = Hash> {
        let ids = holds.ids(text).into_iter().map(|id| self.of_id(id));
        ids.chain(holds.addresses(text).into_iter().map(|address| self.of_address(&address)))
    }

    fn of_id(&self, id: u64) -> Hash {
        self.hash(&format!("id:{id}"))
    }

    fn of_address(&self, address: &str) -> Hash {
        self.hash(&format!("address:{}", address.to_lowercase()))
    }

    fn hash(&self, text: &str) -> Hash {
        let tag = hmac::sign(&self.key, text.as_bytes());
        let mut hash = [0; HASH_BYTES];
        hash.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        hash
    }
}

/// Makes the key, unless there is one.
async fn first_head(state: &State) -> Result<Head, Error> {
    let mut head: Shared<Head> = state.shared(DOCUMENT).await?;
    if head.value.key.is_empty() {
        let mut key = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut key).map_err(|_| {
            Error::new(ErrorKind::Io, "the system has no random numbers for the key of forgotten persons")
        })?;
        head.value.key = BASE64_STANDARD.encode(key);
        if !state.swap_shared(DOCUMENT, &head).await? {
            head = state.shared(DOCUMENT).await?;
        }
    }
    Ok(head.value)
}

async fn strike_off(state: &State, list: List, hashes: &HashSet<Hash>) -> Result<(), Error> {
    let mut head: Shared<Head> = state.shared(DOCUMENT).await?;
    for name in (1..=*list.parts(&mut head.value)).map(|part| list.part(part)) {
        let mut is_struck_off = false;
        for _ in 0..ATTEMPTS {
            let mut part: Shared<Part> = state.shared(&name).await?;
            let mut entries = list.decode(&part.value)?;
            let before = entries.len();
            entries.retain(|(hash, _)| !hashes.contains(hash));
            part.value = list.encode(&entries);
            is_struck_off = entries.len() == before || state.swap_shared(&name, &part).await?;
            if is_struck_off {
                break;
            }
        }
        if !is_struck_off {
            return Err(contended());
        }
    }
    Ok(())
}

fn contended() -> Error {
    Error::new(ErrorKind::Busy, "other processes change the list of forgotten persons: run again")
}

fn key_of(head: &Head) -> Result<hmac::Key, Error> {
    match BASE64_STANDARD.decode(&head.key) {
        Ok(key) if key.len() == KEY_BYTES => Ok(hmac::Key::new(hmac::HMAC_SHA256, &key)),
        _ => Err(corrupt()),
    }
}

fn corrupt() -> Error {
    let message = "the list of forgotten persons (shared documents named forgotten) is corrupt: put a copy of it back; \
                   without it, what HubSpot still shows of them would come back";
    Error::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnType, IS_DELETED, Table};

    fn person(ids: impl IntoIterator<Item = u64>, address: &str) -> Person {
        let mut person = Person { ids: ids.into_iter().collect(), ..Person::default() };
        person.add_address(address);
        person
    }

    fn bytes_below(folder: &std::path::Path) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => all.extend(bytes_below(&path)),
                false => all.extend(std::fs::read(path).unwrap()),
            }
        }
        all
    }

    #[tokio::test]
    async fn the_list_holds_hashes_and_grows_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        assert!(Forgotten::read(&state).await.unwrap().is_none());
        let many = PART as u64 + 5;
        Forgotten::add(&state, &person(1_000_000..1_000_000 + many, "Ada@Example.com"), Why::Asked)
            .await
            .unwrap();
        Forgotten::add(&state, &person([7], "bo@example.com"), Why::Asked).await.unwrap();
        Forgotten::add(&state, &person([7], "BO@example.com"), Why::Asked).await.unwrap();

        let list = Forgotten::read(&state).await.unwrap().unwrap();
        assert_eq!(list.asked.len() as u64, many + 3);
        assert!(list.is_named(Holds::Id, "7") && list.is_named(Holds::Ids, "[3,1000004]"));
        assert!(list.is_named(Holds::Address, "ADA@example.com"));
        assert!(!list.is_named(Holds::Id, "8") && !list.is_named(Holds::Address, "nada@example.com"));
        let text = String::from_utf8_lossy(&bytes_below(folder.path())).to_lowercase();
        assert!(!text.contains("example.com") && !text.contains("1000004"));
        assert!(folder.path().join("shared/forgotten-2.json").exists());
        assert!(!folder.path().join("shared/forgotten-3.json").exists());
    }

    #[tokio::test]
    async fn rows_of_forgotten_persons_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        Forgotten::add(&state, &person([7], "ada@example.com"), Why::Asked).await.unwrap();
        let list = Forgotten::read(&state).await.unwrap().unwrap();
        let columns = [
            ("to_object", ColumnType::Text),
            ("to_id", ColumnType::BigInt),
            ("email", ColumnType::Text),
            ("ok", ColumnType::Boolean),
            ("amount", ColumnType::Double),
        ];
        let columns = columns.map(|(name, is)| Column::new(name, is)).to_vec();
        let table = Table::new("_snapshot_links", &["to_id"], columns).unwrap();
        let all = ["links to_object=contacts&to_id# email@ none#".parse().unwrap()];
        let known = Known::of(&table, &all).unwrap();
        let mut rows = Rows::new(&table);
        let mut add = |object: &str, id: i64, email: Option<&str>| {
            rows.cell(0).unwrap().text(object);
            rows.cell(1).unwrap().bigint(id);
            if let Some(email) = email {
                rows.cell(2).unwrap().text(email);
            }
            rows.cell(4).unwrap().double(id as f64);
            rows.finish_row();
        };
        add("contacts", 7, None);
        add("contacts", 7, None);
        add("deals", 7, Some("bo@example.com"));
        add("deals", 1, Some("Ada@example.com"));
        add("contacts", 8, None);
        assert_eq!(list.take_back(&known, &mut rows, 1), 2);
        let ids: Vec<_> = (0..rows.len()).map(|row| rows.text(1, row).unwrap().into_owned()).collect();
        assert_eq!(ids, ["7", "7", "8"], "the first row is of a page before");
        assert_eq!(rows.text(2, 1).as_deref(), Some("bo@example.com"));
        assert_eq!(rows.text(2, 2), None);
        assert_eq!(list.take_back(&known, &mut rows, 1), 0);
        assert!(Known::of(&table, &["deals id#".parse().unwrap()]).is_none());
    }

    fn table(collection: &str, columns: &[(&str, ColumnType)]) -> (Table, Known) {
        let columns = columns.iter().map(|(name, is)| Column::new(*name, *is)).collect();
        let table = Table::new(collection, &["id"], columns).unwrap();
        let all =
            ["contacts! id# email@", "sent recipient@ at~", "letters to@"].map(|line| line.parse().unwrap());
        let known = Known::of(&table, &all).unwrap();
        (table, known)
    }

    fn contacts(rows: &[(i64, &str, bool)]) -> (Rows, Known) {
        let columns =
            [("id", ColumnType::BigInt), ("email", ColumnType::Text), (IS_DELETED, ColumnType::Boolean)];
        let (table, known) = table("contacts", &columns);
        let mut all = Rows::new(&table);
        for (id, email, is_deleted) in rows {
            all.cell(0).unwrap().bigint(*id);
            all.cell(1).unwrap().text(email);
            all.cell(2).unwrap().boolean(*is_deleted);
            all.finish_row();
        }
        (all, known)
    }

    fn kept(list: &Forgotten, known: &Known, mut rows: Rows) -> Vec<String> {
        list.take_back(known, &mut rows, 0);
        (0..rows.len()).map(|row| rows.text(0, row).unwrap().into_owned()).collect()
    }

    #[tokio::test]
    async fn whom_nobody_named_is_kept_out_until_hubspot_shows_them() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        let removed = |gone_ms| Why::Removed { gone_ms };
        Forgotten::add(&state, &person([7], "ada@x.com"), removed(100)).await.unwrap();
        Forgotten::add(&state, &person([8], "bo@x.com"), removed(100)).await.unwrap();
        Forgotten::add(&state, &person([8], "bo@x.com"), removed(50)).await.unwrap();
        let mut list = Forgotten::read(&state).await.unwrap().unwrap();

        // A tombstone that comes late, one of another contact with the address, and of nobody.
        let (rows, known) = contacts(&[(7, "", true), (9, "ada@x.com", true), (10, "c@x.com", false)]);
        list.let_in_shown(&known, &rows, 0);
        assert_eq!(kept(&list, &known, rows), ["9", "10"]);

        let sent = |at: &[i64]| {
            let columns =
                [("id", ColumnType::BigInt), ("recipient", ColumnType::Text), ("at", ColumnType::Timestamp)];
            let (table, known) = table("sent", &columns);
            let mut rows = Rows::new(&table);
            for at in at {
                rows.cell(0).unwrap().bigint(*at);
                rows.cell(1).unwrap().text("Ada@x.com");
                rows.cell(2).unwrap().timestamp(*at);
                rows.finish_row();
            }
            (rows, known)
        };
        let (rows, known) = sent(&[99, 100, 101]);
        assert_eq!(kept(&list, &known, rows), ["100", "101"], "what happened later is of somebody else");
        let letters = || {
            let (table, known) = table("letters", &[("id", ColumnType::BigInt), ("to", ColumnType::Text)]);
            let mut rows = Rows::new(&table);
            rows.cell(0).unwrap().bigint(1);
            rows.cell(1).unwrap().text("ada@x.com");
            rows.finish_row();
            (rows, known)
        };
        let (rows, known) = letters();
        assert_eq!(kept(&list, &known, rows), ["1"], "nothing tells when: it may be somebody else's");

        // A new contact has the address: the id of the old one stays out.
        let (rows, known) = contacts(&[(11, "ADA@x.com", false)]);
        list.let_in_shown(&known, &rows, 0);
        assert_eq!(kept(&list, &known, rows), ["11"]);
        let (rows, known) = sent(&[99]);
        assert_eq!(kept(&list, &known, rows), ["99"]);
        // The other one was hidden from the credential.
        let (rows, known) = contacts(&[(7, "", true), (8, "bo@x.com", false)]);
        list.let_in_shown(&known, &rows, 0);
        assert_eq!(kept(&list, &known, rows), ["8"]);
        assert_eq!(list.strike_off_shown(&state).await.unwrap(), 3);
        assert_eq!(list.strike_off_shown(&state).await.unwrap(), 0);
        let list = Forgotten::read(&state).await.unwrap().unwrap();
        assert_eq!(list.removed.len(), 1, "{list:?}");
        let (rows, known) = contacts(&[(7, "", false), (8, "", true)]);
        assert_eq!(kept(&list, &known, rows), ["8"]);
    }

    #[tokio::test]
    async fn whom_somebody_named_stays_out_until_it_is_lifted() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open_folder(folder.path()).unwrap();
        assert_eq!(Forgotten::lift(&state, &person([7], "ada@x.com")).await.unwrap(), 0);
        Forgotten::add(&state, &person([7], "ada@x.com"), Why::Asked).await.unwrap();
        Forgotten::add(&state, &person([7], "ada@x.com"), Why::Removed { gone_ms: 5 }).await.unwrap();
        Forgotten::add(&state, &person([8], "bo@x.com"), Why::Asked).await.unwrap();
        let mut list = Forgotten::read(&state).await.unwrap().unwrap();
        let shown = || contacts(&[(7, "", false), (9, "ada@x.com", false), (8, "", false)]);
        let (rows, known) = shown();
        list.let_in_shown(&known, &rows, 0);
        assert_eq!(kept(&list, &known, rows), [""; 0]);
        assert_eq!(Forgotten::lift(&state, &person([7, 12], "Ada@x.com")).await.unwrap(), 2);
        let list = Forgotten::read(&state).await.unwrap().unwrap();
        let (rows, known) = shown();
        assert_eq!(kept(&list, &known, rows), ["7", "9"]);
        assert_eq!(Forgotten::lift(&state, &person([7], "ada@x.com")).await.unwrap(), 0);
    }
}
