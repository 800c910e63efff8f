//! Private functions, for `tests/fuzz-targets`.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::file::{Description, Tail, describe_tail, describe_whole};

/// As [`crate::describe`], of bytes.
pub fn describe(bytes: Bytes) -> anyhow::Result<Description> {
    describe_whole("a staged file", bytes)
}

/// As an object in S3 is described: by its last bytes, and by more of them where those are too few.
pub fn describe_by_tail(bytes: &Bytes, mut tail: usize) -> anyhow::Result<Description> {
    loop {
        let begin = bytes.len() - tail.min(bytes.len());
        match describe_tail("a staged file", &bytes.slice(begin..), bytes.len() as u64)? {
            Tail::Description(description) => return Ok(*description),
            Tail::TooShort(needed) => {
                assert!(needed > tail as u64, "{tail} bytes are too few, and {needed} are asked for");
                anyhow::ensure!(needed <= bytes.len() as u64, "more is asked for than there is");
                tail = needed as usize;
            }
        }
    }
}

/// `true`: the bytes are a document of a state folder, with a cursor of this type.
pub fn is_document<C: Serialize + DeserializeOwned + Default>(bytes: &[u8]) -> bool {
    crate::state::is_document::<C>(bytes)
}

/// A cursor as the state table holds it.
pub fn decompress<C: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<C> {
    crate::state::decompress(bytes)
}
