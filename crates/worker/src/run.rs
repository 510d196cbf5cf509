//! Runs claimed jobs: each gets a slot, its handler is called, and the result goes to [`crate::settle`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::{Execution, JobContext, JobError};
use atode_queue::FailureCause;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::claimed_job::{ClaimedJob, Stop, Unsettled};
use crate::other_builds;
use crate::outcome::{End, NO_THREAD_DELAY, settlement};
use crate::slots::{Entry, Slot};
use crate::worker::Worker;

/// How long a stopped handler may take to end by itself. It is dropped afterwards.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Starts a job as soon as it has a slot. Returns at once.
pub(crate) fn start(worker: &Worker, entry: Entry) {
    let jobs = match entry.job.kind.execution {
        Execution::Async => &worker.async_jobs,
        Execution::Blocking => &worker.blocking_jobs,
    };
    let _ = jobs.send(entry); // the receiver lives as long as the worker
}

/// Gives jobs their slots in the order in which they were claimed. Async jobs are dispatched on the handlers'
/// runtime, which saves waking a thread per job. Blocking jobs are dispatched elsewhere, so that handlers that
/// block the runtime's threads do not delay them.
pub(crate) async fn dispatch(worker: Arc<Worker>, mut jobs: mpsc::UnboundedReceiver<Entry>) {
    while let Some(entry) = jobs.recv().await {
        let slot = entry.slot().await;
        begin(&worker, entry, slot);
    }
}

fn begin(worker: &Arc<Worker>, entry: Entry, slot: Option<Slot>) {
    let job = entry.job.clone();
    let Some(slot) = slot else {
        return job.span().in_scope(|| settle(worker, &job, End::NeverStarted));
    };
    job.begin_attempt();
    let run = run_in_slot(worker.clone(), entry, slot).instrument(job.span());
    if job.kind.execution == Execution::Async {
        tokio::spawn(run);
        return;
    }
    let (thread, runtime) =
        (std::thread::Builder::new().name(job.kind.name.to_string()), worker.handlers.clone());
    if let Err(error) = thread.spawn(move || runtime.block_on(run)) {
        // The closure is gone, and with it the slot. The job is still here to be settled.
        if let Some(Unsettled { lease, .. }) = job.take() {
            tracing::error!(job.id = %job.id, kind = %job.kind.name, %error, "cannot start a thread for a blocking job; the job is postponed");
            worker.settle(lease.release(NO_THREAD_DELAY));
        }
    }
}

async fn run_in_slot(worker: Arc<Worker>, entry: Entry, slot: Slot) {
    let job = &entry.job;
    let lateness = job.run.started.saturating_sub(job.run.due);
    tracing::debug!(target: "job", late_ms = lateness, "started");
    // All code of the kind runs in here. It may panic before its first await, in a drop, and while its error is
    // formatted.
    let end = AssertUnwindSafe(run_handler(&worker, job)).catch_unwind().await;
    let end = end.unwrap_or_else(|panic| {
        End::Failed(FailureCause::Panic, format!("the handler panicked: {}", panic_text(&*panic)))
    });
    settle(&worker, job, end);
    drop(slot);
}

async fn run_handler(worker: &Worker, job: &ClaimedJob) -> End {
    let unreadable = |why: String| {
        End::Failed(FailureCause::Permanent, format!("{why}; the job is kept as it was stored"))
    };
    if job.cancellation.is_cancelled() {
        return End::NeverStarted;
    }
    let deadline = job.start();
    let lateness = worker.client.now().saturating_sub(job.run.due).max(0);
    job.metrics.started(Duration::from_millis(lateness as u64));
    let payload = match &job.payload {
        Ok(payload) => String::from_utf8_lossy(payload), // borrowed: records are read as UTF-8 only
        Err(error) => return unreadable(error.to_string()),
    };
    let ctx = JobContext {
        id: job.id,
        attempt: job.run.attempt,
        token: job.token,
        deadline,
        cancellation: job.cancellation.clone(),
        worker: worker.me.id,
        trace: job.trace().cloned(),
        services: worker.services.clone(),
    };
    let mut handler = match job.kind.start(&payload, ctx) {
        Ok(handler) => handler,
        Err(invalid) => {
            // On the heap, because it is rare and larger than all the rest: each run would carry its size.
            return match Box::pin(other_builds::hand_back(worker, job, &payload)).await {
                Some(hand_back) => End::ForAnotherBuild(hand_back),
                None => unreadable(format!("the payload is not one of this kind: {invalid}")),
            };
        }
    };
    let ended = tokio::select! {
        biased;
        result = &mut handler => Some(result),
        () = job.cancellation.cancelled() => tokio::time::timeout(GRACE, &mut handler).await.ok(),
    };
    match ended {
        Some(Ok(())) => End::Completed,
        Some(Err(JobError::Snooze(delay))) => End::Snoozed(delay),
        Some(Err(JobError::Retry(error))) => End::Failed(FailureCause::Error, format!("{error:#}")),
        Some(Err(JobError::Permanent(error))) => End::Failed(FailureCause::Permanent, format!("{error:#}")),
        None => End::Dropped,
    }
}

/// Settles the job, and counts its run if there was one.
pub(crate) fn finish(worker: &Worker, job: &ClaimedJob, unsettled: Unsettled, end: End) {
    let settlement = settlement(job, unsettled, end, worker.client.now());
    if job.has_started() {
        job.metrics.ended(Some(&settlement), job.in_phase_for());
    }
    let span = job.attempt().and_then(|attempt| attempt.end(&settlement));
    worker.settle_run(settlement, span);
}

fn settle(worker: &Worker, job: &ClaimedJob, end: End) {
    let stopped = job.stopped().map(|(why, _)| why);
    match job.take() {
        Some(unsettled) if stopped != Some(Stop::LeaseLost) => finish(worker, job, unsettled, end),
        _ => {
            if let Some(attempt) = job.attempt() {
                attempt.lose();
            }
            if stopped == Some(Stop::LeaseLost) && job.has_started() {
                job.metrics.ended(None, job.in_phase_for());
            }
            if stopped != Some(Stop::NoSlot) {
                tracing::warn!(
                    error = end.error(),
                    "the handler ended after its lease was lost or its job was given up; its result is ignored"
                );
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Each job's future is moved into its task. With the 8 kB of a call of Redis in it, that took a third of the
    /// CPU of the worker.
    #[test]
    fn the_future_of_a_run_is_small() {
        let size = size_of_future(run_in_slot);
        assert!(size <= 512, "{size} bytes");
    }
}
