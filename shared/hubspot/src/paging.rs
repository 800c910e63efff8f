//! Page tokens of answers, in any of HubSpot's spellings: `paging.next.after`, `hasMore` with `offset`, `has-more`
//! with `vid-offset`.
//!
//! No page is taken for the last one without a sign: a full page without a page token differs from one that is marked
//! as the last, and from one with unknown fields for paging.

use std::collections::BTreeSet;

use crate::error::{Error, ErrorKind};
use crate::json::Str;
use crate::json::scanner::{Malformed, Scanner};

/// The fields of an answer that are about paging.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paging {
    has_more: Option<bool>,
    after: Option<String>,
    offset: Option<String>,
    /// `true`: there is a field whose name suggests paging, and which is unknown.
    is_odd: bool,
    /// `true`: there is a next page, in unknown fields.
    has_odd_next: bool,
}

/// Start of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    At(String),
    /// There is no other page.
    End,
    /// The page has as many items as were asked for, and no page token.
    Full,
    /// There is another page without a page token, or a full page with unknown fields for paging.
    Unsaid,
}

/// Page tokens of one list that have been used.
#[derive(Debug, Default)]
pub(crate) struct Passed(BTreeSet<String>);

impl Passed {
    /// Notes a page token.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it was used before: the pages of the list, which is called `list`, have no end.
    pub(crate) fn pass(&mut self, position: &str, list: &str) -> Result<(), Error> {
        if self.0.insert(position.to_owned()) {
            return Ok(());
        }
        let message = format!("the pages of {list} lead back to one that was read");
        Err(Error::new(ErrorKind::Malformed, message))
    }
}

/// Parts of names that suggest paging.
const SOUNDS: [&str; 7] = ["pag", "more", "offset", "after", "cursor", "next", "token"];

impl Paging {
    /// Reads a field of the answer.
    pub(crate) fn field(&mut self, key: Str<'_>, value: &mut Scanner<'_>) -> Result<(), Malformed> {
        let name = folded(key.raw());
        match name.as_str() {
            "paging" | "pagination" if value.is_object() => self.paging(value),
            name => self.named(name, name, value),
        }
    }

    /// Reads a field with one of the known names. Another one is odd if its name suggests paging.
    fn named(&mut self, name: &str, sound: &str, value: &mut Scanner<'_>) -> Result<(), Malformed> {
        match name {
            "hasmore" | "more" | "hasnext" | "hasnextpage" if !value.is_nested() => {
                self.has_more = value.scalar()?.and_then(|word| match word.raw() {
                    "true" => Some(true),
                    "false" => Some(false),
                    _ => None,
                });
                Ok(())
            }
            "offset" | "vidoffset" | "nextoffset" if !value.is_nested() => {
                self.offset = text(value)?;
                Ok(())
            }
            "after" | "nextafter" if !value.is_nested() => {
                self.after = text(value)?;
                Ok(())
            }
            "next" => self.next_field(value),
            _ => self.odd(sound, value),
        }
    }

    /// Reads `{next: {after, link}}`, `{}`, or `{next: null}`.
    fn paging(&mut self, paging: &mut Scanner<'_>) -> Result<(), Malformed> {
        paging.each_field(|key, value| match folded(key.raw()).as_str() {
            "prev" | "previous" => value.skip(),
            name => self.named(name, if name.contains("next") { "paging next" } else { "paging" }, value),
        })
    }

    fn next_field(&mut self, next: &mut Scanner<'_>) -> Result<(), Malformed> {
        if !next.is_object() {
            if next.is_nested() {
                self.is_odd = true;
                return next.skip();
            }
            self.after = text(next)?;
            return Ok(());
        }
        let mut has_link = false;
        next.each_field(|key, value| match folded(key.raw()).as_str() {
            "after" | "offset" | "cursor" if !value.is_nested() => {
                self.after = text(value)?;
                Ok(())
            }
            "link" if !value.is_nested() => {
                has_link = text(value)?.is_some();
                Ok(())
            }
            name => self.odd(name, value),
        })?;
        self.has_odd_next |= has_link && self.after.is_none();
        Ok(())
    }

    fn odd(&mut self, name: &str, value: &mut Scanner<'_>) -> Result<(), Malformed> {
        let raw = value.raw()?;
        let is_nothing = matches!(raw, "null" | "false" | "{}" | "[]" | "\"\"");
        self.is_odd |= !is_nothing && SOUNDS.iter().any(|sound| name.contains(sound));
        self.has_odd_next |= !is_nothing && name.contains("next");
        Ok(())
    }

