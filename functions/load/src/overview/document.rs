//! The page: head, verdict, and the table of tables.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::chart::spark;
use super::html::Html;
use super::page::Page;
use super::sections;
use super::tables::{Level, Table};
use super::text::{count, instant, span};

const STYLE: &str = concat!(include_str!("vendor/uPlot.min.css"), include_str!("page.css"));
const LIBRARY: &str = include_str!("vendor/uPlot.iife.min.js");
const LIBRARY_LICENSE: &str = include_str!("vendor/uPlot.LICENSE");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn html(page: &Page) -> String {
    let mut html = Html::default();
    head(&mut html);
    html.markup("<body>\n<header><h1>HubSpot source</h1>");
    html.markup("<p class=\"quiet\">");
    if let Some(account) = page.account {
        html.element("HubSpot account ", account, " · ");
    }
    html.element("made ", instant(page.made), " UTC");
    html.element(" from ", page.places.join(" and "), "</p></header>\n<main>\n");
    verdict(&mut html, page);
    tables(&mut html, page);
    sections::write(&mut html, page);
    html.markup("</main>\n<footer>");
    about(&mut html, page);
    html.markup("</footer>\n<script>").markup(LIBRARY).markup("</script>\n<script>").markup(SCRIPT);
    html.markup("</script>\n</body></html>\n");
    html.into_text()
}

fn head(html: &mut Html) {
    html.markup("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    html.markup("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '");
    html.text(hash(STYLE)).markup("'; script-src '").text(hash(LIBRARY)).markup("' '").text(hash(SCRIPT));
    html.markup("'; img-src data:; base-uri 'none'; form-action 'none'\">\n");
    html.markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.markup("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    html.markup("<meta name=\"robots\" content=\"noindex\">\n<link rel=\"icon\" href=\"data:,\">\n");
    html.markup("<title>HubSpot source: runs and tables</title>\n<style>")
        .markup(STYLE)
        .markup("</style></head>\n");
}

/// Returns the source expression that allows one inline style or script, and no other.
fn hash(content: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, content.as_bytes())))
}

fn verdict(html: &mut Html, page: &Page) {
    html.markup("<section class=\"verdict\" id=\"verdict\" data-level=\"").text(word(page.verdict.level));
    html.markup("\"><p><svg class=\"mark\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path d=\"");
    html.markup(match page.verdict.level {
        Level::Good => "M2 9l4 4 8-10",
        Level::Bad => "M3 3l10 10M13 3L3 13",
        Level::Absent | Level::Warning => "M8 2v8M8 12v2.5",
    });
    html.element("\"/></svg> <strong>", &page.verdict.sentence, "</strong></p></section>\n");
    html.markup("<dl class=\"keys\">");
    let there = || page.tables.iter().filter(|table| table.level != Level::Absent);
    key(html, "tables", count(there().count() as u64), "");
    let rows: Option<u64> = there().map(|table| table.rows).sum();
    let read: u64 = there().map(|table| table.read).sum();
    if let Some(rows) = rows {
        key(html, "rows in the warehouse", count(rows), "");
    }
    key(html, "rows read", count(read), "in 30 days");
    let behind = there().filter_map(|table| table.behind_seconds).reduce(f64::max);
    key(html, "behind HubSpot", behind.map_or_else(|| "unknown".to_owned(), span), "at most, now");
    key(html, "not parsed", count(there().map(|table| table.unparsed).sum()), "values, in 30 days");
    if let Some(pending) = there().map(|table| table.pending).sum::<Option<u64>>() {
        key(html, "files to load", count(pending), "");
    }
    html.markup("</dl>\n");
}

fn key(html: &mut Html, name: &'static str, value: String, note: &'static str) {
    html.element("<div><dt>", name, "</dt>").element("<dd>", value, "");
    if !note.is_empty() {
        html.element(" <span class=\"quiet\">", note, "</span>");
    }
    html.markup("</dd></div>");
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Absent => "absent",
        Level::Good => "good",
        Level::Warning => "warning",
        Level::Bad => "bad",
    }
}

