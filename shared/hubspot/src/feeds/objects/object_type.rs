//! Description of an object type: its properties' columns, and the columns beside them.

use staging::{ColumnType, MERGED_INTO_ID};

use crate::feeds::collection::Origin;
use crate::feeds::dictionary::{CollectionEntry, ColumnEntry, lineage_entries};

/// Calls of a run that finds nothing new, for the dictionary.
pub(in crate::feeds) const RECORD_CALLS: &str = "1 for the properties and 1 more for each class of sensitive ones that the account uses; 1 search; 1 for each 100 \
     archived records (at least 1). With more than 1,600 archived records, 16 searches count the live ones instead: the \
     list is read, with up to 16 calls more, when a count is another one, and once a day";

/// Description of an object type; one value is a whole feed.
#[derive(Debug)]
pub(in crate::feeds) struct ObjectType {
    pub(in crate::feeds) name: &'static str,
    /// HubSpot's name in paths, or its `objectTypeId`.
    pub(in crate::feeds) path: &'static str,
    pub(in crate::feeds) about: &'static str,
    /// Calls that a run costs in which nothing has changed.
    pub(in crate::feeds) calls: &'static str,
    /// The property that says when a record last changed.
    pub(in crate::feeds) modified: &'static str,
    /// A property's column is its name between these two.
    pub(in crate::feeds) column_prefix: &'static str,
    pub(in crate::feeds) column_suffix: &'static str,
    /// Properties that Segment's table names: their columns exist whatever the account defines.
    pub(in crate::feeds) seed_properties: &'static [(&'static str, ColumnType)],
    /// Segment's columns beside the properties.
    pub(in crate::feeds) fixed: &'static [(&'static str, ColumnType, Fixed)],
    /// Objects whose associated ids are read with each record.
    pub(in crate::feeds) associations: &'static [&'static str],
    /// The name of its snapshots: see [`staging::snapshot_name`].
    pub(in crate::feeds) snapshot: &'static str,
    /// Columns beside the properties that change without a new modified date.
    pub(in crate::feeds) drifting: &'static [&'static str],
    /// The lists of its records, where they are read.
    pub(in crate::feeds) lists: Option<Lists>,
}

/// The source of a record's lists, as the cursor calls it, and their place among what is known of it from other calls.
#[derive(Debug, Clone, Copy)]
pub(in crate::feeds) struct Lists {
    pub(in crate::feeds) source: &'static str,
    pub(in crate::feeds) place: usize,
}

impl ObjectType {
    pub(super) fn column_name(&self, property: &str) -> String {
        format!("{}{property}{}", self.column_prefix, self.column_suffix)
    }

    pub(in crate::feeds) fn entry(&self) -> CollectionEntry {
        let id = ColumnEntry::new("id", ColumnType::BigInt, Origin::Field("id"));
        let fixed = self.fixed.iter().map(|&(name, column_type, fixed)| ColumnEntry {
            name: name.to_owned(),
            column_type,
            origin: fixed.origin(),
        });
        let seed = self.seed_properties.iter().map(|&(property, column_type)| ColumnEntry {
            name: self.column_name(property),
            column_type,
            origin: format!("property `{property}`"),
        });
        let survivor = ColumnEntry::new(
            MERGED_INTO_ID,
            ColumnType::BigInt,
            Origin::Made("the record that it was merged into, named by that record's `hs_merged_object_ids`"),
        );
        CollectionEntry {
            name: self.name,
            about: self.about,
            primary_key: &["id"],
            set_key: &[],
            key_reason: "HubSpot's record id. A merge ends in a record with a new id; the old ones stay as tombstones that name it",
            calls: self.calls,
            properties: Some(match self.column_prefix {
                "" => "`<name>`",
                _ => "`properties_<name>_value`",
            }),
            columns: [id]
                .into_iter()
                .chain(fixed)
                .chain(seed)
                .chain([survivor])
                .chain(lineage_entries(true, false))
                .collect(),
        }
    }
}

/// Source of the value of a column beside the properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::feeds) enum Fixed {
    RecordId,
    AccountId,
    /// The same value as this property, under the name Segment gave it.
    CopyOf(&'static str),
    /// A JSON list of the ids that were merged into the record; NULL where there are none.
    MergedIds,
    /// A JSON list of associated ids of this object; `[]` where there are none.
    Associated(&'static str),
    /// A value from another call, by its place, and the name of that call.
    Extra(usize, &'static str),
    /// The same for an instant; the record's creation where the call does not tell.
    ExtraOrCreated(usize, &'static str),
    /// NULL: no call gives it, for this reason.
    Unavailable(&'static str),
}

impl Fixed {
    pub(super) fn copies(self, property: &str) -> bool {
        matches!(self, Fixed::CopyOf(copied) if copied == property)
    }

    /// For the dictionary.
    fn origin(self) -> String {
        match self {
            Fixed::RecordId => "`id`".to_owned(),
            Fixed::AccountId => "`portalId` of the account's details".to_owned(),
            Fixed::CopyOf(property) => format!("property `{property}`"),
            Fixed::MergedIds => {
                "property `hs_merged_object_ids` as a JSON list; NULL where nothing was merged".to_owned()
            }
            Fixed::Associated(other) => {
                format!("ids of associated {other}, a JSON list, the primary one first, then ascending")
            }
            Fixed::Extra(_, call) => call.to_owned(),
            Fixed::ExtraOrCreated(_, call) => format!("{call}; else property `createdate`"),
            Fixed::Unavailable(why) => format!("NULL: {why}"),
        }
    }
}
