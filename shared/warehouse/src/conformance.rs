//! The conformance suite: cases for every warehouse, by the [`crate::Warehouse`] trait alone. A warehouse's tests run all of
//! [`CASES`], each on a [`Bench`] of its own.

mod adopt;
mod batches;
mod bench;
mod closed_sets;
mod codecs;
mod columns;
mod compare;
mod erase;
mod files;
mod kept_views;
pub(crate) mod modes;
mod past;
pub(crate) mod property;
pub(crate) mod property_history;
pub(crate) mod property_sets;
mod refusals;
mod sets;
mod shapes;
mod texts;
mod turns;
mod versions;
pub(crate) mod writes;

use std::pin::Pin;

pub(crate) use self::bench::{Bench, MOST_DIGITS, Row, merge, merge_as, read, stage};
pub(crate) use self::files::{Cell, File, contact, contacts, torture_file};
pub(crate) use self::sets::{SET_COLUMNS, identities, live};
pub(crate) use self::turns::crash_points;
pub(crate) use self::versions::assert_table_is_newest;

type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
type Case = for<'a> fn(&'a dyn Bench) -> Running<'a>;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("merging twice is merging once", |bench| Box::pin(versions::merging_twice_is_merging_once(bench))),
    ("the same rows in another file change nothing", |bench| {
        Box::pin(versions::same_rows_change_nothing(bench))
    }),
    ("newest version wins in every order", |bench| Box::pin(versions::newest_wins_in_every_order(bench))),
    ("ties do not depend on order", |bench| Box::pin(versions::ties_do_not_depend_on_order(bench))),
    ("a deleted row can be restored", |bench| Box::pin(versions::deleted_row_can_be_restored(bench))),
    ("NULL clears a value", |bench| Box::pin(versions::null_clears_a_value(bench))),
    ("composite primary key", |bench| Box::pin(versions::composite_primary_key(bench))),
    ("what a newer read of a set lacks is deleted", |bench| {
        Box::pin(sets::what_a_newer_read_lacks_is_deleted(bench))
    }),
    ("an empty set deletes all", |bench| Box::pin(sets::an_empty_set_deletes_all(bench))),
    ("a member can come back to its set", |bench| Box::pin(sets::a_member_can_come_back(bench))),
    ("an older read of a set revives nothing", |bench| Box::pin(sets::an_older_read_revives_nothing(bench))),
    ("sets do not depend on order", |bench| Box::pin(sets::sets_do_not_depend_on_order(bench))),
    ("ties in sets do not depend on order", |bench| {
        Box::pin(sets::ties_in_sets_do_not_depend_on_order(bench))
    }),
    ("sets twice are sets once", |bench| Box::pin(sets::sets_twice_are_sets_once(bench))),
    ("sets are of one collection", |bench| Box::pin(sets::sets_are_of_one_collection(bench))),
    ("sets in a table that changes", |bench| Box::pin(sets::sets_in_a_table_that_changes(bench))),
    ("files without a set key", |bench| Box::pin(sets::files_without_a_set_key(bench))),
    ("two set keys", |bench| Box::pin(sets::two_set_keys(bench))),
    ("only a closed set loses rows", |bench| Box::pin(closed_sets::only_a_closed_set_loses_rows(bench))),
    ("closed sets do not depend on order", |bench| {
        Box::pin(closed_sets::closed_sets_do_not_depend_on_order(bench))
    }),
    ("closed sets stand beside others", |bench| Box::pin(closed_sets::closed_sets_beside_others(bench))),
    ("every type keeps its values", |bench| Box::pin(columns::every_type_keeps_its_values(bench))),
    ("a text of 100,000 bytes", |bench| Box::pin(columns::long_text(bench))),
    ("files of either codec", |bench| Box::pin(codecs::files_of_either_codec(bench))),
    ("new column", |bench| Box::pin(columns::new_column(bench))),
    ("removed column stays", |bench| Box::pin(columns::removed_column_stays(bench))),
    ("a user's columns stay", |bench| Box::pin(columns::user_columns_stay(bench))),
    ("widened types", |bench| Box::pin(columns::widened_types(bench))),
    ("widened primary key", |bench| Box::pin(columns::widened_primary_key(bench))),
    ("text does not depend on the way there", |bench| Box::pin(columns::text_is_the_same_either_way(bench))),
    ("extreme values have one text everywhere", |bench| Box::pin(texts::extreme_values_have_one_text(bench))),
    ("hostile names", |bench| Box::pin(columns::hostile_names(bench))),
    ("names equal but for case", |bench| Box::pin(columns::names_equal_but_for_case(bench))),
    ("1,500 columns", |bench| Box::pin(columns::fifteen_hundred_columns(bench))),
    ("deleted rows leave in every order", |bench| Box::pin(modes::deleted_rows_leave_in_every_order(bench))),
    ("members of sets leave in every order", |bench| {
        Box::pin(modes::members_of_sets_leave_in_every_order(bench))
    }),
    ("the mode may change", |bench| Box::pin(modes::the_mode_may_change(bench))),
    ("history does not depend on order", |bench| Box::pin(modes::history_does_not_depend_on_order(bench))),
    ("history may begin late", |bench| Box::pin(modes::history_may_begin_late(bench))),
    ("history follows the columns", |bench| Box::pin(modes::history_follows_the_columns(bench))),
    ("history outlives its table", |bench| Box::pin(modes::history_outlives_its_table(bench))),
    ("a change is two writes in the history", |bench| Box::pin(past::a_change_is_two_writes(bench))),
    ("a backfill of unchanged rows adds nothing to the history", |bench| {
        Box::pin(past::backfills_of_unchanged_rows_write_nothing(bench))
    }),
    ("what is deleted writes nothing into the history", |bench| {
        Box::pin(past::what_is_deleted_writes_no_past(bench))
    }),
    ("what comes late divides a state", |bench| Box::pin(past::what_comes_late_divides_a_state(bench))),
    ("a history of an older program goes on", |bench| Box::pin(past::older_histories_go_on(bench))),
    ("what is kept of deleted rows follows the columns", |bench| {
        Box::pin(modes::what_is_kept_follows_the_columns(bench))
    }),
    ("hard deletes leave no past", |bench| Box::pin(modes::hard_deletes_leave_no_past(bench))),
    ("sets have no history", |bench| Box::pin(modes::sets_have_no_history(bench))),
    ("every difference is found", |bench| Box::pin(compare::every_difference_is_found(bench))),
    ("values that drift are found", |bench| Box::pin(compare::values_that_drift_are_found(bench))),
    ("what a whole read has not met is found", |bench| {
        Box::pin(compare::what_a_whole_read_has_not_met_is_found(bench))
    }),
    ("foreign rows are found", |bench| Box::pin(compare::foreign_rows_are_found(bench))),
    ("what was absorbed goes along", |bench| Box::pin(compare::what_was_absorbed_goes_along(bench))),
    ("what left the table is known", |bench| Box::pin(compare::what_left_the_table_is_known(bench))),
    ("a table that is not there is empty", |bench| {
        Box::pin(compare::a_table_that_is_not_there_is_empty(bench))
    }),
    ("a comparison needs a snapshot", |bench| Box::pin(compare::a_comparison_needs_a_snapshot(bench))),
    ("shapes and texts of tables", |bench| Box::pin(shapes::shapes_and_texts_of_tables(bench))),
    ("tables of others are put aside", |bench| Box::pin(adopt::tables_of_others_are_put_aside(bench))),
    ("views and taken names are refused", |bench| Box::pin(adopt::views_and_taken_names_are_refused(bench))),
    ("views are kept", |bench| Box::pin(kept_views::views_are_kept(bench))),
    ("runs are recorded once", |bench| Box::pin(modes::runs_are_recorded_once(bench))),
    ("many runs", |bench| Box::pin(modes::many_runs(bench))),
    ("no files", |bench| Box::pin(batches::no_files(bench))),
    ("empty file", |bench| Box::pin(batches::empty_file(bench))),
    ("looking changes nothing", |bench| Box::pin(batches::looking_changes_nothing(bench))),
    ("counts and ledger", |bench| Box::pin(batches::counts_and_ledger(bench))),
    ("200 files in any order", |bench| Box::pin(batches::files_in_any_order(bench))),
    ("what is forgotten is merged anew", |bench| Box::pin(batches::what_is_forgotten_is_merged_anew(bench))),
    ("rows of a later time stay", |bench| Box::pin(erase::rows_of_a_later_time_stay(bench))),
    ("rows stay under a pseudonym", |bench| Box::pin(erase::rows_stay_under_a_pseudonym(bench))),
    ("rows of a person leave all tables", |bench| Box::pin(erase::rows_of_a_person_leave_all_tables(bench))),
    ("what is removed from HubSpot is known", |bench| {
        Box::pin(erase::what_is_removed_from_hubspot_is_known(bench))
    }),
    ("rows that name a person leave, or lose the id", |bench| {
        Box::pin(erase::rows_that_name_a_person_leave_or_lose_the_id(bench))
    }),
    ("one file replaces others in the ledger", |bench| {
        Box::pin(batches::one_file_replaces_others_in_the_ledger(bench))
    }),
    ("a dropped table is loaded again", |bench| Box::pin(batches::dropped_table_is_loaded_again(bench))),
    ("two merges of the same files at once", |bench| Box::pin(batches::same_files_at_once(bench))),
    ("two merges of different files at once", |bench| Box::pin(batches::different_files_at_once(bench))),
    ("wrong row count", |bench| Box::pin(refusals::wrong_row_count(bench))),
    ("another account", |bench| Box::pin(refusals::another_account(bench))),
    ("another collection", |bench| Box::pin(refusals::another_collection(bench))),
    ("two primary keys", |bench| Box::pin(refusals::two_primary_keys(bench))),
    ("no primary key value", |bench| Box::pin(refusals::no_primary_key_value(bench))),
    ("a description that is not the file's", |bench| Box::pin(refusals::wrong_description(bench))),
    ("files that are no staged files", |bench| Box::pin(refusals::no_staged_file(bench))),
    ("names of bookkeeping tables", |bench| Box::pin(refusals::bookkeeping_names(bench))),
    ("rows that share a primary key", |bench| Box::pin(refusals::rows_that_share_a_key(bench))),
    ("a failure half way leaves nothing", |bench| Box::pin(refusals::failure_half_way_leaves_nothing(bench))),
];

