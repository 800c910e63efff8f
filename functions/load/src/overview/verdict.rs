//! One sentence about everything.

use super::sources::Sources;
use super::tables::{Level, Table};
use super::text::span;

/// Most tables that the sentence names.
const MAX_NAMED: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) level: Level,
    pub(super) sentence: String,
}

pub(super) fn verdict(sources: &Sources, tables: &[Table]) -> Verdict {
    let of = |level: Level| tables.iter().filter(move |table| table.level == level);
    let there = tables.iter().filter(|table| table.level != Level::Absent).count();
    let last_load = sources.loads.last().filter(|load| load.report.outcome == "failed");
    if there == 0 {
        let sentence = match sources.reads.is_empty() {
            true => "No run is recorded yet.",
            false => "No table could be read.",
        };
        return Verdict { level: Level::Warning, sentence: sentence.to_owned() };
    }
    let (bad, warned) = (of(Level::Bad).count(), of(Level::Warning).count());
    let level = match (bad, warned) {
        _ if bad > 0 || last_load.is_some() => Level::Bad,
        (_, 0) => Level::Good,
        _ => Level::Warning,
    };
    let sentence = if level == Level::Good {
        let behind = of(Level::Good).filter_map(|table| table.behind_seconds).reduce(f64::max);
        let behind = behind.map(|seconds| format!(", and at most {} behind HubSpot", span(seconds)));
        let all = if there == 1 { "The table is".to_owned() } else { format!("All {there} tables are") };
        format!("{all} complete{}.", behind.unwrap_or_default())
    } else if bad + warned == 0 {
        "The last load failed: what was read since then is not in the warehouse.".to_owned()
    } else {
        let mut named: Vec<String> = of(Level::Bad)
            .chain(of(Level::Warning))
            .take(MAX_NAMED)
            .map(|table| format!("{} ({})", table.name, table.states.join(", ")))
            .collect();
        if bad + warned > named.len() {
            named.push(format!("{} more", bad + warned - named.len()));
        }
        let (count, needs) = (bad + warned, if bad + warned == 1 { "needs" } else { "need" });
        let which = if there == 1 { "The table".to_owned() } else { format!("{count} of {there} tables") };
        format!("{which} {needs} a look: {}.", named.join(", "))
    };
    Verdict { level, sentence }
}
