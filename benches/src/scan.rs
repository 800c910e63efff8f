//! The floor's parser: a scan for quotes and brackets that takes each value as the text it stands as, escapes included,
//! and a Parquet file of text columns for each endpoint.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow_array::builder::{ArrayBuilder as _, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use memchr::memchr2;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Text that makes a row group.
const ROW_GROUP_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Scan {
    folder: PathBuf,
    tables: BTreeMap<String, Texts>,
}

impl Scan {
    pub(crate) fn into_folder(folder: &Path) -> anyhow::Result<Scan> {
        std::fs::create_dir_all(folder)?;
        Ok(Scan { folder: folder.to_owned(), tables: BTreeMap::new() })
    }

    /// Records are the objects in a list at the top, or at the top by their ids.
    pub(crate) fn page(&mut self, target: &str, body: &[u8]) -> anyhow::Result<()> {
        let path = target.split('?').next().unwrap_or_default();
        let name = path.trim_matches('/').replace(['/', '.'], "-");
        let count = self.tables.len();
        let folder = &self.folder;
        let table =
            self.tables.entry(name).or_insert_with(|| Texts::new(folder.join(format!("{count}.parquet"))));
        let mut json = Json { text: std::str::from_utf8(body)?, at: 0 };
        match json.peek() {
            b'{' => json.each_field(|key, json| match json.peek() {
                b'[' => table.list(json),
                b'{' if key != "paging" => table.record(json),
                _ => json.value().map(drop),
            })?,
            b'[' => table.list(&mut json)?,
            _ => bail!("it is no JSON of records"),
        }
        if table.bytes >= ROW_GROUP_BYTES {
            table.write()?;
        }
        Ok(())
    }

    /// Bytes of all files.
    pub(crate) fn finish(self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for (_, mut table) in self.tables {
            table.write()?;
            bytes += table.close()?;
        }
        Ok(bytes)
    }
}

struct Texts {
    path: PathBuf,
    columns: Vec<(String, StringBuilder)>,
    by_name: HashMap<String, usize>,
    rows: usize,
    bytes: usize,
    writer: Option<ArrowWriter<File>>,
    /// Columns of the file that is open, and bytes of those before it.
    width: usize,
    closed_bytes: u64,
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").field("path", &self.path).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Texts {
    fn new(path: PathBuf) -> Texts {
        let (columns, by_name) = (Vec::new(), HashMap::new());
        Texts { path, columns, by_name, rows: 0, bytes: 0, writer: None, width: 0, closed_bytes: 0 }
    }

    fn list(&mut self, json: &mut Json<'_>) -> anyhow::Result<()> {
        json.each_item(|json| if json.peek() == b'{' { self.record(json) } else { json.value().map(drop) })
    }

    fn record(&mut self, json: &mut Json<'_>) -> anyhow::Result<()> {
        let mut place = 0;
        self.fields(json, &mut place)?;
        self.rows += 1;
        for (_, column) in &mut self.columns {
            if column.len() < self.rows {
                column.append_null();
            }
        }
        Ok(())
    }

    fn fields(&mut self, json: &mut Json<'_>, place: &mut usize) -> anyhow::Result<()> {
        json.each_field(|key, json| {
            if key == "properties" && json.peek() == b'{' {
                return self.fields(json, place);
            }
            let value = json.value()?;
            let column = self.column(key, *place);
            *place = column + 1;
            let builder = &mut self.columns[column].1;
            if let Some(value) = value
                && builder.len() == self.rows
            {
                builder.append_value(value);
                self.bytes += value.len();
            }
            Ok(())
        })
    }

    /// Records have their keys in the same order: the next key is mostly that of the next column.
    fn column(&mut self, key: &str, place: usize) -> usize {
        if self.columns.get(place).is_some_and(|(name, _)| name == key) {
            return place;
        }
        if let Some(&column) = self.by_name.get(key) {
            return column;
        }
        let mut builder = StringBuilder::new();
        (0..self.rows).for_each(|_| builder.append_null());
        self.columns.push((key.to_owned(), builder));
        self.by_name.insert(key.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }

    fn write(&mut self) -> anyhow::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let fields: Vec<Field> =
            self.columns.iter().map(|(name, _)| Field::new(name, DataType::Utf8, true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let arrays =
            self.columns.iter_mut().map(|(_, column)| Arc::new(column.finish()) as ArrayRef).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
        if self.width != self.columns.len() {
            self.closed_bytes += self.close()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let properties =
                    WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?));
                self.width = self.columns.len();
                let file = File::create(&self.path)?;
                self.writer.insert(ArrowWriter::try_new(file, schema, Some(properties.build()))?)
            }
        };
        writer.write(&batch)?;
        writer.flush()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Bytes of the file, and of those that it took the place of.
    fn close(&mut self) -> anyhow::Result<u64> {
        let Some(writer) = self.writer.take() else { return Ok(std::mem::take(&mut self.closed_bytes)) };
        let file = writer.into_inner()?;
        file.sync_all()?;
        Ok(file.metadata()?.len() + std::mem::take(&mut self.closed_bytes))
    }
}

struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> anyhow::Result<()> {
        if self.peek() != byte {
            bail!("{:?} is missing at byte {}", byte as char, self.at);
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> anyhow::Result<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let found = memchr2(b'"', b'\\', rest).context("a string does not end")?;
            self.at += found;
            if self.byte() == b'"' {
                self.at += 1;
                return Ok(&self.text[start..self.at - 1]);
            }
            self.at += 2;
        }
    }

    fn each_field(
        &mut self,
        mut each: impl FnMut(&'a str, &mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.take(b'{')?;
        if self.peek() == b'}' {
            return self.take(b'}');
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            each(key, self)?;
            if self.peek() != b',' {
                return self.take(b'}');
            }
            self.at += 1;
            self.peek();
        }
    }

    fn each_item(&mut self, mut each: impl FnMut(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.take(b'[')?;
        if self.peek() == b']' {
            return self.take(b']');
        }
        loop {
            each(self)?;
            if self.peek() != b',' {
                return self.take(b']');
            }
            self.at += 1;
        }
    }

    /// The next value as it stands; text without its quotes, `None` for null.
    fn value(&mut self) -> anyhow::Result<Option<&'a str>> {
        match self.peek() {
            b'"' => self.string().map(Some),
            b'{' | b'[' => self.nested().map(Some),
            _ => {
                let start = self.at;
                while !matches!(self.byte(), b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | 0) {
                    self.at += 1;
                }
                let text = &self.text[start..self.at];
                Ok((text != "null").then_some(text))
            }
        }
    }

    fn nested(&mut self) -> anyhow::Result<&'a str> {
        let (start, mut depth) = (self.at, 0);
        loop {
            match self.byte() {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    self.string()?;
                    continue;
                }
                0 => bail!("a value does not end"),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(&self.text[start..self.at]);
            }
        }
    }
}
