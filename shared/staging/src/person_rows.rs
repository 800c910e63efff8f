//! Rows of persons in a staged file: found, and left out of a new one.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::nullif::nullif;

use crate::file::describe;
use crate::known::Known;
use crate::person::{Holds, Person, PersonColumns, without_ids};
use crate::pseudonyms::Pseudonyms;
use crate::rewrite::{NewFile, read, rewrite_with};
use crate::writer::Finished;

/// Rows of persons in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonRows {
    pub rows: u64,
    /// Rows about something else that name a person in a list.
    pub mentions: u64,
    /// The person, with the ids and addresses of these rows.
    pub person: Person,
}

impl PersonRows {
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.mentions == 0
    }
}

/// Finds the rows of a person in a staged file, of which no more is read than the columns that tell.
///
/// # Errors
/// When the file can't be read.
pub fn person_rows(path: &Path, all: &[PersonColumns], person: &Person) -> anyhow::Result<PersonRows> {
    let table = describe(path)?.table;
    let mut found = PersonRows { person: person.clone(), ..PersonRows::default() };
    let Some(known) = Known::of(&table, all) else { return Ok(found) };
    let places = known.places();
    let known = known.among(&places);
    for batch in read(path, &table, Some(&places))? {
        let batch = batch.with_context(|| format!("{} can't be read", path.display()))?;
        for row in 0..batch.num_rows() {
            if known.is_of(person, &|column| text(batch.column(column), row)) {
                found.rows += 1;
                known.each_text(&|column| text(batch.column(column), row), &mut |holds, text| {
                    found.person.add(holds, text);
                });
            } else if known.mentions.iter().any(|column| is_mentioned(&batch, *column, row, person))
                || known.mentioned.iter().any(|column| is_address_of(batch.column(*column), row, person))
            {
                found.mentions += 1;
            }
        }
    }
    Ok(found)
}

/// Writes a new file without the rows of a person, and without their ids in lists of others. With `pseudonyms`, rows that
/// are known by one address alone stay: with the pseudonym, and without the columns that may tell who it is.
///
/// # Errors
/// As of [`crate::rewrite`].
pub fn write_without(
    path: &Path,
    new: NewFile<'_>,
    all: &[PersonColumns],
    person: &Person,
    pseudonyms: Option<&Pseudonyms>,
) -> anyhow::Result<Finished> {
    let table = describe(path)?.table;
    let known = Known::of(&table, all).with_context(|| format!("{} names nobody", path.display()))?;
    if let (Some(pseudonyms), Some(details)) = (pseudonyms, &known.details) {
        return rewrite_with(&[path], new, |_, batch| {
            let all = BooleanArray::from(vec![true; batch.num_rows()]);
            Ok((pseudonymised(batch, &known, details, person, pseudonyms)?, all))
        });
    }
    rewrite_with(&[path], new, |_, batch| {
        let is_of_nobody = |row| Some(!known.is_of(person, &|column| text(batch.column(column), row)));
        let keep = BooleanArray::from_iter((0..batch.num_rows()).map(is_of_nobody));
        let mut columns = batch.columns().to_vec();
        for column in &known.mentions {
            let lists = batch.column(*column).as_string::<i32>();
            let texts: Vec<Option<Cow<'_, str>>> = lists
                .iter()
                .map(|list| list.map(|list| without_ids(list, person).map_or(list.into(), Cow::Owned)))
                .collect();
            columns[*column] = Arc::new(StringArray::from_iter(texts));
        }
        without_mentioned(&known, &mut columns, person)?;
        Ok((RecordBatch::try_new(batch.schema(), columns)?, keep))
    })
}

