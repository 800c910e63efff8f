//! The room in a row. PostgreSQL keeps a row in one page of 8 KB; texts go elsewhere, but each leaves up to 27 bytes
//! behind, so a row has room for some 290 texts, or 990 numbers, that are not NULL. What a row has no room for goes to
//! the JSON column [`OVERFLOW`](super::dialect::OVERFLOW), and the table has no more columns than PostgreSQL allows.

use std::collections::HashSet;

use staging::ColumnType;

use super::dialect::POSTGRES;
use crate::plan::{Field, Group, Plan, needed_columns};
use crate::table::{TableColumn, folded};

/// PostgreSQL allows 1,600; some are left to whoever adds columns by hand, and to scratch tables.
pub(super) const MAX_COLUMNS: usize = 1_590;

/// Bytes that a page of 8,192 leaves for one row: without the page's header, the row's, and one bit per column.
const ROW_BYTES: usize = 8_160 - 224;
/// A text of up to 23 bytes stays in the row as it is. A longer one leaves a pointer of 18 bytes, or 24 bytes when it
/// was compressed, and up to 3 in front of it.
const INLINE_TEXT_BYTES: usize = 24;
pub(super) const MAX_TEXT_BYTES: usize = INLINE_TEXT_BYTES + 3;

/// Size and alignment in a row; `None` for texts.
pub(super) fn fixed(column_type: ColumnType) -> Option<(usize, usize)> {
    match column_type {
        ColumnType::BigInt | ColumnType::Double | ColumnType::Timestamp => Some((8, 8)),
        ColumnType::Date => Some((4, 4)),
        ColumnType::Boolean => Some((1, 1)),
        ColumnType::Text | ColumnType::Json => None,
    }
}

/// Bytes that a value takes at most, with the gap that it may need in front of it.
pub(super) fn most(column_type: ColumnType) -> usize {
    fixed(column_type).map_or(MAX_TEXT_BYTES, |(size, alignment)| size + alignment - 1)
}

/// The largest gap that a value may make necessary behind it.
const GAP: usize = 7;

/// Bytes in the row that a text of this length takes.
pub(super) fn text_bytes(length: usize) -> usize {
    if length < INLINE_TEXT_BYTES { length + 1 } else { MAX_TEXT_BYTES }
}

/// The places of the values of one group's rows.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// In the order of the table's columns.
    pub(super) fields: Vec<Field>,
    /// `None` if every row fits, whatever is in it.
    pub(super) overflow: Option<Overflow>,
}

#[derive(Debug, Clone)]
pub(super) struct Overflow {
    /// Which of the layout's fields stay in the row in any case.
    pub(super) stays: Vec<bool>,
    /// Room for the others.
    pub(super) room: usize,
    /// Other values may be between these, so that gaps can be anywhere.
    pub(super) is_mixed: bool,
    /// Fields that the table has no column for.
    pub(super) fields: Vec<Field>,
}

impl Layout {
    /// `kept_bytes` is what values take that rows keep since the files lack them. `None` if that leaves no room.
    pub(super) fn new(
        plan: &Plan<'_>,
        group: &Group<'_>,
        is_wide: bool,
        kept_bytes: usize,
    ) -> Option<Layout> {
        let mut fields = group.fields.clone();
        fields.sort_by_key(|field| field.position);
        if !is_wide {
            return Some(Layout { fields, overflow: None });
        }
        let needed: HashSet<String> = needed_columns(&group.files)
            .chain(plan.primary_key.iter().map(String::as_str))
            .map(folded)
            .collect();
        let stays: Vec<bool> = fields.iter().map(|field| needed.contains(&folded(&field.target))).collect();
        let staying = fields.iter().zip(&stays).filter(|(_, stays)| **stays);
        // The file's number and the overflow itself.
        let staying: usize = staying.map(|(field, _)| most(field.to) + GAP).sum();
        let taken = 8 + most(ColumnType::Json) + staying;
        let room = ROW_BYTES.checked_sub(taken + kept_bytes)?;
        Some(Layout {
            fields,
            overflow: Some(Overflow {
                stays,
                room,
                is_mixed: kept_bytes > 0,
                fields: group.overflow.clone(),
            }),
        })
    }
}

/// Says whether a row might not fit, once the table has all columns that the plan gives it.
pub(super) fn is_wide(plan: &Plan<'_>, types: impl IntoIterator<Item = ColumnType>) -> bool {
    let has_too_many = plan.groups.iter().any(|group| !group.overflow.is_empty());
    has_too_many || !fits(types)
}

/// `true`: a row with a value in each column fits, whatever the values are.
pub(super) fn fits(types: impl IntoIterator<Item = ColumnType>) -> bool {
    8 + types.into_iter().map(most).sum::<usize>() <= ROW_BYTES
}

/// SQL that measures what the columns of a row `t` take at most, whose types may have been changed by hand. `None` if
/// there are none.
pub(super) fn measure(columns: &[TableColumn]) -> Option<String> {
    let bytes = |column: &TableColumn| {
        let name = format!("t.{}", crate::dialect::quote_identifier(&column.name));
        let column_type = (POSTGRES.column_type)(&column.type_name);
        let is_ours = (POSTGRES.type_name)(column_type) == column.type_name;
        match fixed(column_type).filter(|_| is_ours) {
            Some(_) => format!("CASE WHEN {name} IS NULL THEN 0 ELSE {} END", most(column_type)),
            None => format!(
                "CASE WHEN {name} IS NULL THEN 0 ELSE least(pg_column_size({name}), {INLINE_TEXT_BYTES}) + 3 END"
            ),
        }
    };
    let terms: Vec<String> = columns.iter().map(bytes).collect();
    (!terms.is_empty()).then(|| terms.join(" + "))
}

/// Holds where a row is as wide as the page allows, by [`measure`].
pub(super) fn is_too_wide(measure: &str, growth: usize) -> String {
    format!("{measure} + {growth} > {ROW_BYTES}")
}

/// The table that a merge is about, before it is changed.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// But for the overflow.
    pub(super) present: Vec<TableColumn>,
    pub(super) has_overflow: bool,
    /// Rows may not fit.
    pub(super) is_wide: bool,
    /// The primary key, set key first.
    pub(super) key: Vec<String>,
    pub(super) has_key: bool,
}
