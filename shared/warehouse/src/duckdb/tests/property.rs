//! The properties of [`crate::conformance::property`] on DuckDB.

use proptest::prelude::*;

use super::DuckDbBench;
use crate::conformance::property::{arrivals, assert_newest_wins, block_on, table_of, versions};
use crate::conformance::property_history::{
    assert_reads_in_any_order, assert_reads_in_order, assert_states_of_hubspot, choices, reads,
};
use crate::conformance::property_sets::{assert_sets_are_whole, members, set_table_of};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_the_newest_version_of_every_row(versions in versions(), arrival in arrivals()) {
        block_on(async {
            let bench = DuckDbBench::new();
            assert_newest_wins(&bench, versions, &arrival).await;
        });
    }

    #[test]
    fn the_table_does_not_depend_on_files_or_order(
        versions in versions(),
        one in arrivals(),
        other in arrivals(),
    ) {
        let mut tables = Vec::new();
        block_on(async {
            for arrival in [one, other] {
                let bench = DuckDbBench::new();
                tables.push(table_of(&bench, &versions, &arrival).await);
            }
        });
        tables.dedup();
        prop_assert!(tables.len() < 2, "{tables:?}");
    }

    #[test]
    fn what_its_set_no_longer_has_is_deleted(members in members(), arrival in arrivals()) {
        block_on(async {
            let bench = DuckDbBench::new();
            assert_sets_are_whole(&bench, members, &arrival).await;
        });
    }

    #[test]
    fn sets_do_not_depend_on_files_or_order(members in members(), one in arrivals(), other in arrivals()) {
        let mut tables = Vec::new();
        block_on(async {
            for arrival in [one, other] {
                let bench = DuckDbBench::new();
                tables.push(set_table_of(&bench, &members, &arrival).await);
            }
        });
        tables.dedup();
        prop_assert!(tables.len() < 2, "{tables:?}");
    }

    #[test]
    fn states_of_hubspot_may_arrive_in_any_order(reads in reads(), choices in choices()) {
        block_on(async { assert_states_of_hubspot(&DuckDbBench::new(), reads, &choices).await });
    }

    #[test]
    fn calculated_states_are_those_of_a_simple_model(reads in reads(), choices in choices()) {
        block_on(async { assert_reads_in_order(&DuckDbBench::new(), &reads, &choices).await });
    }

    #[test]
    fn calculated_states_in_any_order_become_those_of_the_model(reads in reads(), choices in choices()) {
        block_on(async { assert_reads_in_any_order(&DuckDbBench::new(), &reads, &choices).await });
    }
}
