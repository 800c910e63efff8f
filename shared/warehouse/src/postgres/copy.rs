//! Copies staged files into a scratch table: a thread reads them row group by row group, and they are sent as they are
//! read. The memory used does not grow with the files.

use std::fs::File;
use std::pin::pin;

use bytes::Bytes;
use futures::SinkExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use staging::ColumnType;
use tokio::sync::mpsc;

use super::encode::{Cells, Encoder, HEADER, TRAILER};
use super::layout::Layout;
use super::narrow::narrowed;
use super::session::{Session, failed};
use super::sql::Staging;
use crate::LocatedFile;
use crate::checks::{Count, check_rows};
use crate::error::{Error, Kind, Result};
use crate::plan::{Field, Group};

const CHUNK_BYTES: usize = 256 << 10;
/// The size of a batch of rows in memory, by the file's own account.
const BATCH_BYTES: i64 = 2 << 20;
const MAX_BATCH_ROWS: i64 = 4096;

/// The contents of a scratch table.
#[derive(Debug)]
pub(super) struct Staged {
    /// In the order of the group's files.
    pub(super) counts: Vec<Count>,
    /// Bytes of the widest row's values, of those that could overflow.
    pub(super) widest: usize,
}

/// Copies the files of a group, and refuses those whose rows differ from their description.
pub(super) async fn stage(
    session: &mut Session<'_>,
    group: &Group<'_>,
    layout: &Layout,
    staging: &Staging,
) -> Result<Staged> {
    session.scratch(&staging.create(layout)).await?;
    let copy = staging.copy();
    let mut sink = pin!(session.copy_in(&copy).await?);

    let (chunks, mut received) = mpsc::channel(2);
    let (files, layout): (Vec<LocatedFile>, Layout) =
        (group.files.iter().map(|&file| file.clone()).collect(), layout.clone());
    let reading = tokio::task::spawn_blocking(move || encode(&files, &layout, &chunks));
    while let Some(chunk) = received.recv().await {
        if sink.send(chunk).await.is_err() {
            // What went wrong is told at the end.
            break;
        }
    }
    drop(received);
    let staged = match reading.await {
        Ok(Err(error)) if error.kind() != Kind::Engine => return Err(error),
        Ok(staged) => staged,
        Err(stopped) => {
            return Err(
                Error::new(Kind::Engine, "reading staged files stopped in the middle").because(stopped)
            );
        }
    };
    let arrived = sink.finish().await.map_err(failed(&copy))?;
    let staged = staged?;
    let sent: u64 = staged.counts.iter().map(|count| count.staged).sum();
    if arrived != sent {
        let message = format!("postgres took {arrived} of {sent} staged rows");
        return Err(Error::new(Kind::RowCount, message));
    }
    Ok(staged)
}

/// Encodes the whole stream, in chunks. An error of kind [`Kind::Engine`] means that the receiver is gone.
fn encode(files: &[LocatedFile], layout: &Layout, chunks: &mpsc::Sender<Bytes>) -> Result<Staged> {
    let send = |chunk: Vec<u8>| {
        let gone = |_| Error::new(Kind::Engine, "postgres stopped taking rows");
        chunks.blocking_send(Bytes::from(chunk)).map_err(gone)
    };
    let mut encoder = Encoder::new(layout);
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    chunk.extend_from_slice(HEADER);
    let mut counts = Vec::with_capacity(files.len());
    for (number, file) in (0..).zip(files) {
        let (mut rows, mut incomplete) = (0, 0);
        read(file, layout, |required, cells, batch_rows| {
            for row in 0..batch_rows {
                incomplete += u64::from(required.iter().any(|&n| cells[n].is_null(row)));
                encoder.write(number, cells, row, &mut chunk);
                if chunk.len() >= CHUNK_BYTES {
                    let next = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
                    send(std::mem::replace(&mut chunk, next))?;
                }
            }
            rows += batch_rows as u64;
            Ok(())
        })?;
        check_rows(file, rows, incomplete)?;
        counts.push(Count { staged: rows, ..Count::default() });
    }
    chunk.extend_from_slice(TRAILER);
    send(chunk)?;
    Ok(Staged { counts, widest: encoder.widest() })
}

