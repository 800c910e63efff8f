//! A search for texts in all that a pipeline leaves.

use std::path::Path;

use duckdb::Connection;

/// Returns the columns of the warehouse, and of staged files, in which one of the texts is, as `table.column: rows`.
pub(crate) fn in_columns(database: &Connection, needles: &[String]) -> Vec<String> {
    let tables = "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT internal AND \
                  database_name = current_database() ORDER BY ALL";
    let mut found = Vec::new();
    for table in texts(database, tables) {
        let short = table.split('.').next_back().unwrap().to_owned();
        let (schema, name) = table.split_once('.').unwrap();
        found.extend(of_relation(database, &format!("\"{schema}\".\"{name}\""), &short, needles));
    }
    found
}

/// Returns the files below a folder in whose bytes one of the texts is, in either case; staged files are decoded, too.
pub(crate) fn in_files(folder: &Path, needles: &[String]) -> Vec<String> {
    in_files_with(&Connection::open_in_memory().unwrap(), folder, needles)
}

fn in_files_with(database: &Connection, folder: &Path, needles: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(in_files_with(database, &path, needles));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        for needle in needles {
            let needle = needle.to_lowercase();
            if has(&bytes, needle.as_bytes()) {
                found.push(format!("{}: {needle}", path.display()));
            }
        }
        if path.extension().is_some_and(|is| is == "parquet") {
            let relation = format!("read_parquet('{}')", path.display());
            found.extend(of_relation(database, &relation, &path.display().to_string(), needles));
        }
    }
    found
}

/// Most bytes are not the first one of the text.
fn has(bytes: &[u8], text: &[u8]) -> bool {
    let starts = (0..bytes.len().saturating_sub(text.len() - 1)).filter(|at| bytes[*at] == text[0]);
    starts.into_iter().any(|at| bytes[at..].starts_with(text))
}

fn of_relation(database: &Connection, relation: &str, name: &str, needles: &[String]) -> Vec<String> {
    let columns = texts(database, &format!("SELECT column_name FROM (DESCRIBE SELECT * FROM {relation})"));
    let any: Vec<String> = needles.iter().map(|needle| needle.to_lowercase().replace('.', "[.]")).collect();
    let count = |column: &String| {
        format!(
            "count(*) FILTER (WHERE regexp_matches(lower(CAST(\"{column}\" AS VARCHAR)), '{}'))",
            any.join("|")
        )
    };
    let counts: Vec<String> = columns.iter().map(count).collect();
    let counts =
        texts(database, &format!("SELECT [{}]::VARCHAR FROM {relation}", counts.join(", "))).remove(0);
    let counts = counts.trim_matches(['[', ']']).split(", ").map(|count| count.parse::<u64>().unwrap());
    columns
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(column, count)| format!("{name}.{column}: {count} rows"))
        .collect()
}

fn texts(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}
