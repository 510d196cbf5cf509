//! Keeps the registration and the leases of running jobs alive.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atode_queue::{
    Error, JobId, LeaseRef, Mail, Registration, Verdict, WorkerId, WorkerRequest, WorkerState,
};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::slots::{Running, Stop};
use crate::worker::Worker;

/// Between two beats that somebody's requests cause.
const REQUESTS_INTERVAL: Duration = Duration::from_millis(100);

/// Beats every sixth of a lease, at once after each connect, and soon after somebody asked something of
/// this worker or of a job that it holds.
pub(crate) async fn run(worker: Arc<Worker>) {
    let queues: Vec<Arc<str>> = worker.settings.queues.keys().cloned().collect();
    let mut connects = worker.client.connection().connects();
    let requests = worker.client.requests(&queues);
    loop {
        beat(&worker).await;
        let next = Instant::now() + worker.settings.heartbeat();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                _ = connects.changed() => break,
                mail = requests.next() => if worker.is_concerned(&mail) {
                    tokio::time::sleep(REQUESTS_INTERVAL).await;
                    break;
                }
            }
        }
    }
}

async fn beat(worker: &Worker) {
    let registration = worker.registration();
    match worker.client.heartbeat(&registration, worker.settings.registration_ttl()).await {
        Ok(Some(WorkerRequest::Stop)) if !worker.stopping.is_cancelled() => {
            tracing::info!("asked to stop from afar");
            worker.stopping.cancel();
        }
        Ok(Some(WorkerRequest::Quiet)) if !worker.quiet.is_cancelled() => {
            tracing::info!("asked to go quiet from afar: no more claims, jobs may end");
            worker.quiet.cancel();
        }
        Ok(_) => {}
        Err(error) => {
            // What a person has to mend lasts, and must not hold up the recovery of jobs.
            if !matches!(error, Error::Corrupt(_)) {
                worker.missed_beats.fetch_add(1, Ordering::AcqRel);
            }
            tracing::debug!(%error, "the registration cannot be renewed now");
        }
    }
    let mut queues: HashMap<Arc<str>, Vec<(Arc<Running>, LeaseRef)>> = HashMap::new();
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
                    match verdict {
                        Verdict::Done => {}
                        Verdict::CancelRequested => cancel(job),
                        Verdict::Already | Verdict::Stale => lost(job),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%queue, %error, jobs = leases.len(), "leases cannot be extended now");
            }
        }
    }
}

/// The handler may end it by itself; what becomes of the job is decided when it has ended.
fn cancel(job: &Running) {
    if job.stopped().is_none() {
        tracing::info!(job.id = %job.id, kind = %job.kind.name, "somebody asked to cancel it; the handler is cancelled");
        job.stop(Stop::Cancelled);
    }
}

/// The job went on without us: end it and settle nothing.
fn lost(job: &Running) {
    if job.lease().is_none() {
        return; // settled in the meantime
    }
    tracing::warn!(
        job.id = %job.id, kind = %job.kind.name, attempt = job.run.attempt, worker = %job.run.worker.id,
        "lost its lease; the handler is cancelled, the job runs elsewhere"
    );
    job.stop(Stop::LeaseLost);
    drop(job.take());
}

impl Worker {
    /// Whether a request is for this worker: to stop or to go quiet, or to cancel a job that it holds.
    fn is_concerned(&self, mail: &Mail) -> bool {
        let concerns = |id: &String| {
            id.parse().is_ok_and(|id: WorkerId| id == self.me.id)
                || id.parse().is_ok_and(|id: JobId| self.slots.holds(id))
        };
        mail.missed || mail.messages.iter().any(concerns)
    }

    pub(crate) fn registration(&self) -> Registration {
        Registration {
            worker: (*self.me).clone(),
            kinds: self.kind_names.iter().map(ToString::to_string).collect(),
            queues: self.settings.queues.iter().map(|(queue, weight)| (queue.to_string(), *weight)).collect(),
            slots: self.slots.size() as u32,
            active: self.slots.taken() as u32,
            state: if self.stopping.is_cancelled() {
                WorkerState::Stopping
            } else if self.quiet.is_cancelled() {
                WorkerState::Quiet
            } else {
                WorkerState::Running
            },
            started_at: self.started_at,
            seen_at: Timestamp::from_millisecond(self.client.now()).unwrap_or(self.started_at),
            http: self.http.clone(),
        }
    }
}
