//! The memory that DuckDB may take, and its number of threads. Measured on inserts from Parquet: every thread keeps
//! blocks of every column open, close to a MiB per column, whatever the row group size. With more threads than the
//! memory has room for, an insert fails with "out of memory"; with fewer it only takes longer.

/// Room for the narrow tables of keys and versions, which spill to disk beyond it.
const SHARED_MIB: usize = 64;
const COLUMN_MIB: usize = 1;
/// With one thread.
const FLOOR_MIB: usize = 128;
/// With more.
const PARALLEL_FLOOR_MIB: usize = 256;
const CEILING_MIB: usize = 8192;
/// A second thread saves no time with fewer rows, and costs CPU and memory: 100,000 rows of 66 columns took 1.5 s with
/// one, 1.6 s with two.
const ROWS_PER_THREAD: u64 = 250_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) memory_mib: usize,
    pub(super) threads: usize,
}

impl Budget {
    /// For so many staged rows of a table of so many columns.
    pub(super) fn new(rows: u64, columns: usize, cores: usize) -> Budget {
        let columns_mib = columns.max(1) * COLUMN_MIB;
        let wanted = usize::try_from(rows / ROWS_PER_THREAD).unwrap_or(usize::MAX).clamp(1, cores.max(1));
        let floor_mib = if wanted > 1 { PARALLEL_FLOOR_MIB } else { FLOOR_MIB };
        let memory_mib = floor_mib.max(SHARED_MIB + columns_mib);
        let threads = ((memory_mib - SHARED_MIB) / columns_mib).clamp(1, wanted);
        Budget { memory_mib, threads }
    }

    /// The budget to try when a merge did not fit: values can be long, and no count of columns tells.
    pub(super) fn larger(self) -> Option<Budget> {
        (self.memory_mib < CEILING_MIB).then_some(Budget { memory_mib: self.memory_mib * 2, threads: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_tables_fit_a_quarter_of_a_gib() {
        assert_eq!(Budget::new(5_000_000, 60, 16), Budget { memory_mib: 256, threads: 3 });
        assert_eq!(Budget::new(5_000_000, 12, 4), Budget { memory_mib: 256, threads: 4 });
    }

    #[test]
    fn a_small_merge_has_one_thread() {
        assert_eq!(Budget::new(499_999, 60, 16), Budget { memory_mib: 128, threads: 1 });
        assert_eq!(Budget::new(0, 0, 0), Budget { memory_mib: 128, threads: 1 });
    }

    #[test]
    fn wide_tables_get_memory_instead_of_threads() {
        assert_eq!(Budget::new(5_000_000, 1500, 16), Budget { memory_mib: 1564, threads: 1 });
    }

    #[test]
    fn growth_ends() {
        let budgets = std::iter::successors(Some(Budget::new(1_000_000, 60, 2)), |budget| budget.larger());
        assert_eq!(
            budgets.map(|budget| budget.memory_mib).collect::<Vec<_>>(),
            [256, 512, 1024, 2048, 4096, 8192]
        );
    }
}
