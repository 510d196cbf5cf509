//! Running one job: payload → handler → settlement. The rules of what follows on which end stand
//! in [`conclude`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::{Execution, JobContext, JobError};
use atode_queue::{Failure, FailureCause, Lease, Settlement};
use bytes::Bytes;
use futures_util::FutureExt;
use tracing::Instrument;

use crate::running::{Held, Running, Slot, Stop};
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
    /// It was told to end while it waited for a thread of the runtime.
    NeverStarted,
}

/// Starts a job in its slot and returns at once.
pub(crate) fn spawn(worker: &Arc<Worker>, slot: Slot, record: Bytes) {
    let job = slot.job.clone();
    let span = tracing::info_span!(
        "job",
        id = %job.id,
        kind = %job.kind.name,
        attempt = job.run.attempt,
        worker = %job.run.worker.id,
    );
    let run = in_slot(worker.clone(), slot, record).instrument(span);
    if job.kind.execution == Execution::Async {
        worker.handlers.spawn(run);
        return;
    }
    let runtime = worker.handlers.clone();
    let thread = std::thread::Builder::new().name(job.kind.name.to_string());
    if let Err(error) = thread.spawn(move || runtime.block_on(run)) {
        // The slot is gone with the closure, but what settles the job is not.
        if let Some(Held { lease, .. }) = job.take() {
            tracing::error!(job.id = %job.id, kind = %job.kind.name, %error, "no thread for a blocking job; it is put off");
            worker.settle(lease.release(NO_THREAD_PUT_OFF));
        }
    }
}

async fn in_slot(worker: Arc<Worker>, slot: Slot, record: Bytes) {
    let job = slot.job.clone();
    let lateness = job.run.started.saturating_sub(job.run.due);
    tracing::debug!(target: "job", late_ms = lateness, "started");
    // All code of the kind is inside: it may panic before its first await, in a drop, and where its
    // error is made into text, too.
    let end = AssertUnwindSafe(run(&worker, &job, &record)).catch_unwind().await;
    let end = end.unwrap_or_else(|panic| {
        End::Failed(FailureCause::Panic, format!("the handler panicked: {}", panic_text(&*panic)))
    });
    if let Some(held) = job.take() {
        if let Some(settlement) = conclude(&job, held, end, worker.client.now(), rand::random()) {
            worker.settle(settlement);
        } else {
            tracing::warn!(target: "job", "ended without its lease; nothing is settled");
        }
    }
    drop(slot);
}

async fn run(worker: &Worker, job: &Running, record: &[u8]) -> End {
    let ctx = JobContext {
        id: job.id,
        attempt: job.run.attempt,
        token: job.token.clone(),
        deadline: job.deadline,
        cancellation: job.stop.clone(),
        worker: worker.me.id,
    };
    let unreadable = |why: String| {
        End::Failed(FailureCause::Permanent, format!("{why}; the job is kept as it was stored"))
    };
    if job.stop.is_cancelled() {
        return End::NeverStarted;
    }
    job.start();
    let record = match atode_queue::Record::decode(record) {
        Ok(record) => record,
        Err(error) => return unreadable(error.to_string()),
    };
    let mut handler = match job.kind.start(record.payload.get(), ctx) {
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

/// What an end means for the job. None: the lease is lost, so there is nothing to say.
fn conclude(job: &Running, held: Held, end: End, now: i64, random: f64) -> Option<Settlement> {
    let Held { lease, history } = held;
    let stopped = job.stopped().map(|(why, _)| why);
    if stopped == Some(Stop::LeaseLost) {
        return None;
    }
    let (cause, error) = match end {
        End::Completed => {
            tracing::debug!(target: "job", "completed");
            return Some(lease.complete(job.kind.retention, history.finished_with(job.run.clone())));
        }
        End::Snoozed(delay) => {
            let delay = delay.min(LONGEST_SNOOZE);
            tracing::info!(target: "job", ?delay, "snoozed");
            return Some(lease.release(delay));
        }
        End::NeverStarted if stopped == Some(Stop::Timeout) => return Some(put_off(lease)),
        _ if stopped == Some(Stop::Shutdown) => {
            tracing::info!(target: "job", "released unspent: the worker stops");
            return Some(lease.release(Duration::ZERO));
        }
        // Redis knows that it is to be cancelled, and cancels what is put back.
        End::Failed(cause, error) if stopped == Some(Stop::Cancelled) => {
            tracing::info!(target: "job", ?cause, error, "cancelled");
            let failure = Failure::new(cause, &error, job.run.clone(), now);
            return Some(lease.retry(Duration::ZERO, history.with_failure(failure)));
        }
        _ if stopped == Some(Stop::Cancelled) => {
            tracing::info!(target: "job", "cancelled");
            return Some(lease.release(Duration::ZERO));
        }
        _ if stopped == Some(Stop::Timeout) => {
            (FailureCause::Timeout, format!("timed out after {:?}", job.kind.timeout))
        }
        End::Failed(cause, error) => (cause, error),
        End::Dropped | End::NeverStarted => {
            (FailureCause::Error, "the handler was dropped before it ended".to_owned())
        }
    };
    Some(fail(job, Held { lease, history }, cause, &error, now, random))
}

/// What never ran has spent no attempt.
pub(crate) fn put_off(lease: Lease) -> Settlement {
    tracing::error!(target: "job", "got no thread within its timeout and is put off: other handlers block them; should their kinds be `Execution::Blocking`?");
    lease.release(NO_THREAD_PUT_OFF)
}

/// A failed attempt: due again after its backoff, or dead where no retry is left or can help.
pub(crate) fn fail(
    job: &Running,
    held: Held,
    cause: FailureCause,
    error: &str,
    now: i64,
    random: f64,
) -> Settlement {
    let Held { lease, history } = held;
    let history = history.with_failure(Failure::new(cause, error, job.run.clone(), now));
    if cause == FailureCause::Permanent || history.failed > job.max_retries {
        tracing::error!(target: "job", ?cause, error, max_retries = job.max_retries, "failed for good; the job is dead");
        return lease.bury(history.finished_with(job.run.clone()));
    }
    let backoff = job.kind.backoff.delay(history.failed, random);
    tracing::warn!(target: "job", ?cause, error, ?backoff, max_retries = job.max_retries, "failed; retry follows");
    lease.retry(backoff, history)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_owned())
}
