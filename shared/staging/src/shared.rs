//! Documents that several processes change in turn.

/// A document that several processes change in turn, such as the share of the account's limits that each may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared<T> {
    /// Zero before anybody wrote it.
    pub version: u64,
    pub value: T,
}
