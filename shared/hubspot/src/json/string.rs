//! Strings as they stand in a document, and their escapes.

use std::borrow::Cow;

/// A string between its quotes, escapes not yet undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str<'a> {
    pub(super) raw: &'a str,
    pub(super) is_escaped: bool,
}

impl<'a> Str<'a> {
    /// A text that is no part of a document, and has no escapes.
    pub(crate) fn plain(text: &'a str) -> Str<'a> {
        Str { raw: text, is_escaped: false }
    }

    /// Returns the text between the quotes, as it is in the document.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Returns the text without escapes. Half a surrogate pair, or an unknown escape, becomes U+FFFD.
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

/// Returns the character of the escape after a backslash, and the length of the escape in bytes.
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

/// Returns the character of `uXXXX`, or of `uXXXX\uXXXX` if the two are a surrogate pair, and the length in bytes.
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
