//! Writes one staged file: rows in, Parquet out, memory bounded whatever the account's size and width.
//!
//! The file grows on local disk (a laptop's folder, a Lambda's `/tmp`) and goes to the bucket only when it is whole,
//! so a crash leaves a scratch file that nothing knows of.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{FieldRef, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, TypePtr};

use crate::codec::Codec;
use crate::file::{Description, METADATA_KEY};
use crate::private;
use crate::rows::{Rows, arrow_schema};
use crate::table::{FILE, READ_AT, SOURCE_UPDATED_AT, Table};

/// Rows are kept in their builders until they make a row group; then it is written, one column after the other. A
/// column's encoder and compressor take a quarter of a megabyte, which 1,500 columns at once could not afford.
const ROW_GROUP_BYTES: usize = 3 << 20;
/// In a wide table a row group holds at least this much of each column: smaller pieces would hardly compress.
const LEAST_COLUMN_BYTES: usize = 8 << 10;
/// However wide the table, no more than this waits: a function of 128 MB holds it beside the answers of two pages.
const MOST_ROW_GROUP_BYTES: usize = 10 << 20;
/// In a narrow table no more than this: larger pieces hardly compress better, and take long to fill.
const MOST_COLUMN_BYTES: usize = 96 << 10;
/// Rows whose file's name, the same for all, is in memory at a time.
const NAMES: usize = 256;
/// The footer keeps most of a kilobyte for each column of each row group in memory until the file is finished. However
/// wide the table, some row groups make a file.
const MAX_COLUMN_CHUNKS: usize = 1_000;
const FEWEST_ROW_GROUPS: usize = 4;

/// A scratch file that is complete, ready for [`crate::Bucket::put`], which makes it durable.
#[derive(Debug)]
pub struct Finished {
    pub scratch: PathBuf,
    /// The key it was made for.
    pub key: String,
    pub description: Description,
    pub bytes: u64,
}

/// One staged file in the making. Dropped without [`FileWriter::finish`], it leaves an orphan in the scratch folder,
/// which the next run of the feed clears.
pub struct FileWriter {
    rows: Rows,
    parquet: SerializedFileWriter<File>,
    /// Makes the encoders of one column, for one row group at a time.
    columns: Vec<(FieldRef, ArrowRowGroupWriterFactory)>,
    /// The place of [`FILE`] among them, if the table has it.
    file_column: Option<usize>,
    scratch: PathBuf,
    key: String,
    description: Description,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileWriter { scratch, description, .. } = self;
        f.debug_struct("FileWriter")
            .field("scratch", scratch)
            .field("description", description)
            .finish_non_exhaustive()
    }
}

impl FileWriter {
    /// Starts a file at `scratch`, which must not exist. It will be kept under `key`, which its rows name in the
    /// column [`FILE`], if the table has it.
    pub fn create(
        scratch: &Path,
        key: &str,
        account_id: u64,
        run_id: &str,
        table: &Table,
    ) -> anyhow::Result<FileWriter> {
        FileWriter::create_as(Codec::default(), scratch, key, account_id, run_id, table)
    }

    /// [`FileWriter::create`], with the codec of its pages.
    pub fn create_as(
        codec: Codec,
        scratch: &Path,
        key: &str,
        account_id: u64,
        run_id: &str,
        table: &Table,
    ) -> anyhow::Result<FileWriter> {
        let schema = arrow_schema(table);
        let properties = Arc::new(properties(table, codec)?);
        let columns = schema
            .fields()
            .iter()
            .map(|field| Ok((Arc::clone(field), column_factory(field, &properties)?)))
            .collect::<anyhow::Result<_>>()?;
        let file = private::file()
            .read(true)
            .write(true)
            .create_new(true)
            .open(scratch)
            .with_context(|| format!("the scratch file {} can't be created", scratch.display()))?;
        let parquet = SerializedFileWriter::new(file, parquet_schema(&schema)?, properties)
            .context("a Parquet writer can't be made for this table")?;
        let description = Description::new(account_id, run_id, table, 0);
        Ok(FileWriter {
            rows: Rows::new(table),
            parquet,
            columns,
            file_column: table.columns.iter().position(|column| column.name == FILE),
            scratch: scratch.to_owned(),
            key: key.to_owned(),
            description,
        })
    }

