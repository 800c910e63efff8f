//! Reads JSON where it lies: a cursor over an answer's bytes that hands out borrowed strings and skips what nobody
//! asked for. No tree, no allocation; it is the hottest code of a backfill.
//!
//! It is lenient where HubSpot gains nothing from strictness (control characters in strings, the shape of numbers)
//! and strict where a row could be lost: brackets must match, strings must end, the document must be whole.

use std::borrow::Cow;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;
use memchr::memchr2;

use crate::paging::{Next, Paging};

/// How deep values may nest before the stack is left alone. HubSpot's answers stay under 20.
const MAX_DEPTH: usize = 256;
/// How deep they may nest at all.
const MAX_OPEN: usize = 100_000;

/// The bytes are not the JSON that was expected. `at` is a byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {at}: expected {expected}")]
pub struct Malformed {
    pub at: usize,
    pub expected: &'static str,
}

/// A string between its quotes, escapes not yet undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str<'a> {
    raw: &'a str,
    is_escaped: bool,
}

impl<'a> Str<'a> {
    /// The text between the quotes, as it stands in the document.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// The text, escapes undone. Half a surrogate pair, or an escape that JSON does not know, becomes U+FFFD.
    pub fn text(self) -> Cow<'a, str> {
        if !self.is_escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            text.push_str(plain);
            let (character, length) = unescaped(escape.as_bytes());
            text.push(character);
            rest = escape.get(length..).unwrap_or_default();
        }
        text.push_str(rest);
        Cow::Owned(text)
    }
}

/// What the escape after a backslash stands for, and the bytes it takes.
fn unescaped(escape: &[u8]) -> (char, usize) {
    let plain = match escape.first() {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(b'u') => return unicode_escape(escape),
        // Not an escape: what follows is text.
        _ => return (char::REPLACEMENT_CHARACTER, 0),
    };
    (plain, 1)
}

/// `uXXXX`, or `uXXXX\uXXXX` where the two are a surrogate pair; and the bytes it took.
fn unicode_escape(rest: &[u8]) -> (char, usize) {
    let Some(first) = hex4(rest.get(1..5)) else { return (char::REPLACEMENT_CHARACTER, 1) };
    if (0xd800..0xdc00).contains(&first)
        && rest.get(5..7) == Some(br"\u")
        && let Some(second) = hex4(rest.get(7..11))
        && (0xdc00..0xe000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}

fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |code, &digit| Some(code * 16 + char::from(digit).to_digit(16)?))
}

/// An answer's body: one whole JSON value. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Body {
    text: ByteString,
    outline: Outline,
}

/// What the fields at the top of an answer say of it; known from the pass that finds the document whole.
#[derive(Debug, Clone, Default)]
struct Outline {
    /// A bit for each of [`LISTS`], and the number of items in them.
    lists: u8,
    items: usize,
    is_in_part: bool,
    paging: Paging,
}

/// Lists that answers hold, by HubSpot's names.
const LISTS: [&str; 5] = ["results", "lists", "campaigns", "events", "timeline"];

impl Outline {
    fn read(scanner: &mut Scanner<'_>) -> Result<Outline, Malformed> {
        let mut outline = Outline::default();
        if !scanner.is_object() {
            return scanner.skip().map(|()| outline);
        }
        scanner.each_field(|key, value| match key.raw() {
            "status" => {
                let is_text = value.peek() == Some(b'"');
                outline.is_in_part |= is_text && !value.string()?.raw().eq_ignore_ascii_case(COMPLETE);
                if is_text { Ok(()) } else { value.skip() }
            }
            "errors" => {
                outline.is_in_part |= !matches!(value.raw()?, "[]" | "null" | "{}");
                Ok(())
            }
            "numErrors" => {
                outline.is_in_part |= !matches!(value.raw()?, "0" | "null");
                Ok(())
            }
            name => {
                let place = LISTS.iter().position(|list| *list == name);
                match place.filter(|_| value.peek() == Some(b'[')) {
                    Some(place) => {
                        outline.lists |= 1 << place;
                        value.each_item(|item| {
                            outline.items += 1;
                            item.skip()
                        })
                    }
                    // The objects of v1 have a key for each contact.
                    None if place.is_some() || name.starts_with(|c: char| c.is_ascii_digit()) => value.skip(),
                    None => outline.paging.field(key, value),
                }
            }
        })?;
        Ok(outline)
    }
}

