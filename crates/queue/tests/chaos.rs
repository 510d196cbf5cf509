//! Everything at the same time: each job ends exactly once, and no invariant breaks.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use atode_queue::{
    ClaimOptions, Claimed, Due, Enqueued, FailureCause, Idempotency, JobId, NewJob, Reaped, Settlement,
    Verdict,
};
use atode_testkit::eventually_async;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use support::{DEADLINE, HOUR, TestQueue, failed};

const PRODUCERS: u64 = 4;
const JOBS_EACH: u64 = 300;
const WORKERS: u64 = 6;
const KINDS: [&str; 3] = ["test:a", "test:b", "test:c"];

/// The random choices of one task.
struct Dice(SmallRng);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0.random_range(0..sides)
    }

    fn up_to_ms(&mut self, ms: u64) -> Duration {
        Duration::from_millis(self.roll(ms + 1))
    }
}

/// The promises, kept outside of Redis.
#[derive(Default)]
struct Ledger {
    made: Mutex<BTreeSet<JobId>>,
    /// Number of times that each job ended.
    ended: Mutex<BTreeMap<JobId, u32>>,
    producing: AtomicUsize,
    /// Set once every run shall succeed.
    calm: AtomicBool,
    over: AtomicBool,
}

impl Ledger {
    fn end(&self, id: JobId) {
        *self.ended.lock().unwrap().entry(id).or_default() += 1;
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

async fn produce(test: &TestQueue, ledger: &Ledger, mut dice: Dice) {
    for n in 0..JOBS_EACH {
        let due = Due::After(dice.up_to_ms(200));
        let mut job = test.new_job_of(KINDS[dice.roll(3) as usize], due);
        if dice.roll(3) == 0 {
            let key = format!("{} {n}", dice.roll(5));
            job.idempotency = Some(Idempotency::new("a client", &key, b"body"));
        }
        let again = NewJob { id: test.client.new_id(), ..job.clone() };
        for job in [job, again].into_iter().take(1 + dice.roll(2) as usize) {
            let id = job.id;
            match test.client.enqueue(job).await.unwrap() {
                Enqueued::Created { .. } => assert!(ledger.made.lock().unwrap().insert(id)),
                Enqueued::Duplicate(_) => {}
                Enqueued::Conflict(id) => panic!("a conflict with {id}"),
            }
        }
    }
    ledger.producing.fetch_sub(1, Ordering::Relaxed);
}

/// Claims a few jobs and uses each lease in a random way.
async fn work(test: &TestQueue, ledger: &Ledger, mut dice: Dice) {
    while !ledger.is_over() {
        let lease = Duration::from_millis([5, 40, 2_000][dice.roll(3) as usize]);
        let limit = 1 + dice.roll(25) as usize;
        let suspects = if ledger.calm.load(Ordering::Relaxed) { 25 } else { dice.roll(2) as u32 };
        let options = ClaimOptions { lease, suspects, ..test.options(limit) };
        let claim = test.client.claim(&options).await.unwrap();
        assert_eq!(claim.without_record, 0);
        if claim.jobs.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut settlements = Vec::new();
        for job in claim.jobs {
            if dice.roll(8) == 0 {
                tokio::time::sleep(dice.up_to_ms(8)).await;
            }
            if dice.roll(6) == 0 {
                let lease = [job.lease.reference()];
                test.client.extend(&test.queue, &lease, dice.up_to_ms(50)).await.unwrap();
            }
            let calm = ledger.calm.load(Ordering::Relaxed);
            settlements.extend(settlement(test, job, claim.now, calm, &mut dice));
        }
        settle(test, ledger, settlements, &mut dice).await;
    }
}

fn settlement(test: &TestQueue, job: Claimed, now: i64, calm: bool, dice: &mut Dice) -> Option<Settlement> {
    let run = test.run(&job, now);
    Some(match if calm { 0 } else { dice.roll(10) } {
        0 | 1 => job.lease.complete(HOUR, job.history.finished_with(run)),
        2 => job.lease.complete(Duration::ZERO, job.history),
        3 => job.lease.complete(Duration::from_millis(1), job.history),
        4 | 5 => {
            let history = failed(&job.history, FailureCause::Error, "no", run);
            job.lease.retry(dice.up_to_ms(40), history)
        }
        6 => job.lease.bury(job.history),
        7 => job.lease.release(Duration::ZERO),
        8 => job.lease.release(dice.up_to_ms(30)),
        _ => return None, // as if the worker had died
    })
}

/// Settles, sometimes twice.
async fn settle(test: &TestQueue, ledger: &Ledger, settlements: Vec<Settlement>, dice: &mut Dice) {
    let ends = |settlement: &Settlement| matches!(settlement.name(), "complete" | "bury");
    let settled = test.client.settle(settlements).await;
    assert!(settled.error.is_none(), "{:?}", settled.error);
    let mut again = Vec::new();
    for (settlement, verdict) in settled.answered {
        if verdict == Verdict::Already {
            // Nothing of it is left that tells whose settlement it was that ended it.
            assert!(test.find(settlement.lease().id()).await.is_none(), "{settlement:?}");
        }
        if verdict == Verdict::Done && ends(&settlement) {
            ledger.end(settlement.lease().id());
        }
        if dice.roll(4) == 0 {
            again.push((settlement, verdict));
        }
    }
    let (again, before): (Vec<_>, Vec<_>) = again.into_iter().unzip();
    let before: BTreeMap<_, _> = again.iter().map(|s| s.lease().id()).zip(before).collect();
    let settled = test.client.settle(again).await;
    assert!(settled.error.is_none(), "{:?}", settled.error);
    for (settlement, verdict) in settled.answered {
        // Whatever became of the job in the meantime: a repeat never counts a second time.
        assert_ne!(verdict, Verdict::Done, "{settlement:?}, before: {before:?}");
    }
}

async fn sweep(test: &TestQueue, ledger: &Ledger, mut dice: Dice) {
    while !ledger.is_over() {
        tokio::time::sleep(dice.up_to_ms(20)).await;
        let mut jobs = Vec::new();
        for expired in test.expired().await {
            if dice.roll(5) == 0 {
                continue; // another sweep may have it
            }
            let cause = if dice.roll(2) == 0 { FailureCause::Crash } else { FailureCause::LeaseLost };
            let due_after = if dice.roll(10) == 0 { None } else { Some(dice.up_to_ms(10)) };
            let history = failed(&expired.history, cause, "gone", expired.run);
            jobs.push(Reaped { lease: expired.lease, history, due_after });
        }
        let verdicts = test.client.reap(&test.queue, &jobs).await.unwrap();
        for (job, verdict) in jobs.iter().zip(verdicts) {
            if verdict == Verdict::Done && job.due_after.is_none() {
                ledger.end(job.lease.id());
            }
        }
        test.client.trim(&test.queue).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_ends_exactly_once_under_concurrent_transitions() {
    let test = TestQueue::start().await.with_kinds(&KINDS);
    let other = test.beside("default").await.with_kinds(&KINDS);
    let ledger = Ledger { producing: AtomicUsize::new(PRODUCERS as usize), ..Ledger::default() };
    let side = |n: u64| if n.is_multiple_of(2) { &test } else { &other };
    let dice = |n: u64| Dice(SmallRng::seed_from_u64(n));
    let producers = (0..PRODUCERS).map(|n| produce(side(n), &ledger, dice(n)));
    let workers = (0..WORKERS).map(|n| work(side(n), &ledger, dice(100 + n)));
    let sweepers = (0..2).map(|n| sweep(side(n), &ledger, dice(200 + n)));
    let conductor = async {
        let producing = || ledger.producing.load(Ordering::Relaxed) > 0;
        eventually_async("all is produced", DEADLINE, async || {
            test.command(&["SCRIPT", "FLUSH"]);
            (!producing()).then_some(())
        })
        .await;
        ledger.calm.store(true, Ordering::Relaxed);
        let left = || ledger.made.lock().unwrap().len() - ledger.ended.lock().unwrap().len();
        eventually_async("every job ends", DEADLINE, async || (left() == 0).then_some(())).await;
        ledger.over.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        futures_util::future::join_all(producers),
        futures_util::future::join_all(workers),
        futures_util::future::join_all(sweepers),
        conductor,
    );
    test.check_invariants();
    let ended = ledger.ended.into_inner().unwrap();
    let twice: Vec<_> = ended.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(ended.into_keys().collect::<BTreeSet<_>>(), ledger.made.into_inner().unwrap());
    let counts = test.client.queue(&test.queue).await.unwrap().counts;
    assert_eq!((counts.scheduled, counts.ready, counts.active), (0, 0, 0));
}