    /// Fills the buffers that another file of the same table has left, so that memory stays where it is.
    pub fn reusing(self, rows: Rows) -> FileWriter {
        FileWriter { rows, ..self }
    }

    /// Rows that the next page is appended to.
    pub fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Rows so far, written or waiting.
    pub fn len(&self) -> u64 {
        self.description.rows + self.rows.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written so far; rows that wait are not among them.
    pub fn size_bytes(&self) -> u64 {
        self.parquet.bytes_written() as u64
    }

    /// The file should be finished: its footer has grown to what memory allows.
    pub fn is_full(&self) -> bool {
        let row_groups = self.parquet.flushed_row_groups().len();
        row_groups >= FEWEST_ROW_GROUPS && row_groups * self.columns.len() >= MAX_COLUMN_CHUNKS
    }

    /// To be called between pages: writes what waits once it makes a row group.
    pub fn page_done(&mut self) -> anyhow::Result<()> {
        let columns = self.columns.len();
        let enough = ROW_GROUP_BYTES.clamp(LEAST_COLUMN_BYTES * columns, MOST_COLUMN_BYTES * columns);
        if self.rows.size_bytes() >= enough.min(MOST_ROW_GROUP_BYTES) {
            self.write_row_group()?;
        }
        Ok(())
    }

    fn write_row_group(&mut self) -> anyhow::Result<()> {
        let rows = self.rows.len() as u64;
        if rows == 0 {
            return Ok(());
        }
        let failed = self.write_failed();
        let (columns, file_column) = (&self.columns, self.file_column);
        let names = file_names(&self.key, self.rows.len());
        let mut row_group = self.parquet.next_row_group().context(failed.clone())?;
        self.rows
            .drain(|column, array| {
                let (field, factory) = &columns[column];
                let names = (file_column == Some(column)).then_some(&names);
                write_column(&mut row_group, field, factory, &[array], names)
            })
            .context(failed.clone())?;
        row_group.close().context(failed)?;
        self.description.rows += rows;
        Ok(())
    }

    /// Writes rows that are there as batches, as one row group. The column [`FILE`] names this file, whatever they say.
    pub(crate) fn write_batches(&mut self, batches: &[RecordBatch]) -> anyhow::Result<()> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok(());
        }
        let failed = self.write_failed();
        let names = file_names(&self.key, rows);
        let mut row_group = self.parquet.next_row_group().context(failed.clone())?;
        for (column, (field, factory)) in self.columns.iter().enumerate() {
            let arrays: Vec<ArrayRef> =
                batches.iter().map(|batch| Arc::clone(batch.column(column))).collect();
            let names = (self.file_column == Some(column)).then_some(&names);
            write_column(&mut row_group, field, factory, &arrays, names).context(failed.clone())?;
        }
        row_group.close().context(failed)?;
        self.description.rows += rows as u64;
        Ok(())
    }

    /// Writes what waits, and the footer.
    pub fn finish(self) -> anyhow::Result<Finished> {
        Ok(self.finish_and_hand_over()?.0)
    }

    /// The same, and its buffers, empty, for the next file of the table: see [`FileWriter::reusing`].
    pub fn finish_and_hand_over(mut self) -> anyhow::Result<(Finished, Rows)> {
        self.write_row_group()?;
        let description = serde_json::to_string(&self.description)?;
        self.parquet.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_owned(), description));
        let failed = self.write_failed();
        let file = self.parquet.into_inner().context(failed.clone())?;
        let bytes = file.metadata().context(failed)?.len();
        let finished =
            Finished { scratch: self.scratch, key: self.key, description: self.description, bytes };
        Ok((finished, self.rows))
    }

    /// Takes the file back: nothing was worth staging.
    pub fn discard(self) -> anyhow::Result<()> {
        drop(self.parquet);
        std::fs::remove_file(&self.scratch)
            .with_context(|| format!("the scratch file {} can't be removed", self.scratch.display()))
    }

    fn write_failed(&self) -> String {
        format!("the staged file {} can't be written (is the disk full?)", self.scratch.display())
    }
}

/// The key of the file, some times over.
fn file_names(key: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec![key; NAMES.min(rows)]))
}

