//! The sizes of records, and what follows from them: how many a claim reads at once, and how many completed jobs
//! of a kind are kept to be looked at: so few that neither their number nor their bytes fill Redis (decision 29).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::MAX_BATCH;

/// Finished jobs kept of a kind in a queue at most, whatever their retention and size.
pub const MAX_FINISHED: usize = 10_000;

/// Bytes of the records of completed jobs kept of a kind in a queue, roughly: fewer are kept of large ones, and of
/// a small Redis.
pub const MAX_FINISHED_BYTES: usize = 64 << 20;

/// The share of Redis' memory that is less than that, if it has a limit.
const OF_MEMORY: usize = 4;

/// Kept of jobs of any size.
const LEAST: usize = 16;

/// Records up to this size, in bytes, never meet the bound in bytes.
const SMALL: usize = MAX_FINISHED_BYTES / MAX_FINISHED;

/// The share that the last job has in the mean of its kind.
const SHARE: f64 = 1.0 / 64.0;

/// Bytes, by queue and kind.
type Means = HashMap<Arc<str>, HashMap<Arc<str>, f64>>;

/// The mean size of the records that this process has claimed, by queue and kind. Nothing is counted until
/// the first large one comes, so that those who have none pay nothing.
#[derive(Default)]
pub(crate) struct RecordSizes {
    has_large: AtomicBool,
    /// Redis' `maxmemory`, bytes; 0: none, or unknown.
    maxmemory: AtomicUsize,
    means: Mutex<Means>,
}

impl RecordSizes {
    /// A job whose record has so many bytes was claimed.
    pub(crate) fn observe(&self, queue: &Arc<str>, kind: &Arc<str>, bytes: usize) {
        if bytes <= SMALL && !self.has_large.load(Ordering::Relaxed) {
            return;
        }
        self.has_large.store(true, Ordering::Relaxed);
        let mut means = self.means();
        let of_queue = means.entry(queue.clone()).or_default();
        let mean = of_queue.entry(kind.clone()).or_insert(bytes as f64);
        *mean += (bytes as f64 - *mean) * SHARE;
    }

    /// The number of jobs whose records are expected to have this many bytes together, if they are of the kind
    /// with the largest records.
    pub(crate) fn filling(&self, bytes: usize, queue: &str, kinds: &[Arc<str>]) -> usize {
        if !self.has_large.load(Ordering::Relaxed) {
            return MAX_BATCH;
        }
        let means = self.means();
        let Some(of_queue) = means.get(queue) else { return MAX_BATCH };
        let largest = kinds.iter().filter_map(|kind| of_queue.get(kind)).fold(1.0, |a: f64, b| a.max(*b));
        ((bytes as f64 / largest) as usize).clamp(1, MAX_BATCH)
    }

    /// Redis has so much memory, in bytes; 0: no limit is known.
    pub(crate) fn limit(&self, maxmemory: usize) {
        self.maxmemory.store(maxmemory, Ordering::Relaxed);
    }

    /// How many completed jobs to keep.
    pub(crate) fn kept(&self, queue: &str, kind: &str) -> usize {
        if !self.has_large.load(Ordering::Relaxed) {
            return MAX_FINISHED;
        }
        let means = self.means();
        let mean = means.get(queue).and_then(|kinds| kinds.get(kind)).copied().unwrap_or_default();
        let bytes = match self.maxmemory.load(Ordering::Relaxed) {
            0 => MAX_FINISHED_BYTES,
            limit => MAX_FINISHED_BYTES.min(limit / OF_MEMORY),
        };
        ((bytes as f64 / mean.max(1.0)) as usize).clamp(LEAST, MAX_FINISHED)
    }

    fn means(&self) -> MutexGuard<'_, Means> {
        self.means.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_are_kept_of_large_jobs_and_none_less_of_small_ones() {
        let (queue, large, small): (Arc<str>, Arc<str>, Arc<str>) =
            ("default".into(), "test:large".into(), "test:small".into());
        let sizes = RecordSizes::default();
        for _ in 0..1_000 {
            sizes.observe(&queue, &small, SMALL);
        }
        assert_eq!(sizes.kept(&queue, &small), MAX_FINISHED);
        for _ in 0..1_000 {
            sizes.observe(&queue, &large, 200_000);
            sizes.observe(&queue, &small, 200);
        }
        let kept = sizes.kept(&queue, &large);
        assert!((300..=MAX_FINISHED_BYTES / 200_000 + 1).contains(&kept), "{kept}");
        let filling = |kinds: &[Arc<str>]| sizes.filling(1 << 20, &queue, kinds);
        assert_eq!(filling(&[small.clone(), large.clone()]), (1 << 20) / 200_000);
        assert_eq!(filling(std::slice::from_ref(&small)), MAX_BATCH);
        assert_eq!(sizes.filling(1 << 20, "another", std::slice::from_ref(&large)), MAX_BATCH);
        assert_eq!(sizes.kept(&queue, &small), MAX_FINISHED);
        assert_eq!(sizes.kept("another", &large), MAX_FINISHED);
        sizes.limit(64 << 20);
        assert!((75..=85).contains(&sizes.kept(&queue, &large)), "a quarter of 64 MiB");
        sizes.limit(0);
        sizes.observe(&queue, &small, 8 << 20);
        assert!(sizes.kept(&queue, &small) < MAX_FINISHED, "one of many");
        for _ in 0..1_000 {
            sizes.observe(&queue, &large, 1 << 30);
        }
        assert_eq!(sizes.kept(&queue, &large), LEAST);
    }
}
