//! The figures, as a table for people or as JSON.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::row::Row;

pub(crate) fn json(rows: &[Row]) -> anyhow::Result<String> {
    let lines: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n"))
}

const HEADER: [&str; 12] = [
    "case",
    "rows",
    "calls",
    "answers MB",
    "staged MB",
    "wall s",
    "CPU s",
    "peak MiB",
    "download CPU s",
    "floor CPU s",
    "floor MiB",
    "times floor",
];

pub(crate) fn text(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(HEADER);
    for row in rows {
        let (first, last) = (row.floors.first(), row.floors.last());
        let download = first.filter(|_| row.floors.len() > 1);
        table.add_row(vec![
            Cell::new(&row.case),
            right(row.records.map(|records| records.to_string())),
            right(row.calls.map(|calls| calls.to_string())),
            right(row.answer_bytes.map(|bytes| format!("{:.1}", bytes as f64 / 1e6))),
            right(row.staged_bytes.map(|bytes| format!("{:.1}", bytes as f64 / 1e6))),
            right(Some(format!("{:.3}", row.seconds))),
            right(row.cpu_seconds.map(|seconds| format!("{seconds:.2}"))),
            right(row.peak_memory_bytes.map(mebibytes)),
            right(download.map(|floor| format!("{:.2}", floor.cpu_seconds))),
            right(last.map(|floor| format!("{:.2}", floor.cpu_seconds))),
            right(last.map(|floor| mebibytes(floor.peak_memory_bytes))),
            right(row.times_floor().map(|times| format!("{times:.2}"))),
        ]);
    }
    let mut text = table.to_string();
    for (row, limit) in rows.iter().filter_map(|row| Some((row, row.limit.as_ref()?))) {
        text.push_str(&format!(
            "\n{}: {:.1} % of the limit over {:.0} s ({:.1} % without the first minute), {:.2} % refused; calls in \
             each ten seconds: {:?}",
            row.case,
            limit.share * 100.0,
            limit.seconds,
            limit.later_share * 100.0,
            limit.refused_share * 100.0,
            limit.windows
        ));
    }
    text.push_str(
        "\nThe floor asks for the same pages, scans them and writes them as text to Parquet; of a load, it is the \
         engine's bare copy; of a sync, both.",
    );
    text
}

fn right(text: Option<String>) -> Cell {
    Cell::new(text.unwrap_or_default()).set_alignment(CellAlignment::Right)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / f64::from(1 << 20))
}
