//! Reading of an answer's body from the network.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// A page of 100 records of 1,500 long properties stays under 30 MB; more than this is no answer of this API.
const MAX_BODY_BYTES: usize = 128 << 20;
/// Longest pause in the middle of an answer.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20);

/// Reads the body into one buffer, allocated once if its length is known. An error without a cause is a pause too
/// long.
pub(super) async fn read_body(mut answer: reqwest::Response) -> Result<Bytes, Option<reqwest::Error>> {
    let expected = answer.content_length().unwrap_or(0).min(MAX_BODY_BYTES as u64) as usize;
    let Some(first) = next_chunk(&mut answer).await? else { return Ok(Bytes::new()) };
    if first.len() == expected {
        return Ok(first);
    }
    let mut body = BytesMut::with_capacity(expected.max(first.len()));
    body.extend_from_slice(&first);
    while let Some(chunk) = next_chunk(&mut answer).await? {
        // Past the bound the rest is dropped: what is left is not whole JSON, and is refused as that.
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

async fn next_chunk(answer: &mut reqwest::Response) -> Result<Option<Bytes>, Option<reqwest::Error>> {
    match tokio::time::timeout(SILENCE_TIMEOUT, answer.chunk()).await {
        Ok(chunk) => chunk.map_err(Some),
        Err(_) => Err(None),
    }
}