/// Writes one column of a row group: the arrays, or as many `names` as they have values.
fn write_column(
    row_group: &mut SerializedRowGroupWriter<'_, File>,
    field: &FieldRef,
    factory: &ArrowRowGroupWriterFactory,
    arrays: &[ArrayRef],
    names: Option<&ArrayRef>,
) -> Result<(), ParquetError> {
    for mut writer in factory.create_column_writers(0)? {
        let mut write = |array: &ArrayRef| -> Result<(), ParquetError> {
            compute_leaves(field, array)?.iter().try_for_each(|leaf| writer.write(leaf))
        };
        for array in arrays {
            match names {
                Some(names) => {
                    for start in (0..array.len()).step_by(NAMES) {
                        write(&names.slice(0, NAMES.min(array.len() - start)))?;
                    }
                }
                None => write(array)?,
            }
        }
        writer.close()?.append_to_row_group(row_group)?;
    }
    Ok(())
}

/// A factory for one column's encoders; made from a file of that column alone, which goes nowhere.
fn column_factory(
    field: &FieldRef,
    properties: &Arc<WriterProperties>,
) -> anyhow::Result<ArrowRowGroupWriterFactory> {
    let schema = Arc::new(Schema::new(vec![Arc::clone(field)]));
    let nowhere = SerializedFileWriter::new(io::sink(), parquet_schema(&schema)?, Arc::clone(properties))?;
    Ok(ArrowRowGroupWriterFactory::new(&nowhere, schema))
}

fn parquet_schema(schema: &Schema) -> anyhow::Result<TypePtr> {
    Ok(ArrowSchemaConverter::new().convert(schema)?.root_schema_ptr())
}

