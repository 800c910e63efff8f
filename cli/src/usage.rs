//! CPU and memory that the process has used so far.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Bytes in a unit of `ru_maxrss`: a kibibyte, on macOS a byte.
const MAX_RSS_UNIT: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of all threads, user and system.
    pub(crate) cpu_seconds: f64,
    /// Peak memory of the process.
    pub(crate) peak_memory_bytes: u64,
}

impl Usage {
    /// Returns the usage so far; all zero where the system does not show it.
    pub(crate) fn of_process() -> Usage {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Usage::default() };
        let cpu_micros = (usage.user_time() + usage.system_time()).num_microseconds();
        Usage {
            cpu_seconds: cpu_micros as f64 / 1e6,
            peak_memory_bytes: peak_of_program()
                .unwrap_or_else(|| u64::try_from(usage.max_rss()).unwrap_or(0) * MAX_RSS_UNIT),
        }
    }
}

/// Of this program alone, where the system tells: on Linux, `ru_maxrss` begins with what the process that started it
/// held.
fn peak_of_program() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kibibytes.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_cost_something() {
        let usage = Usage::of_process();
        assert!(usage.peak_memory_bytes > 1 << 20, "{usage:?}");
    }
}
