//! The counts of one queue and kind that this process has not written yet.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::history::cells::{CELLS, Cells, Event, Timing};

/// Counting is one atomic addition.
pub(crate) struct Tally([AtomicU64; CELLS]);

impl Default for Tally {
    fn default() -> Self {
        Tally([const { AtomicU64::new(0) }; CELLS])
    }
}

impl Tally {
    pub(crate) fn count(&self, event: Event, jobs: u64) {
        self.0[event.cell()].fetch_add(jobs, Ordering::Relaxed);
    }

    pub(crate) fn time(&self, timing: Timing, time: Duration) {
        self.0[timing.cell(time)].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what was counted since the last call.
    pub(crate) fn take(&self) -> Cells {
        Cells(std::array::from_fn(|cell| {
            let cell = &self.0[cell];
            if cell.load(Ordering::Relaxed) == 0 { 0 } else { cell.swap(0, Ordering::Relaxed) }
        }))
    }
}
