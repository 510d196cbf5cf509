//! The times of runs of one kind from one queue, for its history.

use std::sync::Arc;
use std::time::Duration;

use crate::history::cells::Timing;
use crate::history::tally::Tally;

/// Counts the runs of one kind from one queue. Cheap to clone, and cheap to use: one atomic addition per time.
#[derive(Clone)]
pub struct KindHistory(pub(crate) Arc<Tally>);

impl KindHistory {
    /// Counts a run that started this long after its due time.
    pub fn started(&self, lateness: Duration) {
        self.0.time(Timing::Lateness, lateness);
    }

    /// Counts a run that took this long.
    pub fn ended(&self, took: Duration) {
        self.0.time(Timing::Run, took);
    }
}
