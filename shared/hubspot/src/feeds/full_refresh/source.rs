//! A list of HubSpot's that is read whole: its calls, and the tables it fills.

use staging::ColumnType;

use crate::feeds::collection::Collection;

/// The field of an answer with the items of a list.
pub(super) const RESULTS: &str = "results";

/// A list that each run reads whole.
#[derive(Debug)]
pub(in crate::feeds) struct Source {
    /// Its name in messages, in slices and in what the feed remembers.
    pub(super) name: &'static str,
    pub(super) paths: Paths,
    /// Items in a page; `None` where the list comes in one answer.
    pub(super) page: Option<usize>,
    /// The first one has a row for each item.
    pub(in crate::feeds) fills: &'static [Fill],
}

/// Makes the paths of a list, one for each part of it.
#[derive(Debug)]
pub(super) enum Paths {
    OfAccount(fn() -> Vec<String>),
    /// Those of marketing e-mails.
    MarketingEmails,
    /// Each object has a list of its own. The argument is the object's name in paths.
    OfObject(fn(&str) -> Vec<String>),
}

/// A table, and the place of its rows in the items of a list.
#[derive(Debug)]
pub(in crate::feeds) struct Fill {
    pub(in crate::feeds) collection: &'static Collection,
    /// The row's own part of the primary key.
    pub(super) key: Key,
    pub(super) rows: RowsOf,
    /// HubSpot's specification has the list in each item: one without it is shown in part.
    pub(super) needs_list: bool,
}

/// A column, and the field that it is filled from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) column: &'static str,
    pub(super) field: &'static str,
}

#[derive(Debug)]
pub(super) enum RowsOf {
    /// One row for each item.
    Items,
    /// The same of a list whose items have two ids: the second one, and the column that it fills.
    Pairs { parent: &'static str, field: &'static str },
    /// One for each object in this list of an item. The column holds the item's id.
    Objects { list: &'static str, parent: &'static str },
    /// One for each id in these lists of an item; `true` for the list of primary ones.
    Ids { lists: &'static [(&'static str, bool)], parent: &'static str },
}

impl Fill {
    /// Returns the column with the id of the item that a row is in.
    pub(super) fn parent(&self) -> Option<&'static str> {
        match self.rows {
            RowsOf::Items => None,
            RowsOf::Pairs { parent, .. } | RowsOf::Objects { parent, .. } | RowsOf::Ids { parent, .. } => {
                Some(parent)
            }
        }
    }

    pub(super) fn column_type(&self, column: &str) -> Option<ColumnType> {
        let mut columns = self.collection.columns.iter();
        columns.find(|known| known.name == column).map(|known| known.column_type)
    }
}

impl Source {
    /// Returns the lists in an item that have tables of their own.
    pub(super) fn nested(&self) -> Vec<&'static str> {
        let lists = |fill: &'static Fill| match fill.rows {
            RowsOf::Items | RowsOf::Pairs { .. } => Vec::new(),
            RowsOf::Objects { list, .. } => vec![list],
            RowsOf::Ids { lists, .. } => lists.iter().map(|(list, _)| *list).collect(),
        };
        self.fills.iter().flat_map(lists).collect()
    }
}

pub(super) const ID: Key = Key { column: "id", field: "id" };

/// Items in a page: HubSpot's default for most of them, and no page names a higher one.
pub(super) const PAGE: usize = 100;

pub(super) const fn items(collection: &'static Collection, key: Key) -> Fill {
    Fill { collection, key, rows: RowsOf::Items, needs_list: false }
}

/// Makes the paths of a list that shows the archived items by themselves.
pub(super) fn live_and_archived(path: &str) -> Vec<String> {
    let joint = if path.contains('?') { '&' } else { '?' };
    ["false", "true"].map(|archived| format!("{path}{joint}archived={archived}")).to_vec()
}
