//! Reads of records in random files, which arrive in random order and batches: the history says for every moment what a
//! simple model of the reads says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use staging::ColumnType;

use super::modes::HISTORY;
use super::{Bench, Cell, File, contact, contacts, merge_as, read};

/// `id`, HubSpot's time, time of the read, and a number of which the record's state is made.
pub(crate) type Read = (i64, Option<i64>, i64, u8);

/// Moments that are asked for; all times are before the last one.
const MOMENTS: i64 = 24;

pub(crate) fn reads() -> impl Strategy<Value = Vec<Read>> {
    let read = (0..3_i64, prop::option::weighted(0.8, 0..4_i64), 0..20_i64, 0..3_u8);
    prop::collection::vec(read, 1..30).prop_map(|mut reads| {
        // One read of a record at a time: of two, an arbitrary one would win.
        reads.sort_by_key(|(id, updated, read, _)| (*id, *updated, *read));
        reads.dedup_by_key(|(id, updated, read, _)| (*id, *updated, *read));
        reads
    })
}

/// Makes every state one of HubSpot's own: it changes only with HubSpot's time.
pub(crate) fn with_states_of_hubspot(reads: Vec<Read>) -> Vec<Read> {
    let state = |id: i64, updated: Option<i64>| (id + updated.unwrap_or(7)) as u8 % 2;
    reads
        .into_iter()
        .map(|(id, updated, read, _)| (id, updated.map(|it| it * 5), read, state(id, updated)))
        .collect()
}

/// Draws the numbers that choose files, order and batches.
pub(crate) fn choices() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 80)
}

/// Returns the state of a record at a moment: of HubSpot's newest version by then, the last read by then, or the first.
fn model(reads: &[Read], id: i64, moment: i64) -> Option<u8> {
    let mut versions: BTreeMap<Option<i64>, BTreeMap<i64, u8>> = BTreeMap::new();
    for (_, updated, read, state) in reads.iter().filter(|(of, ..)| *of == id) {
        versions.entry(*updated).or_default().insert(*read, *state);
    }
    for (updated, reads) in versions.iter().rev() {
        let seen = reads.range(..=moment).next_back().map(|(_, state)| *state);
        match updated {
            Some(updated) if *updated > moment => {}
            Some(_) => return seen.or_else(|| reads.values().next().copied()),
            None if seen.is_some() => return seen,
            None => {}
        }
    }
    None
}

/// Returns the state of a record at a moment, as the history has it; more than one if versions overlap.
fn states(history: &[Vec<Cell>], id: i64, moment: i64) -> Vec<Cell> {
    let held = |row: &&Vec<Cell>| {
        let (Cell::Timestamp(from), to) = (&row[1], &row[2]) else { panic!("a beginning") };
        row[0] == Cell::BigInt(id) && *from <= moment && !matches!(to, Cell::Timestamp(to) if *to <= moment)
    };
    history.iter().filter(held).map(|row| row[3].clone()).collect()
}

async fn assert_is_model(bench: &dyn Bench, reads: &[Read]) {
    let history = read(bench, "contacts_history", &["id", "_valid_from", "_valid_to", "name"]).await;
    for id in 0..3 {
        for moment in 0..MOMENTS {
            let expected: Vec<Cell> = model(reads, id, moment).map(name).into_iter().collect();
            assert_eq!(states(&history, id, moment), expected, "record {id} at {moment}: {history:?}");
        }
    }
}

fn name(state: u8) -> Cell {
    Cell::text(format!("state {state}"))
}

fn file(key: &str, reads: &[Read]) -> File {
    let row = |&(id, updated, read, state): &Read| contact(id, updated, read, &[name(state)]);
    contacts(key, &[("name", ColumnType::Text)], reads.iter().map(row).collect())
}

/// Cuts a list into some parts, at places that the choices say.
fn cut<'a, T>(mut all: &'a [T], choices: &mut impl Iterator<Item = &'a Index>) -> Vec<&'a [T]> {
    let mut parts = Vec::new();
    while !all.is_empty() {
        let (part, rest) =
            all.split_at(1 + choices.next().map_or(0, |choice| choice.index(all.len().min(6))));
        parts.push(part);
        all = rest;
    }
    parts
}

/// Merges the reads in the order in which they are given, cut into files and batches, some files a second time.
async fn arrive(bench: &dyn Bench, reads: &[Read], choices: &[Index], when: &str) {
    let mut choices = choices.iter();
    let files: Vec<File> = cut(reads, &mut choices)
        .iter()
        .enumerate()
        .map(|(n, part)| file(&format!("{when}-{n}"), part))
        .collect();
    let mut merged = 0;
    for batch in cut(&files, &mut choices) {
        // One that came before, under another name.
        let again = choices.next().map_or(0, |choice| choice.index(2 * files.len()));
        let again =
            files[..merged].get(again).map(|file| file.clone().named(&format!("{}-{merged}", file.key)));
        merged += batch.len();
        let batch: Vec<File> = batch.iter().cloned().chain(again).collect();
        merge_as(bench, &batch, HISTORY).await;
    }
}

fn in_any_order(reads: &[Read], choices: &[Index]) -> Vec<Read> {
    let mut rest = reads.to_vec();
    choices
        .iter()
        .map_while(|choice| (!rest.is_empty()).then(|| rest.swap_remove(choice.index(rest.len()))))
        .collect()
}

fn in_order(reads: &[Read]) -> Vec<Read> {
    let mut reads = reads.to_vec();
    reads.sort_by_key(|(_, updated, read, _)| (*read, *updated));
    reads
}

/// Checks states that change with HubSpot's time: they may arrive in any order.
pub(crate) async fn assert_states_of_hubspot(bench: &dyn Bench, reads: Vec<Read>, choices: &[Index]) {
    let reads = with_states_of_hubspot(reads);
    arrive(bench, &in_any_order(&reads, choices), &choices[30..], "any").await;
    assert_is_model(bench, &reads).await;
}

/// Checks states that change without it, as calculated values do, when reads arrive in their order.
pub(crate) async fn assert_reads_in_order(bench: &dyn Bench, reads: &[Read], choices: &[Index]) {
    arrive(bench, &in_order(reads), &choices[30..], "in-order").await;
    assert_is_model(bench, reads).await;
}

/// Checks such states in any order: each moment has one state at the most, the present one is the table's, and when all
/// files have come again in their order, all is as if they had come so at first.
pub(crate) async fn assert_reads_in_any_order(bench: &dyn Bench, reads: &[Read], choices: &[Index]) {
    arrive(bench, &in_any_order(reads, choices), &choices[30..], "any").await;
    let history = read(bench, "contacts_history", &["id", "_valid_from", "_valid_to", "name"]).await;
    let table = read(bench, "contacts", &["id", "name"]).await;
    for id in 0..3 {
        for moment in 0..MOMENTS {
            let states = states(&history, id, moment);
            assert_eq!(
                states.len(),
                usize::from(model(reads, id, moment).is_some()),
                "record {id} at {moment}"
            );
        }
        let now = table.iter().filter(|row| row[0] == Cell::BigInt(id)).map(|row| row[1].clone());
        assert_eq!(states(&history, id, MOMENTS), now.collect::<Vec<_>>());
    }
    arrive(bench, &in_order(reads), &choices[40..], "again").await;
    assert_is_model(bench, reads).await;
}
