//! Random rows of random sets, in files that arrive as in [`super::property`].

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::property::arrive;
use super::{Bench, Cell, File, SET_COLUMNS, identities, live, read};

/// Set, value, source time, time of the read, and the number of the [`row`] among those of its version.
pub(crate) type Member = (i64, u8, Option<i64>, i64, u8);

const LIVE: u8 = 0;

pub(crate) fn members() -> impl Strategy<Value = Vec<Member>> {
    let member = (0..2_i64, 0..3_u8, prop::option::of(0..2_i64), 0..2_i64, 0..5_u8);
    prop::collection::vec(member, 1..40)
}

fn row(&(set, value, updated, read, variant): &Member) -> Vec<Cell> {
    let mut row = live(set, "EMAIL", &format!("value {value}"), updated, read);
    let (note, is_deleted, deleted_at, reason) = (6, 7, 8, 9);
    match variant {
        LIVE => {}
        1 => row[note] = Cell::text("other note"),
        2 => row[is_deleted] = Cell::Null,
        3 => (row[is_deleted], row[reason]) = (Cell::Boolean(true), Cell::text("removed")),
        _ => {
            row[is_deleted] = Cell::Boolean(true);
            (row[deleted_at], row[reason]) = (Cell::Timestamp(7), Cell::text("archived"));
        }
    }
    row
}

fn files(members: &[Member], places: &[Index]) -> Vec<File> {
    let mut rows = vec![Vec::new(); 5];
    for (member, place) in members.iter().zip(places) {
        rows[place.index(5)].push(row(member));
    }
    rows.into_iter().enumerate().map(|(n, rows)| identities(&format!("file-{n}"), rows)).collect()
}

/// Returns the expected `_source_updated_at`, `_read_at` and `deleted_reason` by set and value. No two versions of a
/// row may be equal.
fn expected(members: &[Member]) -> Vec<Vec<Cell>> {
    let mut newest: BTreeMap<(i64, u8), &Member> = BTreeMap::new();
    let version = |&(_, _, updated, read, _): &Member| (updated, read);
    for member in members {
        let kept = newest.entry((member.0, member.1)).or_insert(member);
        if version(member) > version(kept) {
            *kept = member;
        }
    }
    let of_set =
        |set: i64| newest.values().filter(move |member| member.0 == set).map(|member| version(member)).max();
    let row_of = |member: &&Member| {
        let &&(set, value, updated, read, variant) = member;
        let reason = match variant {
            4.. => Cell::text("archived"),
            3 => Cell::text("removed"),
            _ if Some(version(member)) < of_set(set) => Cell::text("removed"),
            _ => Cell::Null,
        };
        let updated = updated.map_or(Cell::Null, Cell::Timestamp);
        vec![Cell::BigInt(set), Cell::text(format!("value {value}")), updated, Cell::Timestamp(read), reason]
    };
    newest.values().map(row_of).collect()
}

/// Checks that sets are whole. Rows of one version are equal here; [`set_table_of`] has those that differ.
pub(crate) async fn assert_sets_are_whole(
    bench: &dyn Bench,
    mut members: Vec<Member>,
    arrival: &(Vec<Index>, Vec<Index>),
) {
    for (set, value, updated, read, variant) in &mut members {
        *variant = ((*set + updated.unwrap_or(7) * 3 + *read * 5) as u8 + *value) % 5;
    }
    arrive(bench, &files(&members, &arrival.0), &arrival.1).await;
    let columns = ["id", "value", "_source_updated_at", "_read_at", "deleted_reason"];
    assert_eq!(read(bench, "identities", &columns).await, expected(&members));
}

/// Returns the table after the files have arrived, which must be the same for every order.
pub(crate) async fn set_table_of(
    bench: &dyn Bench,
    members: &[Member],
    arrival: &(Vec<Index>, Vec<Index>),
) -> Vec<Vec<Cell>> {
    arrive(bench, &files(members, &arrival.0), &arrival.1).await;
    read(bench, "identities", &SET_COLUMNS).await
}
