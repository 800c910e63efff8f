//! New staged files out of registered ones: some become one, with the newest version of each row, or one comes without
//! certain rows. A registered file itself is never changed.
//!
//! Rows are copied as they are, but for [`crate::FILE`], which names the new file. Memory does not grow with the number
//! of rows: a row group of the source, one of the new file, and while versions are compared [`MAX_KEYS`] of them.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::file::{Description, describe};
use crate::rows::arrow_schema;
use crate::table::{ColumnType, READ_AT, RUN_ID, SOURCE_UPDATED_AT, Table};
use crate::writer::{FileWriter, Finished};

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 1_024;
/// Values that make a row group. More than a run writes at a time: the files are to be few, and read whole.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// Keys whose versions are compared at a time, of some 80 bytes each. More are compared in several passes.
const MAX_KEYS: u64 = 1_000_000;

/// The place of a new file.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Path at which it is written; nothing may be there.
    pub scratch: &'a Path,
    /// Key under which it will be kept.
    pub key: &'a str,
    /// Run that it is registered with. Files of different columns are merged in the order of their runs.
    pub run_id: &'a str,
}

/// Writes one file with those rows of `sources` that `keep` wants. `keep` is asked for each batch, with the number of its
/// source, and answers for each row of it.
///
/// # Errors
/// When a source is no staged file, or is one of another account or with other columns than the first one. What is at
/// `scratch` then is of no use.
pub fn rewrite(
    sources: &[&Path],
    new: NewFile<'_>,
    mut keep: impl FnMut(usize, &RecordBatch) -> anyhow::Result<BooleanArray>,
) -> anyhow::Result<Finished> {
    rewrite_with(sources, new, |source, batch| Ok((batch.clone(), keep(source, batch)?)))
}

/// As [`rewrite`]; `change` also answers with the batch as it is to be kept.
pub(crate) fn rewrite_with(
    sources: &[&Path],
    new: NewFile<'_>,
    change: impl FnMut(usize, &RecordBatch) -> anyhow::Result<(RecordBatch, BooleanArray)>,
) -> anyhow::Result<Finished> {
    Sources::of(sources)?.rewrite(new, change)
}

/// As [`rewrite`], with the newest version of each row. Of rows of the same key, version and run all are kept: a
/// warehouse decides between those by their values.
pub fn rewrite_newest(sources: &[&Path], new: NewFile<'_>) -> anyhow::Result<Finished> {
    let sources = Sources::of(sources)?;
    let newest = sources.newest()?;
    let mut rows = vec![0; newest.len()];
    sources.rewrite(new, |source, batch| {
        let start = rows[source];
        rows[source] += batch.num_rows();
        Ok((batch.clone(), BooleanArray::new(newest[source].slice(start, batch.num_rows()), None)))
    })
}

/// Files of one account, with the same keys and columns.
#[derive(Debug)]
struct Sources<'a> {
    paths: &'a [&'a Path],
    account_id: u64,
    table: Table,
    /// Rows of each.
    rows: Vec<u64>,
}

