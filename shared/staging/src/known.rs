//! Columns of one table by which rows of persons are known.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::person::{Holds, Person, PersonColumns};
use crate::snapshot::snapshot_of;
use crate::table::{IS_DELETED, Table};

/// Columns of a table by which persons are known: their places.
#[derive(Debug, Clone)]
pub struct Known {
    columns: Vec<KnownColumn>,
    /// Lists of rows that are not a person's.
    pub(crate) mentions: Vec<usize>,
    /// Addresses in rows that are not that person's.
    pub(crate) mentioned: Vec<usize>,
    /// Details of rows that may stay under a pseudonym; `None`: they may not.
    pub(crate) details: Option<Vec<usize>>,
    /// The time at which happened what a row tells.
    happened: Option<usize>,
    /// Rows of that time and later are nobody's; nor are those of which nothing says it, where an address names them.
    until_ms: Option<i64>,
    /// In a table with a row for each contact: the column that says whether HubSpot shows the contact no more.
    is_deleted: Option<usize>,
}

#[derive(Debug, Clone)]
struct KnownColumn {
    place: usize,
    holds: Holds,
    only_where: Option<(usize, String)>,
}

impl Known {
    /// Finds the columns of the collection, or of the snapshot of it. `None`: its rows are of nobody.
    pub fn of(table: &Table, all: &[PersonColumns]) -> Option<Known> {
        let collection = snapshot_of(&table.collection).unwrap_or(&table.collection);
        let listed = all.iter().find(|it| it.collection == collection)?;
        let (mut columns, mut mentions) = (Vec::new(), Vec::new());
        let mut known = Known {
            columns: Vec::new(),
            mentions: Vec::new(),
            mentioned: Vec::new(),
            details: listed.may_stay().then(Vec::new),
            happened: None,
            until_ms: listed.until_ms,
            is_deleted: None,
        };
        for column in &listed.columns {
            let Some(place) = table.position(&column.name) else { continue };
            let is_key = column.holds == Holds::Id && *table.primary_key == [column.name.clone()];
            match column.holds {
                Holds::Mention => mentions.push(place),
                Holds::MentionedAddress => known.mentioned.push(place),
                Holds::Time => known.happened = Some(place),
                Holds::Detail => known.details.iter_mut().for_each(|details| details.push(place)),
                _ if listed.identifies && is_key => known.is_deleted = table.position(IS_DELETED),
                _ => {}
            }
            if !column.holds.names() {
                continue;
            }
            let only_where = match &column.only_where {
                None => None,
                Some((name, value)) => match table.position(name) {
                    Some(place) => Some((place, value.clone())),
                    None => continue,
                },
            };
            columns.push(KnownColumn { place, holds: column.holds, only_where });
        }
        let is_any = !columns.is_empty() || !mentions.is_empty() || !known.mentioned.is_empty();
        is_any.then_some(Known { columns, mentions, ..known })
    }

    /// Places of all columns, in the table's order.
    pub(crate) fn places(&self) -> Vec<usize> {
        let conditions = self.columns.iter().filter_map(|it| Some(it.only_where.as_ref()?.0));
        let places: BTreeSet<usize> =
            (self.columns.iter().map(|it| it.place).chain(conditions).chain(self.mentions.clone()))
                .chain(self.mentioned.clone())
                .chain(self.happened)
                .collect();
        places.into_iter().collect()
    }

    /// The same where only the columns at these places were read.
    pub(crate) fn among(&self, places: &[usize]) -> Known {
        let place = |of: usize| places.iter().position(|place| *place == of).unwrap_or_default();
        let column = |it: &KnownColumn| KnownColumn {
            place: place(it.place),
            holds: it.holds,
            only_where: it.only_where.as_ref().map(|(of, value)| (place(*of), value.clone())),
        };
        Known {
            columns: self.columns.iter().map(column).collect(),
            mentions: self.mentions.iter().map(|of| place(*of)).collect(),
            mentioned: self.mentioned.iter().map(|of| place(*of)).collect(),
            details: None,
            happened: self.happened.map(place),
            until_ms: self.until_ms,
            is_deleted: None,
        }
    }

    /// Places of the columns that hold this.
    pub(crate) fn holding(&self, holds: Holds) -> impl Iterator<Item = usize> {
        self.columns.iter().filter(move |column| column.holds == holds).map(|column| column.place)
    }

    /// `true`: a row with the id of a contact is known by it, whatever addresses it has.
    pub(crate) fn has_ids(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.holds, Holds::Id | Holds::Ids))
    }

    /// `true`: several persons share a row.
    pub(crate) fn is_shared(&self) -> bool {
        self.columns.iter().any(|column| column.holds == Holds::SeparatedAddresses) && !self.has_ids()
    }

    /// The time at which happened what the row tells, in milliseconds; `None` where nothing says it.
    pub(crate) fn happened_ms<'t>(&self, text: &dyn Fn(usize) -> Option<Cow<'t, str>>) -> Option<i64> {
        text(self.happened?)?.parse().ok()
    }

    /// `true`: HubSpot shows the contact that the row is about.
    pub(crate) fn is_shown<'t>(&self, text: &dyn Fn(usize) -> Option<Cow<'t, str>>) -> bool {
        self.is_deleted.is_some_and(|place| text(place).is_some_and(|is_deleted| is_deleted == "false"))
    }

    /// `true`: the row with these texts is the person's.
    pub(crate) fn is_of<'t>(&self, person: &Person, text: &dyn Fn(usize) -> Option<Cow<'t, str>>) -> bool {
        let is_late = || {
            let until_ms = self.until_ms.filter(|_| !self.has_ids());
            until_ms
                .is_some_and(|until_ms| self.happened_ms(text).is_none_or(|happened| happened >= until_ms))
        };
        self.is_any(text, &|holds, text| person.is_named(holds, text)) && !is_late()
    }

    /// `true`: one of the row's columns says that it is a person's.
    pub(crate) fn is_any<'t>(
        &self,
        text: &dyn Fn(usize) -> Option<Cow<'t, str>>,
        is_it: &dyn Fn(Holds, &str) -> bool,
    ) -> bool {
        self.columns.iter().any(|column| {
            let is_theirs = column
                .only_where
                .as_ref()
                .is_none_or(|(place, value)| text(*place).is_some_and(|text| text == *value));
            is_theirs && text(column.place).is_some_and(|text| is_it(column.holds, &text))
        })
    }

    /// Calls `each` with what a row's columns hold.
    pub(crate) fn each_text<'t>(
        &self,
        text: &dyn Fn(usize) -> Option<Cow<'t, str>>,
        each: &mut dyn FnMut(Holds, &str),
    ) {
        for column in self.columns.iter().filter(|column| column.only_where.is_none()) {
            if let Some(text) = text(column.place) {
                each(column.holds, &text);
            }
        }
    }
}
