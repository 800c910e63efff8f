//! Sections of the page below its tables.

use super::chart::Chart;
use super::columns::retyped_text;
use super::days::Days;
use super::html::Html;
use super::page::Page;
use super::text::{bytes, count, figure, instant, span};
use super::troubles::step_text;

/// Most lines of a list; the latest are shown.
const MAX_LISTED: usize = 100;

pub(super) fn write(html: &mut Html, page: &Page) {
    rows(html, page);
    lag(html, page);
    comparisons(html, page);
    runs(html, page);
    calls(html, page);
    unparsed(html, page);
    columns(html, page);
    costs(html, page);
}

fn section(html: &mut Html, id: &'static str, title: &'static str) {
    html.element("<section id=\"", id, "\">").element("<h2>", title, "</h2>\n");
}

fn chart(html: &mut Html, days: &Days, chart: &Chart<'_>) {
    chart.write(html, days);
}

fn rows(html: &mut Html, page: &Page) {
    section(html, "rows", "Rows read");
    html.markup("<p class=\"quiet\">Rows that runs have staged, deleted ones included. The scale is logarithmic above ten.</p>\n");
    let figures = &page.rows;
    let (id, label, unit) = ("figures-rows", "Rows read, by table", "rows");
    chart(html, &page.days, &Chart { id, label, kind: "lines", unit, together: "sum", decimals: 0, figures });
    html.markup("</section>\n");
}

fn lag(html: &mut Html, page: &Page) {
    section(html, "lag", "Lag");
    html.markup("<p class=\"quiet\">Most hours for which a table lacked what HubSpot had changed: until a run read it, or ");
    html.markup("until the end of the day.</p>\n");
    let figures = &page.lag;
    let (id, label, unit) = ("figures-lag", "Most hours behind HubSpot, by table", "h");
    chart(html, &page.days, &Chart { id, label, kind: "lines", unit, together: "max", decimals: 1, figures });
    html.markup("</section>\n");
}

fn comparisons(html: &mut Html, page: &Page) {
    section(html, "comparisons", "Comparisons with HubSpot");
    let mut equal: Vec<_> = page.tables.iter().filter_map(|table| Some((table, table.equal?))).collect();
    equal.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    match equal.is_empty() {
        true => html.markup("<p>No table was found equal to HubSpot's records yet: <code>--mode reconcile</code> compares them.</p>\n"),
        false => {
            html.markup("<p>");
            for (n, (table, at)) in equal.iter().enumerate() {
                html.markup(if n == 0 { "Last equal: " } else { "; " });
                html.text(&table.name).element(" ", instant(*at), "");
            }
            html.markup(".</p>\n")
        }
    };
    if page.comparisons.is_empty() {
        html.markup("<p class=\"quiet\">No report of a load in these days has a comparison.</p></section>\n");
        return;
    }
    open_list(html, "Comparisons", "comparisons-list", &["snapshot of", "table", "#differed", "how", "now"]);
    for found in page.comparisons.iter().take(MAX_LISTED) {
        html.element("\n<tr><th scope=\"row\">", instant(found.snapshot), "").element(
            "<td>",
            &found.table,
            "",
        );
        html.element("<td class=\"n\">", count(found.differed()), "<td>");
        let kinds: Vec<String> =
            found.differing.iter().map(|(kind, number)| format!("{} {kind}", count(*number))).collect();
        html.text(kinds.join(", ")).element("<td>", step_text(found.step), "");
    }
    close_list(html, page.comparisons.len(), "comparisons");
    html.markup("</section>\n");
}

fn runs(html: &mut Html, page: &Page) {
    section(html, "runs", "Runs");
    let figures = &page.ends.clone().without_empty();
    let (id, label) = ("figures-runs", "Runs, by their end");
    let unit = "runs";
    chart(html, &page.days, &Chart { id, label, kind: "bars", unit, together: "none", decimals: 0, figures });
    html.markup("<h3>Not complete, and why</h3>\n");
    if page.troubles.is_empty() {
        html.markup("<p id=\"no-troubles\">Every run of these days was complete, and none was degraded.</p></section>\n");
        return;
    }
    open_list(
        html,
        "Runs that were not complete",
        "troubles",
        &["last", "what", "end", "#runs", "since", "reason"],
    );
    for trouble in page.troubles.iter().take(MAX_LISTED) {
        html.element("\n<tr><th scope=\"row\">", instant(trouble.last), "").element(
            "<td>",
            &trouble.name,
            "",
        );
        html.element("<td>", trouble.end, "").element("<td class=\"n\">", count(trouble.runs), "");
        html.element("<td>", instant(trouble.first), "").element("<td class=\"wide\">", &trouble.reason, "");
    }
    close_list(html, page.troubles.len(), "reasons");
    html.markup("</section>\n");
}

