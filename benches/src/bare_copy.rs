//! `bare-copy FOLDER FILE`: DuckDB's own copy of Parquet files into a table for each collection, without keys, without
//! merging: what a load can't do for less.

use std::path::Path;

use anyhow::Context as _;
use duckdb::Connection;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (folder, file) = (arguments.next(), arguments.next());
    let (folder, file) = folder.zip(file).context("wrong use: bare-copy FOLDER FILE")?;
    let database = Connection::open(Path::new(&file))?;
    for collection in std::fs::read_dir(&folder)?.filter_map(Result::ok) {
        let name = collection.file_name();
        if !collection.path().is_dir() {
            continue;
        }
        let files = collection.path().join("**/*.parquet");
        let sql = format!(
            "CREATE TABLE \"{}\" AS SELECT * FROM read_parquet('{}', union_by_name = true)",
            name.display(),
            files.display()
        );
        database.execute_batch(&sql).with_context(|| format!("{} can't be copied", name.display()))?;
    }
    Ok(())
}
