//! Cursors in a state: a text that does not parse is an error, and a run can go on from any other.

use futures::executor::block_on;
use hubspot::feeds::{Cursor, FEEDS, Lookback, Mode, Slice, Unfinished};

use crate::feeds::opened;

pub fn run(data: &[u8]) {
    let Ok(mut cursor) = serde_json::from_slice::<Cursor>(data) else { return };
    let written = serde_json::to_string(&cursor).expect("a cursor is JSON");
    let again = serde_json::from_str::<Cursor>(&written).expect("a cursor that was written can be read");
    assert_eq!(again, cursor, "a cursor is the same when it is written");
    cursor.lose("forms", "switched off".to_owned());
    for feed in FEEDS {
        let mut cursor = cursor.clone();
        opened(*feed, Mode::Incremental, |open| {
            let resumed = cursor.run.as_mut().map(|run| block_on(open.resume(run)));
            if let (Some(run), Some(Ok(()))) = (&mut cursor.run, resumed) {
                assert!((0.0..=1.0).contains(&run.done_share()));
                run.slices.iter_mut().for_each(split);
                let written = serde_json::to_string(run).expect("a run is JSON");
                assert_eq!(serde_json::from_str::<Unfinished>(&written).ok().as_ref(), Some(&*run));
            }
            let had_paused = cursor.paused.is_some();
            if open.finish(&mut cursor, Lookback::default()).is_ok() {
                assert!(cursor.paused.is_none() && (had_paused || cursor.run.is_none()));
            }
        });
    }
}

/// Checks that the parts of a split slice cover it without gap and without overlap.
fn split(slice: &mut Slice) {
    for page_span in [0, 1, 1_000, u64::MAX] {
        let before = slice.width();
        if let Some(other) = slice.split(page_span) {
            let (lower, upper) = (slice.width(), other.width());
            assert!(lower < before && upper < before, "{before} is cut into {lower} and {upper}");
            // The instant between two windows is in one of them; ids have no such instant.
            assert!((before - 1..=before).contains(&(lower + upper)), "{before} into {lower} and {upper}");
        }
    }
}
