//! The lists of an account. Their ids overlap with those of v1, where the same id is another list.

use chrono::{DateTime, TimeDelta, Utc};

use super::{List, Lists, Membership, Processing};
use crate::account::Objects;
use crate::dice::Dice;
use crate::object_type::OfAccount;
use crate::{ObjectType, Settings, time};

pub(in crate::account) fn generate(
    settings: &Settings,
    newest: DateTime<Utc>,
    objects: &OfAccount<Objects>,
) -> Lists {
    let mut lists = Lists::default();
    let mut dice = Dice::nth(settings.seed, 22);
    for number in 0..settings.marketing.lists as u64 {
        let object = if number % 6 == 5 { ObjectType::Companies } else { ObjectType::Contacts };
        let processing = match number % 4 {
            0 => Processing::Dynamic,
            3 => Processing::Snapshot,
            _ => Processing::Manual,
        };
        let before = |dice: &mut Dice, from, to| newest - TimeDelta::milliseconds(dice.between(from, to));
        let created_at = before(&mut dice, 400 * DAY, 1_400 * DAY);
        let name = format!("{} {number}", NAMES[number as usize % NAMES.len()]);
        let id = number + 1;
        let mut list = List::new(id, object, &name, processing, created_at);
        list.updated_at = before(&mut dice, 0, 400 * DAY);
        list.filters_updated_at = created_at;
        list.version = 1 + dice.below(9);
        list.legacy_id = (number % 5 != 4).then_some(id + 2);
        list.is_processing = number % 7 == 6;
        list.folder = (number % 3 == 0).then_some("Campaign \"A\"");
        list.filter_values = settings.marketing.filter_values;
        list.updated_by += dice.below(3) * 7;
        list.deleted_at = (number % 10 == 9).then(|| before(&mut dice, 0, 80 * DAY));
        let share = SHARES[number as usize % SHARES.len()];
        let members: Vec<u64> = objects[object].live.keys().copied().filter(|_| dice.chance(share)).collect();
        for member in members {
            let first = (newest - created_at).num_milliseconds();
            let first_added_at = time::millisecond(before(&mut dice, 0, first));
            let again = dice.between(0, (newest - first_added_at).num_milliseconds());
            let was_added_again = dice.chance(0.1);
            let last_added_at = if was_added_again {
                first_added_at + TimeDelta::milliseconds(again)
            } else {
                first_added_at
            };
            list.members.insert(member, Membership { first_added_at, last_added_at });
            list.last_added_at = list.last_added_at.max(Some(last_added_at));
        }
        let is_static = processing == Processing::Manual && !list.members.is_empty();
        list.last_removed_at = (is_static && dice.chance(0.5)).then(|| before(&mut dice, 0, 100 * DAY));
        lists.lists.insert(id, list);
    }
    lists
}

const DAY: i64 = 86_400_000;
const NAMES: [&str; 5] = ["All leads", "Größe \"L\"", "Webinar 2026", "Unengaged", "北京"];
/// Shares of the account's records that are members, list by list.
const SHARES: [f64; 6] = [0.4, 0.15, 0.05, 0.02, 0.0, 0.1];
