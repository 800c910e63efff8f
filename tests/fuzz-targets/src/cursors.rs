//! A feed's cursor, as a state holds it: what does not parse is an error, what does can be worked with.

use hubspot::feeds::{Cursor, Lookback, Slice};

pub fn run(data: &[u8]) {
    if let Ok(mut slice) = serde_json::from_slice::<Slice>(data) {
        split(&mut slice);
    }
    let Ok(mut cursor) = serde_json::from_slice::<Cursor>(data) else { return };
    let written = serde_json::to_string(&cursor).expect("a cursor is JSON");
    let again = serde_json::from_str::<Cursor>(&written).expect("a cursor that was written can be read");
    assert_eq!(again, cursor, "a cursor is the same when it is written");
    if let Some(run) = &mut cursor.run {
        assert!((0.0..=1.0).contains(&run.done_share()));
        for slice in run.slices.iter_mut().chain(&mut run.then) {
            split(slice);
        }
    }
    cursor.lose("forms", "switched off".to_owned());
    cursor.finish(Lookback::default());
    assert!(cursor.run.is_none());
}

/// A slice that is cut loses nothing and doubles nothing.
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
