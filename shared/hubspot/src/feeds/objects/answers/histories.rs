//! Records of an answer that shows their past: what each property was, and since when.

use crate::json::{Malformed, Scanner};
use crate::value;

/// A record of an answer, as far as its past needs it.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct Shown<'a> {
    pub(in crate::feeds::objects) id: Option<u64>,
    pub(in crate::feeds::objects) properties: Option<&'a str>,
    pub(in crate::feeds::objects) past: Option<&'a str>,
}

impl<'a> Shown<'a> {
    /// Reads as much of a record as is needed.
    pub(in crate::feeds::objects) fn of(json: &'a str) -> Result<Shown<'a>, Malformed> {
        let mut shown = Shown::default();
        Scanner::new(json).each_field(|key, value| {
            match key.raw() {
                "id" => shown.id = Some(value.id()?),
                "properties" if value.is_object() => shown.properties = Some(value.raw()?),
                "propertiesWithHistory" if value.is_object() => shown.past = Some(value.raw()?),
                _ => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        Ok(shown)
    }

    /// Returns those of the names whose properties have a value.
    pub(in crate::feeds::objects) fn valued<'n>(&self, names: &[&'n str]) -> Result<Vec<&'n str>, Malformed> {
        let mut valued = Vec::new();
        if let Some(properties) = self.properties {
            Scanner::new(properties).each_field(|key, value| {
                match names.iter().find(|name| !value.is_nested() && **name == key.text()) {
                    Some(name) if value.scalar()?.is_some_and(|text| !text.is_empty()) => valued.push(*name),
                    Some(_) => {}
                    None => value.skip()?,
                }
                Ok::<_, Malformed>(())
            })?;
        }
        Ok(valued)
    }
}

/// A past value of a property, and when it was set.
pub(in crate::feeds::objects) struct Entry<'a> {
    pub(in crate::feeds::objects) json: &'a str,
    pub(in crate::feeds::objects) at_ms: Option<i64>,
}

impl<'a> Entry<'a> {
    /// Reads when the value was set.
    pub(in crate::feeds::objects) fn of(json: &'a str) -> Result<Entry<'a>, Malformed> {
        let mut at_ms = None;
        Scanner::new(json).each_field(|key, value| {
            match key.raw() == "timestamp" && !value.is_nested() {
                true => at_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text())),
                false => value.skip()?,
            }
            Ok::<_, Malformed>(())
        })?;
        Ok(Entry { json, at_ms })
    }
}

/// The entries of an answer from the first to the last that was set. HubSpot shows the newest first; entries of one moment
/// keep the order of the answer.
pub(in crate::feeds::objects) fn oldest_first<'e, 'a>(entries: &'e [Entry<'a>]) -> Vec<&'e Entry<'a>> {
    let mut ordered: Vec<&Entry<'_>> = entries.iter().collect();
    let ends = ordered.first().zip(ordered.last()).map(|(first, last)| (first.at_ms, last.at_ms));
    if !ends.is_some_and(|(first, last)| first.is_some() && first < last) {
        ordered.reverse();
    }
    // One without a time stays beside the one before it.
    let mut last_ms = i64::MIN;
    let mut timed: Vec<(i64, &Entry<'_>)> = Vec::with_capacity(ordered.len());
    for entry in ordered {
        last_ms = entry.at_ms.unwrap_or(last_ms);
        timed.push((last_ms, entry));
    }
    timed.sort_by_key(|(at_ms, _)| *at_ms);
    timed.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(entries: &[(&'static str, Option<i64>)]) -> Vec<&'static str> {
        let entries: Vec<Entry<'static>> =
            entries.iter().map(|&(json, at_ms)| Entry { json, at_ms }).collect();
        oldest_first(&entries).into_iter().map(|entry| entry.json).collect()
    }

    #[test]
    fn entries_come_in_the_order_in_which_they_were_set() {
        let newest_first = [("d", Some(9)), ("c", Some(5)), ("b", Some(5)), ("a", Some(1))];
        assert_eq!(order(&newest_first), ["a", "b", "c", "d"]);
        assert_eq!(
            order(&[("a", Some(1)), ("b", Some(5)), ("c", Some(5)), ("d", Some(9))]),
            ["a", "b", "c", "d"]
        );
        assert_eq!(
            order(&[("c", Some(5)), ("d", Some(9)), ("b", Some(5)), ("a", Some(1))]),
            ["a", "b", "c", "d"]
        );
        assert_eq!(order(&[("b", Some(5)), ("a", Some(5))]), ["a", "b"]);
        assert_eq!(order(&[("c", Some(5)), ("b", None), ("a", Some(1))]), ["a", "b", "c"]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn a_record_is_found_with_its_past_wherever_it_stands() {
        let json =
            r#"{"propertiesWithHistory":{"amount":[]},"properties":{"amount":"5","x":{"y":1}},"id":"7"}"#;
        let shown = Shown::of(json).unwrap();
        assert_eq!((shown.id, shown.past), (Some(7), Some(r#"{"amount":[]}"#)));
        assert_eq!(shown.valued(&["amount", "x", "z"]).unwrap(), ["amount"]);
        assert!(
            Shown::of(r#"{"properties":{"amount":""}}"#).unwrap().valued(&["amount"]).unwrap().is_empty()
        );
        assert!(Shown::of(r#"{"id":"7","propertiesWithHistory":null}"#).unwrap().past.is_none());
    }
}