/// The status of an answer that is all there is.
pub(crate) const COMPLETE: &str = "COMPLETE";

impl Body {
    /// Bytes that are no UTF-8 become U+FFFD, each run of them one; how many runs there are comes back beside the body.
    ///
    /// # Errors
    /// When it is no JSON, or not all of it.
    pub fn repaired(bytes: Bytes) -> Result<(Body, u64), Malformed> {
        if let Ok(text) = ByteString::try_from(bytes.clone()) {
            return Ok((Body::whole(text)?, 0));
        }
        let odd = bytes.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
        let text = ByteString::from(String::from_utf8_lossy(&bytes).into_owned());
        Ok((Body::whole(text)?, odd as u64))
    }

    /// The same, for who does not count.
    ///
    /// # Errors
    /// When it is no JSON, or not all of it.
    pub fn new(bytes: Bytes) -> Result<Body, Malformed> {
        Body::repaired(bytes).map(|(body, _)| body)
    }

    fn whole(text: ByteString) -> Result<Body, Malformed> {
        let mut scanner = Scanner::new(&text);
        let outline = Outline::read(&mut scanner)?;
        match scanner.peek() {
            None => Ok(Body { text, outline }),
            Some(_) => Err(scanner.malformed("the end of the document")),
        }
    }

    /// A part of the text, which lives on by itself.
    pub(crate) fn part(&self, text: &str) -> ByteString {
        self.text.slice_ref(text)
    }

    /// It holds this list, one of those that HubSpot's answers have.
    pub(crate) fn has_list(&self, list: &str) -> bool {
        let place = LISTS.iter().position(|known| *known == list);
        place.is_some_and(|place| self.outline.lists & (1 << place) != 0)
    }

    /// The place where the next page begins, of answers that come in pages of `limit` items.
    pub(crate) fn next(&self, limit: usize) -> Next {
        self.outline.paging.next(self.outline.items, limit)
    }

    /// It says itself that it is not all that was asked for: a status other than COMPLETE, or errors.
    pub(crate) fn is_in_part(&self) -> bool {
        self.outline.is_in_part
    }
}

