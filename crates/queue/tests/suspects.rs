//! Jobs that crashed workers: a worker runs one of them at a time.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_queue::{Claim, ClaimOptions, FailureCause, JobId, Reaped, State, Verdict};
use support::{TestQueue, failed, ids};

/// A job that crashed `crashes` workers and is due again.
async fn crashed(test: &TestQueue, crashes: u32) -> JobId {
    let id = test.enqueue_now().await;
    for _ in 0..crashes {
        let job = test.claim_one_for_an_instant().await;
        assert_eq!(job.lease.id(), id);
        let job = test.until_expired(1).await.remove(0);
        let history = failed(&job.history, FailureCause::Crash, "gone", job.run);
        let reaped = Reaped { lease: job.lease, history, due_after: Some(Duration::ZERO) };
        assert_eq!(test.reap(reaped).await, Verdict::Done);
    }
    // Out of the way of the next one.
    test.command(&["ZADD", &test.set("due"), &(test.now() + 1_000_000).to_string(), &id.short()]);
    id
}

/// Due jobs, the first one first.
fn make_due(test: &TestQueue, jobs: &[JobId]) {
    for (n, id) in jobs.iter().enumerate() {
        test.command(&["ZADD", &test.set("due"), &(n + 1).to_string(), &id.short()]);
    }
}

async fn claim_with(test: &TestQueue, suspects: u32, limit: usize) -> Claim {
    test.client.claim(&ClaimOptions { suspects, ..test.options(limit) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_runs_a_suspect_puts_the_others_off_and_takes_the_harmless() {
    let test = TestQueue::start().await;
    let (first, second) = (crashed(&test, 2).await, crashed(&test, 3).await);
    let harmless = [crashed(&test, 1).await, crashed(&test, 0).await];
    make_due(&test, &[first, second, harmless[0], harmless[1]]);

    let claim = claim_with(&test, 0, 2).await;
    assert_eq!(ids(&claim.jobs), harmless);
    for id in [first, second] {
        assert_eq!(test.score("due", id), Some(claim.now + 1_000));
        assert_eq!(test.state(id).await, State::Scheduled);
    }
    assert_eq!((claim.without_record, claim.next_due), (0, test.score("due", first)));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_exactly_one_suspect() {
    let test = TestQueue::start().await;
    let suspects = [crashed(&test, 2).await, crashed(&test, 2).await, crashed(&test, 4).await];
    let harmless = [crashed(&test, 0).await, crashed(&test, 1).await];
    make_due(&test, &[suspects[0], harmless[0], suspects[1], harmless[1], suspects[2]]);
    let claim = claim_with(&test, 1, 10).await;
    assert_eq!(ids(&claim.jobs), [suspects[0], harmless[0], harmless[1]]);
    assert_eq!(claim.jobs[0].history.crashes, 2);
    for id in &suspects[1..] {
        assert_eq!(test.score("due", *id), Some(claim.now + 1_000));
    }
    assert_eq!(claim.next_due, Some(claim.now + 1_000));
    test.check_invariants();

    // When its turn has come, the next one is taken like any other job.
    make_due(&test, &suspects[1..]);
    assert_eq!(ids(&claim_with(&test, 1, 10).await.jobs), [suspects[1]]);
    make_due(&test, &suspects[2..]);
    assert_eq!(ids(&claim_with(&test, 1, 10).await.jobs), [suspects[2]]);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_suspect_is_taken_over_all_kinds_of_a_claim() {
    let test = TestQueue::start().await.with_kinds(&["test:print", "test:b"]);
    let suspect = crashed(&test, 2).await;
    let other = test.enqueue_of("test:b", atode_queue::Due::At(1)).await;
    test.command(&["HSET", &test.key("state"), &other.short(), "1 0 2 {\"crashes\":2}"]);
    make_due(&test, &[suspect]);
    assert_eq!(ids(&claim_with(&test, 1, 10).await.jobs), [suspect]);
    assert_eq!(test.state(other).await, State::Scheduled);
    test.check_invariants();
}
