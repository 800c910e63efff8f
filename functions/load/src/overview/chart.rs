//! A chart, and the table of its figures, from which the page's script draws it.

use super::days::{Days, Figures};
use super::html::Html;
use super::text::figure;

/// Width and height of a small line in a table's row.
const SPARK: (usize, f64) = (90, 18.0);

#[derive(Debug, Clone, Copy)]
pub(super) struct Chart<'a> {
    /// Identifies the chart in the document.
    pub(super) id: &'static str,
    /// Contents of the chart, for those who don't see it.
    pub(super) label: &'static str,
    /// `lines`, or `bars` that stand on each other.
    pub(super) kind: &'static str,
    /// Unit of the figures.
    pub(super) unit: &'static str,
    /// `sum` or `max`: what becomes of the figures of several tables in one; `none` where the columns are not tables.
    pub(super) together: &'static str,
    pub(super) decimals: usize,
    pub(super) figures: &'a Figures,
}

impl Chart<'_> {
    pub(super) fn write(&self, html: &mut Html, days: &Days) {
        html.markup("<figure class=\"chart\" data-figures=\"").text(self.id);
        html.markup("\" data-kind=\"").text(self.kind);
        html.markup("\" data-unit=\"").text(self.unit);
        html.markup("\" data-together=\"").text(self.together);
        html.markup("\" data-label=\"").text(self.label).markup("\">");
        html.markup(
            "<noscript>Charts are drawn with JavaScript; their figures are in the table below.</noscript>",
        );
        html.markup("</figure>\n<details><summary>");
        html.element("Figures: ", self.label, "</summary>");
        html.element(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"",
            self.label,
            " (table)\">",
        );
        html.markup("<table class=\"figures\" id=\"")
            .text(self.id)
            .markup("\"><thead><tr><th scope=\"col\">");
        html.markup(if days.is_by_week() { "week from" } else { "day" });
        for column in &self.figures.columns {
            html.markup("<th scope=\"col\">").text(column);
        }
        html.markup("</thead><tbody>");
        for (n, line) in self.figures.lines.iter().enumerate() {
            html.markup("\n<tr><th scope=\"row\">").text(days.day(n));
            for number in line {
                html.markup("<td>");
                if let Some(number) = number {
                    html.text(figure(*number, self.decimals));
                }
            }
        }
        html.markup("</tbody></table></div></details>\n");
    }
}

/// Draws the last figures of a column as a small line, for the eye; the figures are elsewhere.
pub(super) fn spark(html: &mut Html, figures: &Figures, column: Option<usize>) {
    let Some(column) = column else { return };
    let (width, height) = SPARK;
    let last = figures.lines.len().saturating_sub(width);
    let of = |line: &Vec<Option<f64>>| line.get(column).copied().flatten().unwrap_or(0.0).sqrt();
    let numbers: Vec<f64> = figures.lines[last..].iter().map(of).collect();
    let most = numbers.iter().copied().fold(0.0, f64::max);
    if most == 0.0 || numbers.len() < 2 {
        return;
    }
    let step = width as f64 / (numbers.len() - 1) as f64;
    html.markup("<svg class=\"spark\" viewBox=\"-1 -1 92 20\" aria-hidden=\"true\"><polyline points=\"");
    for (n, number) in numbers.iter().enumerate() {
        html.text(format_args!("{:.0},{:.0} ", n as f64 * step, height - number / most * height));
    }
    html.markup("\"/></svg>");
}
