//! Running one job: payload → handler → settlement. The rules of what follows on which end stand
//! in [`conclude`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::{Execution, JobContext, JobError};
use atode_queue::{Error, Failure, FailureCause, Lease, Settlement};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::Instrument;

use crate::slots::{Entry, Held, Running, Stop};
use crate::worker::Worker;

/// How long a handler that was told to end may take to do so by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// The longest that a job can be put off, by snooze too.
const LONGEST_SNOOZE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A job that got no thread is due again after this long.
const NO_THREAD_PUT_OFF: Duration = Duration::from_secs(1);

/// How a run ended.
enum End {
    Completed,
    Snoozed(Duration),
    Failed(FailureCause, String),
    /// It did not end by itself when it was told to.
    Dropped,
    /// It was told to end, or handed back, while it waited for a slot or for a thread of the runtime.
    NeverStarted,
}

impl End {
    fn error(&self) -> Option<&str> {
        if let End::Failed(_, error) = self { Some(error) } else { None }
    }
}

/// A claimed job, to be run.
pub(crate) struct Order {
    pub(crate) entry: Entry,
    /// As it was stored, JSON; the error where the record cannot be read.
    pub(crate) payload: Result<Bytes, Error>,
}

/// Starts a job as soon as it has its slot; returns at once.
pub(crate) fn start(worker: &Worker, order: Order) {
    let line = match order.entry.job.kind.execution {
        Execution::Async => &worker.async_jobs,
        Execution::Blocking => &worker.blocking_jobs,
    };
    let _ = line.send(order); // it lives as long as the worker
}

/// Gives jobs their slots in the order in which they were claimed. That of async jobs runs within the
/// handlers' runtime: no thread has to be woken for each of them. That of blocking jobs does not: what
/// blocks the handlers' threads must not hold them up.
pub(crate) async fn line(worker: Arc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        let slot = order.entry.slot().await;
        begin(&worker, order, slot);
    }
}

fn begin(worker: &Arc<Worker>, order: Order, slot: Option<OwnedSemaphorePermit>) {
    let job = order.entry.job.clone();
    let span = tracing::info_span!(
        "job",
        id = %job.id,
        kind = %job.kind.name,
        attempt = job.run.attempt,
        worker = %job.run.worker.id,
    );
    let Some(slot) = slot else {
        return span.in_scope(|| settle(worker, &job, End::NeverStarted));
    };
    let run = in_slot(worker.clone(), order, slot).instrument(span);
    if job.kind.execution == Execution::Async {
        tokio::spawn(run);
        return;
    }
    let (thread, runtime) =
        (std::thread::Builder::new().name(job.kind.name.to_string()), worker.handlers.clone());
    if let Err(error) = thread.spawn(move || runtime.block_on(run)) {
        // The slot is gone with the closure, but what settles the job is not.
        if let Some(Held { lease, .. }) = job.take() {
            tracing::error!(job.id = %job.id, kind = %job.kind.name, %error, "no thread for a blocking job; it is put off");
            worker.settle(lease.release(NO_THREAD_PUT_OFF));
        }
    }
}

async fn in_slot(worker: Arc<Worker>, Order { entry, payload }: Order, slot: OwnedSemaphorePermit) {
    let job = &entry.job;
    let lateness = job.run.started.saturating_sub(job.run.due);
    tracing::debug!(target: "job", late_ms = lateness, "started");
    // All code of the kind is inside: it may panic before its first await, in a drop, and where its
    // error is made into text, too.
    let end = AssertUnwindSafe(run(&worker, job, &payload)).catch_unwind().await;
    let end = end.unwrap_or_else(|panic| {
        End::Failed(FailureCause::Panic, format!("the handler panicked: {}", panic_text(&*panic)))
    });
    settle(&worker, job, end);
    drop(slot);
}

fn settle(worker: &Worker, job: &Running, end: End) {
    let lost = job.stopped().is_some_and(|(why, _)| why == Stop::LeaseLost);
    match job.take() {
        Some(held) if !lost => {
            let settlement = conclude(job, held, end, worker.client.now());
            if job.has_started() {
                worker.metrics.ended(&job.kind.name, Some(&settlement));
            }
            worker.settle(settlement);
        }
        _ => {
            if lost {
                worker.metrics.ended(&job.kind.name, None);
            }
            tracing::warn!(error = end.error(), "ended without its lease; nothing is settled");
        }
    }
}

