//! An audit of a queue in use reports only broken jobs.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atode_audit::repair;
use atode_queue::{ClaimOptions, Due, Operation, Reaped, Settlement, State};
use support::{DEADLINE, HOUR, TestQueue};

/// Claims jobs, and settles them in every way or not at all.
async fn work(test: &TestQueue, over: &AtomicBool, kinds: &[Arc<str>], mut n: u64) {
    while !over.load(Ordering::Relaxed) {
        let lease = Duration::from_millis(if n.is_multiple_of(3) { 5 } else { 2_000 });
        let options = ClaimOptions { kinds, lease, suspects: 25, ..test.options(20) };
        let mut settlements: Vec<Settlement> = Vec::new();
        for job in test.client.claim(&options).await.unwrap().jobs {
            n += 1;
            settlements.push(match n % 7 {
                0 => job.lease.complete(Duration::ZERO, job.history),
                1 => job.lease.complete(Duration::from_millis(1), job.history),
                2 => job.lease.retry(Duration::from_millis(n % 20), job.history),
                3 => job.lease.bury(job.history),
                4 => job.lease.release(Duration::from_millis(n % 5)),
                5 => job.lease.complete(HOUR, job.history),
                _ => continue, // as if its worker had died
            });
        }
        test.client.settle(settlements).await;
        tokio::task::yield_now().await;
    }
}

async fn produce(test: &TestQueue, over: &AtomicBool, kinds: &[Arc<str>]) {
    let mut made = 0_usize;
    while !over.load(Ordering::Relaxed) {
        let kind = &kinds[made % kinds.len()];
        let id = test.enqueue_of(kind, Due::After(Duration::from_millis(made as u64 % 50))).await;
        match made % 6 {
            0 => drop(test.client.operate(&test.queue, kind, id, Operation::Cancel).await.unwrap()),
            1 => drop(test.client.operate(&test.queue, kind, id, Operation::Delete).await.unwrap()),
            _ => {}
        }
        made += 1;
    }
}

async fn sweep(test: &TestQueue, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let due_after = Some(Duration::from_millis(3));
        let expired = test.expired().await.into_iter();
        let jobs: Vec<Reaped> = expired
            .map(|expired| Reaped { lease: expired.lease, history: expired.history, due_after })
            .collect();
        test.client.reap(&test.queue, &jobs).await.unwrap();
        test.client.trim(&test.queue).await.unwrap();
        test.client.redrive_queue(&test.queue, None, 10).await.unwrap();
        test.client.purge(&test.queue, State::Completed, None, 3).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_motion_are_no_findings() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    let kinds: Vec<Arc<str>> = ["test:a", "test:b", "test:c"].map(Arc::from).into();
    test.enqueue_many(2_000, Due::After(HOUR)).await;
    let over = AtomicBool::new(false);
    let auditor = async {
        let started = tokio::time::Instant::now();
        let (mut audits, mut suspected) = (0, 0);
        // Some jobs must have been seen on their way from one set to another.
        while started.elapsed() < Duration::from_secs(4) || audits < 10 || suspected < 10 {
            assert!(started.elapsed() < 3 * DEADLINE, "{audits} audits, {suspected} suspected");
            let audit = test.audit().await;
            assert!(audit.findings.is_empty(), "{:#?}", audit.findings);
            assert!(audit.jobs >= 2_000, "{audit:?}");
            audits += 1;
            suspected += audit.suspected;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        auditor,
        produce(&test, &over, &kinds),
        produce(&other, &over, &kinds),
        work(&other, &over, &kinds, 0),
        work(&test, &over, &kinds, 1),
        sweep(&other, &over),
    );
    test.check_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_jobs_are_repaired_while_others_are_in_motion() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    let harmed_kind = "test:harmed";
    let kinds: Vec<Arc<str>> = ["test:a", "test:b"].map(Arc::from).into();
    let over = AtomicBool::new(false);
    let surgeon = async {
        let mut harmed = BTreeSet::new();
        for n in 0..40 {
            let id = test.enqueue_of(harmed_kind, Due::After(HOUR)).await;
            harmed.insert(id);
            let (short, due) = (id.short(), test.set_of(harmed_kind, "due"));
            match n % 4 {
                0 => test.command(&["ZREM", &due, &short]),
                1 => test.command(&["ZADD", &test.set_of("test:a", "dead"), "1", &short]),
                2 => test.command(&["HSET", &test.key("active"), &short, "by hand"]),
                _ => {
                    test.command(&["ZREM", &due, &short]);
                    test.command(&["ZADD", &test.set_of(harmed_kind, "lease"), "inf", &short])
                }
            };
            if n % 5 == 4 {
                for finding in test.audit().await.findings {
                    assert!(harmed.contains(&finding.subject.parse().unwrap()), "{finding:?}");
                    repair(&test.client, &finding).await.unwrap();
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        harmed
    };
    let (harmed, ..) = tokio::join!(
        surgeon,
        produce(&test, &over, &kinds),
        produce(&other, &over, &kinds),
        work(&other, &over, &kinds, 0),
        work(&test, &over, &kinds, 1),
    );
    test.check_clean().await;
    for id in harmed {
        assert!(matches!(test.state(id).await, State::Ready | State::Scheduled), "{id}");
    }
}
