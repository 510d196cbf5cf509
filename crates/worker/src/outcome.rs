//! Decides what follows the end of a run: which settlement the job gets, and what is logged.

use std::time::Duration;

use atode_queue::{Failure, FailureCause, Settlement};

use crate::claimed_job::{ClaimedJob, Stop, Unsettled};
use crate::other_builds::HandBack;

/// Delay of a job that no thread picked up.
pub(crate) const NO_THREAD_DELAY: Duration = Duration::from_secs(1);

/// Longer snoozes are clamped: no job is delayed further than this.
const LONGEST_SNOOZE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a run ended.
pub(crate) enum End {
    Completed,
    Snoozed(Duration),
    Failed(FailureCause, String),
    /// The handler was stopped, did not end in time, and was dropped.
    Dropped,
    /// The handler was stopped, and blocks its thread.
    Stuck,
    /// The payload is for another build.
    ForAnotherBuild(HandBack),
    /// The job was stopped or handed back while it waited for a slot or a runtime thread.
    NeverStarted,
}

impl End {
    pub(crate) fn error(&self) -> Option<&str> {
        if let End::Failed(_, error) = self { Some(error) } else { None }
    }
}

/// The settlement for a run whose lease is not lost. `now` is Redis' time in Unix ms.
pub(crate) fn settlement(job: &ClaimedJob, unsettled: Unsettled, end: End, now: i64) -> Settlement {
    let stopped = job.stopped().map(|(why, _)| why);
    let (cause, error) = match end {
        End::Completed => {
            tracing::debug!(target: "job", "completed");
            let Unsettled { lease, history } = unsettled;
            return lease.complete(job.kind.retention, history.finished_with(job.run.clone()));
        }
        End::Snoozed(delay) => {
            let delay = delay.min(LONGEST_SNOOZE);
            tracing::info!(target: "job", ?delay, "snoozed");
            return release(job, unsettled, delay);
        }
        End::ForAnotherBuild(HandBack { delay, build }) => {
            tracing::debug!(target: "job", ?delay, "handed back: its payload is for another build");
            let Unsettled { lease, history } = unsettled;
            return match build {
                Some(fits) => {
                    lease.release_unread(delay, history.unread_by(&job.run.worker.build, Some(fits)))
                }
                None => lease.release(delay),
            };
        }
        End::NeverStarted if stopped == Some(Stop::Timeout) => {
            tracing::error!(target: "job", "no runtime thread became free before the job timed out; the job is postponed. Other handlers block the runtime's threads: should their kinds use `Execution::Blocking`?");
            return unsettled.lease.release(NO_THREAD_DELAY);
        }
        End::NeverStarted if stopped != Some(Stop::Cancelled) => {
            tracing::info!(target: "job", "handed back before it started");
            return unsettled.lease.hand_back();
        }
        end if stopped == Some(Stop::Shutdown) => {
            tracing::info!(target: "job", error = end.error(), "worker stopping; the job is released without spending an attempt");
            return release(job, unsettled, Duration::ZERO);
        }
        // Redis knows of the cancellation: a retry or a release ends in `cancelled`.
        End::Failed(cause, error) if stopped == Some(Stop::Cancelled) => {
            tracing::info!(target: "job", ?cause, error, "cancelled");
            if let Some(attempt) = job.attempt() {
                attempt.fail(cause, &error);
            }
            let Unsettled { lease, history } = unsettled;
            let failure = Failure::new(cause, &error, job.failed_run(), now);
            let history = history.with_failure(failure).finished_with(job.run.clone());
            return lease.retry(Duration::ZERO, history);
        }
        _ if stopped == Some(Stop::Cancelled) => {
            tracing::info!(target: "job", "cancelled");
            return release(job, unsettled, Duration::ZERO);
        }
        end if stopped == Some(Stop::Timeout) => {
            let error = format!("timed out after {:?}", job.kind.timeout);
            let error = match end {
                End::Failed(FailureCause::Panic, panic) => format!("{error}; then {panic}"),
                End::Failed(_, late) => format!("{error}; the handler then returned: {late}"),
                End::Stuck => format!("{error}, and the handler does not end: it blocks its thread"),
                _ => error,
            };
            (FailureCause::Timeout, error)
        }
        End::Failed(cause, error) => (cause, error),
        End::Dropped | End::Stuck | End::NeverStarted => {
            (FailureCause::Error, "the handler was dropped before it ended".to_owned())
        }
    };
    fail(job, unsettled, cause, &error, now)
}

/// A failed attempt: due again after its backoff, or dead if no retry is left or would help.
fn fail(
    job: &ClaimedJob,
    Unsettled { lease, history }: Unsettled,
    cause: FailureCause,
    error: &str,
    now: i64,
) -> Settlement {
    if let Some(attempt) = job.attempt() {
        attempt.fail(cause, error);
    }
    let history = history.with_failure(Failure::new(cause, error, job.failed_run(), now));
    if cause == FailureCause::Permanent || history.failed > job.max_retries {
        tracing::error!(target: "job", ?cause, error, max_retries = job.max_retries, "failed for good; the job is dead");
        return lease.bury(history.finished_with(job.run.clone()));
    }
    let backoff = job.kind.backoff.delay(history.failed, rand::random());
    tracing::warn!(target: "job", ?cause, error, ?backoff, max_retries = job.max_retries, "failed; it will be retried");
    lease.retry(backoff, history)
}

/// Returns a job without spending an attempt. A run that started stays in the job's history.
fn release(job: &ClaimedJob, Unsettled { lease, history }: Unsettled, delay: Duration) -> Settlement {
    if job.has_started() {
        lease.release_run(delay, history.finished_with(job.run.clone()))
    } else {
        lease.release(delay)
    }
}
