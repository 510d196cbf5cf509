//! One claimed job: what its run, its timeout and its lease share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use atode_config::traces::{self, Trace};
use atode_jobs::Kind;
use atode_queue::{
    Claimed, Error, FencingToken, History, JobId, Lease, LeaseRef, Record, Run, Settlement, WorkerRef,
};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::attempt::{Attempt, Described};
use crate::metrics::KindMetrics;

/// Longer timeouts are clamped: adding them to an `Instant` could overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) struct ClaimedJob {
    pub(crate) id: JobId,
    pub(crate) token: FencingToken,
    queue: Arc<str>,
    pub(crate) kind: Arc<Kind>,
    /// The run has no trace yet; [`Self::failed_run`] adds it.
    pub(crate) run: Run,
    pub(crate) max_retries: u32,
    /// JSON as it was stored, or why the record cannot be read.
    pub(crate) payload: Result<Bytes, Error>,
    /// [`History::is_suspect`]: a worker runs one such job at a time.
    pub(crate) suspect: bool,
    pub(crate) metrics: Arc<KindMetrics>,
    /// Cancelled when the run has to end; `stopped` says why.
    pub(crate) cancellation: CancellationToken,
    stopped: OnceLock<(Stop, Instant)>,
    progress: Mutex<Progress>,
    /// The trace that the job carries.
    carried: Option<Trace>,
    /// Set when the run begins, in a process that exports spans.
    attempt: OnceLock<Attempt>,
}

struct Progress {
    phase: Phase,
    /// When the job was claimed, got its slot, or started: the latest of these.
    since: Instant,
    unsettled: Option<Unsettled>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Claimed,
    WaitsForSlot,
    /// The job has a slot, and waits for a runtime thread.
    HasSlot,
    /// The handler was polled.
    Started,
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
    pub(crate) fn new(
        kind: Arc<Kind>,
        claimed: Claimed,
        now: i64,
        worker: Arc<WorkerRef>,
        metrics: Arc<KindMetrics>,
    ) -> Self {
        let Claimed { lease, due, record, history } = claimed;
        let (max_retries, trace, payload) = match Record::decode(&record) {
            Ok(Record { max_retries, trace, payload, .. }) => {
                (max_retries, trace, Ok(record.slice_ref(payload.get().as_bytes())))
            }
            Err(error) => (None, None, Err(error)),
        };
        ClaimedJob {
            id: lease.id(),
            token: lease.token(),
            queue: lease.queue().clone(),
            run: Run::new(history.next_attempt(), due, now, worker),
            max_retries: max_retries.unwrap_or(kind.max_retries),
            kind,
            payload,
            suspect: history.is_suspect(),
            metrics,
            cancellation: CancellationToken::new(),
            stopped: OnceLock::new(),
            progress: Mutex::new(Progress {
                phase: Phase::Claimed,
                since: Instant::now(),
                unsettled: Some(Unsettled { lease, history }),
            }),
            carried: trace,
            attempt: OnceLock::new(),
        }
    }

    /// Begins the span of the run, if this process exports spans.
    pub(crate) fn begin_attempt(&self) {
        if traces::is_on() {
            let progress = self.progress();
            let run = Described {
                id: self.id,
                queue: &self.queue,
                kind: &self.kind.name,
                run: &self.run,
                payload: self.payload.as_ref().map_or(0, Bytes::len),
                history: progress.unsettled.as_ref().map(|unsettled| &unsettled.history),
            };
            let _ = self.attempt.set(Attempt::begin(&run, self.carried.as_ref())); // a run begins once
        }
    }

    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.get()
    }

    /// The trace that the run belongs to.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.attempt().map_or(&self.carried, |attempt| &attempt.trace).as_ref()
    }

    /// The run as the job's history keeps it if it failed.
    pub(crate) fn failed_run(&self) -> Run {
        Run { trace: self.attempt().and_then(|attempt| attempt.recorded.clone()), ..self.run.clone() }
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
        self.progress().phase = Phase::WaitsForSlot;
    }

    pub(crate) fn waits_for_slot(&self) -> bool {
        self.progress().phase == Phase::WaitsForSlot
    }

    /// Whether the job still needs the slot that became free for it.
    pub(crate) fn take_slot(&self) -> bool {
        self.enter(Phase::HasSlot).unsettled.is_some()
    }

    /// Starts the clock of the handler and returns the instant of its timeout.
    pub(crate) fn start(&self) -> Instant {
        drop(self.enter(Phase::Started));
        self.deadline()
    }

    /// The time since the job was claimed, got its slot, or started: the latest of these.
    pub(crate) fn in_phase_for(&self) -> Duration {
        self.progress().since.elapsed()
    }

    pub(crate) fn has_started(&self) -> bool {
        self.progress().phase == Phase::Started
    }

    /// When the job must have ended. A job in a slot that no runtime thread picks up times out as well.
    pub(crate) fn deadline(&self) -> Instant {
        self.progress().since + self.kind.timeout.min(LONGEST_TIMEOUT)
    }

    /// Takes what is needed to settle the job, unless that was done.
    pub(crate) fn take(&self) -> Option<Unsettled> {
        self.progress().unsettled.take()
    }

    /// Gives the job up if it has waited this long for a slot. It gets none afterwards.
    pub(crate) fn give_up_waiting(&self, patience: Duration) -> Option<Settlement> {
        let mut progress = self.progress();
        if progress.phase != Phase::WaitsForSlot || progress.since.elapsed() < patience {
            return None;
        }
        let Unsettled { lease, .. } = progress.unsettled.take()?;
        drop(progress);
        tracing::debug!(job.id = %self.id, kind = %self.kind.name, "no slot became free; handing the job back");
        self.stop(Stop::NoSlot);
        Some(lease.hand_back())
    }

    /// The span of the log, with the ids of the trace that the run belongs to.
    pub(crate) fn span(&self) -> Span {
        match self.trace().and_then(Trace::context) {
            None => tracing::info_span!(
                "job", id = %self.id, kind = %self.kind.name, attempt = self.run.attempt, worker = %self.run.worker.id
            ),
            Some(trace) => tracing::info_span!(
                "job", id = %self.id, kind = %self.kind.name, attempt = self.run.attempt, worker = %self.run.worker.id,
                trace_id = %trace.trace_id(), span_id = %trace.span_id()
            ),
        }
    }

    /// The lease to extend, unless the job is settled.
    pub(crate) fn lease(&self) -> Option<LeaseRef> {
        self.progress().unsettled.as_ref().map(|unsettled| unsettled.lease.reference())
    }

    fn enter(&self, phase: Phase) -> MutexGuard<'_, Progress> {
        let mut progress = self.progress();
        (progress.phase, progress.since) = (phase, Instant::now());
        progress
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
