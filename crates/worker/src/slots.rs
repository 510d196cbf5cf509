//! Slots, one per job that may run at the same time, and the jobs that are in one or wait for one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atode_queue::JobId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::claimed_job::ClaimedJob;
use crate::shares::Shares;

/// A job that has waited this long for a slot is handed back: another worker may have one.
pub(crate) const SLOT_PATIENCE: Duration = Duration::from_millis(50);

/// A held permit is an occupied slot.
pub(crate) type Slot = OwnedSemaphorePermit;

pub(crate) struct Slots {
    size: usize,
    free: Arc<Semaphore>,
    shares: Shares,
    claimed: AtomicUsize,
    ended: AtomicU64,
    /// Key of the next entry. A job's id is no key: after a lost lease two runs of it can overlap.
    next_entry: AtomicU64,
    jobs: Mutex<HashMap<u64, Arc<ClaimedJob>>>,
}

/// A claimed job's place in the table of all claimed jobs. Dropping it removes the job.
pub(crate) struct Entry {
    slots: Arc<Slots>,
    key: u64,
    pub(crate) job: Arc<ClaimedJob>,
}

impl Slots {
    /// `weights` are those of the queues that share the slots.
    pub(crate) fn new(size: usize, weights: impl Iterator<Item = u32>) -> Arc<Self> {
        Arc::new(Slots {
            size,
            free: Arc::new(Semaphore::new(size)),
            shares: Shares::new(size, weights),
            claimed: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            next_entry: AtomicU64::new(0),
            jobs: Mutex::default(),
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Jobs in a slot or waiting for one.
    pub(crate) fn claimed(&self) -> usize {
        self.claimed.load(Ordering::Acquire)
    }

    /// Jobs in a slot.
    pub(crate) fn taken(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    /// Jobs that have started and left their slot since this worker started.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// How the queues share the slots.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    pub(crate) fn enter(self: &Arc<Self>, job: ClaimedJob) -> Entry {
        if self.claimed.fetch_add(1, Ordering::AcqRel) >= self.size {
            job.wait_for_slot();
        }
        let (key, job) = (self.next_entry.fetch_add(1, Ordering::Relaxed), Arc::new(job));
        self.table().insert(key, job.clone());
        Entry { slots: self.clone(), key, job }
    }

    pub(crate) fn jobs(&self) -> Vec<Arc<ClaimedJob>> {
        self.table().values().cloned().collect()
    }

    pub(crate) fn contains(&self, id: JobId) -> bool {
        self.table().values().any(|job| job.id == id)
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.table().values().any(|job| job.suspect)
    }

    /// Waits until no job is left, or until the timeout. Returns whether all have ended.
    pub(crate) async fn drained(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while self.claimed() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.claimed() == 0
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Arc<ClaimedJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// A slot, in the order in which jobs ask for one. `None` if the job was handed back or stopped meanwhile.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        let free = &self.slots.free;
        let slot = if let Ok(slot) = free.clone().try_acquire_owned() {
            slot
        } else {
            self.job.wait_for_slot();
            tokio::select! {
                slot = free.clone().acquire_owned() => slot.ok()?,
                () = self.job.cancellation.cancelled() => return None,
            }
        };
        self.job.take_slot().then_some(slot)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.slots.table().remove(&self.key);
        self.slots.claimed.fetch_sub(1, Ordering::AcqRel);
        if self.job.has_started() {
            self.slots.ended.fetch_add(1, Ordering::AcqRel);
        }
        self.slots.shares.slot_freed();
    }
}
