//! The body of an answer, found whole in one pass, which also reads what its top tells of paging and of errors.

use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

use super::scanner::{Malformed, Scanner};
use crate::paging::{Next, Paging};

/// An answer's body: one whole JSON value. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Body {
    text: ByteString,
    outline: Outline,
}

/// Facts about an answer from its top fields, found by the pass that checks the whole document.
#[derive(Debug, Clone, Default)]
struct Outline {
    /// A bit for each of [`LISTS`], and the number of items in them.
    lists: u8,
    items: usize,
    is_in_part: bool,
    paging: Paging,
}

/// Names of the lists that HubSpot's answers have.
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

/// The status of a complete answer.
pub(crate) const COMPLETE: &str = "COMPLETE";

impl Body {
    /// Makes a body. Each run of bytes that are not valid UTF-8 becomes one U+FFFD. Returns the number of runs, too.
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

    /// Makes a body as [`Body::repaired`] does, without the count.
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

    /// Returns a part of the text that stays valid without the body.
    pub(crate) fn part(&self, text: &str) -> ByteString {
        self.text.slice_ref(text)
    }

    /// `true`: it has this list, one of [`LISTS`].
    pub(crate) fn has_list(&self, list: &str) -> bool {
        let place = LISTS.iter().position(|known| *known == list);
        place.is_some_and(|place| self.outline.lists & (1 << place) != 0)
    }

    /// Returns the start of the next page, for pages of `limit` items.
    pub(crate) fn next(&self, limit: usize) -> Next {
        self.outline.paging.next(self.outline.items, limit)
    }

    /// `true`: it is marked as incomplete, by a status other than COMPLETE or by errors.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::depth;
    use super::*;

    fn whole(bytes: &[u8]) -> Result<Body, Malformed> {
        Body::new(Bytes::copy_from_slice(bytes))
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
