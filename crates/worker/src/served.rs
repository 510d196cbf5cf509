//! A queue that the worker works on, and the results of its jobs that wait to be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atode_queue::{MAX_BATCH, Settlement};
use tokio::sync::{Notify, mpsc};

pub(crate) struct Served {
    pub(crate) queue: Arc<str>,
    /// Among the queues of this worker.
    pub(crate) place: usize,
    settlements: mpsc::UnboundedSender<Settlement>,
    unsettled: AtomicUsize,
    /// Results were stored.
    settled: Notify,
}

impl Served {
    pub(crate) fn new(queue: Arc<str>, place: usize) -> (Self, mpsc::UnboundedReceiver<Settlement>) {
        let (settlements, results) = mpsc::unbounded_channel();
        let served =
            Served { queue, place, settlements, unsettled: AtomicUsize::new(0), settled: Notify::new() };
        (served, results)
    }

    pub(crate) fn settle(&self, settlement: Settlement) {
        self.unsettled.fetch_add(1, Ordering::AcqRel);
        // The receiver lives until the jobs have ended.
        let _ = self.settlements.send(settlement);
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled.load(Ordering::Acquire)
    }

    /// So many results were stored.
    pub(crate) fn stored(&self, results: usize) {
        self.unsettled.fetch_sub(results, Ordering::AcqRel);
        self.settled.notify_one();
    }

    /// Results must not pile up: a claim would add to them.
    pub(crate) fn has_backlog(&self, slots: usize) -> bool {
        self.unsettled() > MAX_BATCH.max(4 * slots)
    }

    /// Waits until results are stored.
    pub(crate) async fn settled(&self) {
        self.settled.notified().await;
    }
}
