//! State of the contacts' feed: that of its records, and of the forms beside them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::feeds::objects::{self, RecordMemory, RecordRun};
use crate::feeds::own::FeedState;

/// A part of a run: contacts, or the submissions of one form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Slice {
    Form(FormSlice),
    Records(objects::Slice),
}

impl FeedState for Slice {
    fn width(&self) -> u64 {
        match self {
            Slice::Form(_) => 0,
            Slice::Records(records) => records.width(),
        }
    }

    fn split(&mut self, page_span: u64) -> Option<Slice> {
        match self {
            Slice::Form(_) => None,
            Slice::Records(records) => records.split(page_span).map(Slice::Records),
        }
    }
}

/// Changes the slices that read contacts, and leaves the others as they are.
pub(super) fn of_records(slices: &mut Vec<Slice>, change: impl FnOnce(&mut Vec<objects::Slice>)) {
    let (mut records, mut forms) = (Vec::new(), Vec::new());
    for slice in slices.drain(..) {
        match slice {
            Slice::Records(slice) => records.push(slice),
            Slice::Form(slice) => forms.push(slice),
        }
    }
    change(&mut records);
    slices.extend(records.into_iter().map(Slice::Records));
    slices.extend(forms.into_iter().map(Slice::Form));
}

/// Progress of a run beside its slices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContactRun {
    #[serde(flatten)]
    pub(super) records: RecordRun,
    /// The newest submission read of each form.
    #[serde(default)]
    pub(super) forms: BTreeMap<String, i64>,
}

impl ContactRun {
    pub(super) fn of(records: RecordRun) -> ContactRun {
        ContactRun { records, forms: BTreeMap::new() }
    }
}

impl FeedState for ContactRun {
    fn width(&self) -> u64 {
        self.records.width()
    }
}

/// Knowledge that one run leaves to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContactMemory {
    #[serde(flatten)]
    pub(super) records: RecordMemory,
    /// The newest submission read of each form, where submissions come from the forms.
    #[serde(default)]
    pub(super) forms: BTreeMap<String, i64>,
}

impl FeedState for ContactMemory {}

/// A part of a run that reads the submissions of one form, newest first, down to `since_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum FormSlice {
    Submitted { form: Form, since_ms: i64, after: Option<String> },
}

/// A form, with what its submissions do not say themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) form_type: String,
}
