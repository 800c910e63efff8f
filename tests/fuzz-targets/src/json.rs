//! The scanner of HubSpot's JSON, with serde_json as an oracle.

use bytes::Bytes;
use hubspot::json::{Body, Malformed, Scanner};
use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value};

/// Number of brackets that can't nest deeper than 256 levels, which the scanner refuses.
const SHALLOW_BRACKETS: usize = 250;

type Read = fn(&mut Scanner<'_>) -> Result<(), Malformed>;

pub fn run(data: &[u8]) {
    let whole = Body::new(Bytes::copy_from_slice(data));
    // A byte that is no UTF-8 is replaced before anything is read.
    let text = &*String::from_utf8_lossy(data);
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    let is_shallow = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() <= SHALLOW_BRACKETS;
    if is_json && is_shallow {
        assert_eq!(whole.as_deref(), Ok(text), "what is JSON is whole");
    }
    if whole.is_ok() && !is_lenient(text) {
        assert!(is_json, "what is whole is JSON, but for what the scanner is lenient in");
    }
    // Anything may be read as anything.
    let reads: [Read; 7] = [
        |scanner| scanner.string().map(drop),
        |scanner| scanner.scalar().map(drop),
        |scanner| scanner.string_or_null().map(drop),
        |scanner| scanner.id().map(|id| assert!(i64::try_from(id).is_ok(), "an id fits a column of ids")),
        |scanner| scanner.boolean().map(drop),
        |scanner| scanner.raw().map(drop),
        |scanner| value(scanner).map(drop),
    ];
    for read in reads {
        let mut scanner = Scanner::new(text);
        while read(&mut scanner).is_ok() && scanner.clone().skip().is_ok() {
            if scanner.raw().is_ok_and(str::is_empty) {
                break;
            }
        }
    }
    if let (Ok(text), Ok(expected)) = (whole.as_deref(), serde_json::from_str::<Value>(text)) {
        let read = value(&mut Scanner::new(text));
        assert_eq!(read, Ok(expected), "values are those that serde_json reads");
    }
}

/// `true`: serde_json refuses a text that the scanner may accept: it does not check control characters and odd escapes
/// in strings, nor the shape of numbers.
fn is_lenient(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, 0..0x20 | b'\\' | b'-' | b'+' | b'.' | b'0'..=b'9'))
}

/// Reads a value with the scanner's functions for its type.
fn value(scanner: &mut Scanner<'_>) -> Result<Value, Malformed> {
    if scanner.is_object() {
        let mut fields = Map::new();
        scanner.each_field(|key, field| {
            fields.insert(key.text().into_owned(), value(field)?);
            Ok::<_, Malformed>(())
        })?;
        return Ok(Value::Object(fields));
    }
    if scanner.is_nested() {
        let mut items = Vec::new();
        scanner.each_item(|item| {
            items.push(value(item)?);
            Ok::<_, Malformed>(())
        })?;
        return Ok(Value::Array(items));
    }
    if let Some(is_true) = scanner.clone().boolean()? {
        scanner.skip()?;
        return Ok(is_true.into());
    }
    if let Ok(string) = scanner.clone().string() {
        scanner.skip()?;
        return Ok(Value::from(string.text()));
    }
    let number = scanner.scalar()?.and_then(|number| number.raw().parse::<Number>().ok());
    Ok(number.map_or(Value::Null, Value::Number))
}
