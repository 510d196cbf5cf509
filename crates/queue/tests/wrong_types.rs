//! A key of a wrong type, after a manual mistake, causes an error and never half a transition.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_queue::{Due, Error, History, Idempotency, LeaseRef, NewJob, Operation, Reaped, State};
use support::{HOUR, INSTANT, KIND, TestQueue};

const NOW: Due = Due::After(Duration::ZERO);

/// Replaces a key by a string, runs the call, and checks that nothing changed.
async fn assert_nothing_happens(test: &TestQueue, key: &str, call: impl AsyncFnOnce() -> Option<Error>) {
    let key = match key {
        "due" | "lease" | "done" | "cancelled" | "dead" => test.set(key),
        _ => test.key(key),
    };
    test.command(&["SET", &key, "by hand"]);
    let before = test.snapshot();
    let error = call().await;
    assert!(matches!(error, Some(Error::Corrupt(_))), "{key}: {error:?}");
    assert!(error.unwrap().to_string().contains("WRONGTYPE"), "{key}");
    test.check_unchanged(&before);
}

/// A new queue for each case, on the same server.
async fn queues(cases: &[&'static str]) -> Vec<(&'static str, TestQueue)> {
    let test = TestQueue::start().await;
    let mut queues = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        queues.push((*case, test.beside(&format!("queue-{n}")).await));
    }
    queues
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueue_stores_nothing() {
    for (key, test) in queues(&["jobs", "kinds", "stats", "due"]).await {
        test.enqueue_of("test:other", NOW).await;
        // Two kinds, of which the second is in order.
        let jobs = [test.new_job(NOW), test.new_job_of("test:other", NOW)];
        assert_nothing_happens(&test, key, async || {
            test.client.enqueue_all_or_nothing(&test.queue, &jobs).await.err()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_of_a_wrong_type_stores_nothing() {
    let test = TestQueue::start().await;
    let job = NewJob { idempotency: Some(Idempotency::new("a client", "k", b"")), ..test.new_job(NOW) };
    test.client.enqueue(job.clone()).await.unwrap();
    let key = test.command(&["KEYS", &test.key("idem:*")]).texts().remove(0);
    test.command(&["DEL", &key]);
    test.command(&["RPUSH", &key, "by hand"]);
    let before = test.count("HLEN", &test.key("jobs"));
    let jobs = [test.new_job(NOW), job];
    let results = test.client.enqueue_each(&test.queue, &jobs).await;
    assert!(results.iter().all(|result| matches!(result, Err(Error::Corrupt(_)))), "{results:?}");
    assert_eq!(test.count("HLEN", &test.key("jobs")), before);
    test.check_due_jobs(1);
}

impl TestQueue {
    fn check_due_jobs(&self, n: i64) {
        assert_eq!(self.count("ZCARD", &self.set("due")), n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_takes_nothing() {
    for (key, test) in queues(&["jobs", "active", "state", "lease", "due", "fence"]).await {
        let test = test.with_kinds(&["test:other", KIND]);
        test.enqueue_of("test:other", NOW).await;
        test.enqueue_now().await;
        // Whatever the other kind gives comes too late if the claim fails afterwards.
        if key == "fence" {
            test.command(&["DEL", &test.key("fence")]);
            test.command(&["RPUSH", &test.key("fence"), "by hand"]);
            let error = test.client.claim(&test.options(1)).await.unwrap_err();
            assert!(matches!(error, Error::Corrupt(_)));
            test.check_due_jobs(1);
            continue;
        }
        assert_nothing_happens(&test, key, async || test.client.claim(&test.options(1)).await.err()).await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Complete,
    Remove,
    Retry,
    Bury,
    Release,
}

async fn assert_settles_nothing(way: Way, keys: &[&'static str]) {
    for (key, test) in queues(keys).await {
        test.enqueue_many(2, NOW).await;
        let jobs = test.claim(2).await.jobs;
        let settlements = jobs.into_iter().map(|job| match way {
            Way::Complete => job.lease.complete(HOUR, job.history),
            Way::Remove => job.lease.complete(Duration::ZERO, job.history),
            Way::Retry => job.lease.retry(HOUR, job.history),
            Way::Bury => job.lease.bury(job.history),
            Way::Release => job.lease.release(HOUR),
        });
        let settlements = settlements.collect();
        assert_nothing_happens(&test, key, async || {
            let settled = test.client.settle(settlements).await;
            assert_eq!(settled.unanswered.len(), 2, "{way:?}");
            settled.error
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_other_kinds_are_settled_where_a_key_of_one_kind_is_broken() {
    let test = TestQueue::start().await.with_kinds(&[KIND, "test:other"]);
    let broken = test.enqueue_now().await;
    let whole = test.enqueue_of("test:other", NOW).await;
    let jobs = test.claim(2).await.jobs;
    test.command(&["SET", &test.set("done"), "x"]);
    let settlements = jobs.into_iter().map(|job| job.lease.complete(HOUR, job.history)).collect();
    let settled = test.client.settle(settlements).await;
    let ids = |settled: &[atode_queue::Settlement]| {
        settled.iter().map(|settlement| settlement.lease().id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&settled.unanswered), [broken]);
    assert_eq!(settled.answered.len(), 1);
    assert_eq!(test.state(whole).await, State::Completed);
    assert!(settled.error.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_settles_nothing() {
    assert_settles_nothing(Way::Complete, &["jobs", "active", "state", "stats", "lease", "done"]).await;
    assert_settles_nothing(Way::Remove, &["jobs", "state", "stats", "lease"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_settles_nothing() {
    assert_settles_nothing(Way::Retry, &["active", "state", "stats", "lease", "due"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bury_settles_nothing() {
    assert_settles_nothing(Way::Bury, &["active", "state", "stats", "lease", "dead"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_settles_nothing() {
    assert_settles_nothing(Way::Release, &["active", "state", "lease", "due"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn extend_prolongs_nothing() {
    for (key, test) in queues(&["active", "lease"]).await {
        let test = test.with_kinds(&["test:other", KIND]);
        test.enqueue_now().await;
        test.enqueue_of("test:other", NOW).await;
        let leases: Vec<LeaseRef> =
            test.claim(2).await.jobs.iter().map(|job| job.lease.reference()).collect();
        assert_nothing_happens(&test, key, async || {
            test.client.extend(&test.queue, &leases, HOUR).await.err()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reap_moves_nothing() {
    for (key, test) in queues(&["active", "state", "stats", "lease", "due", "dead"]).await {
        test.enqueue_many(2, NOW).await;
        test.claim_for(2, INSTANT).await;
        let jobs: Vec<Reaped> = test
            .until_expired(2)
            .await
            .into_iter()
            .zip([Some(Duration::ZERO), None])
            .map(|(job, due_after)| Reaped { lease: job.lease, history: History::default(), due_after })
            .collect();
        assert_nothing_happens(&test, key, async || test.client.reap(&test.queue, &jobs).await.err()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trim_removes_nothing() {
    for (key, test) in queues(&["jobs", "state", "stats", "cancelled"]).await {
        let id = test.enqueue_now().await;
        let job = test.claim_one().await;
        test.done(job.lease.complete(HOUR, job.history)).await;
        test.command(&["ZADD", &test.set("done"), "1", &id.short()]);
        assert_nothing_happens(&test, key, async || test.client.trim(&test.queue).await.err()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_changes_anything() {
    for operation in [
        Operation::Cancel,
        Operation::RunNow,
        Operation::Reschedule(Due::After(HOUR)),
        Operation::Redrive,
        Operation::Delete,
    ] {
        for (key, test) in queues(&["active", "state", "stats", "lease", "done", "cancelled", "dead"]).await {
            let id = test.enqueue_now().await;
            if operation == Operation::Redrive {
                let job = test.claim_one().await;
                test.done(job.lease.bury(job.history)).await;
            }
            let (set, member) = (test.set(key), id.short());
            if test.command(&["TYPE", &set]).text() == "zset"
                && !test.command(&["ZSCORE", &set, &member]).is_null()
            {
                continue; // the job itself is there
            }
            assert_nothing_happens(&test, key, async || {
                test.client.operate(&test.queue, KIND, id, operation).await.err()
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive_and_purge_of_a_queue_move_nothing() {
    for (key, test) in queues(&["jobs", "state", "stats", "due"]).await {
        test.enqueue_now().await;
        let job = test.claim_one().await;
        test.done(job.lease.bury(job.history)).await;
        assert_nothing_happens(&test, key, async || {
            test.client.redrive_queue(&test.queue, None, 10).await.err()
        })
        .await;
    }
    for (key, test) in queues(&["jobs", "state", "stats"]).await {
        test.enqueue_now().await;
        assert_nothing_happens(&test, key, async || {
            test.client.purge(&test.queue, State::Ready, None, 10).await.err()
        })
        .await;
    }
}