/// Dictionaries so small that a column of unique values gives its own up soon. Statistics only where
/// a reader can use them to skip: the key and the version.
fn properties(table: &Table, codec: Codec) -> anyhow::Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(codec.compression()?)
        .set_dictionary_page_size_limit(16 << 10)
        .set_data_page_size_limit(256 << 10)
        .set_max_row_group_row_count(None)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_statistics_truncate_length(Some(64))
        .set_created_by(format!("hubspot-source {}", env!("CARGO_PKG_VERSION")));
    let version = [SOURCE_UPDATED_AT, READ_AT];
    for column in table.primary_key.iter().map(String::as_str).chain(version) {
        let path = ColumnPath::from(vec![column.to_owned()]);
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
    }
    Ok(properties.build())
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use super::*;
    use crate::file::describe;
    use crate::table::{Column, ColumnType};

    fn table() -> Table {
        let columns = vec![Column::new("id", ColumnType::BigInt), Column::new("name", ColumnType::Text)];
        Table::new("contacts", &["id"], columns).unwrap()
    }

    #[test]
    fn a_finished_file_describes_itself() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("a.parquet");
        let mut writer = FileWriter::create(&scratch, "a/key.parquet", 42, "run-1", &table()).unwrap();
        for id in 0..200_000 {
            writer.rows().cell(0).unwrap().bigint(id);
            writer
                .rows()
                .cell(1)
                .unwrap()
                .text("a name that makes more than one row group, as it stands in every row");
            writer.rows().finish_row();
            writer.page_done().unwrap();
        }
        assert_eq!(writer.len(), 200_000);
        assert!(writer.parquet.flushed_row_groups().len() > 1);
        let finished = writer.finish().unwrap();
        let described = describe(&scratch).unwrap();
        assert_eq!(described, finished.description);
        assert_eq!((described.rows, described.account_id), (200_000, 42));
        assert_eq!(described.table, table());
    }

    /// Bytes that wait when a row group of so many columns of text is written, and row groups of a full file.
    fn bounds(columns: usize) -> (usize, usize) {
        let text = (0..columns).map(|n| Column::new(format!("c{n}"), ColumnType::Text)).collect();
        let table = Table::new("contacts", &["c0"], text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            FileWriter::create(&folder.path().join("a.parquet"), "a/key.parquet", 42, "run-1", &table)
                .unwrap();
        let mut bytes_of_first = 0;
        while !writer.is_full() {
            for column in 0..columns {
                writer.rows().cell(column).unwrap().text(&"x".repeat(1_000));
            }
            writer.rows().finish_row();
            if writer.parquet.flushed_row_groups().is_empty() {
                bytes_of_first = writer.rows.size_bytes();
            }
            writer.page_done().unwrap();
        }
        (bytes_of_first, writer.parquet.flushed_row_groups().len())
    }

    #[test]
    fn a_row_group_is_of_its_width_and_a_file_of_so_many() {
        for (columns, bytes, row_groups) in [
            (20, 20 * MOST_COLUMN_BYTES, MAX_COLUMN_CHUNKS / 20),
            (100, ROW_GROUP_BYTES, MAX_COLUMN_CHUNKS / 100),
            (1_000, 1_000 * LEAST_COLUMN_BYTES, FEWEST_ROW_GROUPS),
            (2_500, MOST_ROW_GROUP_BYTES, FEWEST_ROW_GROUPS),
        ] {
            let (bytes_of_first, row_groups_of_file) = bounds(columns);
            let a_row = columns * 1_100;
            assert!(
                (bytes..bytes + a_row).contains(&bytes_of_first),
                "{columns} columns: {bytes_of_first} bytes"
            );
            assert_eq!(row_groups_of_file, row_groups, "{columns} columns");
        }
    }

    #[test]
    fn pages_have_the_codec_that_is_asked_for() {
        for (name, compression) in
            [("zstd", Codec::Zstd.compression().unwrap()), ("snappy", Codec::Snappy.compression().unwrap())]
        {
            let folder = tempfile::tempdir().unwrap();
            let scratch = folder.path().join("a.parquet");
            let codec = name.parse().unwrap();
            let mut writer =
                FileWriter::create_as(codec, &scratch, "a/key.parquet", 42, "run-1", &table()).unwrap();
            writer.rows().cell(0).unwrap().bigint(7);
            writer.rows().cell(1).unwrap().text("Ada");
            writer.rows().finish_row();
            writer.finish().unwrap();
            let reader = SerializedFileReader::new(File::open(&scratch).unwrap()).unwrap();
            let row_group = reader.metadata().row_group(0);
            assert!(row_group.columns().iter().all(|column| column.compression() == compression), "{name}");
            let row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
            assert_eq!((row.get_long(0).unwrap(), row.get_string(1).unwrap().as_str()), (7, "Ada"));
        }
        assert!("gzip".parse::<Codec>().unwrap_err().to_string().contains("zstd, snappy"));
    }

    #[test]
    fn a_file_without_rows_is_still_a_staged_file() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("a.parquet");
        let writer = FileWriter::create(&scratch, "a/key.parquet", 42, "run-1", &table()).unwrap();
        writer.finish().unwrap();
        assert_eq!(describe(&scratch).unwrap().rows, 0);
    }

    #[test]
    fn only_sets_take_the_formats_that_older_programs_refuse() {
        let columns = vec![
            Column::new("id", ColumnType::BigInt),
            Column::new("type", ColumnType::Text),
            Column::new("is_deleted", ColumnType::Boolean),
            Column::new("deleted_reason", ColumnType::Text),
        ];
        let plain = Table::new("contact_identities", &["id", "type"], columns).unwrap();
        let with_sets = plain.clone().with_set_key(&["id"]).unwrap();
        let closed = plain.clone().with_set_key(&["type"]).unwrap().with_sets_closed_by("id").unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (format, table) in [(1, plain), (2, with_sets), (3, closed)] {
            let scratch = folder.path().join(format!("{format}.parquet"));
            FileWriter::create(&scratch, "a/key.parquet", 42, "run-1", &table).unwrap().finish().unwrap();
            let described = describe(&scratch).unwrap();
            assert_eq!((described.format, described.table), (format, table));
        }
    }

    #[test]
    fn each_row_names_its_file_where_the_table_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("a.parquet");
        let columns = vec![Column::new("id", ColumnType::BigInt), Column::new(FILE, ColumnType::Text)];
        let table = Table::new("contacts", &["id"], columns).unwrap();
        let mut writer = FileWriter::create(&scratch, "a/key.parquet", 42, "run-1", &table).unwrap();
        for id in 0..3 {
            writer.rows().cell(0).unwrap().bigint(id);
            writer.rows().finish_row();
        }
        writer.finish().unwrap();
        let reader = SerializedFileReader::new(File::open(&scratch).unwrap()).unwrap();
        let named = reader.into_iter().map(|row| row.unwrap().get_string(1).unwrap().clone());
        assert_eq!(named.collect::<Vec<_>>(), ["a/key.parquet"; 3]);
    }

    #[test]
    fn bytes_that_are_no_staged_file_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, b"PAR1 but not really PAR1").unwrap();
        assert!(describe(&path).unwrap_err().to_string().contains("not a Parquet file"));
    }
}
