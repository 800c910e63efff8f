//! Events of the functions, and contents of secrets. The first byte chooses the kind of the rest.

use extract::{credential, instant_ms, window};
use hubspot::Credential;
use secrecy::{ExposeSecret, SecretString};

pub fn run(data: &[u8]) {
    let Some((&chosen, rest)) = data.split_first() else { return };
    match chosen % 4 {
        0 => extract_event(rest),
        1 => load_event(rest),
        2 => secrets(rest),
        _ => windows(rest),
    }
}

fn extract_event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<extract::Event>(data) else { return };
    let written = serde_json::to_vec(&event).expect("an event is JSON");
    assert_eq!(serde_json::from_slice::<extract::Event>(&written).expect("an event"), event);
    let _ = event.options();
    let next = event.next();
    assert!(next.continuation > event.continuation || event.continuation == u32::MAX);
    assert!(next.options().is_ok(), "a run that goes on has no window of its own");
}

fn load_event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<load::Event>(data) else { return };
    let written = serde_json::to_vec(&event).expect("an event is JSON");
    assert_eq!(serde_json::from_slice::<load::Event>(&written).expect("an event"), event);
    let next = event.next();
    assert_eq!(next.scope(), event.scope());
    assert!(next.continuation > event.continuation || event.continuation == u32::MAX);
}

fn secrets(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match credential(text) {
        Ok(Credential::Token(token)) => {
            let token = token.expose_secret();
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Ok(Credential::OAuth { .. }) => {}
        Err(error) => shows_nothing(&format!("{error:#}"), text),
    }
    match load::password("arn:aws:secretsmanager:eu-central-1:1:secret:x", &SecretString::from(text)) {
        Ok(password) => assert!(!password.expose_secret().is_empty()),
        Err(error) => shows_nothing(&format!("{error:#}"), text),
    }
}

/// Checks that a message has none of the secret's text.
fn shows_nothing(message: &str, secret: &str) {
    assert!(message.is_ascii() && message.len() < 400, "{message:?}");
    for word in secret.split_ascii_whitespace().filter(|word| word.len() >= 16) {
        assert!(!message.contains(word), "{word:?} is in {message:?}");
    }
}

fn windows(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (since, until) = text.split_once(' ').map_or((text, None), |(since, until)| (since, Some(until)));
    if let Ok(window) = window(("since", Some(since)), ("until", until)) {
        assert_eq!(window.since_ms, instant_ms("since", since).ok());
        assert!(window.until_ms.is_none_or(|until_ms| window.since_ms < Some(until_ms)));
    }
}
