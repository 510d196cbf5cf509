//! How many jobs to claim ahead of free slots.

use std::time::Duration;

use tokio::time::Instant;

use crate::slots::{SLOT_PATIENCE, Slots};

/// A claim also asks for the jobs that will find a slot within this many rounds of claims. So jobs that leave
/// their slots quickly come in large calls, and a free slot finds a job at once. These jobs wait here instead of
/// in Redis, for a few milliseconds at most. The slower the jobs, the fewer are claimed ahead.
const ROUNDS_AHEAD: usize = 4;

/// Longest time ahead, however long a round takes: well below the wait after which a job is handed back.
const FURTHEST_AHEAD: Duration = Duration::from_millis(SLOT_PATIENCE.as_millis() as u64 / 2);

/// How fast slots become free, measured from the last claim.
pub(crate) struct Pace {
    sent: Instant,
    took: Duration,
    /// Jobs that had left their slots when the claim was sent.
    ended: u64,
}

impl Pace {
    /// The pace when a claim is sent.
    pub(crate) fn new(slots: &Slots) -> Self {
        Pace { sent: Instant::now(), took: Duration::ZERO, ended: slots.ended() }
    }

    pub(crate) fn answered(&mut self) {
        self.took = self.sent.elapsed();
    }

    /// Jobs that may be claimed now, for all queues together.
    pub(crate) fn room(&self, slots: &Slots) -> usize {
        let horizon = (ROUNDS_AHEAD as u32 * self.took).min(FURTHEST_AHEAD).as_secs_f64();
        let per_second =
            (slots.ended() - self.ended) as f64 / self.sent.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let ahead = ((per_second * horizon) as usize).min(ROUNDS_AHEAD * slots.size);
        (slots.size + ahead).saturating_sub(slots.claimed())
    }
}
