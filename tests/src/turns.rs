//! Cases that are tried in turns, since all of them take too long: a part on each day. `TURN` names a day by its number,
//! and `TURN=all` tries all of them.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_OF_A_DAY: u64 = 86_400;

/// `true`: this is the day of the case, of which there is one in so many days.
pub fn has_turn(case: usize, days: usize) -> bool {
    let day = match std::env::var("TURN").ok().as_deref() {
        Some("all") => return true,
        Some(day) => day.parse().expect("TURN is a number, or all"),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a day after 1970");
            (now.as_secs() / SECONDS_OF_A_DAY) as usize
        }
    };
    (case + day).is_multiple_of(days)
}
