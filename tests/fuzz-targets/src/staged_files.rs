//! Staged files: what is not one is an error, whatever it is, and a description is the same from all of a file and from
//! its end.
//!
//! Footers that the parquet crate is slow to read are left out: it takes no byte for an element of a list of booleans
//! that it skips, so that five bytes keep it for the seconds that it takes to count to 2,147,483,647.

use bytes::Bytes;
use staging::fuzzing::{describe, describe_by_tail};

pub fn run(data: &[u8]) {
    if data.windows(4).any(is_slow) {
        return;
    }
    let bytes = Bytes::copy_from_slice(data);
    let whole = describe(bytes.clone());
    for tail in [8, bytes.len() / 2] {
        match (&whole, describe_by_tail(&bytes, tail)) {
            (Ok(whole), Ok(of_tail)) => assert_eq!(*whole, of_tail),
            (Err(_), Err(_)) => {}
            (whole, of_tail) => panic!("all of it: {whole:?}, its end: {of_tail:?}"),
        }
    }
    if let Ok(description) = whole {
        assert!(description.table.check().is_ok());
    }
}

/// May begin a list of many booleans, or a map of them, in Thrift's compact form.
fn is_slow(bytes: &[u8]) -> bool {
    let is_boolean = |nibble| matches!(nibble, 1 | 2);
    let goes_on = |byte: u8| byte >= 0x80;
    let is_list = bytes[0] >> 4 == 15 && is_boolean(bytes[0] & 15) && goes_on(bytes[1]) && goes_on(bytes[2]);
    let is_map = goes_on(bytes[1]) && is_boolean(bytes[3] >> 4) && is_boolean(bytes[3] & 15);
    is_list || is_map
}
