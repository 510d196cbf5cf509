//! Keeps the registration and the leases of running jobs alive.

use std::collections::HashMap;
use std::sync::Arc;

use atode_queue::{Lease, Registration, Verdict, WorkerState};
use jiff::Timestamp;

use crate::running::{Running, Stop};
use crate::worker::Worker;

/// Beats every sixth of a lease, and at once after each connect.
pub(crate) async fn run(worker: Arc<Worker>) {
    let mut connects = worker.client.connection().connects();
    loop {
        beat(&worker).await;
        tokio::select! {
            () = tokio::time::sleep(worker.settings.heartbeat()) => {}
            _ = connects.changed() => {}
        }
    }
}

async fn beat(worker: &Worker) {
    let registration = worker.registration();
    if let Err(error) = worker.client.heartbeat(&registration, worker.settings.registration_ttl()).await {
        tracing::debug!(%error, "the registration cannot be renewed now");
    }
    let mut queues: HashMap<Arc<str>, Vec<(Arc<Running>, Lease)>> = HashMap::new();
    for job in worker.slots.all() {
        if let Some(lease) = job.lease() {
            queues.entry(lease.queue().clone()).or_default().push((job, lease));
        }
    }
    for (queue, held) in queues {
        let (jobs, leases): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        match worker.client.extend(&queue, &leases, worker.settings.lease).await {
            Ok(verdicts) => {
                for (job, verdict) in jobs.iter().zip(verdicts) {
                    if verdict != Verdict::Done && job.lease().is_some() {
                        lost(job);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%queue, %error, jobs = leases.len(), "leases cannot be extended now");
            }
        }
    }
}

/// The job went on without us: end it and settle nothing.
fn lost(job: &Running) {
    tracing::warn!(
        job.id = %job.id, kind = %job.kind.name, attempt = job.run.attempt, worker = %job.run.worker.id,
        "lost its lease; the handler is cancelled, the job runs elsewhere"
    );
    job.stop(Stop::LeaseLost);
    drop(job.take());
}

impl Worker {
    pub(crate) fn registration(&self) -> Registration {
        Registration {
            worker: self.me.clone(),
            kinds: self.kind_names.iter().map(ToString::to_string).collect(),
            queues: self.settings.queues.iter().map(|(queue, weight)| (queue.to_string(), *weight)).collect(),
            slots: self.slots.size() as u32,
            active: self.slots.taken() as u32,
            state: if self.stopping.is_cancelled() { WorkerState::Stopping } else { WorkerState::Running },
            started_at: self.started_at,
            seen_at: Timestamp::from_millisecond(self.client.now()).unwrap_or(self.started_at),
            http: self.http.clone(),
        }
    }
}
