//! A staged file as it is sent. A load finds columns by their names, and not every name of ours is one there; so the
//! file gets another footer, in which columns are called `c0`, `c1`, ... by their places. The rows are sent as they are.
//!
//! Days and times lose what says that they are: they are loaded as the numbers that they are stored as.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::schema::types::{ColumnDescPtr, SchemaDescPtr, SchemaDescriptor, Type};
use staging::Column;

use crate::LocatedFile;
use crate::error::{Error, Kind, Result};

/// A file with its other footer.
#[derive(Debug)]
pub(super) struct Sent {
    file: File,
    /// Where the footer begins, and the other one.
    rows_end: u64,
    footer: Vec<u8>,
}

impl Sent {
    /// # Errors
    /// When the file is none, or its columns are not those of its description.
    pub(super) fn open(file: &LocatedFile) -> Result<Sent> {
        let unreadable =
            || Error::new(Kind::BadFile, format!("staged file {} can't be read: stage it again", file.key));
        let path = file.path()?;
        let (metadata, rows_end, reader) = read(path).map_err(|error| unreadable().because(error))?;
        check_columns(file, &metadata)?;
        let footer = renamed(&metadata).map_err(|error| unreadable().because(error))?;
        Ok(Sent { file: reader, rows_end, footer })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.rows_end + self.footer.len() as u64
    }

    /// Returns as many bytes as there are from `begin` on, `most` of them at the most.
    pub(super) fn part(&mut self, begin: u64, most: usize) -> std::io::Result<Vec<u8>> {
        let mut part = Vec::with_capacity(most);
        if begin < self.rows_end {
            self.file.seek(SeekFrom::Start(begin))?;
            let rows = (self.rows_end - begin).min(most as u64);
            (&self.file).take(rows).read_to_end(&mut part)?;
        }
        let from = usize::try_from((begin + part.len() as u64).saturating_sub(self.rows_end)).unwrap_or(0);
        let footer = self.footer.get(from..).unwrap_or_default();
        part.extend_from_slice(&footer[..footer.len().min(most - part.len())]);
        Ok(part)
    }
}

fn read(
    path: &Path,
) -> std::result::Result<(ParquetMetaData, u64, File), Box<dyn std::error::Error + Send + Sync>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    // Of the last eight bytes, the first four say how long the footer is.
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(bytes.checked_sub(8).ok_or("it is too short")?))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, ..] = tail;
    let footer = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    let rows_end = bytes.checked_sub(footer).ok_or("it is too short for its footer")?;
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
    Ok((metadata, rows_end, file))
}

fn check_columns(file: &LocatedFile, metadata: &ParquetMetaData) -> Result<()> {
    let (key, described) = (&file.key, &file.description.table.columns);
    let present = metadata.file_metadata().schema_descr();
    let differs = |what: String| Err(Error::new(Kind::BadFile, format!("staged file {key} {what}")));
    if present.num_columns() != described.len() {
        return differs(format!("has {} columns, and describes {}", present.num_columns(), described.len()));
    }
    for (present, described) in present.columns().iter().zip(described) {
        if present.name() != described.name {
            return differs(format!("lacks the column {:?} that its description names", described.name));
        }
        if present.physical_type() != physical(described) {
            return differs(format!("holds the column {:?} in another type than it says", described.name));
        }
    }
    Ok(())
}

fn physical(column: &Column) -> Physical {
    use staging::ColumnType;
    match column.column_type {
        ColumnType::Text | ColumnType::Json => Physical::BYTE_ARRAY,
        ColumnType::BigInt | ColumnType::Timestamp => Physical::INT64,
        ColumnType::Double => Physical::DOUBLE,
        ColumnType::Boolean => Physical::BOOLEAN,
        ColumnType::Date => Physical::INT32,
    }
}

/// The other footer, with its length and all that follows.
fn renamed(metadata: &ParquetMetaData) -> std::result::Result<Vec<u8>, ParquetError> {
    let file = metadata.file_metadata();
    let columns = file.schema_descr().columns().iter().enumerate();
    let fields =
        columns.map(|(n, column)| place(n, column).map(Arc::new)).collect::<std::result::Result<_, _>>()?;
    let root = Type::group_type_builder("schema").with_fields(fields).build()?;
    let schema: SchemaDescPtr = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let groups = metadata.row_groups().iter().map(|group| group_of(group, &schema));
    let groups: Vec<RowGroupMetaData> = groups.collect::<std::result::Result<_, _>>()?;
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        None,
        schema,
        None,
    );
    let mut footer = Vec::new();
    ParquetMetaDataWriter::new(&mut footer, &ParquetMetaData::new(file, groups)).finish()?;
    Ok(footer)
}

