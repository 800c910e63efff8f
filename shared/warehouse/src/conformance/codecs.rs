//! Staged files as [`FileWriter`] writes them, by either codec.

use staging::{Codec, ColumnType, FileWriter};

use super::{Bench, Cell, contacts, read};
use crate::{LocatedFile, Location};

pub(super) async fn files_of_either_codec(bench: &dyn Bench) {
    let table = contacts("", &[("name", ColumnType::Text)], vec![]).table;
    let files: Vec<LocatedFile> = (1..)
        .zip([Codec::Zstd, Codec::Snappy])
        .map(|(id, codec)| {
            let (key, path) = (format!("codec-{id}"), bench.folder().join(format!("codec-{id}.parquet")));
            let mut writer = FileWriter::create_as(codec, &path, &key, 42, "run-1", &table).expect("file");
            let rows = writer.rows();
            rows.cell(0).expect("id").bigint(id);
            rows.cell(1).expect("updated").timestamp(10);
            rows.cell(2).expect("read").timestamp(11);
            rows.cell(3).expect("run").text("run-1");
            rows.cell(4).expect("name").text(&format!("{codec:?}"));
            rows.finish_row();
            let description = writer.finish().expect("footer").description;
            bench.located(LocatedFile { key, location: Location::Local(path), description })
        })
        .collect();
    assert_eq!(bench.warehouse().await.merge(&files).await.expect("merge").inserted, 2);
    assert_eq!(
        read(bench, "contacts", &["id", "name"]).await,
        [[Cell::BigInt(1), Cell::text("Zstd")], [Cell::BigInt(2), Cell::text("Snappy")]]
    );
}
