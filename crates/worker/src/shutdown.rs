//! The orderly end of a worker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use atode_config::process;
use atode_queue::Departure;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::{self, GRACE};
use crate::slots::Stop;
use crate::worker::Worker;

/// How long results may take to be stored at the end. With `shutdown_timeout` at its 25 s and the
/// grace, a worker is gone within the 30 s that Docker Compose files and Kubernetes usually grant.
const FLUSH: Duration = Duration::from_secs(2);

/// What dropping a handler may take behind its grace.
const DROP: Duration = Duration::from_millis(500);

/// Taking back the registration, and all that should take no time.
const MARGIN: Duration = Duration::from_secs(5);

/// Stops the worker at a signal; the process exits when that takes too long.
pub fn stop_on_signals(stop: &CancellationToken, shutdown_timeout: Duration) -> anyhow::Result<()> {
    let patience = shutdown_timeout + GRACE + DROP + FLUSH + MARGIN;
    let unfinished = "running jobs run again when their lease has run out";
    process::stop_on_signals(stop, patience, unfinished).context("cannot listen to signals")
}

/// Lets running jobs end until the timeout, tells the rest to, and waits for what can be stopped.
/// What cannot be keeps its lease until it runs out; its sweepers see that the worker stopped.
pub(crate) async fn drain(worker: &Arc<Worker>) {
    let timeout = worker.settings.shutdown_timeout;
    tracing::info!(running = worker.slots.taken(), ?timeout, "stopping: no more claims, jobs may end");
    for job in worker.slots.all() {
        if let Some(held) = job.take_waiting(Duration::ZERO) {
            run::hand_back(worker, &job, held);
        }
    }
    if !all_ended(worker, timeout).await {
        tracing::warn!(
            running = worker.slots.taken(),
            "the shutdown timeout is over; telling the rest to end"
        );
        worker.slots.all().iter().for_each(|job| job.stop(Stop::Shutdown));
        // The grace is for handlers that end by themselves; behind it they are dropped.
        all_ended(worker, GRACE + DROP).await;
    }
    for job in worker.slots.all() {
        if !job.has_started()
            && let Some(held) = job.take()
        {
            worker.settle(held.lease.hand_back());
        } else if job.lease().is_some() {
            tracing::error!(
                job.id = %job.id, kind = %job.kind.name,
                "does not end; it runs again elsewhere when its lease has run out"
            );
        }
    }
    let flushed = Instant::now() + FLUSH;
    while worker.unsettled() > 0 && Instant::now() < flushed {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if worker.unsettled() > 0 {
        tracing::error!(
            results = worker.unsettled(),
            "could not be stored; these jobs run again when their lease has run out"
        );
    }
}

/// The last act: no heartbeat may come behind it.
pub(crate) async fn unregister(worker: &Worker, departure: Departure) {
    if let Err(error) = worker.client.unregister(worker.me.id, departure).await {
        tracing::warn!(%error, "the registration could not be taken back; it goes by itself");
    }
    tracing::info!("stopped");
}

async fn all_ended(worker: &Worker, timeout: Duration) -> bool {
    let until = Instant::now() + timeout;
    while worker.slots.claimed() > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    worker.slots.claimed() == 0
}