impl<'a> Sources<'a> {
    fn of(paths: &'a [&'a Path]) -> anyhow::Result<Sources<'a>> {
        let mut descriptions = paths.iter().map(|path| describe(path));
        let first = descriptions.next().context("no file is named that a new one is to be made of")??;
        let Description { account_id, table, rows, .. } = first;
        let mut sources = Sources { paths, account_id, table, rows: vec![rows] };
        for other in descriptions {
            let other = other?;
            if (other.account_id, &other.table) != (sources.account_id, &sources.table) {
                bail!("staged files of {} differ in account, keys or columns", sources.table.collection);
            }
            sources.rows.push(other.rows);
        }
        Ok(sources)
    }

    fn rewrite(
        &self,
        new: NewFile<'_>,
        mut change: impl FnMut(usize, &RecordBatch) -> anyhow::Result<(RecordBatch, BooleanArray)>,
    ) -> anyhow::Result<Finished> {
        let mut writer = FileWriter::create(new.scratch, new.key, self.account_id, new.run_id, &self.table)?;
        let (mut waiting, mut bytes) = (Vec::new(), 0);
        for (source, path) in self.paths.iter().enumerate() {
            for batch in read(path, &self.table, None)? {
                let batch = batch.with_context(|| format!("{} can't be read", path.display()))?;
                let (batch, keep) = change(source, &batch)?;
                let kept = filter_record_batch(&batch, &keep)?;
                bytes += kept.get_array_memory_size();
                waiting.push(kept);
                if bytes >= ROW_GROUP_BYTES {
                    writer.write_batches(&waiting)?;
                    waiting.clear();
                    bytes = 0;
                }
            }
        }
        writer.write_batches(&waiting)?;
        writer.finish()
    }

    /// Tells for each row of each file whether it is the newest of its key.
    fn newest(&self) -> anyhow::Result<Vec<BooleanBuffer>> {
        let passes = u128::from(self.rows.iter().sum::<u64>().div_ceil(MAX_KEYS).max(1));
        let mut chosen: Vec<BooleanBufferBuilder> = Vec::with_capacity(self.rows.len());
        for rows in &self.rows {
            let rows = usize::try_from(*rows)?;
            let mut bits = BooleanBufferBuilder::new(rows);
            bits.append_n(rows, false);
            chosen.push(bits);
        }
        let columns = VersionColumns::of(&self.table);
        for pass in 0..passes {
            let mut newest = Newest::default();
            for (source, path) in self.paths.iter().enumerate() {
                let mut row = 0;
                for batch in read(path, &self.table, Some(&columns.places))? {
                    let batch = batch.with_context(|| format!("{} can't be read", path.display()))?;
                    columns.each(&batch, &mut newest.runs, |key, version| {
                        if key % passes == pass {
                            newest.rows.see(key, version, (source, row));
                        }
                        row += 1;
                    })?;
                }
            }
            let Rows { best, ties } = newest.rows;
            let places = best.into_values().map(|(_, place)| place).chain(ties.into_values().flatten());
            for (source, row) in places {
                chosen[source].set_bit(row, true);
            }
        }
        Ok(chosen.into_iter().map(|mut bits| bits.finish()).collect())
    }
}

/// Reads a file in batches: all its columns, or those at these places.
pub(crate) fn read(
    path: &Path,
    table: &Table,
    columns: Option<&[usize]>,
) -> anyhow::Result<ParquetRecordBatchReader> {
    let file = File::open(path).with_context(|| format!("staged file {} can't be opened", path.display()))?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(arrow_schema(table)));
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .with_context(|| format!("{} can't be read", path.display()))?;
    let mask = match columns {
        Some(columns) => ProjectionMask::leaves(reader.parquet_schema(), columns.iter().copied()),
        None => ProjectionMask::all(),
    };
    Ok(reader.with_projection(mask).with_batch_size(BATCH_ROWS).build()?)
}

/// Source file, and row in it.
type Place = (usize, usize);

#[derive(Debug, Default)]
struct Newest {
    runs: Runs,
    rows: Rows,
}

/// Names of runs; a later one is greater.
#[derive(Debug, Default)]
struct Runs(Vec<Arc<str>>);

impl Runs {
    fn name(&mut self, name: &str) -> Arc<str> {
        // Rows of a file are of one run, or of a few.
        match self.0.iter().rev().find(|known| &***known == name) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = Arc::from(name);
                self.0.push(Arc::clone(&new));
                new
            }
        }
    }
}

/// Version of a row: when HubSpot changed it, when it was asked for, and by which run.
type Version = (Option<i64>, Option<i64>, Arc<str>);

#[derive(Debug, Default)]
struct Rows {
    best: HashMap<u128, (Version, Place)>,
    /// Further rows of the best version.
    ties: HashMap<u128, Vec<Place>>,
}

impl Rows {
    fn see(&mut self, key: u128, version: Version, place: Place) {
        match self.best.get_mut(&key) {
            Some((best, _)) if version == *best => self.ties.entry(key).or_default().push(place),
            Some((best, _)) if version < *best => {}
            Some(best) => {
                *best = (version, place);
                self.ties.remove(&key);
            }
            None => _ = self.best.insert(key, (version, place)),
        }
    }
}

