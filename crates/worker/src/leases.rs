//! The heartbeat: keeps the leases of claimed jobs and the registration of this worker alive.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{JobId, Mail, Verdict, WorkerId};
use tokio::time::Instant;

use crate::claimed_job::{ClaimedJob, Stop};
use crate::registration;
use crate::worker::Worker;

/// Shortest time between two heartbeats that requests cause.
const REQUESTS_INTERVAL: Duration = Duration::from_millis(100);

/// Beats every sixth of a lease, at once after each connect, and soon after a request to this worker or a
/// cancellation of one of its jobs.
pub(crate) async fn run(worker: Arc<Worker>) {
    let queues: Vec<Arc<str>> = worker.queues.keys().cloned().collect();
    let mut connects = worker.client.connection().connects();
    let requests = worker.client.requests(&queues);
    loop {
        registration::renew(&worker).await;
        extend_all(&worker).await;
        let next = Instant::now() + worker.heartbeat();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                _ = connects.changed() => break,
                mail = requests.next() => if concerns(&worker, &mail) {
                    tokio::time::sleep(REQUESTS_INTERVAL).await;
                    break;
                }
            }
        }
    }
}

async fn extend_all(worker: &Worker) {
    let jobs = worker.slots.jobs();
    for queue in worker.queues.keys() {
        let held =
            jobs.iter().filter_map(|job| Some((job, job.lease().filter(|lease| lease.queue() == queue)?)));
        let (jobs, leases): (Vec<_>, Vec<_>) = held.unzip();
        if leases.is_empty() {
            continue;
        }
        match worker.client.extend(queue, &leases, worker.settings.lease).await {
            Ok(verdicts) => {
                for (job, verdict) in jobs.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Done => {}
                        Verdict::CancelRequested => cancel(job),
                        Verdict::Already | Verdict::Stale => lose(job),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%queue, %error, jobs = leases.len(), "cannot extend leases now");
            }
        }
    }
}

/// Cancels the handler, which may still complete the job. Its end decides.
fn cancel(job: &ClaimedJob) {
    if job.stopped().is_none() {
        tracing::info!(job.id = %job.id, kind = %job.kind.name, "a cancellation was requested; the handler is cancelled");
        job.stop(Stop::Cancelled);
    }
}

/// Stops a job that another worker took over. Nothing is settled.
fn lose(job: &ClaimedJob) {
    if job.lease().is_none() {
        return; // settled in the meantime
    }
    tracing::warn!(
        job.id = %job.id, kind = %job.kind.name, attempt = job.run.attempt, worker = %job.run.worker.id,
        "the job lost its lease: its handler is cancelled, and the job runs elsewhere"
    );
    job.stop(Stop::LeaseLost);
    drop(job.take());
}

/// Whether a message asks this worker to stop or to go quiet, or cancels one of its jobs.
fn concerns(worker: &Worker, mail: &Mail) -> bool {
    let concerns = |id: &String| {
        id.parse().is_ok_and(|id: WorkerId| id == worker.me.id)
            || id.parse().is_ok_and(|id: JobId| worker.slots.contains(id))
    };
    mail.missed || mail.messages.iter().any(concerns)
}
