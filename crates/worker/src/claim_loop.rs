//! The claim loop of a queue: takes due jobs as slots become free, and sleeps until the next due time or
//! a wake-up. Each queue of a worker has one, and none waits for another one's Redis calls.

mod lost_claims;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{Claim, ClaimOptions, Claimed, Error, KindSet, MAX_BATCH, Record, Run, Wakeups};
use futures_timer::Delay;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::run::{self, Order};
use crate::served::Served;
use crate::shares::Grant;
use crate::slots::{Held, Slots};
use crate::timeouts::SLOT_PATIENCE;
use crate::worker::Worker;
use lost_claims::LostClaims;
use turns::Turns;

/// Claims anyway after this long: a claim finds what pub/sub lost.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// Waits between claims that fail: this, doubled up to [`SLOWEST_RETRY`].
const FASTEST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// A claim asks also for the jobs that find a slot within this many rounds of claims, so that jobs which
/// leave their slots quickly come in large calls and find work at once. They wait here instead of in
/// Redis, for a few milliseconds at most: the slower the jobs, the fewer are asked for ahead.
const ROUNDS_AHEAD: usize = 4;

/// However long a round takes: well within the time after which a job without a slot is handed back.
const FURTHEST_AHEAD: Duration = Duration::from_millis(SLOT_PATIENCE.as_millis() as u64 / 2);

/// How fast slots become free, by the last claim.
struct Pace {
    sent: Instant,
    took: Duration,
    /// Jobs that had left their slots when the claim was sent.
    ended: u64,
}

impl Pace {
    fn start(slots: &Slots) -> Self {
        Pace { sent: Instant::now(), took: Duration::ZERO, ended: slots.ended() }
    }

    /// Jobs that may be claimed now, for all queues.
    fn room(&self, slots: &Slots) -> usize {
        let horizon = (ROUNDS_AHEAD as u32 * self.took).min(FURTHEST_AHEAD).as_secs_f64();
        let each_second =
            (slots.ended() - self.ended) as f64 / self.sent.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let ahead = ((each_second * horizon) as usize).min(ROUNDS_AHEAD * slots.size());
        (slots.size() + ahead).saturating_sub(slots.claimed())
    }
}

/// The state of one queue's claim loop.
struct ClaimLoop {
    worker: Arc<Worker>,
    served: Arc<Served>,
    wakeups: Wakeups,
    turns: Turns,
    lost: LostClaims,
    failing: bool,
    retry: Duration,
}

/// Ends when the worker is told to stop; what it has claimed by then runs on.
pub(crate) async fn run(worker: Arc<Worker>, served: Arc<Served>) {
    let kinds = KindSet::of(&worker.kind_names);
    let wakeups = worker.client.wakeups(std::slice::from_ref(&served.queue), &kinds);
    let turns = Turns::new(worker.me.id, kinds);
    // The connection itself logs that there is none yet.
    let mut connects = worker.client.connection().connects();
    tokio::select! {
        _ = connects.wait_for(|connects| *connects > 0) => {}
        () = worker.stopping.cancelled() => return,
    }
    let claims = ClaimLoop {
        worker,
        served,
        wakeups,
        turns,
        lost: LostClaims::default(),
        failing: false,
        retry: FASTEST_RETRY,
    };
    claims.run().await;
}

impl ClaimLoop {
    async fn run(mut self) {
        let (worker, served) = (self.worker.clone(), self.served.clone());
        let slots = &worker.slots;
        let mut pace = Pace::start(slots);
        while !worker.stopping.is_cancelled() && !worker.quiet.is_cancelled() {
            self.lost.hand_back(&worker, &served).await;
            if served.has_backlog(slots.size()) {
                slots.shares().took(served.place, 0, false);
                tokio::select! {
                    () = served.settled() => {}
                    () = worker.stopping.cancelled() => {}
                }
                continue;
            }
            let grant = slots.shares().reserve(served.place, pace.room(slots), slots.has_suspect());
            if grant.room == 0 {
                tokio::select! {
                    () = slots.shares().changed(served.place) => {}
                    () = worker.stopping.cancelled() => {}
                }
                continue;
            }
            pace = Pace::start(slots);
            let claim = self.claim(grant).await;
            pace.took = pace.sent.elapsed();
            match claim {
                Ok(claim) => {
                    let (jobs, next_due) = (claim.jobs.len(), claim.next_due);
                    let has_more = next_due.is_some_and(|due| due <= claim.now);
                    self.works(&claim);
                    start(&worker, claim);
                    slots.shares().took(served.place, jobs, has_more);
                    if !has_more {
                        self.sleep(next_due).await;
                    }
                }
                Err(error) => {
                    slots.shares().took(served.place, 0, false);
                    self.fails(&error).await;
                }
            }
        }
        slots.shares().took(served.place, 0, false);
        worker.stopping.cancelled().await;
    }