/// Columns that decide which row is the newest of its key.
#[derive(Debug)]
struct VersionColumns {
    /// Places in the table, in their order there.
    places: Vec<usize>,
    /// Places among `places`.
    key: Vec<(usize, ColumnType)>,
    updated_at: Option<usize>,
    read_at: Option<usize>,
    run_id: Option<usize>,
}

impl VersionColumns {
    fn of(table: &Table) -> VersionColumns {
        let version = [SOURCE_UPDATED_AT, READ_AT, RUN_ID];
        let is_wanted =
            |name: &str| version.contains(&name) || table.primary_key.iter().any(|key| key == name);
        let wanted: Vec<usize> =
            (0..table.columns.len()).filter(|place| is_wanted(&table.columns[*place].name)).collect();
        let among = |name: &str| wanted.iter().position(|place| table.columns[*place].name == name);
        let key = table.primary_key.iter().filter_map(|name| among(name));
        VersionColumns {
            key: key.map(|place| (place, table.columns[wanted[place]].column_type)).collect(),
            updated_at: among(SOURCE_UPDATED_AT),
            read_at: among(READ_AT),
            run_id: among(RUN_ID),
            places: wanted,
        }
    }

    /// Shows each row's key, as a hash, and version.
    fn each(
        &self,
        batch: &RecordBatch,
        runs: &mut Runs,
        mut see: impl FnMut(u128, Version),
    ) -> anyhow::Result<()> {
        let time = |place: Option<usize>, row: usize| {
            let column = batch.column(place?).as_primitive_opt::<TimestampMillisecondType>()?;
            column.is_valid(row).then(|| column.value(row))
        };
        let run_ids: Option<&StringArray> = self.run_id.and_then(|place| batch.column(place).as_string_opt());
        let mut bytes = Vec::new();
        for row in 0..batch.num_rows() {
            bytes.clear();
            for (place, column_type) in &self.key {
                push_value(&mut bytes, batch.column(*place), *column_type, row);
            }
            let run = run_ids.filter(|ids| ids.is_valid(row)).map_or("", |ids| ids.value(row));
            see(xxh3_128(&bytes), (time(self.updated_at, row), time(self.read_at, row), runs.name(run)));
        }
        Ok(())
    }
}