/// Returns the rows of a batch, those of the person under a pseudonym.
fn pseudonymised(
    batch: &RecordBatch,
    known: &Known,
    details: &[usize],
    person: &Person,
    pseudonyms: &Pseudonyms,
) -> anyhow::Result<RecordBatch> {
    let text = |column: usize, row: usize| text(batch.column(column), row);
    let is_of = |row: usize| known.is_of(person, &|column| text(column, row));
    let theirs: Vec<bool> = (0..batch.num_rows()).map(is_of).collect();
    let mut columns = batch.columns().to_vec();
    let mut is_theirs_alone = vec![false; theirs.len()];
    for place in known.holding(Holds::Address) {
        let of_row = |row: usize| {
            let text = text(place, row)?;
            match pseudonyms.of(&text).filter(|_| theirs[row]) {
                Some(pseudonym) => {
                    is_theirs_alone[row] = true;
                    Some(Cow::Owned(pseudonym.to_owned()))
                }
                None => Some(text),
            }
        };
        let texts: Vec<Option<Cow<'_, str>>> = (0..theirs.len()).map(of_row).collect();
        columns[place] = Arc::new(StringArray::from_iter(texts));
    }
    let is_named = |place: usize, row: usize| {
        is_theirs_alone[row]
            || theirs[row]
                && text(place, row).is_some_and(|text| person.is_named(Holds::JsonAddresses, &text))
    };
    for place in known.holding(Holds::JsonAddresses) {
        let named = (0..theirs.len()).map(|row| Some(is_named(place, row)));
        columns[place] = nullif(&columns[place], &BooleanArray::from_iter(named))?;
    }
    without_mentioned(known, &mut columns, person)?;
    let is_theirs_alone = BooleanArray::from(is_theirs_alone);
    for &place in details.iter().chain(&known.mentioned) {
        columns[place] = nullif(&columns[place], &is_theirs_alone)?;
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// Takes the addresses of the person out of rows of others.
fn without_mentioned(known: &Known, columns: &mut [ArrayRef], person: &Person) -> anyhow::Result<()> {
    for &place in &known.mentioned {
        let column = &columns[place];
        let named = (0..column.len()).map(|row| Some(is_address_of(column, row, person)));
        columns[place] = nullif(column, &BooleanArray::from_iter(named))?;
    }
    Ok(())
}

fn is_address_of(column: &ArrayRef, row: usize, person: &Person) -> bool {
    text(column, row).is_some_and(|text| person.is_named(Holds::MentionedAddress, &text))
}

fn is_mentioned(batch: &RecordBatch, column: usize, row: usize, person: &Person) -> bool {
    text(batch.column(column), row).is_some_and(|list| without_ids(&list, person).is_some())
}

/// The value of a text or a whole number, or a time in milliseconds; `None` for NULL and for other types.
fn text(column: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Utf8 => Some(column.as_string::<i32>().value(row).into()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Some(column.as_primitive::<TimestampMillisecondType>().value(row).to_string().into())
        }
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(row).to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnType, FILE, Table};
    use crate::writer::FileWriter;

    #[test]
    fn a_row_of_a_later_time_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let columns = [
            ("id", ColumnType::BigInt),
            ("email", ColumnType::Text),
            ("cc", ColumnType::Json),
            ("happened", ColumnType::Timestamp),
            (FILE, ColumnType::Text),
        ];
        let columns = columns.map(|(name, is)| Column::new(name, is)).to_vec();
        let table = Table::new("events", &["id"], columns).unwrap();
        let path = folder.path().join("old");
        let mut writer = FileWriter::create(&path, "old", 1, "run-1", &table).unwrap();
        for (id, email, happened) in [
            (1, "ada@x.com", Some(4)),
            (2, "ada@x.com", Some(5)),
            (3, "ada@x.com", None),
            (4, "bo@x.com", Some(1)),
        ] {
            writer.rows().cell(0).unwrap().bigint(id);
            writer.rows().cell(1).unwrap().text(email);
            writer.rows().cell(2).unwrap().text("[\"ada@x.com\"]");
            happened.into_iter().for_each(|happened| writer.rows().cell(3).unwrap().timestamp(happened));
            writer.rows().finish_row();
        }
        writer.finish().unwrap();
        let all: PersonColumns = "events email@ cc[@ happened~".parse().unwrap();
        let mut person = Person::default();
        person.add_address("ada@x.com");
        let found = |columns: PersonColumns| person_rows(&path, &[columns], &person).unwrap().rows;
        assert_eq!((found(all.of_removed(5).unwrap()), found(all)), (1, 4));
    }

    #[test]
    fn rows_known_by_an_address_alone_may_stay_under_a_pseudonym() {
        let folder = tempfile::tempdir().unwrap();
        let columns = [
            ("id", ColumnType::BigInt),
            ("email", ColumnType::Text),
            ("cc", ColumnType::Json),
            ("agent", ColumnType::Text),
            ("latitude", ColumnType::Double),
            (FILE, ColumnType::Text),
            ("by", ColumnType::Text),
        ];
        let columns = columns.map(|(name, is)| Column::new(name, is)).to_vec();
        let table = Table::new("events", &["id"], columns).unwrap();
        let path = folder.path().join("old");
        let mut writer = FileWriter::create(&path, "old", 1, "run-1", &table).unwrap();
        for (id, email, cc) in
            [(1, "Ada@x.com", "[\"bo@x.com\"]"), (2, "bo@x.com", "[\"ada@x.com\"]"), (3, "bo@x.com", "[]")]
        {
            writer.rows().cell(0).unwrap().bigint(id);
            writer.rows().cell(1).unwrap().text(email);
            writer.rows().cell(2).unwrap().text(cc);
            writer.rows().cell(3).unwrap().text("browser");
            writer.rows().cell(4).unwrap().double(1.5);
            writer.rows().cell(6).unwrap().text(if id == 3 { "ADA@x.com" } else { "zoe@x.com" });
            writer.rows().finish_row();
        }
        writer.finish().unwrap();
        let all = ["events email@ cc[@ by-@ agent! latitude!".parse().unwrap()];
        let mut person = Person::default();
        person.add_address("ada@x.com");
        let pseudonyms = Pseudonyms::new(&person.addresses, |_| "0a@forgotten.invalid".to_owned());
        let next = folder.path().join("new");
        let new = NewFile { scratch: &next, key: "new", run_id: "run-1" };
        write_without(&path, new, &all, &person, Some(&pseudonyms)).unwrap();
        assert!(person_rows(&next, &all, &person).unwrap().is_empty());
        let rows: Vec<RecordBatch> = read(&next, &table, None).unwrap().map(Result::unwrap).collect();
        let row =
            |row: usize| [0, 1, 2, 3].map(|column| text(rows[0].column(column), row).map(Cow::into_owned));
        let expected = |texts: [Option<&str>; 4]| texts.map(|text| text.map(str::to_owned));
        assert_eq!(row(0), expected([Some("1"), Some("0a@forgotten.invalid"), None, None]));
        assert_eq!(row(1), expected([Some("2"), Some("bo@x.com"), None, Some("browser")]));
        assert_eq!(row(2), expected([Some("3"), Some("bo@x.com"), Some("[]"), Some("browser")]));
        assert_eq!([0, 1, 2].map(|row| rows[0].column(4).is_null(row)), [true, false, false]);
        let by = [0, 1, 2].map(|row| rows[0].column(6).is_null(row));
        assert_eq!(by, [true, false, true], "one's own goes, and who is named in another's row");
        assert_eq!(rows[0].num_rows(), 3);
        // The same where rows go.
        let next = folder.path().join("without");
        let new = NewFile { scratch: &next, key: "without", run_id: "run-1" };
        write_without(&path, new, &all, &person, None).unwrap();
        assert!(person_rows(&next, &all, &person).unwrap().is_empty());
        let rows: Vec<RecordBatch> = read(&next, &table, None).unwrap().map(Result::unwrap).collect();
        assert_eq!((rows[0].num_rows(), rows[0].column(6).is_null(0)), (1, true));
    }

    #[test]
    fn a_new_file_has_all_rows_but_those_of_the_person() {
        let folder = tempfile::tempdir().unwrap();
        let columns = [
            ("ok", ColumnType::Boolean),
            ("vids", ColumnType::Json),
            ("id", ColumnType::BigInt),
            (FILE, ColumnType::Text),
            ("email", ColumnType::Text),
        ];
        let columns = columns.map(|(name, is)| Column::new(name, is)).to_vec();
        let table = Table::new("people", &["id"], columns).unwrap();
        let path = folder.path().join("old");
        let mut writer = FileWriter::create(&path, "old", 1, "run-1", &table).unwrap();
        for (id, email, vids) in
            [(1, "ada@x.com", "[]"), (2, "bo@x.com", "[3,1]"), (3, "Ada@x.com", "[1]"), (4, "d@x.com", "[3]")]
        {
            writer.rows().cell(2).unwrap().bigint(id);
            writer.rows().cell(4).unwrap().text(email);
            writer.rows().cell(1).unwrap().text(vids);
            writer.rows().finish_row();
        }
        writer.finish().unwrap();

        let all = ["people! id# email@ vids-# none#".parse().unwrap()];
        let mut person = Person::default();
        person.add_address("ada@x.com");
        let found = person_rows(&path, &all, &person).unwrap();
        assert_eq!((found.rows, found.mentions), (2, 0));
        assert_eq!(found.person.ids, [1, 3].into());
        let person = found.person;
        let found = person_rows(&path, &all, &person).unwrap();
        assert_eq!((found.rows, found.mentions), (2, 2));

        let next = folder.path().join("new");
        let new = NewFile { scratch: &next, key: "new", run_id: "run-1" };
        let finished = write_without(&path, new, &all, &person, Some(&Pseudonyms::default())).unwrap();
        assert_eq!(finished.description.rows, 2);
        assert!(person_rows(&next, &all, &person).unwrap().is_empty());
        let rows: Vec<RecordBatch> = read(&next, &table, None).unwrap().map(Result::unwrap).collect();
        let texts = |column: usize| -> Vec<String> {
            rows.iter()
                .flat_map(|batch| (0..batch.num_rows()).map(|row| text(batch.column(column), row).unwrap()))
                .map(Cow::into_owned)
                .collect()
        };
        assert_eq!([texts(1), texts(2), texts(3)], [["[]", "[]"], ["2", "4"], ["new", "new"]]);
        assert!(person_rows(&path, &["others id#".parse().unwrap()], &person).unwrap().is_empty());
    }
}
