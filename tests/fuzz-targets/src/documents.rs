//! Documents of a state: those of a folder, a cursor as the state table holds it, the account's shared limits.

use std::time::Duration;

use hubspot::feeds::Cursor;

/// No call waits longer, whatever the document says.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

pub fn run(data: &[u8]) {
    staging::fuzzing::is_document::<Cursor>(data);
    let _ = serde_json::from_slice::<staging::Wanted>(data).map(|wanted| wanted.is_open());
    let _ = staging::fuzzing::decompress::<Cursor>(data);
    let waits = hubspot::fuzzing::take_calls(data).unwrap_or_default();
    assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT), "{waits:?}");
}
