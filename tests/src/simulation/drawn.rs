//! The account of a life, and how its HubSpot behaves, drawn with the seed's dice.

use std::time::Duration;

use fake_hubspot::{Behaviour, Faults, IndexLag, Limits, Marketing, PagingWords, PerType, Settings};
use fastrand::Rng;

pub(super) fn settings(dice: &mut Rng) -> Settings {
    let share = |dice: &mut Rng, most: f64| if dice.bool() { 0.0 } else { dice.f64() * most };
    // More archived contacts than each run reads.
    let has_long_archive = dice.u8(..16) == 0;
    Settings {
        seed: dice.u64(..),
        records: PerType {
            contacts: if has_long_archive { 680 } else { dice.usize(1..250) },
            companies: dice.usize(1..80),
            deals: dice.usize(1..80),
        },
        bulk_import: PerType { contacts: if dice.u8(..5) == 0 { 150 } else { 0 }, companies: 0, deals: 0 },
        custom_properties: PerType { contacts: dice.usize(..12), companies: 0, deals: dice.usize(..4) },
        archived: if has_long_archive { 0.8 } else { share(dice, 0.3) },
        merged: share(dice, 0.2),
        bulk_edited: share(dice, 0.5),
        odd_values: share(dice, 0.1),
        merges_undone: share(dice, 0.5),
        updated_at_behind: share(dice, 1.0),
        merge_keeps_primary_id: dice.bool(),
        marketing: Marketing {
            lists: dice.usize(2..12),
            campaigns: dice.usize(1..8),
            email_events: dice.usize(1..150),
            subscription_changes: dice.usize(1..60),
            days: 20,
            ..Marketing::default()
        },
        ..Settings::default()
    }
}

pub(super) fn behaviour(dice: &mut Rng) -> Behaviour {
    // Each of them costs a second of waiting; locks and slowness cost more and show nothing else.
    let share = if dice.u8(..3) == 0 { 0.0 } else { dice.f64() * 0.005 };
    let faults = Faults {
        internal_error: share,
        bad_gateway: share,
        gateway_timeout: share,
        reset: share,
        truncated: share,
        limit_burst: share / 10.0,
        ..Faults::none()
    };
    let lag = Duration::from_millis(dice.u64(..300));
    Behaviour {
        seed: dice.u64(..),
        limits: Limits { general: 50_000, search: 5_000, associations: 50_000, ..Limits::default() },
        faults,
        latency: Duration::from_millis(dice.u64(..4)),
        jitter: Duration::from_millis(dice.u64(..4)),
        index_lag: IndexLag {
            stragglers: 0.05,
            standstill: Duration::from_millis(if dice.bool() { 0 } else { dice.u64(..600) }),
            period: Duration::from_secs(1),
            ..IndexLag::up_to(lag)
        },
        arrival_jitter: Duration::from_secs(if dice.bool() { 0 } else { dice.u64(..31) }),
        windows_are_ignored: dice.u8(..8) == 0,
        offsets_lead_back: dice.u8(..8) == 0,
        v1_lag: Duration::from_millis(if dice.bool() { 0 } else { dice.u64(..300) }),
        short_pages: if dice.bool() { 0.0 } else { dice.f64() },
        repeat_associations_per_label: dice.bool(),
        inline_associations: [100, 1, 3][dice.usize(..3)],
        associations_page: [500, 1, 4][dice.usize(..3)],
        ignores_association_after: dice.u8(..6) == 0,
        definition_nulls: if dice.bool() { 0.0 } else { dice.f64() },
        after_is_lower_bound: dice.u8(..4) > 0,
        parts: if dice.bool() { 0.0 } else { dice.f64() * 0.2 },
        paging_words: [
            PagingWords::AsDocumented,
            PagingWords::Dashed,
            PagingWords::Underscored,
            PagingWords::Missing,
        ][dice.usize(..4)],
        most_memberships: if dice.u8(..4) == 0 { dice.usize(1..100) } else { 100 },
        has_all_lists: dice.u8(..3) != 0,
        ignores_list_type: dice.u8(..4) == 0,
        ..Behaviour::default()
    }
}
