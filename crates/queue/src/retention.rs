//! Limits for finished jobs and counters, so that neither their number nor their bytes fill Redis (decision 29), and
//! the sizes of records, which decide how many jobs are kept and how many a claim reads at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::budget::MAX_BATCH;

/// Time for which a cancelled job stays visible.
pub(crate) const CANCELLED_RETENTION: Duration = Duration::from_secs(60 * 60);

/// Percent of `maxmemory` above which finished jobs are removed early.
pub(crate) const SHORT_OF_MEMORY: u64 = 80;

/// Minutes for which counters are kept.
pub(crate) const STATS_MINUTES: i64 = 60;

/// Maximum number of finished jobs kept per kind and queue, whatever their retention and size.
pub const MAX_FINISHED: usize = 10_000;

/// Approximate bytes of completed records kept per kind and queue: fewer jobs are kept if they are large or Redis is
/// small.
pub const MAX_FINISHED_BYTES: usize = 64 << 20;

/// Divisor of Redis' memory limit: the bytes above never exceed this part of it.
const PART_OF_MEMORY: usize = 4;

/// Jobs kept whatever their size.
const LEAST: usize = 16;

/// Records up to this size, in bytes, never meet the bound in bytes.
const SMALL: usize = MAX_FINISHED_BYTES / MAX_FINISHED;

/// Weight of the last job in the mean of its kind.
const SHARE: f64 = 1.0 / 64.0;

/// Mean bytes by queue and kind.
type Means = HashMap<Arc<str>, HashMap<Arc<str>, f64>>;

/// The mean size of the records that this process has claimed, by queue and kind. Counting starts with the first
/// large record, so that small ones cost nothing.
#[derive(Default)]
pub(crate) struct RecordSizes {
    has_large: AtomicBool,
    /// Redis' `maxmemory` in bytes; 0 if it is unlimited or unknown.
    maxmemory: AtomicUsize,
    means: Mutex<Means>,
}

impl RecordSizes {
    /// Counts a claimed job whose record has this many bytes.
    pub(crate) fn observe(&self, queue: &Arc<str>, kind: &Arc<str>, bytes: usize) {
        if bytes <= SMALL && !self.has_large.load(Ordering::Relaxed) {
            return;
        }
        self.has_large.store(true, Ordering::Relaxed);
        let mut means = self.means();
        let queue_means = means.entry(queue.clone()).or_default();
        let mean = queue_means.entry(kind.clone()).or_insert(bytes as f64);
        *mean += (bytes as f64 - *mean) * SHARE;
    }

    /// The number of jobs whose records are expected to have this many bytes together, if all are of the kind with
    /// the largest records.
    pub(crate) fn filling(&self, bytes: usize, queue: &str, kinds: &[Arc<str>]) -> usize {
        if !self.has_large.load(Ordering::Relaxed) {
            return MAX_BATCH;
        }
        let means = self.means();
        let Some(queue_means) = means.get(queue) else { return MAX_BATCH };
        let largest = kinds.iter().filter_map(|kind| queue_means.get(kind)).fold(1.0, |a: f64, b| a.max(*b));
        ((bytes as f64 / largest) as usize).clamp(1, MAX_BATCH)
    }

    /// Sets Redis' memory limit in bytes; 0 if it is unlimited or unknown.
    pub(crate) fn limit(&self, maxmemory: usize) {
        self.maxmemory.store(maxmemory, Ordering::Relaxed);
    }

    /// The number of completed jobs to keep.
    pub(crate) fn kept(&self, queue: &str, kind: &str) -> usize {
        if !self.has_large.load(Ordering::Relaxed) {
            return MAX_FINISHED;
        }
        let means = self.means();
        let mean = means.get(queue).and_then(|kinds| kinds.get(kind)).copied().unwrap_or_default();
        let bytes = match self.maxmemory.load(Ordering::Relaxed) {
            0 => MAX_FINISHED_BYTES,
            limit => MAX_FINISHED_BYTES.min(limit / PART_OF_MEMORY),
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
    fn fewer_large_jobs_are_kept_and_as_many_small_ones_as_before() {
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