fn place(n: usize, column: &ColumnDescPtr) -> std::result::Result<Type, ParquetError> {
    let physical = column.physical_type();
    let name = format!("c{n}");
    let builder = Type::primitive_type_builder(&name, physical)
        .with_repetition(column.self_type().get_basic_info().repetition());
    match physical {
        Physical::BYTE_ARRAY => builder
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8)
            .build(),
        _ => builder.build(),
    }
}

fn group_of(
    group: &RowGroupMetaData,
    schema: &SchemaDescPtr,
) -> std::result::Result<RowGroupMetaData, ParquetError> {
    let columns = group.columns().iter().enumerate().map(|(n, column)| chunk_of(column, schema.column(n)));
    let mut builder = RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(group.num_rows())
        .set_total_byte_size(group.total_byte_size())
        .set_column_metadata(columns.collect::<std::result::Result<_, _>>()?);
    if let Some(ordinal) = group.ordinal() {
        builder = builder.set_ordinal(ordinal);
    }
    builder.build()
}

/// Only what it takes to read the pages: neither statistics nor indexes.
fn chunk_of(
    chunk: &ColumnChunkMetaData,
    column: ColumnDescPtr,
) -> std::result::Result<ColumnChunkMetaData, ParquetError> {
    ColumnChunkMetaData::builder(column)
        .set_encodings_mask(*chunk.encodings_mask())
        .set_compression(chunk.compression())
        .set_num_values(chunk.num_values())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_data_page_offset(chunk.data_page_offset())
        .set_dictionary_page_offset(chunk.dictionary_page_offset())
        .build()
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int32Type, Int64Type};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use staging::ColumnType::{Boolean, Date, Double, Json, Text, Timestamp};
    use tempfile::TempDir;

    use super::*;
    use crate::conformance::{Cell, contact, contacts};

    fn sent_as(sent: &mut Sent, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while (all.len() as u64) < sent.bytes() {
            let part = sent.part(all.len() as u64, most).unwrap();
            assert!(!part.is_empty() && part.len() <= most);
            all.extend(part);
        }
        assert!(sent.part(all.len() as u64, most).unwrap().is_empty());
        all
    }

    #[test]
    fn columns_are_called_by_their_places_and_hold_what_they_held() {
        let folder = TempDir::new().unwrap();
        let columns = [
            ("größe \"1\"", Text),
            ("größe \"2\"", Double),
            ("is", Boolean),
            ("day", Date),
            ("time", Timestamp),
            ("json", Json),
        ];
        let cells = |id: i64| {
            let cells = [
                Cell::text(format!("Ada {id}")),
                Cell::Double(0.5),
                Cell::Boolean(true),
                Cell::Date(7),
                Cell::Timestamp(8),
                Cell::Null,
            ];
            contact(id, 1, 2, &cells)
        };
        let file = contacts("a", &columns, (0..500).map(cells).collect()).stage(folder.path());
        let whole = sent_as(&mut Sent::open(&file).unwrap(), 1 << 20);
        for most in [7, 1_000, whole.len(), whole.len() - 1] {
            assert_eq!(sent_as(&mut Sent::open(&file).unwrap(), most), whole, "{most} bytes at once");
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(whole)).unwrap().build().unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        let batch = &batches[0];
        assert_eq!(batch.num_rows(), 500);
        let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, (0..10).map(|n| format!("c{n}")).collect::<Vec<_>>());
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(499), 499);
        assert_eq!(batch.column(4).as_string::<i32>().value(499), "Ada 499");
        assert!((batch.column(5).as_primitive::<Float64Type>().value(0) - 0.5).abs() < f64::EPSILON);
        assert!(batch.column(6).as_boolean().value(0));
        assert_eq!(batch.column(7).as_primitive::<Int32Type>().value(0), 7);
        assert_eq!(batch.column(8).as_primitive::<Int64Type>().value(0), 8);
        assert_eq!(batch.column(9).null_count(), 500);
    }

    #[test]
    fn a_file_that_is_not_what_it_says_is_refused() {
        let folder = TempDir::new().unwrap();
        let file = contacts("a", &[("name", Text)], vec![]).stage(folder.path());
        let refusal = |change: &dyn Fn(&mut LocatedFile)| {
            let mut file = file.clone();
            change(&mut file);
            let error = Sent::open(&file).unwrap_err();
            assert_eq!(error.kind(), Kind::BadFile);
            error.to_string()
        };
        let renamed = refusal(&|file| file.description.table.columns[4].name = "surname".to_owned());
        assert!(renamed.contains("lacks the column \"surname\""), "{renamed}");
        let retyped = refusal(&|file| file.description.table.columns[4].column_type = Date);
        assert!(retyped.contains("column \"name\""), "{retyped}");
        assert!(
            refusal(&|file| drop(file.description.table.columns.pop()))
                .contains("has 5 columns, and describes 4")
        );
        std::fs::write(file.path().unwrap(), "junk").unwrap();
        assert!(refusal(&|_| {}).contains("staged file a can't be read"));
    }
}
