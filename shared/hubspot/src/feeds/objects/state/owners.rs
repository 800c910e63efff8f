//! Which property a column belongs to: the one that had it first, for ever. Without a memory the names themselves would
//! decide, and `Region` would take the column of `region` on the day it is defined, and give it back when it is deleted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::feeds::objects::object_type::ObjectType;

/// The columns of all properties that were ever read, deleted ones too: one that is made again has its column again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::feeds) struct ColumnOwners {
    /// Properties whose column is named like them.
    usual: BTreeSet<String>,
    /// Columns by property, where another one had the usual name before.
    other: BTreeMap<String, String>,
}

impl ColumnOwners {
    pub(in crate::feeds::objects) fn is_empty(&self) -> bool {
        self.usual.is_empty() && self.other.is_empty()
    }

    /// The column of a property that was read before.
    pub(in crate::feeds::objects) fn column(&self, object: &ObjectType, property: &str) -> Option<String> {
        match self.other.get(property) {
            Some(column) => Some(column.clone()),
            None => self.usual.contains(property).then(|| object.column_name(property)),
        }
    }

    pub(in crate::feeds::objects) fn remember(&mut self, object: &ObjectType, property: &str, column: &str) {
        if object.column_name(property) == column {
            self.other.remove(property);
            self.usual.insert(property.to_owned());
        } else {
            self.usual.remove(property);
            self.other.insert(property.to_owned(), column.to_owned());
        }
    }

    /// The names that belong to somebody, as a warehouse compares them.
    pub(in crate::feeds::objects) fn taken(&self, object: &ObjectType) -> HashSet<String> {
        let usual = self.usual.iter().map(|property| object.column_name(property).to_lowercase());
        usual.chain(self.other.values().map(|column| column.to_lowercase())).collect()
    }
}
