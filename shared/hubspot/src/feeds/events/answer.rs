//! Reads an answer: its entries with their moments, and the odd ones among them.

use xxhash_rust::xxh3::xxh3_64;

use super::event_feed::EventFeed;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Malformed, Scanner};
use crate::value;

/// Characters of an entry's id that may be its name.
const MOST_ID_CHARS: usize = 64;

/// The moments of an answer's entries.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) newest_ms: Option<i64>,
    /// Those that lie in the slice, in no order.
    pub(super) moments: Vec<i64>,
    /// The sum of all entries' hashes: equal where an answer repeats another one.
    pub(super) print: u64,
    pub(super) entries: u64,
}

impl Shown {
    /// The moment down to which the answer has shown what there is below `top_ms`, if HubSpot's order is as a rule that of
    /// time: a tenth of the entries, and one at least, may be older than their neighbours. `None` where there is none
    /// below.
    pub(super) fn reached_ms(&mut self, top_ms: i64) -> Option<i64> {
        let last = self.moments.len().checked_sub(1)?;
        let odd = self.moments.len().div_ceil(10).min(last);
        self.moments.sort_unstable();
        self.moments[..=odd].iter().rev().copied().find(|&at_ms| at_ms < top_ms)
    }
}

/// Calls `each` with every entry of an answer, its hash, and its moment or what is odd about it.
pub(super) fn each_entry<'a>(
    feed: &EventFeed,
    answer: &'a str,
    mut each: impl FnMut(&'a str, u64, Result<i64, Malformed>),
) -> Result<()> {
    let mut has_list = false;
    Scanner::new(answer).each_field(|key, value| {
        match key.raw() {
            name if name == feed.list => {
                has_list = true;
                value.each_item(|entry| {
                    let json = entry.raw()?;
                    each(json, xxh3_64(json.as_bytes()), instant_of(json, feed.instant));
                    Ok::<_, Malformed>(())
                })?;
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    if !has_list {
        let message = format!("an answer has no {}", feed.list);
        return Err(Error::new(ErrorKind::Malformed, message));
    }
    Ok(())
}

fn instant_of(entry: &str, key_of_instant: &str) -> Result<i64, Malformed> {
    let mut at_ms = None;
    let mut scanner = Scanner::new(entry);
    scanner.each_field(|key, value| {
        if key.raw() == key_of_instant && !value.is_nested() {
            at_ms = value.scalar()?.and_then(|text| value::instant_ms(&text.text()));
            return Ok(());
        }
        value.skip()
    })?;
    at_ms.ok_or(Malformed { at: 0, expected: "an entry with its time" })
}

/// HubSpot's id of an entry, or a hash of what has none.
pub(super) fn name_of(entry: &str, hash: u64) -> String {
    let mut name = None;
    // What is odd about it is known.
    let _ = Scanner::new(entry).each_field(|key, value| {
        if key.raw() == "id" && !value.is_nested() {
            name = value.scalar()?.map(|id| id.text().into_owned());
            return Ok::<_, Malformed>(());
        }
        value.skip()
    });
    let is_plain = |id: &String| {
        let is_of_an_id = |letter: char| letter.is_ascii_alphanumeric() || "-_:".contains(letter);
        !id.is_empty() && id.len() <= MOST_ID_CHARS && id.chars().all(is_of_an_id)
    };
    name.filter(is_plain).unwrap_or_else(|| format!("#{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(moments: &[i64], top_ms: i64) -> Option<i64> {
        Shown { moments: moments.to_vec(), ..Shown::default() }.reached_ms(top_ms)
    }

    #[test]
    fn an_odd_old_entry_says_nothing_of_what_is_between() {
        assert_eq!(reached(&[105, 104, 3], 200), Some(104));
        let mut page: Vec<i64> = (1_000..2_000).rev().collect();
        page[500] = 7;
        assert_eq!(reached(&page, 2_000), Some(1_099));
    }

    #[test]
    fn what_is_left_is_reached_at_last() {
        assert_eq!(reached(&[105, 100], 105), Some(100));
        assert_eq!(reached(&[105], 106), Some(105));
        assert_eq!(reached(&[105, 105], 105), None);
        assert_eq!(reached(&[], 105), None);
    }

    #[test]
    fn an_entry_is_named_by_its_id_or_its_hash() {
        assert_eq!(name_of(r#"{"type":"OPEN","id":"5d-6"}"#, 1), "5d-6");
        for nameless in [r#"{"id":{"a":1}}"#, r#"{"id":"ada@example.com"}"#, "null", r#"{"id":""}"#] {
            assert_eq!(name_of(nameless, 0xff), "#00000000000000ff", "{nameless}");
        }
    }
}
