//! What is tried in turns, since all of it takes too long on a program that plays a warehouse: a part on each day, another
//! one on the next. `TURN` names a day by its number, and `TURN=all` tries everything.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Bench;

/// The number of orders of arrival that a slow warehouse has on one day.
const ORDERS: usize = 4;
/// The number of statements from one crash to the next.
const CRASH_STRIDE: usize = 5;
const SECONDS_OF_A_DAY: u64 = 86_400;

/// Returns the number of this day, or `None` for all of them.
fn turn() -> Option<usize> {
    match std::env::var("TURN").ok().as_deref() {
        Some("all") => None,
        Some(day) => Some(day.parse().expect("TURN is a number, or all")),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a day after 1970");
            Some((now.as_secs() / SECONDS_OF_A_DAY) as usize)
        }
    }
}

/// Returns the orders that a bench tries, with their numbers: all of them, or those of this day where a merge is slow.
pub(super) fn tried<T>(bench: &dyn Bench, orders: Vec<T>) -> Vec<(usize, T)> {
    of_turn(orders, bench.is_slow().then(turn).flatten())
}

fn of_turn<T>(orders: Vec<T>, turn: Option<usize>) -> Vec<(usize, T)> {
    let stride = if turn.is_some() { orders.len().div_ceil(ORDERS) } else { 1 };
    let first = turn.unwrap_or(0) % stride;
    orders.into_iter().enumerate().skip(first).step_by(stride).collect()
}

/// Returns the numbers of the statements after which a merge is cut: none of them, then every fifth.
pub(crate) fn crash_points() -> impl Iterator<Item = usize> {
    points_of_turn(turn())
}

fn points_of_turn(turn: Option<usize>) -> impl Iterator<Item = usize> {
    let (first, stride) = turn.map_or((1, 1), |turn| (1 + turn % CRASH_STRIDE, CRASH_STRIDE));
    std::iter::once(0).chain((first..).step_by(stride))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_orders_have_their_turn() {
        for length in [1, 3, 6, 16, 20, 24] {
            let orders: Vec<usize> = (0..length).collect();
            let of_day = |day| of_turn(orders.clone(), Some(day)).into_iter().map(|(n, _)| n);
            let days = length.div_ceil(ORDERS);
            assert!((0..days).all(|day| (1..=ORDERS).contains(&of_day(day).count())), "{length}");
            assert_eq!((0..days).flat_map(of_day).collect::<BTreeSet<_>>().len(), length);
            assert_eq!(of_turn(orders.clone(), None).len(), length);
        }
    }

    #[test]
    fn all_statements_have_their_turn() {
        let days = 7..7 + CRASH_STRIDE;
        let points: BTreeSet<usize> = days.flat_map(|day| points_of_turn(Some(day)).take(11)).collect();
        assert!((0..50).all(|point| points.contains(&point)), "{points:?}");
        assert!(points_of_turn(None).take(50).eq(0..50));
    }
}
