//! Reasons of runs, without what may be about a person.

use std::collections::BTreeSet;

/// Stands for what is left out.
const LEFT_OUT: char = '…';
/// Most characters of a reason.
const MAX_CHARACTERS: usize = 400;

/// Words that may follow a number that counts or measures; any other number may be the id of a record.
const UNITS: &[&str] = &[
    "%",
    "more",
    "row",
    "rows",
    "record",
    "records",
    "file",
    "files",
    "call",
    "calls",
    "round",
    "rounds",
    "table",
    "tables",
    "column",
    "columns",
    "run",
    "runs",
    "place",
    "places",
    "attempt",
    "attempts",
    "time",
    "times",
    "form",
    "forms",
    "s",
    "ms",
    "second",
    "seconds",
    "min",
    "minute",
    "minutes",
    "h",
    "hour",
    "hours",
    "day",
    "days",
    "byte",
    "bytes",
    "kb",
    "mb",
    "gb",
    "missing",
    "removed",
    "outdated",
    "deleted",
    "values",
    "properties",
];
/// Words that a record's id follows, whatever follows that.
const OF_RECORDS: &[&str] =
    &["record", "records", "id", "ids", "vid", "vids", "contact", "company", "deal", "object"];
/// Words that a status code of HTTP follows.
const STATUS: &[&str] = &["http", "status", "answers", "answered"];

/// Returns a reason without ids, addresses and values. Numbers stay that count something, and status codes; quoted
/// texts stay that are among the known names.
pub(super) fn reason(text: &str, names: &BTreeSet<String>) -> String {
    let mut short = without_quoted(text, names);
    if let Some((end, _)) = short.char_indices().nth(MAX_CHARACTERS - 1) {
        short.truncate(end);
        short.push(LEFT_OUT);
    }
    let words: Vec<&str> = short.split_whitespace().collect();
    let word_at = |n: Option<usize>| n.and_then(|n| words.get(n)).copied().unwrap_or_default();
    let shown = words.iter().enumerate().map(|(n, word)| {
        // Some of things that were named before.
        let is_share = (word_at(Some(n + 1)), plain(word_at(Some(n + 2))).as_str()) == ("of", "them");
        let after = if is_share { UNITS[0] } else { word_at(Some(n + 1)) };
        shown(word, word_at(n.checked_sub(1)), after)
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Returns the text with what stands in quotes left out, unless it is a known name.
fn without_quoted(text: &str, names: &BTreeSet<String>) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['"', '`', '“', '\'']) {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        let Some(open) = from.chars().next() else { break };
        let inner = &from[open.len_utf8()..];
        // An apostrophe within a word begins nothing.
        if open == '\'' && before.ends_with(char::is_alphanumeric) {
            kept.push(open);
            rest = inner;
            continue;
        }
        let close = if open == '“' { '”' } else { open };
        let end = inner.find(close);
        let quoted = &inner[..end.unwrap_or(inner.len())];
        kept.push(open);
        match names.contains(quoted) {
            true => kept.push_str(quoted),
            false => kept.push(LEFT_OUT),
        }
        kept.push(close);
        rest = end.map_or("", |end| &inner[end + close.len_utf8()..]);
    }
    kept.push_str(rest);
    kept
}

fn shown(word: &str, before: &str, after: &str) -> String {
    let is_address = word.contains('@') || word.to_ascii_lowercase().contains("%40");
    if is_address || word.contains('=') {
        return LEFT_OUT.to_string();
    }
    if !word.contains(|character: char| character.is_ascii_digit()) {
        return word.to_owned();
    }
    let number = word.trim_matches(|character: char| !character.is_ascii_digit() && character != '%');
    let is_status = number.len() == 3 && STATUS.contains(&plain(before).as_str());
    let is_count = !OF_RECORDS.contains(&plain(before).as_str())
        && is_number(number.trim_end_matches('%'))
        && !word.ends_with([',', ';', ':', ')'])
        && (number.ends_with('%') || UNITS.contains(&plain(after).as_str()));
    if is_status || is_count {
        return word.to_owned();
    }
    // What is around a number may be a word, such as v3; the number goes.
    let mut left = String::new();
    for character in word.chars() {
        match character.is_ascii_digit() {
            true if left.ends_with(LEFT_OUT) => {}
            true => left.push(LEFT_OUT),
            false => left.push(character),
        }
    }
    left
}

fn plain(word: &str) -> String {
    word.trim_matches(|character: char| !character.is_alphanumeric() && character != '%').to_ascii_lowercase()
}

/// `true`: digits, perhaps with points and commas among them.
fn is_number(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|character| character.is_ascii_digit() || ".,".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        reason(text, &BTreeSet::from(["deals".to_owned()]))
    }

    #[test]
    fn ids_addresses_and_values_go() {
        for (text, expected) in [
            (
                "HubSpot answers badly for 3 of them: record 51 (status 500), record 90210 (status 500), ...",
                "HubSpot answers badly for 3 of them: record … (status 500), record … (status 500), ...",
            ),
            ("HubSpot answers 500 for record 51 of 3 files", "HubSpot answers 500 for record … of 3 files"),
            ("contact 51 missing", "contact … missing"),
            ("missing 17, outdated 4711; run again", "missing …, outdated …; run again"),
            ("GET /contacts/v1/contact/vid/77/profile: 404", "GET /contacts/v…/contact/vid/…/profile: …"),
            ("nobody of ann@example.com", "nobody of …"),
            ("nobody of ann%40example.com", "nobody of …"),
            ("could not convert string 'Ann Miller' to INT64", "could not convert string '…' to INT…"),
            ("the table \"deals\" lacks \"Ann\"", "the table \"deals\" lacks \"…\""),
            ("Key (email)=(ann) is taken", "Key … is taken"),
            ("an open quote \"Ann Miller", "an open quote \"…\""),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn counts_and_words_stay() {
        for text in [
            "deadline: the run's time is over, 37 % of it done",
            "deals still differs from HubSpot after 50 rounds: run again",
            "HubSpot answers 403: the scope crm.objects.deals.read is missing",
            "the account's calls of the day are used up",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown(&"long ".repeat(200)).chars().count(), MAX_CHARACTERS);
    }
}
