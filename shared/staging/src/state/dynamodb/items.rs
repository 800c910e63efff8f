//! Items of the table: building them, and reading what a query gave.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Error, ErrorKind};

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn key(partition: &str, sort: &str) -> Item {
    HashMap::from([("pk".to_owned(), s(partition)), ("sk".to_owned(), s(sort))])
}

pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str, Error> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(unlike(name)),
    }
}

pub(super) fn number<N: std::str::FromStr>(item: &Item, name: &str) -> Result<N, Error> {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().map_err(|_| unlike(name)),
        _ => Err(unlike(name)),
    }
}

pub(super) fn blob<'i>(item: &'i Item, name: &str) -> Result<&'i [u8], Error> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
        _ => Err(unlike(name)),
    }
}

pub(super) fn unlike(name: &str) -> Error {
    let message = format!(
        "an item of the state table lacks its attribute {name}: something else writes to the table; restore it to a \
         point in time"
    );
    Error::new(ErrorKind::Corrupt, message)
}

pub(super) fn unbuilt(source: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::new(ErrorKind::Io, "a request to the state table can't be built").caused_by(source)
}
