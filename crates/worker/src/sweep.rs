//! Sweeps a queue: recovers jobs whose lease has expired, and removes finished jobs whose retention is over. It
//! covers all kinds, also those that this worker does not know. Any worker of the queue sweeps and announces it, so
//! that the others wait for their next turn. Sweeping twice is harmless.

mod hold_off;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::Backoff;
use atode_queue::{
    Error, Expired, ExpiredLeases, Failure, FailureCause, Fate, Inbox, PutBack, Reaped, Verdict, WorkerId,
};

use crate::worker::Worker;
use hold_off::HoldOff;

/// Time between two sweeps, ± 20 %.
const INTERVAL: Duration = Duration::from_millis(2_500);

pub(crate) async fn run(worker: Arc<Worker>, queue: Arc<str>) {
    let mut hold_off = HoldOff::new(&worker);
    let sweeps = worker.client.sweeps(&queue);
    loop {
        let interval = INTERVAL.mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let swept_elsewhere = tokio::time::timeout(interval, sweep_of_another(&worker, &sweeps)).await;
        if !worker.client.connection().is_up() {
            continue;
        }
        if swept_elsewhere.is_ok() {
            hold_off.look(&worker);
            continue;
        }
        if let Err(error) = sweep(&worker, &queue, &mut hold_off).await {
            tracing::debug!(%queue, %error, "cannot sweep now");
            // A Redis that is frozen or refuses writes was away, although nothing reconnects.
            if !matches!(error, Error::Corrupt(_)) {
                hold_off.begin(&worker, "Redis was away");
            }
        }
    }
}

async fn sweep_of_another(worker: &Worker, sweeps: &Inbox) {
    let me = worker.me.id.to_string();
    while !sweeps.next().await.messages.iter().any(|swept_by| *swept_by != me) {}
}

async fn sweep(worker: &Worker, queue: &Arc<str>, hold_off: &mut HoldOff) -> Result<(), Error> {
    // A failed trim must not hold up the recovery of jobs.
    let trimmed = worker.client.trim(queue).await;
    // Only now, after an answer from Redis, is a step of its clock known.
    hold_off.look(worker);
    if hold_off.is_on() {
        return trimmed.map(drop);
    }
    let mut put_back = PutBack::default();
    let recovered = recover_all(worker, queue, &mut put_back).await;
    if !put_back.is_none() {
        tracing::error!(
            %queue, jobs = put_back.recovered, removed = put_back.removed,
            "found leases with unreadable holders; their jobs run again, and entries that are not jobs are removed from the lease set. Was Redis edited by hand?"
        );
    }
    recovered?;
    trimmed?;
    worker.client.tell_swept(queue, worker.me.id).await;
    Ok(())
}

async fn recover_all(worker: &Worker, queue: &Arc<str>, put_back: &mut PutBack) -> Result<(), Error> {
    while recover(worker, queue, put_back).await? > 0 {}
    Ok(())
}

/// Recovers a few hundred expired leases at most, and returns their number.
async fn recover(worker: &Worker, queue: &Arc<str>, put_back: &mut PutBack) -> Result<usize, Error> {
    let ExpiredLeases { jobs: expired, unreadable } =
        worker.client.expired(queue, worker.settings.lease).await?;
    let mut recovered = 0;
    if !unreadable.is_empty() {
        let moved = worker.client.put_back(queue, &unreadable).await?;
        *put_back += moved;
        recovered += (moved.recovered + moved.removed) as usize;
    }
    if expired.is_empty() {
        return Ok(recovered);
    }
    let holders: HashSet<WorkerId> = expired.iter().map(|job| job.run.worker.id).collect();
    let holders: Vec<WorkerId> = holders.into_iter().collect();
    let fates = worker.client.fates(&holders).await?;
    let fates: HashMap<WorkerId, Fate> = holders.into_iter().zip(fates).collect();
    let decided = |job: Expired| decide(fates[&job.run.worker.id], job, rand::random());
    let jobs: Vec<Reaped> = expired.into_iter().map(decided).collect();
    let verdicts = worker.client.reap(queue, &jobs).await?;
    for (job, verdict) in jobs.iter().zip(verdicts) {
        match verdict {
            Verdict::Done => report(job),
            Verdict::CancelRequested => {
                tracing::info!(job.id = %job.lease.id(), kind = %job.lease.kind(), "the job's worker is gone and a cancellation was requested: the job is cancelled");
            }
            Verdict::Already | Verdict::Stale => continue,
        }
        recovered += 1;
    }
    Ok(recovered)
}

/// Decides what happens to a job whose lease has expired. It crashed only if its holder is gone and did not stop in
/// an orderly way. Otherwise its lease was lost, or its handler outlived a shutdown. No retry is spent in any case.
fn decide(holder: Fate, expired: Expired, random: f64) -> Reaped {
    let Expired { lease, history, run, now } = expired;
    let who = format!("{} (pid {} on {})", run.worker.id, run.worker.pid, run.worker.host);
    let (cause, error) = match holder {
        Fate::Alive => {
            (FailureCause::LeaseLost, format!("worker {who} is alive but did not extend its lease"))
        }
        Fate::Stopped => (FailureCause::Shutdown, format!("worker {who} stopped before the run had ended")),
        Fate::Gone if run.worker.id == WorkerId::UNKNOWN => {
            (FailureCause::LeaseLost, "the lease expired, and its holder is unknown".to_owned())
        }
        Fate::Gone => (FailureCause::Crash, format!("worker {who} is gone")),
    };
    let history = history.with_failure(Failure::new(cause, &error, run.clone(), now));
    if cause != FailureCause::Crash {
        return Reaped { lease, history, due_after: Some(Duration::ZERO) };
    }
    if history.has_crashed_too_often() {
        return Reaped { lease, history: history.finished_with(run), due_after: None };
    }
    let due_after = Some(Backoff::CRASH.delay(history.crashes, random));
    Reaped { lease, history, due_after }
}

fn report(job: &Reaped) {
    let (id, kind) = (job.lease.id(), job.lease.kind());
    let error = job.history.failures.last().map(|failure| failure.error.as_str());
    match job.due_after {
        Some(due_after) => {
            tracing::warn!(job.id = %id, %kind, error, ?due_after, "recovered a job whose lease had expired; it runs again");
        }
        None => {
            tracing::error!(target: "job", %id, %kind, error, crashes = job.history.crashes, "the job's worker crashed too often while running it; the job is dead");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sweeps_and_the_first_backoff_keep_recovery_within_lease_plus_five_seconds() {
        let slowest = super::INTERVAL.mul_f64(1.2) + atode_jobs::Backoff::CRASH.delay(1, 1.0);
        assert!(slowest.as_secs() < 5);
    }
}
