//! A view as data: columns of other names over tables of ours. `select.rs` makes SQL of it.

use staging::ColumnType;

/// A view that stands for a table of another product.
#[derive(Debug)]
pub struct View {
    pub name: &'static str,
    /// One row, in words.
    pub about: &'static str,
    /// Ways to make the rows. The first one is taken whose tables are there.
    pub ways: &'static [Way],
    /// Further columns: one for each property of the account.
    pub(crate) has_properties: bool,
}

impl View {
    /// `true`: columns of it hold values of properties.
    pub(crate) fn reads_properties(&self) -> bool {
        let of_property =
            |column: &Column| matches!(column.value, Value::Property(_) | Value::PropertyOrKind(_));
        self.has_properties || self.ways.iter().flat_map(|way| way.columns).any(of_property)
    }
}

/// A way to make a view's rows.
#[derive(Debug)]
pub struct Way {
    /// Their rows are put together. Those are enough that are there.
    pub parts: &'static [Part],
    pub(crate) columns: &'static [Column],
}

/// A table that a view reads.
#[derive(Debug)]
pub struct Part {
    /// A collection.
    pub table: &'static str,
    /// The value of a [`Value::Kind`] in the rows of this source.
    pub(crate) kind: &'static str,
    /// A column that holds a JSON list: the view has a row for each item.
    pub(crate) list: Option<&'static str>,
    /// All of them hold.
    pub(crate) only: &'static [Only],
}

/// A condition for rows.
#[derive(Debug)]
pub(crate) enum Only {
    /// Not deleted in HubSpot.
    Live,
    /// The column holds this text.
    Is(&'static str, &'static str),
    /// One of these texts.
    In(&'static str, &'static [&'static str]),
    /// The column holds something: a row with an empty key says that a list is empty.
    Filled(&'static str),
    /// The number is not 0, for the same reason.
    NotZero(&'static str),
    /// Merged into another record.
    Merged,
    NotMerged,
    /// Without values that were replaced in the millisecond in which they were set.
    Lasting,
}

/// A column of a view.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) column_type: ColumnType,
    pub(crate) value: Value,
}

/// Source of a column's value.
#[derive(Debug)]
pub(crate) enum Value {
    /// This column of the table.
    Of(&'static str),
    /// The property of this name.
    Property(&'static str),
    /// The same, or else what [`Part::kind`] says.
    PropertyOrKind(&'static str),
    /// [`Part::kind`].
    Kind,
    /// The row is deleted in HubSpot.
    Deleted,
    /// Neither deleted nor archived.
    Active,
    /// The opposite of a column.
    Not(&'static str),
    /// The column is NULL.
    IsNull(&'static str),
    /// A stage that means won: closed, with this probability column at 1.
    Won,
    /// JSON: keys and columns.
    Object(&'static [(&'static str, &'static str)]),
    /// HubSpot's name of the object whose collection stands in this column: `deal` for `deals`.
    ObjectName(&'static str),
    /// These columns, joined with slashes.
    Path(&'static [&'static str]),
    /// The item of [`Part::list`], or this field of it.
    Item(Option<&'static str>),
    /// Nothing of ours corresponds to it.
    Null,
}

pub(crate) const fn text(name: &'static str, of: &'static str) -> Column {
    Column { name, column_type: ColumnType::Text, value: Value::Of(of) }
}

pub(crate) const fn number(name: &'static str, of: &'static str) -> Column {
    Column { name, column_type: ColumnType::BigInt, value: Value::Of(of) }
}

pub(crate) const fn flag(name: &'static str, of: &'static str) -> Column {
    Column { name, column_type: ColumnType::Boolean, value: Value::Of(of) }
}

pub(crate) const fn time(name: &'static str, of: &'static str) -> Column {
    Column { name, column_type: ColumnType::Timestamp, value: Value::Of(of) }
}

pub(crate) const fn made(name: &'static str, column_type: ColumnType, value: Value) -> Column {
    Column { name, column_type, value }
}

/// A column that the other product has, and nothing of ours fills.
pub(crate) const fn none(name: &'static str, column_type: ColumnType) -> Column {
    made(name, column_type, Value::Null)
}

/// `property_<name>`, which is there even if the account lacks the property.
pub(crate) const fn property(name: &'static str, column_type: ColumnType, of: &'static str) -> Column {
    made(name, column_type, Value::Property(of))
}

pub(crate) const SYNCED: Column = time("_fivetran_synced", "_read_at");
pub(crate) const DELETED: Column = made("_fivetran_deleted", ColumnType::Boolean, Value::Deleted);

pub(crate) const fn part(table: &'static str, only: &'static [Only]) -> Part {
    Part { table, kind: "", list: None, only }
}

pub(crate) const fn kind(table: &'static str, kind: &'static str, only: &'static [Only]) -> Part {
    Part { table, kind, list: None, only }
}

pub(crate) const fn list(table: &'static str, list: &'static str, only: &'static [Only]) -> Part {
    Part { table, kind: "", list: Some(list), only }
}
