//! A line of the table: the cost of a case, beside those of its floors.

use serde::Serialize;

use crate::account::LimitUse;

/// A line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) records: Option<u64>,
    pub(crate) calls: Option<u64>,
    /// Size of HubSpot's answers, decompressed.
    pub(crate) answer_bytes: Option<u64>,
    pub(crate) staged_bytes: Option<u64>,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) floors: Vec<FloorCost>,
    pub(crate) limit: Option<LimitUse>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct FloorCost {
    pub(crate) name: &'static str,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) seconds: f64,
}

impl Row {
    /// Returns the product's CPU as a multiple of that of the highest floor.
    pub(crate) fn times_floor(&self) -> Option<f64> {
        Some(self.cpu_seconds? / self.floors.last()?.cpu_seconds)
    }

    /// Returns the cheaper of two runs of the same case, with the cheaper of each floor.
    pub(crate) fn cheaper(self, other: Row) -> Row {
        let (mut row, other) =
            if other.cpu_seconds < self.cpu_seconds { (other, self) } else { (self, other) };
        for (floor, other) in row.floors.iter_mut().zip(other.floors) {
            if other.cpu_seconds < floor.cpu_seconds {
                *floor = other;
            }
        }
        row
    }
}