/// `true`: the case's name contains `WAREHOUSE_TEST_CASE`, or that is not set.
pub(crate) fn is_wanted(case: &str) -> bool {
    std::env::var("WAREHOUSE_TEST_CASE").map_or(true, |part| case.contains(&part))
}

/// Returns the cases that a program of others runs: those whose names have one of the parts `run`, or all where the
/// variable of this name is `all` or one case is asked for. Those that say nothing there are named with the reason.
pub(crate) fn cases_of(
    run: &[&str],
    not_run: &[(&str, &str)],
    variable: &str,
) -> impl Iterator<Item = &'static (&'static str, Case)> {
    for (name, _) in not_run {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no case {name}");
    }
    for part in run {
        assert!(CASES.iter().any(|(case, _)| case.contains(part)), "there is no case {part}");
    }
    let is_all = std::env::var(variable).is_ok_and(|value| value == "all")
        || std::env::var("WAREHOUSE_TEST_CASE").is_ok();
    let is_run = |name: &str| is_wanted(name) && (is_all || run.iter().any(|part| name.contains(part)));
    let mut cases: Vec<&'static (&'static str, Case)> =
        CASES.iter().filter(|(name, _)| is_run(name)).collect();
    cases.retain(|(name, _)| match not_run.iter().find(|(not_run, _)| not_run == name) {
        Some((_, reason)) => {
            eprintln!("not run: {name}: {reason}");
            false
        }
        None => true,
    });
    cases.into_iter().inspect(|(name, _)| eprintln!("case: {name}"))
}
