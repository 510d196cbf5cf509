//! Takes due jobs as slots become free, and sleeps until the next due time or a wake-up.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{Claim, ClaimOptions, Claimed, Error, MAX_BATCH, Record, Run, Wakeups};
use futures_timer::Delay;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::execute::{self, Order};
use crate::monitor::SLOT_PATIENCE;
use crate::running::{Held, Slots};
use crate::worker::Worker;

/// Claims anyway after this long: what pub/sub lost is found by it.
const SAFETY_POLL: Duration = Duration::from_secs(5);

/// Waits between claims that fail: this, doubled up to [`SLOWEST_RETRY`].
const FASTEST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(1);

/// The result of asking all queues once.
struct Round {
    /// None: nothing waits.
    next_due: Option<i64>,
    /// As many jobs came as were asked for: there may be more.
    full: bool,
    failed: bool,
}

/// A claim asks also for the jobs that find a slot within this many rounds of claims, so that jobs which
/// leave their slots quickly come in large calls and find work at once. They wait here instead of in
/// Redis, for a few milliseconds at most: the slower the jobs, the fewer are asked for ahead.
const ROUNDS_AHEAD: usize = 4;

/// However long a round takes: well within the time after which a job without a slot is handed back.
const FURTHEST_AHEAD: Duration = Duration::from_millis(SLOT_PATIENCE.as_millis() as u64 / 2);

/// How fast slots become free, by the last round.
struct Pace {
    sent: Instant,
    took: Duration,
    /// Jobs that had left their slots when the round was sent.
    ended: u64,
}

impl Pace {
    fn start(slots: &Slots) -> Self {
        Pace { sent: Instant::now(), took: Duration::ZERO, ended: slots.ended() }
    }

    /// Jobs to ask for.
    fn room(&self, slots: &Slots) -> usize {
        let horizon = (ROUNDS_AHEAD as u32 * self.took).min(FURTHEST_AHEAD).as_secs_f64();
        let each_second =
            (slots.ended() - self.ended) as f64 / self.sent.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let ahead = ((each_second * horizon) as usize).min(ROUNDS_AHEAD * slots.size());
        (slots.size() + ahead).saturating_sub(slots.claimed())
    }
}

/// Ends when the worker is told to stop; what it has claimed by then runs on.
pub(crate) async fn run(worker: Arc<Worker>) {
    let queues: Vec<Arc<str>> = worker.settings.queues.keys().cloned().collect();
    let wakeups = worker.client.wakeups(&queues);
    let mut retry = FASTEST_RETRY;
    // That there is no connection yet is said where it is made.
    let mut connects = worker.client.connection().connects();
    tokio::select! {
        _ = connects.wait_for(|connects| *connects > 0) => {}
        () = worker.stopping.cancelled() => return,
    }
    let mut pace = Pace::start(&worker.slots);
    while !worker.stopping.is_cancelled() {
        if worker.quiet.is_cancelled() {
            return worker.stopping.cancelled().await;
        }
        let room = pace.room(&worker.slots);
        if room == 0 || worker.has_settle_backlog() {
            tokio::select! {
                () = worker.slots.freed() => {}
                () = worker.settled.notified() => {}
                () = worker.stopping.cancelled() => return,
            }
            continue;
        }
        pace = Pace::start(&worker.slots);
        let round = ask_all(&worker, room).await;
        pace.took = pace.sent.elapsed();
        if round.failed {
            until_redis_answers(&worker, &mut retry).await;
        } else {
            retry = FASTEST_RETRY;
            worker.claims_work();
            if !round.full {
                sleep(&worker, &wakeups, round.next_due).await;
            }
        }
    }
}

/// Asks the queues in weighted random order; each may fill what the one before left free.
async fn ask_all(worker: &Arc<Worker>, mut room: usize) -> Round {
    let mut round = Round { next_due: None, full: false, failed: false };
    for queue in weighted_order(worker) {
        if worker.stopping.is_cancelled() {
            break;
        }
        let limit = room.min(MAX_BATCH);
        let mut kinds = worker.kind_names.clone();
        kinds.shuffle(&mut rand::rng());
        let options = ClaimOptions {
            queue: &queue,
            kinds: &kinds,
            limit,
            lease: worker.settings.lease,
            holder: &worker.holder,
            suspects: u32::from(!worker.slots.has_suspect()),
        };
        match worker.client.claim(&options).await {
            Ok(claim) => {
                worker.metrics.claimed(&queue, claim.jobs.len());
                if claim.without_record > 0 {
                    tracing::error!(%queue, ids = claim.without_record, "removed waiting ids that had no record: jobs were lost; was Redis edited by hand?");
                }
                if claim.without_id > 0 {
                    tracing::error!(%queue, members = claim.without_id, "left out members of a due set that are no ids; they are removed soon; was Redis edited by hand?");
                }
                round.next_due = [round.next_due, claim.next_due].into_iter().flatten().min();
                room -= claim.jobs.len().min(room);
                round.full |= claim.jobs.len() >= limit;
                start(worker, claim);
                if room == 0 {
                    break;
                }
            }
            Err(error) => {
                worker.metrics.claim_failed(&queue);
                worker.claims_fail(&error);
                round.failed = true;
                if matches!(error, Error::Unknown(_)) {
                    break;
                }
            }
        }
    }
    round
}

/// A claim without an answer may be carried out all the same, and nobody runs its jobs until their
/// lease has run out. So the next claim waits until Redis answers something harmless.
async fn until_redis_answers(worker: &Worker, retry: &mut Duration) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(*retry) => {}
            () = worker.stopping.cancelled() => return,
        }
        *retry = (*retry * 2).min(SLOWEST_RETRY);
        if worker.client.fates(&[worker.me.id]).await.is_ok() {
            return;
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
        execute::start(worker, Order { entry, payload });
    }
}

/// Until `next_due`, an earlier due time that Redis tells of, or the safety poll.
async fn sleep(worker: &Worker, wakeups: &Wakeups, next_due: Option<i64>) {
    let mut until = next_due.unwrap_or(i64::MAX);
    loop {
        let wait = worker.client.until(until).min(SAFETY_POLL);
        if wait.is_zero() {
            return; // no way through the timer's thread
        }
        tokio::select! {
            () = Delay::new(wait) => return,
            due = wakeups.next() => until = until.min(due),
            () = worker.stopping.cancelled() => return,
            () = worker.quiet.cancelled() => return,
        }
    }
}

/// Weighted random order without replacement: a key of random^(1/weight) each, greatest first
/// (Efraimidis and Spirakis, 2006).
fn weighted_order(worker: &Worker) -> Vec<Arc<str>> {
    let mut keyed: Vec<(f64, Arc<str>)> = worker
        .settings
        .queues
        .iter()
        .map(|(queue, weight)| (rand::random::<f64>().powf(1.0 / f64::from(*weight)), queue.clone()))
        .collect();
    keyed.sort_by(|a, b| b.0.total_cmp(&a.0));
    keyed.into_iter().map(|(_, queue)| queue).collect()
}