async fn run(worker: &Worker, job: &Running, payload: &Result<Bytes, Error>) -> End {
    let unreadable = |why: String| {
        End::Failed(FailureCause::Permanent, format!("{why}; the job is kept as it was stored"))
    };
    if job.stop.is_cancelled() {
        return End::NeverStarted;
    }
    let deadline = job.start();
    let payload = match payload {
        Ok(payload) => String::from_utf8_lossy(payload), // borrowed: a record is only read as UTF-8
        Err(error) => return unreadable(error.to_string()),
    };
    let ctx = JobContext {
        id: job.id,
        attempt: job.run.attempt,
        token: job.token,
        deadline,
        cancellation: job.stop.clone(),
        worker: worker.me.id,
        services: worker.services.clone(),
    };
    let mut handler = match job.kind.start(&payload, ctx) {
        Ok(handler) => handler,
        Err(invalid) => return unreadable(format!("the payload is not one of this kind: {invalid}")),
    };
    let ended = tokio::select! {
        biased;
        result = &mut handler => Some(result),
        () = job.stop.cancelled() => tokio::time::timeout(GRACE, &mut handler).await.ok(),
    };
    match ended {
        Some(Ok(())) => End::Completed,
        Some(Err(JobError::Snooze(delay))) => End::Snoozed(delay),
        Some(Err(JobError::Retry(error))) => End::Failed(FailureCause::Error, format!("{error:#}")),
        Some(Err(JobError::Permanent(error))) => End::Failed(FailureCause::Permanent, format!("{error:#}")),
        None => End::Dropped,
    }
}

/// Decides the settlement for the end of a run whose lease is not lost.
fn conclude(job: &Running, held: Held, end: End, now: i64) -> Settlement {
    let stopped = job.stopped().map(|(why, _)| why);
    let (cause, error) = match end {
        End::Completed => {
            tracing::debug!(target: "job", "completed");
            let Held { lease, history } = held;
            return lease.complete(job.kind.retention, history.finished_with(job.run.clone()));
        }
        End::Snoozed(delay) => {
            let delay = delay.min(LONGEST_SNOOZE);
            tracing::info!(target: "job", ?delay, "snoozed");
            return release(job, held, delay);
        }
        End::NeverStarted if stopped == Some(Stop::Timeout) => return put_off(held.lease),
        End::NeverStarted if stopped != Some(Stop::Cancelled) => {
            tracing::info!(target: "job", "handed back before it started");
            return held.lease.hand_back();
        }
        end if stopped == Some(Stop::Shutdown) => {
            tracing::info!(target: "job", error = end.error(), "released unspent: the worker stops");
            return release(job, held, Duration::ZERO);
        }
        // Redis knows that it is to be cancelled, and cancels what is put back.
        End::Failed(cause, error) if stopped == Some(Stop::Cancelled) => {
            tracing::info!(target: "job", ?cause, error, "cancelled");
            let Held { lease, history } = held;
            let failure = Failure::new(cause, &error, job.run.clone(), now);
            let history = history.with_failure(failure).finished_with(job.run.clone());
            return lease.retry(Duration::ZERO, history);
        }
        _ if stopped == Some(Stop::Cancelled) => {
            tracing::info!(target: "job", "cancelled");
            return release(job, held, Duration::ZERO);
        }
        end if stopped == Some(Stop::Timeout) => {
            let mut error = format!("timed out after {:?}", job.kind.timeout);
            match end {
                End::Failed(FailureCause::Panic, panic) => error = format!("{error}; then {panic}"),
                End::Failed(_, late) => error = format!("{error}; the handler then returned: {late}"),
                _ => {}
            }
            (FailureCause::Timeout, error)
        }
        End::Failed(cause, error) => (cause, error),
        End::Dropped | End::NeverStarted => {
            (FailureCause::Error, "the handler was dropped before it ended".to_owned())
        }
    };
    fail(job, held, cause, &error, now)
}

/// Gives up a job that has no slot yet.
pub(crate) fn hand_back(worker: &Worker, job: &Running, held: Held) {
    tracing::debug!(job.id = %job.id, kind = %job.kind.name, "handed back: it has no slot yet");
    worker.settle(held.lease.hand_back());
    job.stop(Stop::NoSlot);
}

/// Hands a job back unspent. A run that somebody asked to cancel stays attributable.
pub(crate) fn release(job: &Running, Held { lease, history }: Held, delay: Duration) -> Settlement {
    if job.has_started() {
        lease.release_run(delay, history.finished_with(job.run.clone()))
    } else {
        lease.release(delay)
    }
}

/// What never ran has spent no attempt.
pub(crate) fn put_off(lease: Lease) -> Settlement {
    tracing::error!(target: "job", "got no thread within its timeout and is put off: other handlers block them; should their kinds be `Execution::Blocking`?");
    lease.release(NO_THREAD_PUT_OFF)
}

/// A failed attempt: due again after its backoff, or dead where no retry is left or can help.
pub(crate) fn fail(job: &Running, held: Held, cause: FailureCause, error: &str, now: i64) -> Settlement {
    let Held { lease, history } = held;
    let history = history.with_failure(Failure::new(cause, error, job.run.clone(), now));
    if cause == FailureCause::Permanent || history.failed > job.max_retries {
        tracing::error!(target: "job", ?cause, error, max_retries = job.max_retries, "failed for good; the job is dead");
        return lease.bury(history.finished_with(job.run.clone()));
    }
    let backoff = job.kind.backoff.delay(history.failed, rand::random());
    tracing::warn!(target: "job", ?cause, error, ?backoff, max_retries = job.max_retries, "failed; retry follows");
    lease.retry(backoff, history)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_owned())
}
