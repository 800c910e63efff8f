//! The cursor over a document, and ids.

use memchr::memchr2;

use super::string::Str;

/// Depth of nesting from which on values are skipped without recursion. HubSpot's answers stay under 20.
const MAX_DEPTH: usize = 256;
/// Greatest depth of nesting.
const MAX_OPEN: usize = 100_000;

/// The bytes are not the JSON that was expected. `at` is a byte offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {at}: expected {expected}")]
pub struct Malformed {
    pub at: usize,
    pub expected: &'static str,
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

    pub(super) fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    /// Returns the next byte that is not white space, without consuming it.
    pub(super) fn peek(&mut self) -> Option<u8> {
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

    /// Calls `item` at each item of an array, which it must read.
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

    /// Reads a string, or `None` for `null`.
    pub fn string_or_null(&mut self) -> Result<Option<Str<'a>>, Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(Some),
            Some(b'n') => self.skip().map(|()| None),
            _ => Err(self.malformed("a string or null")),
        }
    }

    /// Reads the text of a string, number or boolean; `None` for `null`. HubSpot sends some ids both ways.
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

    /// Reads an id: a whole number, bare or in quotes, that a column of ids can hold.
    pub fn id(&mut self) -> Result<u64, Malformed> {
        let text = self.scalar()?;
        text.and_then(|text| parse_id(text.raw())).ok_or_else(|| self.malformed("a numeric id before this"))
    }

    /// Reads a boolean; `None` for anything else, which is skipped.
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

    /// `true`: an array or object is next. So a value of another shape can be skipped instead of failing.
    pub fn is_nested(&mut self) -> bool {
        matches!(self.peek(), Some(b'{' | b'['))
    }

    /// `true`: an object is next.
    pub fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    /// Reads the value as it is in the document.
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

    /// Skips a value without recursion.
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

    /// Skips a number, a boolean or `null`.
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

/// Returns the number of bytes before the first quote or backslash. Keys and most values are so short that setting up
/// a vector search takes longer than looking at eight bytes at a time.
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

/// Eight bytes, each of which is 1.
const EIGHT: u64 = u64::from_le_bytes([1; 8]);

/// Sets the high bit of the first zero byte. Bits above it are meaningless.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EIGHT) & !word & (EIGHT << 7)
}

/// Returns the depth of nesting of a JSON value.
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

/// Parses a whole number that a column of ids can hold: half of those of 64 bits would become negative.
pub(crate) fn parse_id(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&id| i64::try_from(id).is_ok())
}

/// Parses an id for serde.
pub(crate) fn deserialize_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let id = <u64 as serde::Deserialize>::deserialize(deserializer)?;
    i64::try_from(id).map_err(serde::de::Error::custom).map(|_| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn strings_round_trip(value in ".*") {
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(text(&json), value);
        }
    }
}
