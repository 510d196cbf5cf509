//! Counts jobs that are handed back to other builds: how long each waits, and when a line about them is due.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atode_queue::Unread;

/// Time between two lines about the same kind.
const WINDOW: Duration = Duration::from_secs(60);
/// The shortest time until such a job is offered again.
pub(crate) const FIRST_DELAY: Duration = Duration::from_secs(5);
/// Each further job of a minute waits this much longer, so that many of them do not keep Redis and workers busy.
const DELAY_PER_JOB: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Unread::LONGEST_DELAY;

/// Jobs handed back since the last line about their kind.
#[derive(Default)]
pub(crate) struct HandedBack(Mutex<HashMap<Arc<str>, (Instant, u32)>>);

impl HandedBack {
    /// Counts a job, and returns its delay. If a line about its kind is due, also the number of jobs in the minute
    /// before.
    pub(crate) fn count(&self, kind: &Arc<str>) -> (Duration, Option<u32>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.get(kind).copied();
        let (since, jobs, earlier) = match known {
            Some((since, jobs)) if since.elapsed() < WINDOW => (since, jobs, None),
            earlier => {
                let latest = earlier.filter(|(since, _)| since.elapsed() < 2 * WINDOW);
                (Instant::now(), 0, Some(latest.map_or(0, |(_, jobs)| jobs)))
            }
        };
        counts.insert(kind.clone(), (since, jobs + 1));
        ((FIRST_DELAY + DELAY_PER_JOB * jobs).min(LONGEST_DELAY), earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_jobs_wait_longer_and_one_line_per_minute_counts_them() {
        let (counts, kind) = (HandedBack::default(), Arc::from("mail:send"));
        assert_eq!(counts.count(&kind), (FIRST_DELAY, Some(0)));
        assert_eq!(counts.count(&kind), (FIRST_DELAY + DELAY_PER_JOB, None));
        for _ in 0..10_000 {
            assert_eq!(counts.count(&kind).1, None);
        }
        assert_eq!(counts.count(&kind), (LONGEST_DELAY, None));
        assert_eq!(counts.count(&"mail:receive".into()), (FIRST_DELAY, Some(0)));
    }
}