fn tables(html: &mut Html, page: &Page) {
    html.markup("<section id=\"tables\"><h2>Tables</h2>\n");
    if page.tables.is_empty() {
        html.markup("<p>No run has filled a table yet.</p></section>\n");
        return;
    }
    html.markup("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Tables\"><table id=\"of-tables\"><thead><tr>");
    html.markup("<th scope=\"col\">table<th scope=\"col\">state<th scope=\"col\" class=\"n\">rows now");
    html.markup("<th scope=\"col\" class=\"n\">read in 30 days<th scope=\"col\">by day<th scope=\"col\" class=\"n\">behind");
    html.markup(
        "<th scope=\"col\" class=\"n\">at most in 30 days<th scope=\"col\" class=\"n\">equal to HubSpot",
    );
    html.markup("<th scope=\"col\" class=\"n\">not parsed in 30 days<th scope=\"col\" class=\"n\">last run");
    html.markup("</thead><tbody>");
    for table in &page.tables {
        table_row(html, page, table);
    }
    html.markup("</tbody></table></div>\n<p class=\"quiet\">");
    html.markup("Behind: time since everything was read that HubSpot had changed. Rows of a run are in the warehouse when the ");
    html.markup("load behind it has ended. Equal to HubSpot: age of the last snapshot of all records that the table equalled; ");
    html.markup("only tables of records are compared.</p></section>\n");
}

fn table_row(html: &mut Html, page: &Page, table: &Table) {
    let ago = |at: chrono::DateTime<chrono::Utc>| {
        format!("{} ago", span((page.made - at).num_milliseconds() as f64 / 1_000.0))
    };
    html.element("\n<tr><th scope=\"row\">", &table.name, "<td>");
    html.markup("<span class=\"state\" data-level=\"").text(word(table.level)).markup("\">");
    match table.states.is_empty() {
        true => html.markup("complete"),
        false => html.text(table.states.join(", ")),
    };
    html.markup("</span>");
    let mut cell = |text: Option<String>| _ = html.markup("<td class=\"n\">").text(text.unwrap_or_default());
    cell(table.rows.map(count));
    cell(Some(count(table.read)));
    html.markup("<td>");
    spark(html, &page.rows, page.rows.column(&table.name));
    let mut cell = |text: Option<String>| _ = html.markup("<td class=\"n\">").text(text.unwrap_or_default());
    cell(table.behind_seconds.map(span));
    cell(table.most_behind_hours.map(|hours| span(hours * 3_600.0)));
    cell(table.equal.map(ago));
    cell(Some(count(table.unparsed)));
    cell(table.ended.map(ago));
}

fn about(html: &mut Html, page: &Page) {
    html.markup("<h2>About this page</h2><p>");
    html.element("Made of ", count(page.runs), " reports of runs");
    if page.unread > 0 {
        html.element("; ", count(page.unread), " more are not understood, or were too long to be kept");
    }
    html.element(", from ", page.days.day(0), " on. All days and times are UTC. ");
    html.markup(match page.days.is_by_week() {
        true => {
            "So many tables make figures by week: rows, calls and runs are sums, lags the most of the week. "
        }
        false => "Figures are by day: rows, calls and runs are sums, lags the most of the day. ",
    });
    html.markup(
        "The state of a stack keeps reports for 90 days, a state folder the last 50 of each feed; the table ",
    );
    html.markup("_runs keeps all, from the first load on. Runs that changed nothing come to _runs with the next load that ");
    html.markup("merges something.</p>\n<p>Names of tables and columns are here, and no record: ids, addresses and quoted ");
    html.markup(
        "values are left out of reasons (…). The table _runs has them whole. The page loads nothing, and ",
    );
    html.markup("sends nothing.</p>\n<details><summary>Licence of the charts</summary><p>Charts are drawn by uPlot 1.6.32, ");
    html.markup("https://github.com/leeoniya/uPlot.</p><pre>")
        .markup(LIBRARY_LICENSE)
        .markup("</pre></details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// See `docs/report-page.md` for where they are from, and how to update them.
    const CHECKSUMS: [(&str, &str); 3] = [
        (LIBRARY, "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
        (
            include_str!("vendor/uPlot.min.css"),
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
        (LIBRARY_LICENSE, "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
    ];

    #[test]
    fn the_library_is_the_published_one() {
        for (content, expected) in CHECKSUMS {
            let sum = digest(&SHA256, content.as_bytes());
            let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
        }
        assert!(LIBRARY.contains("uPlot (v1.6.32)"));
    }

    #[test]
    fn inline_parts_close_nothing() {
        for part in [STYLE, LIBRARY, SCRIPT] {
            assert!(!part.to_ascii_lowercase().contains("</s"), "it ends its own element");
        }
        assert!(!LIBRARY_LICENSE.contains(['<', '&']));
    }
}
