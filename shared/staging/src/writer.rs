//! Writes one staged file: rows in, Parquet out, memory bounded by [`Limits`] whatever the account's size.
//!
//! The file grows on local disk (a laptop's folder, a Lambda's `/tmp`) and goes to the bucket only when it is whole,
//! so a crash leaves a scratch file that nothing knows of.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::file::{Description, FORMAT, METADATA_KEY};
use crate::rows::Rows;
use crate::table::Table;

/// What bounds the writer's memory: rows waiting in builders, and encoded pages of the open row group.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Builders are encoded once they hold this much. A page of 100 records at 2 KB is 200 KB.
    pub batch_bytes: usize,
    /// A row group is closed once its encoders hold this much. Larger groups compress better and load faster.
    pub row_group_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { batch_bytes: 512 << 10, row_group_bytes: 4096 << 10 }
    }
}

/// A scratch file that is complete and synced to disk, ready for [`crate::Bucket::put`].
#[derive(Debug)]
pub struct Finished {
    pub scratch: PathBuf,
    pub description: Description,
    pub bytes: u64,
}

/// One staged file in the making. Dropped without [`FileWriter::finish`], it leaves an orphan in the scratch folder,
/// which [`crate::Bucket::open_folder`] clears.
#[derive(Debug)]
pub struct FileWriter {
    rows: Rows,
    parquet: ArrowWriter<File>,
    scratch: PathBuf,
    description: Description,
    limits: Limits,
}

impl FileWriter {
    /// Starts a file at `scratch`, which must not exist.
    pub fn create(
        scratch: &Path,
        account_id: u64,
        run_id: &str,
        table: &Table,
        limits: Limits,
    ) -> anyhow::Result<FileWriter> {
        let rows = Rows::new(table);
        let file = File::create_new(scratch)
            .with_context(|| format!("the scratch file {} can't be created", scratch.display()))?;
        let options = ArrowWriterOptions::new().with_properties(properties()?).with_skip_arrow_metadata(true);
        let parquet = ArrowWriter::try_new_with_options(file, rows.schema(), options)
            .context("a Parquet writer can't be made for this table")?;
        let description = Description {
            format: FORMAT,
            account_id,
            run_id: run_id.to_owned(),
            table: table.clone(),
            rows: 0,
        };
        Ok(FileWriter { rows, parquet, scratch: scratch.to_owned(), description, limits })
    }

    /// Where the next page's rows go.
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

    /// Bytes that the finished file would have at least, as far as they are known.
    pub fn size_bytes(&self) -> u64 {
        (self.parquet.bytes_written() + self.parquet.in_progress_size()) as u64
    }

    /// To be called between pages: encodes what waits once it is enough.
    pub fn page_done(&mut self) -> anyhow::Result<()> {
        if self.rows.size_bytes() >= self.limits.batch_bytes {
            self.encode()?;
        }
        Ok(())
    }

    fn encode(&mut self) -> anyhow::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let batch = self.rows.take().context("rows don't fit their table")?;
        self.description.rows += batch.num_rows() as u64;
        self.parquet.write(&batch).with_context(|| self.write_failed())?;
        if self.parquet.memory_size() >= self.limits.row_group_bytes {
            self.parquet.flush().with_context(|| self.write_failed())?;
        }
        Ok(())
    }

    /// Writes the footer and syncs the file to disk.
    pub fn finish(mut self) -> anyhow::Result<Finished> {
        self.encode()?;
        let description = serde_json::to_string(&self.description)?;
        self.parquet.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_owned(), description));
        let failed = self.write_failed();
        let file = self.parquet.into_inner().context(failed.clone())?;
        file.sync_all().context(failed.clone())?;
        let bytes = file.metadata().context(failed)?.len();
        Ok(Finished { scratch: self.scratch, description: self.description, bytes })
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

/// zstd level 1 and small dictionaries: enumerations shrink to indexes, and a column that turns out to be unique
/// gives up its dictionary before it costs memory. Statistics by row group let a reader skip by `id`.
fn properties() -> anyhow::Result<WriterProperties> {
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_page_size_limit(8 << 10)
        .set_data_page_size_limit(32 << 10)
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(16))
        .set_offset_index_disabled(true)
        .set_created_by(format!("hubspot-source {}", env!("CARGO_PKG_VERSION")))
        .build())
}

#[cfg(test)]
mod tests {
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
        let limits = Limits { batch_bytes: 64, row_group_bytes: 256 };
        let mut writer = FileWriter::create(&scratch, 42, "run-1", &table(), limits).unwrap();
        for id in 0..100 {
            writer.rows().cell(0).unwrap().bigint(id);
            writer.rows().cell(1).unwrap().text("name");
            writer.rows().finish_row();
            writer.page_done().unwrap();
        }
        assert_eq!(writer.len(), 100);
        let finished = writer.finish().unwrap();
        let described = describe(&scratch).unwrap();
        assert_eq!(described, finished.description);
        assert_eq!((described.rows, described.account_id), (100, 42));
        assert_eq!(described.table, table());
    }

    #[test]
    fn a_file_without_rows_is_still_a_staged_file() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("a.parquet");
        let writer = FileWriter::create(&scratch, 42, "run-1", &table(), Limits::default()).unwrap();
        writer.finish().unwrap();
        assert_eq!(describe(&scratch).unwrap().rows, 0);
    }

    #[test]
    fn bytes_that_are_no_staged_file_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        std::fs::write(&path, b"PAR1 but not really PAR1").unwrap();
        assert!(describe(&path).unwrap_err().to_string().contains("not a Parquet file"));
    }
}
