//! One claimed job: what its run, its timeout and its lease share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use atode_jobs::Kind;
use atode_queue::{
    Claimed, Error, FencingToken, History, JobId, Lease, LeaseRef, Record, Run, Settlement, WorkerRef,
};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// Longer timeouts are clamped: adding them to an `Instant` could overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) struct ClaimedJob {
    pub(crate) id: JobId,
    pub(crate) token: FencingToken,
    pub(crate) kind: Arc<Kind>,
    pub(crate) run: Run,
    pub(crate) max_retries: u32,
    /// JSON as it was stored, or why the record cannot be read.
    pub(crate) payload: Result<Bytes, Error>,
    /// [`History::is_suspect`]: a worker runs one such job at a time.
    pub(crate) suspect: bool,
    /// Cancelled when the run has to end; `stopped` says why.
    pub(crate) cancellation: CancellationToken,
    stopped: OnceLock<(Stop, Instant)>,
    claimed: Instant,
    got_slot: OnceLock<Instant>,
    /// When the handler was first polled. Unset while the job waits for a slot or a runtime thread.
    started: OnceLock<Instant>,
    hold: Mutex<Hold>,
}

struct Hold {
    unsettled: Option<Unsettled>,
    waits_for_slot: bool,
}

/// Whoever takes this out of a job must settle the job. It can be taken only once.
pub(crate) struct Unsettled {
    pub(crate) lease: Lease,
    pub(crate) history: History,
}

/// Why a job has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Timeout,
    LeaseLost,
    Shutdown,
    /// A cancellation was requested.
    Cancelled,
    /// It waited too long for a slot and was handed back.
    NoSlot,
}

impl ClaimedJob {
    /// A job that was claimed at `now`, Redis' time in Unix ms.
    pub(crate) fn new(kind: Arc<Kind>, claimed: Claimed, now: i64, worker: Arc<WorkerRef>) -> Self {
        let Claimed { lease, due, record, history } = claimed;
        let (max_retries, payload) = match Record::decode(&record) {
            Ok(Record { max_retries, payload, .. }) => {
                (max_retries, Ok(record.slice_ref(payload.get().as_bytes())))
            }
            Err(error) => (None, Err(error)),
        };
        ClaimedJob {
            id: lease.id(),
            token: lease.token(),
            run: Run { attempt: history.next_attempt(), due, started: now, worker },
            max_retries: max_retries.unwrap_or(kind.max_retries),
            kind,
            payload,
            suspect: history.is_suspect(),
            cancellation: CancellationToken::new(),
            stopped: OnceLock::new(),
            claimed: Instant::now(),
            got_slot: OnceLock::new(),
            started: OnceLock::new(),
            hold: Mutex::new(Hold { unsettled: Some(Unsettled { lease, history }), waits_for_slot: false }),
        }
    }

    /// Tells the job to end. Only the first reason counts.
    pub(crate) fn stop(&self, why: Stop) {
        let _ = self.stopped.set((why, Instant::now()));
        self.cancellation.cancel();
    }

    /// Why and since when the job has to end.
    pub(crate) fn stopped(&self) -> Option<(Stop, Instant)> {
        self.stopped.get().copied()
    }

    pub(crate) fn wait_for_slot(&self) {
        self.hold().waits_for_slot = true;
    }

    pub(crate) fn waits_for_slot(&self) -> bool {
        self.hold().waits_for_slot
    }

    /// Whether the job still needs the slot that became free for it.
    pub(crate) fn take_slot(&self) -> bool {
        let mut hold = self.hold();
        let _ = self.got_slot.set(Instant::now());
        hold.waits_for_slot = false;
        hold.unsettled.is_some()
    }

    /// Starts the clock of the handler and returns the instant of its timeout.
    pub(crate) fn start(&self) -> Instant {
        let _ = self.started.set(Instant::now());
        self.deadline()
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.get().is_some()
    }

    /// When the job must have ended. A job in a slot that no runtime thread picks up times out as well.
    pub(crate) fn deadline(&self) -> Instant {
        *self.started.get().or(self.got_slot.get()).unwrap_or(&self.claimed)
            + self.kind.timeout.min(LONGEST_TIMEOUT)
    }

    /// Takes what is needed to settle the job, unless that was done.
    pub(crate) fn take(&self) -> Option<Unsettled> {
        self.hold().unsettled.take()
    }

    /// Gives the job up if it has waited this long for a slot. It gets none afterwards.
    pub(crate) fn give_up_waiting(&self, patience: Duration) -> Option<Settlement> {
        let mut hold = self.hold();
        if !hold.waits_for_slot || self.claimed.elapsed() < patience {
            return None;
        }
        let Unsettled { lease, .. } = hold.unsettled.take()?;
        drop(hold);
        tracing::debug!(job.id = %self.id, kind = %self.kind.name, "no slot became free; handing the job back");
        self.stop(Stop::NoSlot);
        Some(lease.hand_back())
    }

    /// The lease to extend, unless the job is settled.
    pub(crate) fn lease(&self) -> Option<LeaseRef> {
        self.hold().unsettled.as_ref().map(|unsettled| unsettled.lease.reference())
    }

    fn hold(&self) -> MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
