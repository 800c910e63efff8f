//! Pseudonyms of addresses: rows that stay have one in the place of an address of a forgotten person.

use std::collections::BTreeMap;
use std::fmt;

/// Domain of all pseudonyms. No mail goes there: RFC 2606 keeps `.invalid` free.
pub const PSEUDONYM_DOMAIN: &str = "forgotten.invalid";

/// Addresses of persons, each with its pseudonym. Nothing of it is ever shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pseudonyms(BTreeMap<String, String>);

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({})", self.0.len())
    }
}

impl Pseudonyms {
    /// `pseudonym` gets an address in lower case.
    pub fn new<'a>(
        addresses: impl IntoIterator<Item = &'a String>,
        pseudonym: impl Fn(&str) -> String,
    ) -> Pseudonyms {
        Pseudonyms(addresses.into_iter().map(|address| (address.clone(), pseudonym(address))).collect())
    }

    /// Returns the pseudonym of an address, in whatever case it is spelled.
    pub fn of(&self, address: &str) -> Option<&str> {
        self.0.get(&address.trim().to_lowercase()).map(String::as_str)
    }

    /// All of them; none is an address.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}
