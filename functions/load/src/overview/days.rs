//! Days of the page, and figures by day.

use chrono::{DateTime, Days as Count, NaiveDate, TimeDelta, Utc};

/// Most figures of one table before days are folded into weeks.
const MAX_FIGURES: usize = 12_000;
const DAYS_OF_WEEK: usize = 7;

/// Days in UTC from a first one to today, one by one or folded into weeks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    first: NaiveDate,
    count: usize,
    /// Days of a line.
    step: usize,
    now: DateTime<Utc>,
}

impl Days {
    /// Returns the days from that of the first run on, `most` at the most; in weeks where so many tables would make too
    /// many figures.
    pub(super) fn new(
        now: DateTime<Utc>,
        most: u32,
        first_run: Option<DateTime<Utc>>,
        tables: usize,
    ) -> Days {
        let today = now.date_naive();
        let earliest = today.checked_sub_days(Count::new(u64::from(most.saturating_sub(1)))).unwrap_or(today);
        let first = first_run.map_or(today, |at| at.date_naive()).clamp(earliest, today);
        let days = usize::try_from((today - first).num_days()).unwrap_or(0) + 1;
        let step = if days * tables > MAX_FIGURES { DAYS_OF_WEEK } else { 1 };
        // The last line ends today.
        let count = days.div_ceil(step);
        let first = today.checked_sub_days(Count::new((count * step - 1) as u64)).unwrap_or(first);
        Days { first, count, step, now }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_by_week(&self) -> bool {
        self.step == DAYS_OF_WEEK
    }

    /// Returns the line that the instant belongs to.
    pub(super) fn line(&self, at: DateTime<Utc>) -> Option<usize> {
        let days = usize::try_from((at.date_naive() - self.first).num_days()).ok()?;
        Some(days / self.step).filter(|line| *line < self.count)
    }

    /// Returns the first day of a line.
    pub(super) fn day(&self, line: usize) -> NaiveDate {
        self.first.checked_add_days(Count::new((line * self.step) as u64)).unwrap_or(self.first)
    }

    /// Returns the end of a line, or now.
    pub(super) fn end(&self, line: usize) -> DateTime<Utc> {
        let next = self.day(line + 1).and_time(chrono::NaiveTime::MIN).and_utc();
        next.min(self.now)
    }

    /// Returns the beginning of the first line.
    pub(super) fn begin(&self) -> DateTime<Utc> {
        self.day(0).and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// `true`: the instant is in the last `days` days.
    pub(super) fn is_within(&self, at: DateTime<Utc>, days: i64) -> bool {
        self.now - at <= TimeDelta::days(days)
    }
}

/// Figures by day, one column for each table or kind. `None`: nothing was known on that day.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) columns: Vec<String>,
    pub(super) lines: Vec<Vec<Option<f64>>>,
}

impl Figures {
    pub(super) fn new(days: &Days, columns: impl IntoIterator<Item = impl Into<String>>) -> Figures {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let lines = vec![vec![None; columns.len()]; days.len()];
        Figures { columns, lines }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    pub(super) fn add(&mut self, line: usize, column: usize, number: f64) {
        self.change(line, column, |known| known.unwrap_or(0.0) + number);
    }

    pub(super) fn at_least(&mut self, line: usize, column: usize, number: f64) {
        self.change(line, column, |known| known.map_or(number, |known| known.max(number)));
    }

    fn change(&mut self, line: usize, column: usize, next: impl Fn(Option<f64>) -> f64) {
        if let Some(figure) = self.lines.get_mut(line).and_then(|line| line.get_mut(column)) {
            *figure = Some(next(*figure));
        }
    }

    /// Leaves out columns without a figure above zero.
    pub(super) fn without_empty(self) -> Figures {
        let is_used = |column: usize| self.lines.iter().any(|line| line[column].is_some_and(|it| it > 0.0));
        let used: Vec<usize> = (0..self.columns.len()).filter(|column| is_used(*column)).collect();
        Figures {
            columns: used.iter().map(|column| self.columns[*column].clone()).collect(),
            lines: self.lines.iter().map(|line| used.iter().map(|column| line[*column]).collect()).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn days_begin_with_the_first_run_and_end_today() {
        let now = at("2026-11-30T12:00:00Z");
        let days = Days::new(now, 365, Some(at("2026-11-28T23:59:59Z")), 3);
        assert_eq!((days.len(), days.day(0).to_string(), days.is_by_week()), (3, "2026-11-28".into(), false));
        assert_eq!(days.line(at("2026-11-29T00:00:00Z")), Some(1));
        assert_eq!(
            (days.line(at("2026-11-27T23:59:59Z")), days.line(at("2026-12-01T00:00:00Z"))),
            (None, None)
        );
        assert_eq!((days.end(1), days.end(2)), (at("2026-11-30T00:00:00Z"), now));
        assert_eq!(Days::new(now, 30, Some(at("2020-01-01T00:00:00Z")), 3).len(), 30);
        assert_eq!(Days::new(now, 30, None, 0).len(), 1);
    }

    #[test]
    fn many_tables_fold_days_into_weeks_of_which_the_last_ends_today() {
        let days = Days::new(at("2026-11-30T12:00:00Z"), 365, Some(at("2025-01-01T00:00:00Z")), 60);
        assert_eq!((days.len(), days.is_by_week()), (53, true));
        assert_eq!(days.line(at("2026-11-24T00:00:00Z")), Some(52));
        assert_eq!(days.line(at("2026-11-23T23:00:00Z")), Some(51));
    }
}
