//! Decides which of many workers claims first when all of them know of a due job.

use std::time::Duration;

use atode_queue::{Announcement, Drained, Heard, KindSet, WorkerId};

/// Head start of the worker that watches the queue. By then it has claimed and the others have heard of it. If
/// they hear nothing, they claim as well.
const HEAD_START: Duration = Duration::from_millis(4);

/// Average time between the claims of two other workers.
const STEP: Duration = Duration::from_millis(1);

/// One worker's view of the other workers of a queue. See `Announcement` in the queue crate.
pub(crate) struct Turns {
    me: WorkerId,
    kinds: KindSet,
    /// Workers of the queue including this one. 0: not known yet.
    pub(super) workers: u32,
    watcher: Option<WorkerId>,
}

impl Turns {
    pub(crate) fn new(me: WorkerId, kinds: KindSet) -> Self {
        Turns { me, kinds, workers: 0, watcher: None }
    }

    /// The announcement to send with the next claim. A worker with more than a few taken slots leaves the watch to
    /// others. A worker that is alone sends none.
    pub(crate) fn announcement(&self, slots: usize, taken: usize) -> Option<Announcement<'_>> {
        let spare = (slots / 16).max(1).saturating_sub(taken);
        let announcement =
            Announcement { kinds: &self.kinds, worker: self.me, spare, workers: self.workers.max(1) };
        (self.workers != 1).then_some(announcement)
    }

    /// Takes in what other workers announced.
    pub(crate) fn heard(&mut self, heard: &Heard) {
        if let Some(Drained { watcher, workers, .. }) = heard.drained {
            self.watcher = watcher;
            if watcher != Some(self.me) {
                self.workers = workers.max(2);
            }
        }
        if heard.others {
            self.workers = self.workers.max(2);
        }
    }

    /// How long after a due time this worker claims.
    pub(crate) fn delay(&self) -> Duration {
        if self.workers < 2 || self.watcher == Some(self.me) {
            return Duration::ZERO;
        }
        let turn = STEP.mul_f64(rand::random::<f64>() * f64::from(self.workers));
        if self.watcher.is_some() { HEAD_START + turn } else { turn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(watcher: Option<WorkerId>, workers: u32) -> Heard {
        Heard { drained: Some(Drained { next_due: None, watcher, workers }), ..Heard::default() }
    }

    #[test]
    fn the_watcher_claims_at_once_and_the_others_after_its_head_start() {
        let (me, other) = (WorkerId::new(1), WorkerId::new(2));
        let mut turns = Turns::new(me, KindSet::default());
        turns.heard(&drained(Some(me), 64));
        turns.workers = 64;
        assert_eq!(turns.delay(), Duration::ZERO);
        turns.heard(&drained(Some(other), 64));
        for _ in 0..100 {
            assert!((HEAD_START..=HEAD_START + 64 * STEP).contains(&turns.delay()));
        }
        turns.heard(&drained(None, 64));
        assert!((0..100).any(|_| turns.delay() > STEP) && (0..1_000).any(|_| turns.delay() < 2 * STEP));
    }

    #[test]
    fn a_lone_worker_claims_at_once_and_announces_nothing() {
        let me = WorkerId::new(1);
        let mut turns = Turns::new(me, KindSet::default());
        assert!(turns.announcement(64, 0).is_some(), "the worker does not know yet that it is alone");
        turns.workers = 1;
        assert!(turns.announcement(64, 0).is_none());
        assert_eq!(turns.delay(), Duration::ZERO);
        turns.heard(&drained(Some(WorkerId::new(2)), 1));
        assert!(turns.announcement(64, 0).is_some(), "another worker has come");
    }

    #[test]
    fn a_busy_worker_leaves_the_watch_to_others() {
        let turns = Turns::new(WorkerId::new(1), KindSet::default());
        let spare = |slots, taken| turns.announcement(slots, taken).unwrap().spare;
        assert_eq!([spare(64, 0), spare(64, 3), spare(64, 4), spare(64, 64)], [4, 1, 0, 0]);
        assert_eq!([spare(1, 0), spare(1, 1)], [1, 0]);
    }
}
