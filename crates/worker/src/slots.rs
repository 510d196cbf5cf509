//! Slots, one per job that may run at the same time, and the jobs that are in one or wait for one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use atode_queue::{FencingToken, JobId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::claimed_job::ClaimedJob;
use crate::shares::Shares;

/// A job that has waited this long for a slot is handed back: another worker may have one.
pub(crate) const SLOT_PATIENCE: Duration = Duration::from_millis(50);

/// A held permit is an occupied slot.
pub(crate) type Slot = OwnedSemaphorePermit;

pub(crate) struct Slots {
    pub(crate) size: usize,
    /// How the queues share the slots.
    pub(crate) shares: Shares,
    free: Arc<Semaphore>,
    ended: AtomicU64,
    jobs: Mutex<Table>,
}

/// All claimed jobs. An id alone is no key: after a lost lease two runs of a job can overlap.
type Table = HashMap<(JobId, FencingToken), Arc<ClaimedJob>>;

/// A claimed job's place in the table of all claimed jobs. Dropping it removes the job.
pub(crate) struct Entry {
    slots: Arc<Slots>,
    pub(crate) job: Arc<ClaimedJob>,
}

impl Slots {
    /// `weights` are those of the queues that share the slots.
    pub(crate) fn new(size: usize, weights: impl Iterator<Item = u32>) -> Arc<Self> {
        Arc::new(Slots {
            size,
            shares: Shares::new(size, weights),
            free: Arc::new(Semaphore::new(size)),
            ended: AtomicU64::new(0),
            jobs: Mutex::default(),
        })
    }

    /// Jobs in a slot or waiting for one.
    pub(crate) fn claimed(&self) -> usize {
        self.table().len()
    }

    /// Jobs in a slot.
    pub(crate) fn taken(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    /// Jobs that have started and left their slot since this worker started.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn enter(self: &Arc<Self>, job: ClaimedJob) -> Entry {
        let job = Arc::new(job);
        let mut table = self.table();
        if table.len() >= self.size {
            job.wait_for_slot();
        }
        table.insert((job.id, job.token), job.clone());
        Entry { slots: self.clone(), job }
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

    fn table(&self) -> MutexGuard<'_, Table> {
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
        self.slots.table().remove(&(self.job.id, self.job.token));
        if self.job.has_started() {
            self.slots.ended.fetch_add(1, Ordering::AcqRel);
        }
        self.slots.shares.slot_freed();
    }
}
