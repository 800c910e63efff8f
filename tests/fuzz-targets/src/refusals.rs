//! Error answers and headers: a line with the status and a path's number, lines of headers, an empty line, the body.

use std::time::Duration;

use bytes::Bytes;
use hubspot::fuzzing::{Answer, client, is_refreshed, waits};
use hubspot::{Call, RateLimit};

const STATUSES: [u16; 16] = [200, 207, 301, 400, 401, 403, 404, 408, 414, 423, 429, 477, 500, 502, 524, 530];
const PATHS: [&str; 4] =
    ["/crm/objects/2026-09/contacts?limit=1", "/email/public/v1/events", "/contacts/v1/contact", "/x"];
/// Longest wait for a call's turn, whatever limits HubSpot answers.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const LONGEST_MESSAGE: usize = 4_000;

pub fn run(data: &[u8]) {
    let Some((&chosen, rest)) = data.split_first() else { return };
    let (status, path) = (STATUSES[usize::from(chosen % 16)], PATHS[usize::from(chosen >> 4) % 4]);
    let (headers, body) = head_and_body(rest);
    let answer = Answer::new(status, &headers, Bytes::copy_from_slice(body));
    let reserve = if chosen & 0x80 == 0 { 0.0 } else { 0.1 };
    let client = client([answer], reserve);
    let sent = futures::executor::block_on(client.send(&Call::get(path)));
    match sent {
        // A byte that is no UTF-8 is replaced before anything is read.
        Ok(answer) => assert!(matches!(status, 200 | 207) && *answer == *String::from_utf8_lossy(body)),
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() <= LONGEST_MESSAGE, "a message is a line: {} bytes", message.len());
            assert!(!message.chars().any(char::is_control), "a message is one line: {message:?}");
        }
    }
    let wait = waits(&client, Duration::from_secs(1)).into_iter().max();
    assert!(wait <= Some(LONGEST_WAIT), "{wait:?} is no wait for a turn");
    for bucket in RateLimit::ALL {
        assert!(client.budget().limit(bucket) > 0);
    }
    let _ = (client.budget().daily(), client.now().to_rfc3339(), is_refreshed(body));
}

type Headers<'a> = Vec<(&'a [u8], &'a [u8])>;

fn head_and_body(mut rest: &[u8]) -> (Headers<'_>, &[u8]) {
    let mut headers = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        match line.iter().position(|&byte| byte == b':') {
            Some(colon) => headers.push((&line[..colon], line[colon + 1..].trim_ascii())),
            None => break,
        }
    }
    (headers, rest)
}
