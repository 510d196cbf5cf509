//! The claim loop of a queue: takes due jobs as slots become free. Each queue of a worker has its own, so that
//! no queue waits for the Redis calls of another.
//!
//! ```text
//!                 ┌───────────────────────────────────────────────────────────┐
//!                 ▼                                                           │
//!  connected ─▶ Ready ──── too many results are pending ──▶ wait for results ─┤
//!                 │  └──── no room for this queue ────────▶ wait for room ────┤
//!                 ▼                                                           │
//!              Claiming ── more jobs are due ─────────────────────────────────┤
//!                    ├──── no more jobs are due ──────────▶ wait for a job ───┤
//!                    └──── the claim failed ──────────────▶ wait for Redis ───┘
//! ```
//!
//! A quiet or stop request ends the loop and each wait at once. A claim is never interrupted: its answer would be
//! lost, and Redis would keep its jobs for this worker until their leases expire.
//!
//! Each claimed job then goes its own way:
//!
//! ```text
//!  claimed ─▶ waits for a slot ─▶ runs in its slot ─▶ result pending ─▶ stored
//!  (here)     (slots, run)        (run, outcome)      (settle)
//!                 │                    ▲ leases extends, timeouts stops
//!                 └─ none within 50 ms: handed back
//! ```

mod lost_claims;
mod pace;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{Claim, ClaimOptions, Error, KindSet, MAX_BATCH, Record, Wakeups};
use futures_timer::Delay;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::claimed_job::ClaimedJob;
use crate::metrics::ClaimCounters;
use crate::outage::Outage;
use crate::run::start;
use crate::settle::Results;
use crate::shares::Grant;
use crate::worker::Worker;
use lost_claims::LostClaims;
use pace::Pace;
use turns::Turns;

/// Longest time without a claim. It finds jobs whose wake-up was lost.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// The time until a job of a later release is offered to another worker.
const LATER_RELEASE_DELAY: Duration = Duration::from_secs(5);

pub(crate) struct ClaimLoop {
    worker: Arc<Worker>,
    queue: Arc<str>,
    /// Position among the queues of this worker.
    place: usize,
    results: Arc<Results>,
    wakeups: Wakeups,
    turns: Turns,
    lost: LostClaims,
    pace: Pace,
    counters: ClaimCounters,
    outage: Outage,
}

/// The event that allows the next claim.
enum Wait {
    /// Results of earlier jobs are stored.
    Results,
    /// A slot becomes free, or another queue gives up its share.
    Room,
    /// The next job is due at this Unix ms, if one is known, or a wake-up arrives.
    Job { next_due: Option<i64> },
    /// Redis answers again.
    Redis,
}

impl ClaimLoop {
    pub(crate) fn new(worker: Arc<Worker>, queue: Arc<str>, place: usize, results: Arc<Results>) -> Self {
        let kinds = KindSet::of(&worker.kind_names);
        ClaimLoop {
            place,
            results,
            counters: ClaimCounters::of(&queue),
            wakeups: worker.client.wakeups(std::slice::from_ref(&queue), &kinds),
            queue,
            turns: Turns::new(worker.me.id, kinds),
            lost: LostClaims::default(),
            pace: Pace::new(&worker.slots),
            outage: Outage::default(),
            worker,
        }
    }

    /// Ends when the worker stops. Jobs claimed by then keep running.
    pub(crate) async fn run(mut self) {
        let worker = self.worker.clone();
        // The connection itself logs that there is none yet.
        let mut connects = worker.client.connection().connects();
        tokio::select! {
            _ = connects.wait_for(|connects| *connects > 0) => {}
            () = worker.stopping.cancelled() => return,
        }
        loop {
            self.lost.hand_back(&worker, &self.queue).await;
            if worker.quiet.is_cancelled() {
                break;
            }
            if let Some(wait) = self.claim().await {
                tokio::select! {
                    () = self.wait(wait) => {}
                    () = worker.quiet.cancelled() => break,
                }
            }
        }
        worker.slots.shares.idle(self.place);
        worker.stopping.cancelled().await;
    }

    /// Claims jobs if there is room for them. Returns the event to wait for before the next claim, if any.
    async fn claim(&mut self) -> Option<Wait> {
        let slots = self.worker.slots.clone();
        if self.results.has_backlog(slots.size) {
            slots.shares.idle(self.place);
            return Some(Wait::Results);
        }
        let grant = slots.shares.reserve(self.place, self.pace.room(&slots), slots.has_suspect());
        if grant.room == 0 {
            return Some(Wait::Room);
        }
        self.pace = Pace::new(&slots);
        let answer = self.call(grant).await;
        self.pace.answered();
        match answer {
            Ok(claim) => {
                let (jobs, next_due) = (claim.jobs.len(), claim.next_due);
                let has_more = next_due.is_some_and(|due| due <= claim.now);
                self.succeeded(&claim);
                start_jobs(&self.worker, claim);
                slots.shares.claimed(self.place, jobs, has_more);
                (!has_more).then_some(Wait::Job { next_due })
            }
            Err(error) => {
                slots.shares.idle(self.place);
                self.failed(&error);
                Some(Wait::Redis)
            }
        }
    }