    async fn claim(&mut self, grant: Grant) -> Result<Claim, Error> {
        let (worker, slots) = (&self.worker, &self.worker.slots);
        let mut kinds = worker.kind_names.clone();
        kinds.shuffle(&mut rand::rng());
        let options = ClaimOptions {
            queue: &self.served.queue,
            kinds: &kinds,
            limit: grant.room.min(MAX_BATCH),
            lease: worker.settings.lease,
            holder: &worker.holder,
            suspects: u32::from(grant.may_bring_suspect),
            announcement: self.turns.announcement(slots.size(), slots.taken()),
        };
        let sent = worker.client.now();
        let claim = worker.client.claim(&options).await;
        if matches!(claim, Err(Error::Unknown(_))) {
            self.lost.lost(sent);
        }
        claim
    }

    fn works(&mut self, claim: &Claim) {
        self.worker.metrics.claimed(&self.served.queue, claim.jobs.len());
        self.retry = FASTEST_RETRY;
        if std::mem::take(&mut self.failing) {
            tracing::info!(queue = %self.served.queue, "claiming jobs again");
        }
        if claim.without_record > 0 {
            tracing::error!(queue = %self.served.queue, ids = claim.without_record, "removed waiting ids that had no record: jobs were lost; was Redis edited by hand?");
        }
        if claim.without_id > 0 {
            tracing::error!(queue = %self.served.queue, members = claim.without_id, "left out members of a due set that are no ids; they are removed soon; was Redis edited by hand?");
        }
        if let Some(listeners) = claim.listeners {
            self.turns.told(listeners);
        }
        if let Some(job) = claim.jobs.first() {
            self.lost.answered(job.lease.token());
        }
    }

    /// Logs the first failure of several, and waits. After a claim without an answer it waits until Redis
    /// answers something harmless: another claim might be lost as well.
    async fn fails(&mut self, error: &Error) {
        let queue = &self.served.queue;
        self.worker.metrics.claim_failed(queue);
        if !std::mem::replace(&mut self.failing, true) {
            let next_bytes = self.worker.client.incoming().bytes();
            tracing::error!(%queue, %error, next_bytes, "cannot claim jobs; trying again, with at most next_bytes of jobs in one answer");
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.retry) => {}
                () = self.worker.stopping.cancelled() => return,
            }
            self.retry = (self.retry * 2).min(SLOWEST_RETRY);
            if self.worker.client.fates(&[self.worker.me.id]).await.is_ok() {
                return;
            }
        }
    }

    /// Sleeps until it is this worker's turn to ask for the next due job, as far as it knows and hears, or
    /// until the safety poll.
    async fn sleep(&mut self, next_due: Option<i64>) {
        let worker = &self.worker;
        let mut due = next_due.unwrap_or(i64::MAX);
        let mut poll = Instant::now() + SAFETY_POLL;
        loop {
            let turn = worker.client.until(due).saturating_add(self.turns.delay());
            let look = self
                .lost
                .next_look()
                .map_or(SAFETY_POLL, |at| at.saturating_duration_since(std::time::Instant::now()));
            let wait = turn.min(look).min(poll.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                return; // without a detour through the timer's thread
            }
            tokio::select! {
                () = Delay::new(wait) => return,
                heard = self.wakeups.next() => {
                    if heard.missed {
                        return;
                    }
                    self.turns.hear(&heard);
                    if let Some(drained) = heard.drained {
                        // Its claim served this worker as well.
                        due = drained.next_due.unwrap_or(i64::MAX);
                        poll = Instant::now() + SAFETY_POLL.mul_f64(1.0 + 0.2 * rand::random::<f64>());
                    }
                    due = due.min(heard.due.unwrap_or(i64::MAX));
                }
                () = worker.stopping.cancelled() => return,
                () = worker.quiet.cancelled() => return,
            }
        }
    }
}

fn start(worker: &Arc<Worker>, claim: Claim) {
    let now = claim.now;
    for Claimed { lease, due, record, history } in claim.jobs {
        let Some(kind) = worker.registry.get(lease.kind()) else { continue }; // asked for none other
        let run = Run { attempt: history.next_attempt(), due, started: now, worker: worker.me.clone() };
        let (own_limit, payload) = match Record::decode(&record) {
            Ok(Record { max_retries, payload, .. }) => {
                (max_retries, Ok(record.slice_ref(payload.get().as_bytes())))
            }
            Err(error) => (None, Err(error)),
        };
        let max_retries = own_limit.unwrap_or(kind.max_retries);
        let entry = worker.slots.enter(kind.clone(), run, max_retries, Held { lease, history });
        run::start(worker, Order { entry, payload });
    }
}
