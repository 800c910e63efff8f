//! Writes the corpus of `staged_files` anew, after the format of staged files has changed:
//! `cargo run -p fuzz-targets --example staged_file`.
#![allow(clippy::unwrap_used, reason = "a tool")]

use std::path::Path;

use staging::{Column, ColumnType, DELETED_REASON, FileWriter, IS_DELETED, Table};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/staged_files");
    std::fs::create_dir_all(&corpus).unwrap();
    let id = || Column::new("id", ColumnType::BigInt);
    let narrow = Table::new("deals", &["id"], vec![id()]).unwrap();
    let columns = vec![
        id(),
        Column::new("name", ColumnType::Text),
        Column::new("amount", ColumnType::Double),
        Column::new("closed", ColumnType::Timestamp),
        Column::new("day", ColumnType::Date),
        Column::new(IS_DELETED, ColumnType::Boolean),
        Column::new(DELETED_REASON, ColumnType::Text),
        Column::new("extra", ColumnType::Json),
    ];
    let wide = Table::new("things", &["id", "name"], columns).unwrap().with_set_key(&["id"]).unwrap();
    for (name, table, rows) in [("empty", &narrow, 0), ("narrow", &narrow, 2), ("wide", &wide, 3)] {
        let mut writer = FileWriter::create(&corpus.join(name), "key", 7, "run-1", table).unwrap();
        for row in 0..rows {
            writer.rows().cell(0).unwrap().bigint(row);
            writer.rows().finish_row();
        }
        writer.finish().unwrap();
    }
}