/// Checks by its footer alone that a file holds as many rows as its description promises.
pub(super) fn check_file(file: &LocatedFile) -> Result<()> {
    let opened = File::open(file.path()?).map_err(|source| unreadable(file).because(source))?;
    let metadata =
        ArrowReaderMetadata::load(&opened, ArrowReaderOptions::new().with_skip_arrow_metadata(true))
            .map_err(|source| unreadable(file).because(source))?;
    let rows = metadata.metadata().file_metadata().num_rows();
    check_rows(file, u64::try_from(rows).unwrap_or_default(), 0)
}

/// Hands out a file's batches: positions of the columns that must not be NULL, the columns, and the number of rows.
fn read(
    file: &LocatedFile,
    layout: &Layout,
    mut batch: impl FnMut(&[usize], &[Cells], usize) -> Result<()>,
) -> Result<()> {
    let opened = File::open(file.path()?).map_err(|source| unreadable(file).because(source))?;
    // By the Parquet types alone: who wrote the file does not matter.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::load(&opened, options).map_err(|source| unreadable(file).because(source))?;
    let fields: Vec<&Field> =
        layout.fields.iter().chain(layout.overflow.iter().flat_map(|overflow| &overflow.fields)).collect();
    let positions = positions(file, &metadata, &fields)?;
    let table = &file.description.table;
    let is_required =
        |field: &Field| field.source == staging::READ_AT || table.primary_key.contains(&field.source);
    let required: Vec<usize> =
        fields.iter().enumerate().filter(|(_, field)| is_required(field)).map(|(n, _)| n).collect();

    // The reader hands out its columns in the file's order, whatever was asked for.
    let mut read_order = positions.clone();
    read_order.sort_unstable();
    // Narrower columns of the table are read from the same one.
    read_order.dedup();
    for (number, row_group) in metadata.metadata().row_groups().iter().enumerate() {
        let row_bytes = row_group.total_byte_size() / row_group.num_rows().max(1);
        let rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, MAX_BATCH_ROWS);
        let opened = opened.try_clone().map_err(|source| unreadable(file).because(source))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata.clone());
        let projection = ProjectionMask::roots(builder.parquet_schema(), positions.iter().copied());
        let reader = builder
            .with_projection(projection)
            .with_row_groups(vec![number])
            .with_batch_size(usize::try_from(rows).unwrap_or(1))
            .build()
            .map_err(|source| unreadable(file).because(source))?;
        for read in reader {
            let read = read.map_err(|source| unreadable(file).because(source))?;
            let cells = fields.iter().zip(&positions).map(|(field, position)| {
                let column = read.column(read_order.binary_search(position).unwrap_or_default());
                let cells = match described(file, field) {
                    from if from == field.from => Cells::of(column, from),
                    wider => Cells::of(&narrowed(column, wider, field.from), field.from),
                };
                cells.ok_or_else(|| wrong_type(file, field, &column.data_type().to_string()))
            });
            batch(&required, &cells.collect::<Result<Vec<_>>>()?, read.num_rows())?;
        }
    }
    Ok(())
}

/// Finds the fields in the file, which must have them in the types of its description.
fn positions(file: &LocatedFile, metadata: &ArrowReaderMetadata, fields: &[&Field]) -> Result<Vec<usize>> {
    let schema = metadata.schema();
    let position = |field: &&Field| {
        let Ok(position) = schema.index_of(&field.source) else {
            let what = format!("lacks the column {:?} that its description names", field.source);
            return Err(bad_file(file, &what));
        };
        let data_type = schema.field(position).data_type();
        match Cells::of(&arrow_array::new_empty_array(data_type), described(file, field)) {
            Some(_) => Ok(position),
            None => Err(wrong_type(file, field, &data_type.to_string())),
        }
    };
    fields.iter().map(position).collect()
}

/// Returns the type that the field's column has in the file.
fn described(file: &LocatedFile, field: &Field) -> ColumnType {
    let column = file.description.table.columns.iter().find(|column| column.name == field.source);
    column.map_or(field.from, |column| column.column_type)
}

fn wrong_type(file: &LocatedFile, field: &Field, found: &str) -> Error {
    let what = format!(
        "has the column {:?} as {found}, but its description says {:?}",
        field.source,
        described(file, field)
    );
    bad_file(file, &what)
}

fn bad_file(file: &LocatedFile, what: &str) -> Error {
    Error::new(Kind::BadFile, format!("staged file {} {what}", file.key))
}

fn unreadable(file: &LocatedFile) -> Error {
    bad_file(file, "can't be read: stage it again")
}
