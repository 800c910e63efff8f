//! Reports of runs, which may name a record by its id, such as one that HubSpot answers badly.

use serde_json::Value;
use staging::{Person, State};

/// Reports of one name that are looked at: more are never kept.
const MOST: usize = 10_000;
/// Text in the place of an id or an address.
const SOMEBODY: &str = "(forgotten)";

/// Takes ids and addresses of the person out of the reports that the state keeps.
pub(super) async fn without(person: &Person, state: &State) -> anyhow::Result<()> {
    for name in state.recorded().await? {
        for mut record in state.records(&name, MOST).await? {
            if redact(&mut record.report, person) {
                state.record(&record).await?;
            }
        }
    }
    Ok(())
}

/// Returns `true` if anything was taken out.
fn redact(value: &mut Value, person: &Person) -> bool {
    match value {
        Value::String(text) => match redacted(text, person) {
            Some(without) => {
                *text = without;
                true
            }
            None => false,
        },
        Value::Array(values) => {
            values.iter_mut().fold(false, |is_changed, value| redact(value, person) | is_changed)
        }
        Value::Object(fields) => {
            fields.values_mut().fold(false, |is_changed, value| redact(value, person) | is_changed)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// `None`: the text names nobody.
fn redacted(text: &str, person: &Person) -> Option<String> {
    let is_of_word = |c: char| c.is_alphanumeric() || "@.+-_%'".contains(c);
    let mut without = String::new();
    let mut rest = text;
    let mut is_named = false;
    while let Some(start) = rest.find(is_of_word) {
        let (before, word) = rest.split_at(start);
        let (word, after) = word.split_at(word.find(|c| !is_of_word(c)).unwrap_or(word.len()));
        let bare = word.trim_matches(['.', '\'']);
        let is_it = bare.parse().is_ok_and(|id: u64| person.ids.contains(&id))
            || person.addresses.contains(&bare.to_lowercase());
        without.push_str(before);
        without.push_str(if is_it { SOMEBODY } else { word });
        is_named |= is_it;
        rest = after;
    }
    without.push_str(rest);
    is_named.then_some(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_addresses_leave_texts_as_whole_words() {
        let mut person = Person { ids: [12].into(), ..Person::default() };
        person.add_address("ada@x.com");
        assert_eq!(
            redacted("gone 12, missing 123", &person).as_deref(),
            Some("gone (forgotten), missing 123")
        );
        assert_eq!(redacted("of Ada@X.com.", &person).as_deref(), Some("of (forgotten)"));
        assert_eq!(redacted("120 of nada@x.com in 2012-12", &person), None);
        let mut report = serde_json::json!({"rows": 12, "quarantined": [{"id": "12", "reason": "x"}]});
        assert!(redact(&mut report, &person));
        assert_eq!(report, serde_json::json!({"rows": 12, "quarantined": [{"id": SOMEBODY, "reason": "x"}]}));
        assert!(!redact(&mut report, &person));
    }
}
