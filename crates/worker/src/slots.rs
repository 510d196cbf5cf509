//! The jobs that this worker has claimed, and the slots that they run in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use atode_jobs::Kind;
use atode_queue::{FencingToken, History, JobId, Lease, LeaseRef, Run};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::shares::Shares;

/// A longer timeout is none: so far away, `Instant` might end.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// As many slots as jobs may run at the same time, and all jobs that are in one or wait for one.
pub(crate) struct Slots {
    size: usize,
    free: Arc<Semaphore>,
    /// Jobs in a slot or waiting for one.
    claimed: AtomicUsize,
    /// Jobs that have left their slot, ever.
    ended: AtomicU64,
    shares: Shares,
    numbers: AtomicU64,
    jobs: Mutex<HashMap<u64, Arc<Running>>>,
}

/// A claimed job.
pub(crate) struct Running {
    number: u64,
    pub(crate) id: JobId,
    pub(crate) token: FencingToken,
    pub(crate) kind: Arc<Kind>,
    pub(crate) run: Run,
    pub(crate) max_retries: u32,
    claimed: Instant,
    /// Its handler has: a job may wait for a slot, or for a thread of the handlers' runtime.
    started: OnceLock<Instant>,
    got_slot: OnceLock<Instant>,
    /// Cancelled when the job has to end; why is in `stopped`.
    pub(crate) stop: CancellationToken,
    stopped: OnceLock<(Stop, Instant)>,
    hold: Mutex<Hold>,
    /// [`History::is_suspect`]: one such job at a time.
    pub(crate) suspect: bool,
}

struct Hold {
    /// Whoever takes it settles the job; nobody can twice.
    held: Option<Held>,
    /// It was claimed beyond the slots and has none yet.
    waits_for_slot: bool,
}

pub(crate) struct Held {
    pub(crate) lease: Lease,
    pub(crate) history: History,
}

/// Why a job was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Timeout,
    LeaseLost,
    Shutdown,
    /// Somebody asked to cancel it.
    Cancelled,
    /// It was handed back: no slot became free for it.
    NoSlot,
}

/// A claimed job's entry among all of them, until dropped.
pub(crate) struct Entry {
    slots: Arc<Slots>,
    pub(crate) job: Arc<Running>,
}

impl Slots {
    /// With the weights of the queues that share them.
    pub(crate) fn new(size: usize, weights: impl Iterator<Item = u32>) -> Arc<Self> {
        Arc::new(Slots {
            size,
            free: Arc::new(Semaphore::new(size)),
            claimed: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            shares: Shares::new(size, weights),
            numbers: AtomicU64::new(0),
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

    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// How the queues share the slots.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    pub(crate) fn enter(self: &Arc<Self>, kind: Arc<Kind>, run: Run, max_retries: u32, held: Held) -> Entry {
        let suspect = held.history.is_suspect();
        let claimed = self.claimed.fetch_add(1, Ordering::AcqRel);
        let job = Arc::new(Running {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            id: held.lease.id(),
            token: held.lease.token(),
            kind,
            run,
            max_retries,
            claimed: Instant::now(),
            started: OnceLock::new(),
            got_slot: OnceLock::new(),
            stop: CancellationToken::new(),
            stopped: OnceLock::new(),
            hold: Mutex::new(Hold { held: Some(held), waits_for_slot: claimed >= self.size }),
            suspect,
        });
        self.table().insert(job.number, job.clone());
        Entry { slots: self.clone(), job }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Running>> {
        self.table().values().cloned().collect()
    }

    /// Whether the worker holds this job.
    pub(crate) fn holds(&self, id: JobId) -> bool {
        self.table().values().any(|job| job.id == id)
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.table().values().any(|job| job.suspect)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// A slot, in the order in which jobs ask for one; none where the job was handed back or told to
    /// end meanwhile.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let free = &self.slots.free;
        let slot = if let Ok(slot) = free.clone().try_acquire_owned() {
            slot
        } else {
            self.job.hold().waits_for_slot = true;
            tokio::select! {
                slot = free.clone().acquire_owned() => slot.ok()?,
                () = self.job.stop.cancelled() => return None,
            }
        };
        let mut hold = self.job.hold();
        let _ = self.job.got_slot.set(Instant::now());
        hold.waits_for_slot = false;
        hold.held.is_some().then_some(slot)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.slots.table().remove(&self.job.number);
        self.slots.claimed.fetch_sub(1, Ordering::AcqRel);
        if self.job.has_started() {
            self.slots.ended.fetch_add(1, Ordering::AcqRel);
        }
        self.slots.shares.freed();
    }
}

impl Running {
    /// Tells the job to end. The first reason stands.
    pub(crate) fn stop(&self, why: Stop) {
        let _ = self.stopped.set((why, Instant::now()));
        self.stop.cancel();
    }

    /// Why and since when it has to end.
    pub(crate) fn stopped(&self) -> Option<(Stop, Instant)> {
        self.stopped.get().copied()
    }

    /// Its handler starts now; when it times out.
    pub(crate) fn start(&self) -> Instant {
        let _ = self.started.set(Instant::now());
        self.deadline()
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.get().is_some()
    }

    /// When it has to have ended. What has a slot and does not get to run in that time has to end, too.
    pub(crate) fn deadline(&self) -> Instant {
        *self.started.get().or(self.got_slot.get()).unwrap_or(&self.claimed)
            + self.kind.timeout.min(LONGEST_TIMEOUT)
    }

    pub(crate) fn waits_for_slot(&self) -> bool {
        self.hold().waits_for_slot
    }

    /// Takes what is needed to hand the job back, where it has waited longer than this for a slot. It
    /// can't get one any more then.
    pub(crate) fn take_waiting(&self, patience: Duration) -> Option<Held> {
        let mut hold = self.hold();
        let too_long = hold.waits_for_slot && self.claimed.elapsed() >= patience;
        if too_long { hold.held.take() } else { None }
    }

    /// Takes what is needed to settle the job; none where somebody else did.
    pub(crate) fn take(&self) -> Option<Held> {
        self.hold().held.take()
    }

    /// A name of the lease to extend it by; none where the job is settled.
    pub(crate) fn lease(&self) -> Option<LeaseRef> {
        self.hold().held.as_ref().map(|held| held.lease.reference())
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
