//! All that is on the page.

use chrono::{DateTime, Utc};

use super::columns::Changed;
use super::costs::Month;
use super::days::{Days, Figures};
use super::tables::Table;
use super::troubles::{Compared, Trouble};
use super::verdict::Verdict;

/// All that is on the page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) made: DateTime<Utc>,
    pub(super) places: Vec<String>,
    pub(super) account: Option<u64>,
    pub(super) is_stack: bool,
    pub(super) days: Days,
    pub(super) runs: u64,
    pub(super) unread: u64,
    pub(super) verdict: Verdict,
    pub(super) tables: Vec<Table>,
    pub(super) rows: Figures,
    pub(super) lag: Figures,
    pub(super) calls: Figures,
    pub(super) calls_of_day: Figures,
    pub(super) unparsed: Figures,
    pub(super) ends: Figures,
    pub(super) comparisons: Vec<Compared>,
    pub(super) changed: Vec<Changed>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) months: Vec<(String, Month)>,
}
