//! The jobs that this worker runs right now, and its free slots.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use atode_jobs::Kind;
use atode_queue::{History, JobId, Lease, Run};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A longer timeout is none: so far away, `Instant` might end.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// All jobs that occupy a slot.
pub(crate) struct Slots {
    size: usize,
    taken: AtomicUsize,
    /// Told when a slot becomes free.
    freed: Notify,
    numbers: AtomicU64,
    jobs: Mutex<HashMap<u64, Arc<Running>>>,
}

/// A job in its slot.
pub(crate) struct Running {
    number: u64,
    pub(crate) id: JobId,
    pub(crate) token: Arc<str>,
    pub(crate) kind: Arc<Kind>,
    pub(crate) run: Run,
    pub(crate) max_retries: u32,
    pub(crate) deadline: Instant,
    /// Cancelled when the job has to end; why is in `stopped`.
    pub(crate) stop: CancellationToken,
    stopped: OnceLock<(Stop, Instant)>,
    /// Its handler has: a job may wait for a thread of the handlers' runtime.
    started: AtomicBool,
    /// Whoever takes it settles the job; nobody can twice.
    held: Mutex<Option<Held>>,
    /// Two or more workers died with it: one such job at a time.
    pub(crate) suspect: bool,
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
}

/// Occupies a slot until dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    pub(crate) job: Arc<Running>,
}

impl Slots {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Slots {
            size,
            taken: AtomicUsize::new(0),
            freed: Notify::new(),
            numbers: AtomicU64::new(0),
            jobs: Mutex::default(),
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    pub(crate) fn free(&self) -> usize {
        self.size.saturating_sub(self.taken())
    }

    /// Waits until a slot becomes free; returns at once where one did since the last call.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Puts a job into a slot. Only the claimer calls it, for at most as many as are free.
    pub(crate) fn occupy(self: &Arc<Self>, kind: Arc<Kind>, run: Run, max_retries: u32, held: Held) -> Slot {
        let suspect = held.history.crashes >= 2;
        let job = Arc::new(Running {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            id: held.lease.id(),
            token: held.lease.token().clone(),
            deadline: Instant::now() + kind.timeout.min(LONGEST_TIMEOUT),
            kind,
            run,
            max_retries,
            stop: CancellationToken::new(),
            stopped: OnceLock::new(),
            started: AtomicBool::new(false),
            held: Mutex::new(Some(held)),
            suspect,
        });
        self.taken.fetch_add(1, Ordering::AcqRel);
        self.table().insert(job.number, job.clone());
        Slot { slots: self.clone(), job }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Running>> {
        self.table().values().cloned().collect()
    }

    pub(crate) fn has_suspect(&self) -> bool {
        self.table().values().any(|job| job.suspect)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.table().remove(&self.job.number);
        self.slots.taken.fetch_sub(1, Ordering::AcqRel);
        self.slots.freed.notify_one();
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

    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Takes what is needed to settle the job; none where somebody else did.
    pub(crate) fn take(&self) -> Option<Held> {
        self.held().take()
    }

    /// A name of the lease to extend it by; none where the job is settled.
    pub(crate) fn lease(&self) -> Option<Lease> {
        self.held().as_ref().map(|held| held.lease.for_extension())
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
