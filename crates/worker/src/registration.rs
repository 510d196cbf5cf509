//! The registration by which others know of this worker, and what operators ask of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atode_queue::{Departure, Error, Registration, WorkerRequest, WorkerState};
use jiff::Timestamp;

use crate::worker::Worker;

/// Delay between two attempts to list other workers.
const LIST_RETRY: Duration = Duration::from_secs(2);

/// Renews the registration, and does what an operator asked of this worker.
pub(crate) async fn renew(worker: &Worker) {
    // Shorter than a lease, so that a sweeper that finds an expired lease can tell a crash (no registration) from a
    // lost lease.
    let ttl = worker.settings.lease / 2;
    match worker.client.heartbeat(&registration(worker), ttl).await {
        Ok(Some(WorkerRequest::Stop)) if !worker.stopping.is_cancelled() => {
            tracing::info!("received a stop request");
            worker.stopping.cancel();
        }
        Ok(Some(WorkerRequest::Quiet)) if !worker.quiet.is_cancelled() => {
            tracing::info!(
                "received a quiet request: claiming no more jobs; jobs that are already running will finish"
            );
            worker.quiet.cancel();
        }
        Ok(_) => {}
        Err(error) => {
            // An error that only a person can fix lasts, and must not hold up the recovery of jobs.
            if !matches!(error, Error::Corrupt(_)) {
                worker.missed_beats.fetch_add(1, Ordering::AcqRel);
            }
            tracing::debug!(%error, "cannot renew the registration now");
        }
    }
}

/// Logs, once Redis answers, which other workers serve the same queues. A different build is a warning: an old
/// process that nobody knows of takes jobs.
pub(crate) async fn report_other_workers(worker: Arc<Worker>) {
    let mut connects = worker.client.connection().connects();
    let _ = connects.wait_for(|connects| *connects > 0).await;
    let others = loop {
        match worker.client.workers().await {
            Ok(others) => break others,
            Err(error) => tracing::warn!(%error, "cannot list the other workers yet"),
        }
        tokio::time::sleep(LIST_RETRY).await;
    };
    for other in others.iter().filter(|other| other.worker.id != worker.me.id) {
        if !other.queues.keys().any(|queue| worker.queues.contains_key(queue.as_str())) {
            continue;
        }
        let (id, host, pid, build) =
            (&other.worker.id, &other.worker.host, other.worker.pid, &other.worker.build);
        if *build == worker.me.build {
            tracing::info!(target: "fleet", %id, %host, pid, %build, "another worker serves these queues");
        } else {
            tracing::warn!(target: "fleet", %id, %host, pid, %build, own_build = %worker.me.build, "another worker of a different build serves these queues; if it should not be running, stop that process");
        }
    }
}

/// The worker's last call: a heartbeat after it would register the worker again.
pub(crate) async fn remove(worker: &Worker, departure: Departure) {
    if let Err(error) = worker.client.unregister(worker.me.id, departure).await {
        tracing::warn!(%error, "cannot remove the registration; it will expire");
    }
    tracing::info!("stopped");
}

fn registration(worker: &Worker) -> Registration {
    let queues = worker.queues.iter();
    Registration {
        worker: (*worker.me).clone(),
        kinds: worker.kind_names.iter().map(ToString::to_string).collect(),
        queues: queues.map(|(queue, weight)| (queue.to_string(), *weight)).collect(),
        slots: worker.slots.size as u32,
        active: worker.slots.taken() as u32,
        state: if worker.stopping.is_cancelled() {
            WorkerState::Stopping
        } else if worker.quiet.is_cancelled() {
            WorkerState::Quiet
        } else {
            WorkerState::Running
        },
        started_at: worker.started_at,
        seen_at: Timestamp::from_millisecond(worker.client.now()).unwrap_or(worker.started_at),
        http: worker.http.clone(),
    }
}
