//! Decides which of many workers asks first for a job that they all know of.

use std::time::Duration;

use atode_queue::{Announcement, Drained, Heard, KindSet, WorkerId};

/// A worker that watches the queue has asked, and the others have heard of it, within this time of a due
/// time. If they hear nothing they ask as well.
const WATCHERS_TIME: Duration = Duration::from_millis(4);

/// Between two workers that ask, on average.
const STEP: Duration = Duration::from_millis(1);

/// One worker's view of the others that work on a queue. See `wakeup.rs` of the queue crate.
pub(crate) struct Turns {
    me: WorkerId,
    kinds: KindSet,
    /// Workers of the queue, this one among them; 0: not known yet.
    workers: u32,
    watcher: Option<WorkerId>,
}

impl Turns {
    pub(crate) fn new(me: WorkerId, kinds: KindSet) -> Self {
        Turns { me, kinds, workers: 0, watcher: None }
    }

    /// What to tell the others with the next claim, by a worker that has so many slots, so many of them
    /// taken. One that is a little busy leaves the watch to others.
    pub(crate) fn announcement(&self, slots: usize, taken: usize) -> Option<Announcement<'_>> {
        let spare = (slots / 16).max(1).saturating_sub(taken);
        let announcement =
            Announcement { kinds: &self.kinds, worker: self.me, spare, workers: self.workers.max(1) };
        (self.workers != 1).then_some(announcement)
    }

    /// So many workers heard an announcement.
    pub(crate) fn told(&mut self, listeners: u32) {
        self.workers = listeners;
    }

    pub(crate) fn hear(&mut self, heard: &Heard) {
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

    /// How long after a due time this worker asks.
    pub(crate) fn delay(&self) -> Duration {
        if self.workers < 2 || self.watcher == Some(self.me) {
            return Duration::ZERO;
        }
        let place = STEP.mul_f64(rand::random::<f64>() * f64::from(self.workers));
        if self.watcher.is_some() { WATCHERS_TIME + place } else { place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(watcher: Option<WorkerId>, workers: u32) -> Heard {
        Heard { drained: Some(Drained { next_due: None, watcher, workers }), ..Heard::default() }
    }

    #[test]
    fn the_watcher_asks_at_once_and_all_others_after_its_time() {
        let (me, other) = (WorkerId::new(1), WorkerId::new(2));
        let mut turns = Turns::new(me, KindSet::default());
        turns.hear(&drained(Some(me), 64));
        turns.told(64);
        assert_eq!(turns.delay(), Duration::ZERO);
        turns.hear(&drained(Some(other), 64));
        for _ in 0..100 {
            assert!((WATCHERS_TIME..=WATCHERS_TIME + 64 * STEP).contains(&turns.delay()));
        }
        turns.hear(&drained(None, 64));
        assert!((0..100).any(|_| turns.delay() > STEP) && (0..1_000).any(|_| turns.delay() < 2 * STEP));
    }

    #[test]
    fn a_worker_alone_asks_at_once_and_tells_nobody() {
        let me = WorkerId::new(1);
        let mut turns = Turns::new(me, KindSet::default());
        assert!(turns.announcement(64, 0).is_some(), "it does not know yet that it is alone");
        turns.told(1);
        assert!(turns.announcement(64, 0).is_none());
        assert_eq!(turns.delay(), Duration::ZERO);
        turns.hear(&drained(Some(WorkerId::new(2)), 1));
        assert!(turns.announcement(64, 0).is_some(), "another one has come");
    }

    #[test]
    fn a_busy_worker_leaves_the_watch_to_others() {
        let turns = Turns::new(WorkerId::new(1), KindSet::default());
        let spare = |slots, taken| turns.announcement(slots, taken).unwrap().spare;
        assert_eq!([spare(64, 0), spare(64, 3), spare(64, 4), spare(64, 64)], [4, 1, 0, 0]);
        assert_eq!([spare(1, 0), spare(1, 1)], [1, 0]);
    }
}
