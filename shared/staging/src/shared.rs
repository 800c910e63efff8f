//! Documents that several processes change in turn.

/// A document that several processes change in turn, such as the share of the account's limits that each may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared<T> {
    /// Version of the document; zero before the first write.
    pub version: u64,
    pub value: T,
}
