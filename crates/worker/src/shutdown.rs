//! The orderly end of a worker.

use std::time::Duration;

use atode_config::process::Shutdown;
use tokio::time::Instant;

use crate::claimed_job::Stop;
use crate::run::GRACE;
use crate::worker::Worker;

/// How long storing the last results may take. With the default `shutdown_timeout` of 25 s and the grace, a
/// worker ends within the 30 s that Docker Compose files and Kubernetes usually allow.
const FLUSH: Duration = Duration::from_secs(2);

/// How long dropping a handler may take after its grace.
const DROP: Duration = Duration::from_millis(500);

/// Removing the registration, and everything else that should take no time.
const MARGIN: Duration = Duration::from_secs(5);

/// How long a worker may take to end after a signal, before its process exits.
pub fn shutdown_limit(shutdown_timeout: Duration) -> Shutdown {
    let timeout = shutdown_timeout + GRACE + DROP + FLUSH + MARGIN;
    Shutdown {
        timeout,
        flush_until: shutdown_timeout,
        unfinished: "running jobs run again after their lease has expired",
    }
}

/// Waits for running jobs until the timeout, then stops the rest. A job whose handler does not end keeps its
/// lease until that expires; sweepers then see that this worker stopped and did not crash.
pub(crate) async fn drain(worker: &Worker) {
    let timeout = worker.settings.shutdown_timeout;
    tracing::info!(
        running = worker.slots.taken(),
        ?timeout,
        "stopping: claiming no more jobs; jobs that are already running may finish"
    );
    for job in worker.slots.jobs() {
        if let Some(settlement) = job.give_up_waiting(Duration::ZERO) {
            worker.settle(settlement);
        }
    }
    let drained = || worker.slots.claimed() == 0;
    if !within(timeout, drained).await {
        tracing::warn!(
            running = worker.slots.taken(),
            "the shutdown timeout has expired; stopping the remaining jobs"
        );
        worker.slots.jobs().iter().for_each(|job| job.stop(Stop::Shutdown));
        // Handlers may end by themselves during the grace. Afterwards they are dropped.
        within(GRACE + DROP, drained).await;
    }
    for job in worker.slots.jobs() {
        if !job.has_started()
            && let Some(unsettled) = job.take()
        {
            worker.settle(unsettled.lease.hand_back());
        } else if job.lease().is_some() {
            tracing::error!(
                job.id = %job.id, kind = %job.kind.name,
                "the handler did not end; the job will run again elsewhere once its lease has expired"
            );
        }
    }
    if !within(FLUSH, || worker.pending_results() == 0).await {
        tracing::error!(
            results = worker.pending_results(),
            "could not store results; their jobs will run again once their leases have expired"
        );
    }
}

/// Waits for a condition. Returns whether it came true in time.
async fn within(timeout: Duration, condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + timeout;
    while !condition() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    condition()
}
