//! Cursors as the table holds them: JSON, compressed with zstd.

use std::io::Read;

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// Bytes that a cursor may take when it is read: ten times what its sets take when they are full.
const MAX_CURSOR_BYTES: u64 = 64 << 20;
/// The decoder's window: 8 MB, and our own frames have 2 MB.
const MAX_WINDOW_LOG: u32 = 23;

pub(super) fn compressed(json: &str) -> Result<Vec<u8>, Error> {
    zstd::encode_all(json.as_bytes(), 3)
        .map_err(|source| Error::new(ErrorKind::Io, "the cursor can't be compressed").caused_by(source))
}

pub(crate) fn decompress<C: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<C> {
    // One that is too long is cut, and does not parse.
    Ok(serde_json::from_slice(&decompressed(bytes)?)?)
}

pub(super) fn decompressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::new(bytes)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    let mut json = Vec::new();
    decoder.take(MAX_CURSOR_BYTES).read_to_end(&mut json)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_grows_beyond_all_measure_is_none() {
        let json = |length: u64| format!("[{}0]", "0,".repeat((length / 2) as usize));
        let read = |length| {
            let compressed = zstd::encode_all(json(length).as_bytes(), 3).unwrap();
            assert!(compressed.len() < 300 << 10, "{} bytes", compressed.len());
            decompress::<serde::de::IgnoredAny>(&compressed)
        };
        assert!(read(MAX_CURSOR_BYTES / 2).is_ok());
        assert!(read(2 * MAX_CURSOR_BYTES).is_err());
    }
}
