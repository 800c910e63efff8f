//! Knowledge of a page's records that does not come from the answers that show them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::feeds::lineage::Reading;
use crate::feeds::objects::answers::unknown::Unknown;

/// Ids associated with a record, by the object at the other end; the primary one first, the rest ascending.
pub(in crate::feeds::objects) type Associated = HashMap<u64, HashMap<&'static str, Vec<u64>>>;

/// Columns that [`Fixed::Extra`](crate::feeds::objects::object_type::Fixed::Extra) fills, at the most.
pub(in crate::feeds) const EXTRAS: usize = 6;

/// Values of the columns that are `Fixed::Extra`, from other calls: by record, at their places.
pub(in crate::feeds) type Extras<'a> = HashMap<u64, [Option<Cow<'a, str>>; EXTRAS]>;

/// Values that the rows of one page have in common.
#[derive(Debug)]
pub(in crate::feeds) struct Context<'a> {
    pub(in crate::feeds) reading: Reading<'a>,
    pub(in crate::feeds) extras: Extras<'a>,
    /// Records are to tell their e-mail addresses.
    pub(in crate::feeds) wants_emails: bool,
}

impl<'a> Context<'a> {
    /// Nothing is known from elsewhere.
    pub(in crate::feeds::objects) fn plain(reading: Reading<'a>) -> Context<'a> {
        Context { reading, extras: Extras::new(), wants_emails: false }
    }
}

/// Knowledge of a page's records besides the answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::feeds::objects) struct Beside<'a> {
    pub(in crate::feeds::objects) associated: &'a Associated,
    /// Versions that the table holds of records which a comparison found: a row that is to replace one must not be older.
    pub(in crate::feeds::objects) known: &'a BTreeMap<u64, i64>,
    /// Records of which something could not be read: a snapshot shows that they are there, and nothing else is written.
    pub(in crate::feeds::objects) unknown: &'a Unknown,
    /// Live records are not what was asked for.
    pub(in crate::feeds::objects) only_archived: bool,
}