    /// Returns the start of the next page, after one with `shown` items of the `limit` that were asked for.
    pub(crate) fn next(&self, shown: usize, limit: usize) -> Next {
        let is_full = shown >= limit;
        match (self.has_more, &self.after, &self.offset) {
            (Some(false), ..) => Next::End,
            (_, Some(at), _) | (Some(true), None, Some(at)) => Next::At(at.clone()),
            (Some(true), None, None) => Next::Unsaid,
            // An offset stands beside the last page too: to follow it costs a page that is empty.
            (None, None, Some(at)) if shown > 0 => Next::At(at.clone()),
            (None, None, _) if self.has_odd_next || (is_full && self.is_odd) => Next::Unsaid,
            (None, None, _) if is_full => Next::Full,
            (None, None, _) => Next::End,
        }
    }
}

/// Returns the name in lower case, without dashes and underscores.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn text(value: &mut Scanner<'_>) -> Result<Option<String>, Malformed> {
    Ok(value.scalar()?.map(|text| text.text().into_owned()).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_passed_once() {
        let mut passed = Passed::default();
        assert!(passed.pass("20", "the forms").is_ok() && passed.pass("40", "the forms").is_ok());
        let error = passed.pass("20", "the forms").unwrap_err();
        assert_eq!(error.to_string(), "the pages of the forms lead back to one that was read");
    }

    fn next(answer: &str, shown: usize) -> Next {
        let mut paging = Paging::default();
        Scanner::new(answer).each_field(|key, value| paging.field(key, value)).unwrap();
        paging.next(shown, 10)
    }

    fn at(token: &str) -> Next {
        Next::At(token.to_owned())
    }

    #[test]
    fn every_spelling_of_more_is_followed() {
        for answer in [
            r#"{"hasMore":true,"offset":"7"}"#,
            r#"{"has-more":true,"vid-offset":7}"#,
            r#"{"has_more":true,"offset":"7","total":90}"#,
            r#"{"HasMore":"true","offset":"7"}"#,
            r#"{"paging":{"next":{"after":"7","link":"https://x"}}}"#,
            r#"{"paging":{"next":{"after":7},"prev":{"before":"1"}}}"#,
            r#"{"paging":{"next":"7"}}"#,
            r#"{"pagination":{"next_after":"7"}}"#,
        ] {
            assert_eq!(next(answer, 10), at("7"), "{answer}");
            assert_eq!(next(answer, 3), at("7"), "a short page is no end: {answer}");
        }
    }

    #[test]
    fn the_last_page_may_say_so_in_any_way() {
        for answer in [
            "{}",
            r#"{"paging":null}"#,
            r#"{"paging":{}}"#,
            r#"{"paging":{"next":null}}"#,
            r#"{"hasMore":false,"offset":"7"}"#,
            r#"{"has-more":false}"#,
        ] {
            assert_eq!(next(answer, 3), Next::End, "{answer}");
        }
        assert_eq!(next(r#"{"has-more":false,"offset":"7"}"#, 10), Next::End);
    }

    #[test]
    fn a_full_page_does_not_end_in_silence() {
        assert_eq!(next(r#"{"paging":{}}"#, 10), Next::Full);
        assert_eq!(next(r#"{"offset":"7"}"#, 10), at("7"));
        assert_eq!(next(r#"{"offset":"7"}"#, 0), Next::End);
        assert_eq!(next(r#"{"hasMore":true}"#, 10), Next::Unsaid);
        for odd in [r#"{"nextPageToken":"7"}"#, r#"{"paging":{"further":"7"}}"#] {
            assert_eq!(next(odd, 10), Next::Unsaid, "{odd}");
        }
    }

    #[test]
    fn a_short_page_that_tells_of_a_next_one_in_other_words_is_not_the_last() {
        for odd in [
            r#"{"nextPageToken":"7"}"#,
            r#"{"paging":{"next":{"link":"https://x?after=7"}}}"#,
            r#"{"paging":{"nextPage":{"at":"7"}}}"#,
        ] {
            assert_eq!(next(odd, 2), Next::Unsaid, "{odd}");
        }
        for last in [r#"{"paging":{"next":null}}"#, r#"{"paging":{"next":{}}}"#, r#"{"nextPageToken":""}"#] {
            assert_eq!(next(last, 2), Next::End, "{last}");
        }
    }
}