fn calls(html: &mut Html, page: &Page) {
    section(html, "calls", "Calls");
    html.markup("<p class=\"quiet\">HubSpot's calls, by the limit that counts them; calls that were repeated; and answers 429, ");
    html.markup("by which HubSpot says that a limit of ten seconds or of a day is reached.</p>\n");
    let (days, kind, unit, together, decimals) = (&page.days, "lines", "calls", "none", 0);
    let figures = &page.calls;
    let (id, label) = ("figures-calls", "Calls, by rate limit");
    chart(html, days, &Chart { id, label, kind, unit, together, decimals, figures });
    let figures = &page.calls_of_day;
    if figures.is_empty() {
        html.markup("<p class=\"quiet\">HubSpot did not tell the account's calls of a day: with OAuth it does not.</p>");
    } else {
        html.markup("<h3>Of the day's limit</h3>\n<p class=\"quiet\">As HubSpot counts them, those of the account's other ");
        html.markup("apps included: as far as it was told with an answer of that day.</p>\n");
        let (id, label) = ("figures-calls-of-day", "The account's calls of a day, and the limit");
        chart(html, days, &Chart { id, label, kind, unit, together, decimals, figures });
    }
    html.markup("</section>\n");
}

fn unparsed(html: &mut Html, page: &Page) {
    section(html, "unparsed", "Values that did not parse");
    let figures = &page.unparsed;
    if figures.is_empty() {
        html.markup(
            "<p id=\"no-unparsed\">Every value of these days parsed as its column's type.</p></section>\n",
        );
        return;
    }
    html.markup("<p class=\"quiet\">Each is NULL in its column, and its text is in the row's <code>_unparsed</code>.</p>\n");
    let (id, label, unit) = ("figures-unparsed", "Values that did not parse, by table", "values");
    chart(html, &page.days, &Chart { id, label, kind: "lines", unit, together: "sum", decimals: 0, figures });
    html.markup("</section>\n");
}

fn columns(html: &mut Html, page: &Page) {
    section(html, "columns", "Changes of columns");
    if page.changed.is_empty() {
        html.markup("<p id=\"no-columns\">No load of these days has reported a new column, or another type of one.</p></section>\n");
        return;
    }
    html.markup("<p class=\"quiet\">What loads have changed in tables that were there, as HubSpot's properties changed.</p>\n");
    open_list(
        html,
        "Changes of columns",
        "columns-list",
        &["load", "table", "new columns", "new types", "#more"],
    );
    for changed in page.changed.iter().take(MAX_LISTED) {
        html.element("\n<tr><th scope=\"row\">", instant(changed.at), "").element("<td>", &changed.table, "");
        html.element("<td class=\"wide\">", changed.changes.new.join(", "), "");
        let retyped: Vec<String> = changed.changes.retyped.iter().map(retyped_text).collect();
        html.element("<td class=\"wide\">", retyped.join(", "), "<td class=\"n\">");
        if changed.changes.more > 0 {
            html.text(count(changed.changes.more));
        }
    }
    close_list(html, page.changed.len(), "changes");
    html.markup("</section>\n");
}

fn costs(html: &mut Html, page: &Page) {
    section(html, "costs", "Work and cost");
    let names = [
        "month",
        "#runs",
        "#time of runs",
        "#loads",
        "#time of loads",
        "#calls",
        "#staged",
        "#merged rows",
        "#statements",
    ];
    let mut header = names.to_vec();
    if page.is_stack {
        header.push("#dollars");
    }
    open_list(html, "Work and cost by month", "months", &header);
    for (name, month) in &page.months {
        html.element("\n<tr><th scope=\"row\">", name, "");
        let mut cell = |text: String| _ = html.element("<td class=\"n\">", text, "");
        cell(count(month.reads));
        cell(span(month.read_seconds));
        cell(count(month.loads));
        cell(span(month.load_seconds));
        cell(count(month.calls));
        cell(bytes(month.staged_bytes));
        cell(count(month.merged_rows));
        cell(count(month.statements));
        if page.is_stack {
            cell(figure(month.dollars, 2));
        }
    }
    close_list(html, page.months.len(), "months");
    html.markup(match page.is_stack {
        true => "<p class=\"quiet\">Dollars: AWS Lambda alone, at the list price of us-east-1 and the memory that the template gives its functions where no parameter says otherwise. S3, DynamoDB, logs and the warehouse are not in it.</p>",
        false => "<p class=\"quiet\">Runs on a machine of your own cost no Lambda; what the warehouse costs is not known here. With <code>--stack</code> there are dollars.</p>",
    });
    html.markup("</section>\n");
}

/// Begins a table. The name of a column of numbers begins with `#`, which is not shown.
fn open_list(html: &mut Html, label: &'static str, id: &'static str, header: &[&'static str]) {
    html.element("<div class=\"scroll list\" tabindex=\"0\" role=\"region\" aria-label=\"", label, "\">");
    html.element("<table id=\"", id, "\"><thead><tr>");
    for name in header {
        match name.strip_prefix('#') {
            Some(name) => html.element("<th scope=\"col\" class=\"n\">", name, ""),
            None => html.element("<th scope=\"col\">", name, ""),
        };
    }
    html.markup("</thead><tbody>");
}

fn close_list(html: &mut Html, length: usize, name: &'static str) {
    html.markup("</tbody></table></div>\n");
    if length > MAX_LISTED {
        html.element("<p class=\"quiet\">The latest ", count(MAX_LISTED as u64), " of ");
        html.text(count(length as u64)).element(" ", name, ".</p>\n");
    }
}