    async fn call(&mut self, grant: Grant) -> Result<Claim, Error> {
        let (worker, slots) = (&self.worker, &self.worker.slots);
        let mut kinds = worker.kind_names.clone();
        kinds.shuffle(&mut rand::rng());
        let options = ClaimOptions {
            queue: &self.queue,
            kinds: &kinds,
            limit: grant.room.min(MAX_BATCH),
            lease: worker.settings.lease,
            holder: &worker.holder,
            suspects: u32::from(grant.may_bring_suspect),
            announcement: self.turns.announcement(slots.size, slots.taken()),
        };
        let sent = worker.client.now();
        let claim = worker.client.claim(&options).await;
        if matches!(claim, Err(Error::Unknown(_))) {
            self.lost.add(sent);
        }
        claim
    }

    fn succeeded(&mut self, claim: &Claim) {
        let queue = &self.queue;
        self.counters.answered.increment(1);
        self.counters.jobs.increment(claim.jobs.len() as u64);
        if self.outage.succeeded() {
            tracing::info!(%queue, "claiming jobs again");
        }
        if claim.without_record > 0 {
            tracing::error!(%queue, ids = claim.without_record, "removed waiting ids that had no record: their jobs are lost; was Redis edited by hand?");
        }
        if claim.without_id > 0 {
            tracing::error!(%queue, members = claim.without_id, "skipped members of a due set that are not job ids; they will be removed; was Redis edited by hand?");
        }
        if let Some(listeners) = claim.listeners {
            self.turns.workers = listeners;
        }
        if let Some(job) = claim.jobs.first() {
            self.lost.answered(job.lease.token());
        }
    }

    /// Logs only the first of several failures.
    fn failed(&mut self, error: &Error) {
        let queue = &self.queue;
        self.counters.failed.increment(1);
        if self.outage.failed() {
            let next_bytes = self.worker.client.incoming().bytes();
            tracing::error!(%queue, %error, next_bytes, "cannot claim jobs; retrying with replies of at most next_bytes bytes");
        }
    }

    async fn wait(&mut self, wait: Wait) {
        match wait {
            Wait::Results => self.results.stored.notified().await,
            Wait::Room => self.worker.slots.shares.changed(self.place).await,
            Wait::Job { next_due } => self.wait_for_job(next_due).await,
            Wait::Redis => self.wait_for_redis().await,
        }
    }

    /// Waits for this worker's turn to ask for the next due job, for a wake-up, or for the safety poll.
    async fn wait_for_job(&mut self, next_due: Option<i64>) {
        let mut due = next_due.unwrap_or(i64::MAX);
        let mut poll = Instant::now() + SAFETY_POLL;
        loop {
            let turn = self.worker.client.until(due).saturating_add(self.turns.delay());
            let wait = turn.min(self.lost.until_search()).min(poll.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                return; // skips the timer's thread
            }
            tokio::select! {
                () = Delay::new(wait) => return,
                heard = self.wakeups.next() => {
                    if heard.missed {
                        return;
                    }
                    self.turns.heard(&heard);
                    if let Some(drained) = heard.drained {
                        // Another worker has just claimed everything that was due, so this worker can skip a claim.
                        due = drained.next_due.unwrap_or(i64::MAX);
                        poll = Instant::now() + SAFETY_POLL.mul_f64(1.0 + 0.2 * rand::random::<f64>());
                    }
                    due = due.min(heard.due.unwrap_or(i64::MAX));
                }
            }
        }
    }

    /// Waits until Redis answers a harmless call: another claim could get lost as well.
    async fn wait_for_redis(&mut self) {
        loop {
            self.outage.pause().await;
            if self.worker.client.fates(&[self.worker.me.id]).await.is_ok() {
                return;
            }
            self.outage.failed();
        }
    }
}

fn start_jobs(worker: &Worker, claim: Claim) {
    for claimed in claim.jobs {
        let Some(kind) = worker.registry.get(claimed.lease.kind()) else { continue }; // only known kinds are asked for
        if Record::is_of_a_later_form(&claimed.record) {
            tracing::warn!(job.id = %claimed.lease.id(), kind = %kind.name, "this job was stored by a later release, which this build cannot read; handing it back to a worker of that release");
            let history = claimed.history.unread_by(&worker.me.build, None);
            worker.settle(claimed.lease.release_unread(LATER_RELEASE_DELAY, history));
            continue;
        }
        let metrics = worker.run_metrics.of(claimed.lease.queue(), &kind.name);
        let job = ClaimedJob::new(kind.clone(), claimed, claim.now, worker.me.clone(), metrics);
        start(worker, worker.slots.enter(job));
    }
}
