//! Work that has to wait for other work on the same table.

/// `true`: another load works on the same table.
pub fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<staging::Error>().is_some_and(|error| error.kind() == staging::ErrorKind::Busy)
}