/// Appends a value so that no other sequence of values looks the same.
fn push_value(bytes: &mut Vec<u8>, column: &dyn Array, column_type: ColumnType, row: usize) {
    bytes.push(u8::from(column.is_valid(row)));
    if column.is_null(row) {
        return;
    }
    match column_type {
        ColumnType::Text | ColumnType::Json => {
            let text = column.as_string::<i32>().value(row);
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        ColumnType::BigInt => bytes.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        ColumnType::Double => bytes.extend(column.as_primitive::<Float64Type>().value(row).to_le_bytes()),
        ColumnType::Boolean => bytes.push(u8::from(column.as_boolean().value(row))),
        ColumnType::Date => bytes.extend(column.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        ColumnType::Timestamp => {
            bytes.extend(column.as_primitive::<TimestampMillisecondType>().value(row).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::table::{Column, FILE};

    fn table() -> Table {
        let columns = vec![
            Column::new("id", ColumnType::BigInt),
            Column::new("part", ColumnType::Text),
            Column::new("value", ColumnType::Double),
            Column::new(SOURCE_UPDATED_AT, ColumnType::Timestamp),
            Column::new(READ_AT, ColumnType::Timestamp),
            Column::new(RUN_ID, ColumnType::Text),
            Column::new(FILE, ColumnType::Text),
        ];
        Table::new("deals", &["id", "part"], columns).unwrap()
    }

    /// Key, version and value of a row.
    type Row = (i64, Option<String>, Option<i64>, i64, String, i64);

    fn write(folder: &Path, name: &str, table: &Table, rows: &[Row]) -> PathBuf {
        let path = folder.join(name);
        let mut writer = FileWriter::create(&path, &format!("key-{name}"), 7, "run-1", table).unwrap();
        for (id, part, updated_at, read_at, run, value) in rows {
            let rows = writer.rows();
            rows.cell(0).unwrap().bigint(*id);
            if let Some(part) = part {
                rows.cell(1).unwrap().text(part);
            }
            rows.cell(2).unwrap().double(*value as f64);
            if let Some(updated_at) = updated_at {
                rows.cell(3).unwrap().timestamp(*updated_at);
            }
            rows.cell(4).unwrap().timestamp(*read_at);
            rows.cell(5).unwrap().text(run);
            rows.finish_row();
        }
        writer.finish().unwrap();
        path
    }

    fn rows(path: &Path) -> Vec<Row> {
        let mut rows = Vec::new();
        for batch in read(path, &table(), None).unwrap() {
            let batch = batch.unwrap();
            let text = |column: usize, row: usize| {
                let column = batch.column(column).as_string::<i32>();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let time = |column: usize, row: usize| {
                let column = batch.column(column).as_primitive::<TimestampMillisecondType>();
                column.is_valid(row).then(|| column.value(row))
            };
            for row in 0..batch.num_rows() {
                assert_eq!(text(6, row).unwrap(), "new/key");
                rows.push((
                    batch.column(0).as_primitive::<Int64Type>().value(row),
                    text(1, row),
                    time(3, row),
                    time(4, row).unwrap(),
                    text(5, row).unwrap(),
                    batch.column(2).as_primitive::<Float64Type>().value(row) as i64,
                ));
            }
        }
        rows
    }

    fn of_some_row() -> impl Strategy<Value = Row> {
        (0..6_i64, prop::option::of("[ab]"), prop::option::of(0..4_i64), 0..4_i64, "run-[12]", 0..3_i64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_newest_row_of_each_key_is_kept(files in prop::collection::vec(prop::collection::vec(of_some_row(), 0..20), 1..5)) {
            let folder = tempfile::tempdir().unwrap();
            let paths: Vec<PathBuf> = files.iter().enumerate()
                .map(|(n, rows)| write(folder.path(), &n.to_string(), &table(), rows)).collect();
            let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
            let scratch = folder.path().join("new");
            let new = NewFile { scratch: &scratch, key: "new/key", run_id: "run-9" };
            let finished = rewrite_newest(&paths, new).unwrap();
            let all: Vec<Row> = files.concat();
            let version = |row: &Row| (row.2, row.3, row.4.clone());
            let mut best = BTreeMap::new();
            for row in &all {
                let best = best.entry((row.0, row.1.clone())).or_insert_with(|| version(row));
                *best = version(row).max(best.clone());
            }
            let expected: Vec<Row> =
                all.into_iter().filter(|row| version(row) == best[&(row.0, row.1.clone())]).collect();
            prop_assert_eq!(finished.description.rows, expected.len() as u64);
            prop_assert_eq!(&finished.description.run_id, "run-9");
            prop_assert_eq!(describe(&scratch).unwrap(), finished.description);
            prop_assert_eq!(rows(&scratch), expected);
        }
    }

    #[test]
    fn many_rows_make_some_row_groups_and_all_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(400);
        let many: Vec<Row> =
            (0..100_000).map(|id| (id, Some(long.clone()), Some(1), 1, "run-1".to_owned(), id)).collect();
        let path = write(folder.path(), "a", &table(), &many);
        let scratch = folder.path().join("new");
        let new = NewFile { scratch: &scratch, key: "new/key", run_id: "run-2" };
        rewrite(&[&path], new, |_, batch| {
            let ids = batch.column(0).as_primitive::<Int64Type>();
            Ok(ids.values().iter().map(|id| Some(id % 10 != 0)).collect())
        })
        .unwrap();
        let kept = rows(&scratch);
        assert_eq!(kept.len(), 90_000);
        assert!(kept.iter().all(|row| row.0 % 10 != 0 && row.5 == row.0));
    }

    #[test]
    fn files_that_differ_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wider = {
            let mut table = table();
            table.columns.push(Column::new("more", ColumnType::Text));
            table
        };
        let one = write(folder.path(), "a", &table(), &[]);
        let other = write(folder.path(), "b", &wider, &[]);
        let scratch = folder.path().join("new");
        let new = NewFile { scratch: &scratch, key: "new/key", run_id: "run-2" };
        let refused = rewrite_newest(&[&one, &other], new).unwrap_err();
        assert!(refused.to_string().contains("differ"), "{refused}");
        assert!(rewrite_newest(&[], new).is_err());
    }
}
