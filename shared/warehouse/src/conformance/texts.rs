//! Texts that a warehouse makes of values: those of columns that are text by now. They are the same in all warehouses.

use staging::ColumnType::{self, BigInt, Boolean, Date, Double, Json, Text, Timestamp};

use super::{Bench, Cell, contact, contacts, merge, read};

const DAY: i64 = 86_400_000;

/// Checks values of each type in a column that becomes text, whichever comes first, and in one batch.
pub(super) async fn extreme_values_have_one_text(bench: &dyn Bench) {
    let columns = columns(bench.digits_of_doubles());
    let rows = columns.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let names: Vec<String> = (0..columns.len()).map(|n| format!("v{n}")).collect();
    let named = |types: Vec<ColumnType>| names.iter().map(String::as_str).zip(types).collect::<Vec<_>>();
    let of_row = |row: usize, which: fn(&(Cell, &str)) -> Cell| -> Vec<Cell> {
        columns.iter().map(|(_, values)| values.get(row).map_or(Cell::Null, which)).collect()
    };
    let values = (0..rows).map(|row| contact(row as i64, 10, 11, &of_row(row, |(value, _)| value.clone())));
    let typed = contacts("typed", &named(columns.iter().map(|(is, _)| *is).collect()), values.collect());
    let text = contact(rows as i64, 10, 11, &vec![Cell::text("x"); columns.len()]);
    let texts = contacts("texts", &named(vec![Text; columns.len()]), vec![text]);

    let mut wanted: Vec<&str> = vec!["id"];
    wanted.extend(names.iter().map(String::as_str));
    let ways = [
        ("typed_first", vec![vec![&typed], vec![&texts]]),
        ("text_first", vec![vec![&texts], vec![&typed]]),
        ("at_once", vec![vec![&typed, &texts]]),
    ];
    for (way, batches) in ways {
        for batch in batches {
            let files: Vec<_> = batch.into_iter().map(|file| file.clone().of_collection(way)).collect();
            merge(bench, &files).await;
        }
        for (row, found) in read(bench, way, &wanted).await.into_iter().take(rows).enumerate() {
            assert_eq!(found[1..], of_row(row, |(_, text)| Cell::text(*text)), "{way}, row {row}");
        }
    }
}

/// Returns the values of each type, and their texts.
fn columns(digits: usize) -> Vec<(ColumnType, Vec<(Cell, &'static str)>)> {
    let doubles = [
        (0.1, "0.1"),
        (-0.0, "0"),
        (12_345_678.9, "12345678.9"),
        (-9_999_999.5, "-9999999.5"),
        (0.001, "0.001"),
        (-0.000_123_45, "-0.00012345"),
        (0.000_1, "0.0001"),
        (0.000_01, "1e-05"),
        (-1.5e-7, "-1.5e-07"),
        (1e-10, "1e-10"),
        (5e-324, "5e-324"),
        (1e16, "1e+16"),
        (-1e300, "-1e+300"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1_234_567_890_123_456.5, "1.2345678901234565e+15"),
        (9_200_000_000_000_002.0, "9.200000000000002e+15"),
        (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        (f64::MAX, "1.7976931348623157e+308"),
    ];
    let is_written = |text: &str| {
        let significant = text.split('e').next().unwrap_or_default().replace(['-', '.'], "");
        significant.trim_start_matches('0').len() <= digits || !text.contains(['.', 'e'])
    };
    let doubles = doubles.into_iter().filter(|(_, text)| is_written(text));
    let times = [
        (-1, "1969-12-31T23:59:59.999Z"),
        (-DAY, "1969-12-31"),
        (-2_208_988_799_999, "1900-01-01T00:00:00.001Z"),
        (0, "1970-01-01"),
        (1_700_000_000_120, "2023-11-14T22:13:20.120Z"),
        (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-62_135_596_799_999, "0001-01-01T00:00:00.001Z"),
    ];
    let days = [
        (0, "1970-01-01"),
        (-1, "1969-12-31"),
        (2_932_896, "9999-12-31"),
        (-719_162, "0001-01-01"),
        (19_782, "2024-02-29"),
    ];
    let numbers = [
        (i64::MIN, "-9223372036854775808"),
        (i64::MAX, "9223372036854775807"),
        (0, "0"),
        (9_007_199_254_740_993, "9007199254740993"),
    ];
    // JSON is a text that stays as it is.
    let json = [r#"{"b": 1.0, "a": [1e5, null]}"#, r#"["one", "zwei \u00fc ü"]"#, "[]", "1.50", "\"a;b\""];
    vec![
        (Double, doubles.map(|(value, text)| (Cell::Double(value), text)).collect()),
        (Timestamp, times.map(|(value, text)| (Cell::Timestamp(value), text)).to_vec()),
        (Date, days.map(|(value, text)| (Cell::Date(value), text)).to_vec()),
        (BigInt, numbers.map(|(value, text)| (Cell::BigInt(value), text)).to_vec()),
        (Boolean, vec![(Cell::Boolean(true), "true"), (Cell::Boolean(false), "false")]),
        (Json, json.map(|text| (Cell::text(text), text)).to_vec()),
    ]
}
