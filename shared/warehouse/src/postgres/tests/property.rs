//! The properties of [`crate::conformance::property`] on PostgreSQL.

use proptest::prelude::*;

use super::PostgresBench;
use crate::conformance::property::{arrivals, assert_newest_wins, block_on, table_of, versions};
use crate::conformance::property_sets::{assert_sets_are_whole, members, set_table_of};

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_table_is_the_newest_version_of_every_row(versions in versions(), arrival in arrivals()) {
        block_on(async {
            let Some(bench) = PostgresBench::new().await else { return };
            assert_newest_wins(&bench, versions, &arrival).await;
            bench.close().await;
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
                let Some(bench) = PostgresBench::new().await else { return };
                tables.push(table_of(&bench, &versions, &arrival).await);
            bench.close().await;
            }
        });
        tables.dedup();
        prop_assert!(tables.len() < 2, "{tables:?}");
    }

    #[test]
    fn what_its_set_no_longer_has_is_deleted(members in members(), arrival in arrivals()) {
        block_on(async {
            let Some(bench) = PostgresBench::new().await else { return };
            assert_sets_are_whole(&bench, members, &arrival).await;
            bench.close().await;
        });
    }

    #[test]
    fn sets_do_not_depend_on_files_or_order(members in members(), one in arrivals(), other in arrivals()) {
        let mut tables = Vec::new();
        block_on(async {
            for arrival in [one, other] {
                let Some(bench) = PostgresBench::new().await else { return };
                tables.push(set_table_of(&bench, &members, &arrival).await);
            bench.close().await;
            }
        });
        tables.dedup();
        prop_assert!(tables.len() < 2, "{tables:?}");
    }
}
