//! Recovers a queue's jobs whose lease ran out, and removes finished ones whose retention is over: of all
//! kinds, known here or not. Any worker of the queue does it, and tells the others, which wait again
//! then; doing it twice is harmless.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use atode_jobs::Backoff;
use atode_queue::{
    Error, Expired, ExpiredLeases, Failure, FailureCause, Fate, Notices, PutBack, Reaped, Verdict, WorkerId,
};
use tokio::sync::watch;

use crate::worker::Worker;

/// Between two sweeps, ± 20 %.
const INTERVAL: Duration = Duration::from_millis(2_500);

/// Redis' clock stepped when it moved by this much more or less than ours did.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// What a holder may need to reconnect (1 s between attempts at most, unless configured), and more
/// than the heartbeat of a short lease.
const RECONNECT: Duration = Duration::from_secs(2);

/// Leases run out all at once when Redis was away or its clock was set forward; their holders are
/// alive and extend them within a heartbeat. So a sweeper waits that long after either, after its own
/// first connect, and after a heartbeat of its own that Redis did not take.
struct Caution {
    connects: watch::Receiver<u64>,
    seen: Option<(i64, Instant)>,
    missed_beats: u64,
    until: Instant,
}

pub(crate) async fn run(worker: Arc<Worker>, queue: Arc<str>) {
    let connects = worker.client.connection().connects();
    let mut caution = Caution { connects, seen: None, missed_beats: 0, until: Instant::now() };
    let sweeps = worker.client.sweeps(&queue);
    loop {
        let interval = INTERVAL.mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let another_one = tokio::time::timeout(interval, sweep_of_another(&worker, &sweeps)).await;
        if !worker.client.connection().is_up() {
            continue;
        }
        if another_one.is_ok() {
            caution.look_at(&worker, worker.client.now());
            continue;
        }
        if let Err(error) = sweep(&worker, &queue, &mut caution).await {
            tracing::debug!(%queue, %error, "no sweep now");
            // A frozen Redis, or one that refuses writes, is away without a new connect.
            if !matches!(error, Error::Corrupt(_)) {
                caution.wait(&worker, "Redis was away");
            }
        }
    }
}

async fn sweep_of_another(worker: &Worker, sweeps: &Notices) {
    let ours = worker.me.id.to_string();
    while !sweeps.next().await.messages.iter().any(|swept_by| *swept_by != ours) {}
}

async fn sweep(worker: &Worker, queue: &Arc<str>, caution: &mut Caution) -> Result<(), Error> {
    // Finished jobs that cannot be trimmed are no reason to leave dead workers' jobs lying.
    let trimmed = worker.client.trim(queue).await;
    // Behind an answer of Redis, whose clock may have been set.
    caution.look_at(worker, worker.client.now());
    if Instant::now() < caution.until {
        return trimmed.map(drop);
    }
    let mut put_back = PutBack::default();
    let recovered = recover_all(worker, queue, &mut put_back).await;
    if !put_back.is_none() {
        tracing::error!(
            %queue, jobs = put_back.recovered, removed = put_back.removed,
            "nothing readable says who held these leases: jobs run again, what is no job is removed from the lease set; was Redis edited by hand?"
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

/// The number of leases that are out of the way. One call looks at some hundred at most.
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
    let jobs: Vec<Reaped> = expired
        .into_iter()
        .map(|job| {
            let fate = fates.get(&job.run.worker.id).copied().unwrap_or(Fate::Gone);
            decide(job, fate, rand::random())
        })
        .collect();
    let verdicts = worker.client.reap(queue, &jobs).await?;
    for (job, verdict) in jobs.iter().zip(verdicts) {
        match verdict {
            Verdict::Done => report(job),
            Verdict::CancelRequested => {
                tracing::info!(job.id = %job.lease.id(), kind = %job.lease.kind(), "its worker is gone, and somebody had asked to cancel it: it is cancelled");
            }
            Verdict::Already | Verdict::Stale => continue,
        }
        recovered += 1;
    }
    Ok(recovered)
}

/// It crashed only if its holder is gone without having stopped in order; otherwise the lease was lost, or
/// the handler outlived a shutdown. None of these spends a retry.
fn decide(expired: Expired, holder: Fate, random: f64) -> Reaped {
    let Expired { lease, history, run, now } = expired;
    let who = format!("{} (pid {} on {})", run.worker.id, run.worker.pid, run.worker.host);
    let (cause, error) = match holder {
        Fate::Alive => {
            (FailureCause::LeaseLost, format!("worker {who} lives, but could not extend its lease"))
        }
        Fate::Stopped => {
            (FailureCause::Shutdown, format!("worker {who} stopped, and the run had not ended in time"))
        }
        Fate::Gone if run.worker.id == WorkerId::UNKNOWN => {
            (FailureCause::LeaseLost, "the lease ran out, and who held it is not known".to_owned())
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
            tracing::warn!(job.id = %id, %kind, error, ?due_after, "recovered a job whose lease ran out; it runs again");
        }
        None => {
            tracing::error!(target: "job", %id, %kind, error, crashes = job.history.crashes, "took its worker down each time; the job is dead");
        }
    }
}

impl Caution {
    fn look_at(&mut self, worker: &Worker, redis_now: i64) {
        if self.connects.has_changed().is_ok_and(|changed| changed) {
            self.connects.mark_unchanged();
            self.wait(worker, "connected to Redis");
        }
        let missed = worker.missed_beats.load(Ordering::Acquire);
        if std::mem::replace(&mut self.missed_beats, missed) != missed {
            self.wait(worker, "Redis took no heartbeats");
        }
        let now = Instant::now();
        if let Some((redis_then, then)) = self.seen.replace((redis_now, now)) {
            let ours = now.duration_since(then).as_millis() as i64;
            let step = (redis_now - redis_then - ours).unsigned_abs();
            if step > CLOCK_STEP.as_millis() as u64 {
                tracing::warn!(
                    step_ms = redis_now - redis_then - ours,
                    "Redis' clock was set; due times move with it"
                );
                self.wait(worker, "Redis' clock was set");
            }
        }
    }

    fn wait(&mut self, worker: &Worker, why: &str) {
        tracing::debug!(why, "no recovery until all holders had time for a heartbeat");
        self.until = Instant::now() + worker.settings.heartbeat().max(RECONNECT);
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
