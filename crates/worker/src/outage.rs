//! Repeated failures of calls to Redis: the first and the end of each outage are logged, and attempts slow down.

use std::time::Duration;

use atode_jobs::Backoff;

const RETRIES: Backoff =
    Backoff { first: Duration::from_millis(50), factor: 2.0, ceiling: Duration::from_secs(1), jitter: 0.0 };

/// Consecutive failures of one kind of call.
#[derive(Default)]
pub(crate) struct Outage {
    failures: u32,
}

impl Outage {
    /// Counts a failure. Returns whether it is the first, the one to log.
    pub(crate) fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }

    /// Forgets all failures. Returns whether there were any.
    pub(crate) fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// Waits before the next attempt.
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(RETRIES.delay(self.failures, 0.0)).await;
    }
}