impl Deref for Body {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// A cursor over one document. Each method reads one value and leaves the cursor behind it.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    /// The next byte that is not white space, not consumed.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.malformed(expected))
    }

    /// Calls `field` with each key of an object; it must read the value.
    pub fn each_field<E: From<Malformed>>(
        &mut self,
        mut field: impl FnMut(Str<'a>, &mut Scanner<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "a colon")?;
            field(key, self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.malformed("a comma or the end of the object").into()),
            }
        }
    }

    /// Calls `item` at each item of an array; it must read it.
    pub fn each_item<E: From<Malformed>>(
        &mut self,
        mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[', "an array")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.malformed("a comma or the end of the array").into()),
            }
        }
    }

    pub fn string(&mut self) -> Result<Str<'a>, Malformed> {
        self.expect(b'"', "a string")?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start;
        let mut is_escaped = false;
        loop {
            match plain_bytes(bytes.get(end..).unwrap_or_default()) {
                Some(offset) if bytes[end + offset] == b'"' => {
                    end += offset;
                    self.at = end + 1;
                    return Ok(Str { raw: &self.text[start..end], is_escaped });
                }
                Some(offset) => {
                    is_escaped = true;
                    end += offset + 2;
                }
                None => return Err(Malformed { at: start, expected: "the end of a string" }),
            }
        }
    }

    /// A string, or `None` for `null`.
    pub fn string_or_null(&mut self) -> Result<Option<Str<'a>>, Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            Some(b'n') => self.skip().map(|()| None),
            _ => Err(self.malformed("a string or null")),
        }
    }

    /// The text of a string, number or boolean; `None` for `null`. HubSpot sends some ids both ways.
    pub fn scalar(&mut self) -> Result<Option<Str<'a>>, Malformed> {
        match self.peek() {
            Some(b'"' | b'n') => self.string_or_null(),
            Some(b'{' | b'[') | None => Err(self.malformed("a string, number or boolean")),
            Some(_) => {
                let start = self.at;
                self.skip()?;
                Ok(Some(Str { raw: &self.text[start..self.at], is_escaped: false }))
            }
        }
    }

    /// An id: a whole number, bare or in quotes, that a column of ids can hold.
    pub fn id(&mut self) -> Result<u64, Malformed> {
        let text = self.scalar()?;
        text.and_then(|text| parse_id(text.raw())).ok_or_else(|| self.malformed("a numeric id before this"))
    }

    /// `None` for anything but `true` and `false`, which is skipped.
    pub fn boolean(&mut self) -> Result<Option<bool>, Malformed> {
        let start = {
            self.peek();
            self.at
        };
        self.skip()?;
        Ok(match &self.text[start..self.at] {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// True before an array or object, so that an answer of another shape can be skipped instead of failing.
    pub fn is_nested(&mut self) -> bool {
        matches!(self.peek(), Some(b'{' | b'['))
    }

    /// True before an object.
    pub fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// The value as it stands in the document.
    pub fn raw(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Reads one value of any kind and drops it.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return self.skip_deep();
        }
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.each_field(|_, value| value.skip_nested(depth + 1)),
            Some(b'[') => self.each_item(|value| value.skip_nested(depth + 1)),
            _ => self.skip_plain(),
        }
    }

    /// The same without a call for each level.
    fn skip_deep(&mut self) -> Result<(), Malformed> {
        // The ends of what is open, the innermost last.
        let mut open: Vec<u8> = Vec::new();
        loop {
            let begun = self.peek();
            match begun {
                Some(b'{' | b'[') if open.len() == MAX_OPEN => return Err(self.malformed("less nesting")),
                Some(first @ (b'{' | b'[')) => {
                    self.at += 1;
                    let end = if first == b'{' { b'}' } else { b']' };
                    open.push(end);
                    if self.peek() != Some(end) {
                        if first == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => _ = self.string()?,
                _ => self.skip_plain()?,
            }
            // A value has ended, or what holds it is empty.
            while let Some(&end) = open.last() {
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if end == b'}' {
                            self.key()?;
                        }
                        break;
                    }
                    Some(byte) if byte == end => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return Err(self.malformed("a comma or an end")),
                }
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    fn key(&mut self) -> Result<(), Malformed> {
        self.string()?;
        self.expect(b':', "a colon")
    }

    /// What is neither a string nor nested.
    fn skip_plain(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => {
                let rest = &self.text.as_bytes()[self.at..];
                let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                self.at += rest.iter().take_while(|byte| is_number(byte)).count();
                Ok(())
            }
            _ => Err(self.malformed("a value")),
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), Malformed> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.malformed(word))
    }
}

/// Bytes before the first quote or backslash. Keys and most values are so short that to set a vector search up takes
/// longer than to look at eight bytes at a time.
fn plain_bytes(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 32;
    let (eights, _) = bytes[..bytes.len().min(SHORT)].as_chunks::<8>();
    for (place, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let found =
            zero_bytes(word ^ (EIGHT * u64::from(b'"'))) | zero_bytes(word ^ (EIGHT * u64::from(b'\\')));
        if found != 0 {
            return Some(place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let searched = eights.len() * 8;
    memchr2(b'"', b'\\', &bytes[searched..]).map(|offset| searched + offset)
}

/// One in each of eight bytes.
const EIGHT: u64 = u64::from_le_bytes([1; 8]);

/// The high bit of each byte that is zero, up to the first one; what is set above it means nothing.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EIGHT) & !word & (EIGHT << 7)
}

/// How many arrays and objects a JSON value has around its innermost part.
pub(crate) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut is_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'{' | b'[' if !is_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A whole number that a column of ids can hold: half of those of 64 bits would come out negative.
pub(crate) fn parse_id(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&id| i64::try_from(id).is_ok())
}

/// The same, where serde reads it.
pub(crate) fn deserialize_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let id = <u64 as serde::Deserialize>::deserialize(deserializer)?;
    i64::try_from(id).map_err(serde::de::Error::custom).map(|_| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Result<Body, Malformed> {
        Body::new(Bytes::copy_from_slice(bytes))
    }

    fn text(json: &str) -> String {
        Scanner::new(json).string().unwrap().text().into_owned()
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(text(r#""a\"b\\c\/d\n\t""#), "a\"b\\c/d\n\t");
        assert_eq!(text(r#""\u00e9\ud83d\ude00""#), "é😀");
        assert_eq!(text(r#""\ud83d x \q""#), "\u{fffd} x \u{fffd}q");
        assert_eq!(text(r#""\u00""#), "\u{fffd}00");
    }

    #[test]
    fn a_document_cut_short_is_not_whole() {
        let document = r#"{"results":[{"id":"1","properties":{"a":"x\"}y","b":null}}],"n":-1.5e3}"#;
        assert!(whole(document.as_bytes()).is_ok());
        for end in 0..document.len() {
            assert!(whole(&document.as_bytes()[..end]).is_err(), "cut at {end}");
        }
        assert!(whole(b"{} x").is_err());
        assert!(whole(b"\xff").is_err());
        assert!(whole("[".repeat(200_000).as_bytes()).is_err());
    }

    #[test]
    fn what_nests_deep_is_whole_or_not_like_anything_else() {
        let nested = |levels: usize, inner: &str| {
            format!("{}{inner}{}", r#"[1,{"a":"]","b":"#.repeat(levels), r#","c":{}},[]]"#.repeat(levels))
        };
        for levels in [1, 127, 128, 129, 2_000] {
            let document = nested(levels, "[true,null,-1.5e3,\"}\"]");
            assert!(whole(document.as_bytes()).is_ok(), "{levels}");
            assert_eq!(depth(&document), 2 * levels + 1);
            for odd in ["", "[1 2]", "{\"a\"}", "{1:2}", "[", "]", "tru", "1]"] {
                assert!(whole(nested(levels, odd).as_bytes()).is_err(), "{levels} {odd}");
            }
            for end in [1, levels, document.len() / 2, document.len() - 1] {
                assert!(whole(&document.as_bytes()[..end]).is_err(), "{levels} cut at {end}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_cost_themselves() {
        let (body, odd) =
            Body::repaired(Bytes::from_static(b"{\"a\":\"x\xff\xfey\",\"b\":\"\xc3\",\"c\":1}")).unwrap();
        assert_eq!((&*body, odd), ("{\"a\":\"x\u{fffd}\u{fffd}y\",\"b\":\"\u{fffd}\",\"c\":1}", 3));
        assert!(Body::repaired(Bytes::from_static(b"{\"a\":\xff}")).is_err());
        assert_eq!(Body::repaired(Bytes::from_static(b"{}")).unwrap().1, 0);
    }

    #[test]
    fn ids_come_bare_and_in_quotes() {
        assert_eq!(Scanner::new("\"216677834118\"").id(), Ok(216_677_834_118));
        assert_eq!(Scanner::new(" 51 ").id(), Ok(51));
        assert!(Scanner::new("\"x\"").id().is_err());
        assert!(Scanner::new("null").id().is_err());
    }

    #[test]
    fn an_id_that_no_column_holds_is_none() {
        assert_eq!(Scanner::new("9223372036854775807").id(), Ok(9_223_372_036_854_775_807));
        assert!(Scanner::new("9223372036854775808").id().is_err());
        assert!(Scanner::new("\"18446744073709551615\"").id().is_err());
    }

    #[test]
    fn an_answer_in_part_is_known_by_its_top() {
        let body = |json: &str| whole(json.as_bytes()).unwrap();
        for json in [
            r#"{"results":[],"status":"PENDING"}"#,
            r#"{"errors":[{}],"results":[]}"#,
            r#"{"results":[],"numErrors":1}"#,
        ] {
            assert!(body(json).is_in_part() && body(json).has_list("results"), "{json}");
        }
        let good = body(
            r#"{"status":"COMPLETE","results":[{"status":"x","errors":[1]}],"errors":[],"numErrors":0}"#,
        );
        assert!(!good.is_in_part());
        for json in [r#"{"results":null}"#, r#"{"result":[]}"#, "[]", "7"] {
            assert!(!body(json).has_list("results"), "{json}");
        }
        assert!(!body(r#"{"results":[]}"#).has_list("lists"));
    }

    proptest! {
        #[test]
        fn strings_round_trip(value in ".*") {
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(text(&json), value);
        }

        #[test]
        fn any_text_is_read_without_a_panic(value in ".*") {
            let _ = whole(value.as_bytes());
            // Whether it is a string, and ends, is the text's affair.
            if let Ok(string) = Scanner::new(&format!("\"{value}\"")).string() {
                let _ = string.text();
            }
        }

        #[test]
        fn what_serde_calls_whole_is_whole(value in proptest::collection::vec(any::<Option<i64>>(), 0..9)) {
            let json = serde_json::to_vec(&value).unwrap();
            prop_assert!(whole(&json).is_ok());
        }
    }
}
