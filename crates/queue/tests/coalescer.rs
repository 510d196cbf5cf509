//! Enqueues at the same time share round trips, and answers stay with their requests.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use atode_queue::{Due, Enqueued, Error, Idempotency, JobId, NewJob};
use support::{CREATED, KIND, TestQueue, ids, record, timeless};

const NOW: Due = Due::After(Duration::ZERO);

fn calls(test: &TestQueue) -> usize {
    let stats = test.command(&["INFO", "commandstats"]).text();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    calls.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

async fn ready(test: &TestQueue) {
    test.enqueue(Due::At(i64::from(u32::MAX) * 1_000)).await;
    test.command(&["CONFIG", "RESETSTAT"]);
}

fn with_payload(test: &TestQueue, bytes: usize) -> NewJob {
    let payload = format!("\"{}\"", "x".repeat(bytes));
    NewJob::new(test.client.new_id(), &test.queue, &KIND.into(), &record(&payload), NOW)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_alone_is_one_call_and_many_at_the_same_time_are_few() {
    let test = TestQueue::start().await;
    ready(&test).await;
    test.enqueue_now().await;
    assert_eq!(calls(&test), 1);
    test.command(&["CONFIG", "RESETSTAT"]);

    let tasks: Vec<_> = (0..2_000)
        .map(|n| {
            let (client, job) = (test.client.clone(), test.new_job_of(["test:a", "test:b"][n % 2], NOW));
            tokio::spawn(async move { (job.id, client.enqueue(job).await.unwrap()) })
        })
        .collect();
    let mut made: HashSet<JobId> = HashSet::new();
    for task in tasks {
        let (id, stored) = task.await.unwrap();
        assert!(stored.is_created());
        made.insert(id);
    }
    let calls = calls(&test);
    assert!(calls < 400, "{calls} calls for 2,000 jobs");
    assert_eq!(test.count("HLEN", &test.key("jobs")), 2_002);
    let test = test.with_kinds(&["test:a", "test:b"]);
    let mut claimed = HashSet::new();
    for _ in 0..2 {
        claimed.extend(ids(&test.claim(1_000).await.jobs));
    }
    assert_eq!(claimed, made);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_are_spread_over_calls_and_all_stored() {
    let test = TestQueue::start().await;
    ready(&test).await;
    let jobs: Vec<NewJob> = (0..15).map(|_| with_payload(&test, 300 << 10)).collect();
    let enqueues = jobs.iter().cloned().map(|job| test.client.enqueue(job));
    for stored in futures_util::future::join_all(enqueues).await {
        assert!(stored.unwrap().is_created());
    }
    // Three of them fit into 1 MiB.
    let needed = calls(&test);
    assert!((5..=15).contains(&needed), "{needed} calls");
    test.command(&["CONFIG", "RESETSTAT"]);
    let more: Vec<NewJob> = (0..9).map(|_| with_payload(&test, 300 << 10)).collect();
    for stored in test.client.enqueue_each(&test.queue, &more).await {
        assert!(stored.unwrap().is_created());
    }
    assert_eq!(calls(&test), 3);
    // One that is larger than a call is meant to be goes alone.
    assert!(test.client.enqueue(with_payload(&test, 3 << 20)).await.unwrap().is_created());
    for job in jobs.iter().chain(&more) {
        let length = test.command(&["HSTRLEN", &test.key("jobs"), &job.id.short()]).int();
        assert_eq!(length as usize, job.record.len());
    }
    let mut claimed = HashSet::new();
    while claimed.len() < 25 {
        let claim = test.claim(5).await;
        assert!((1..=5).contains(&claim.jobs.len()), "a claim is bounded in bytes as well");
        claimed.extend(ids(&claim.jobs));
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_gets_its_own_answer() {
    let test = TestQueue::start().await;
    let with_key = |key: String, body: &str| NewJob {
        idempotency: Some(Idempotency::new("a client", &key, body.as_bytes())),
        ..test.new_job(NOW)
    };
    let holders: Vec<NewJob> = (0..100).map(|n| with_key(format!("taken {n}"), "body")).collect();
    for stored in test.client.enqueue_each(&test.queue, &holders).await {
        assert!(stored.unwrap().is_created());
    }
    let requests = (0..1_500_usize).map(|n| {
        let holder = holders[n % 100].id;
        let (job, expected) = match n % 3 {
            0 => (test.new_job(NOW), CREATED),
            1 => (with_key(format!("taken {}", n % 100), "body"), Enqueued::Duplicate(holder)),
            _ => (with_key(format!("taken {}", n % 100), "another"), Enqueued::Conflict(holder)),
        };
        let client = test.client.clone();
        async move { assert_eq!(timeless(client.enqueue(job).await.unwrap()), expected, "request {n}") }
    });
    futures_util::future::join_all(requests).await;
    assert_eq!(test.count("HLEN", &test.key("jobs")), 600);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_do_not_wait_for_each_other_and_keep_their_jobs_apart() {
    let test = TestQueue::start().await;
    let queues = ["a", "b", "c"];
    let enqueues = (0..300_usize).map(|n| {
        let job = NewJob { queue: queues[n % 3].into(), ..test.new_job(NOW) };
        test.client.enqueue(job)
    });
    for stored in futures_util::future::join_all(enqueues).await {
        assert!(stored.unwrap().is_created());
    }
    for name in queues {
        let queue = test.beside(name).await;
        assert_eq!(queue.claim(1_000).await.jobs.len(), 100);
        queue.check_invariants();
    }
    assert_eq!(test.client.queue_names().await.unwrap(), queues.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_for_a_silent_redis_is_bounded() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    test.redis.pause();
    // 90 MB, of which 64 MiB may wait.
    let job = with_payload(&test, 300 << 10);
    let jobs = (0..300).map(|_| NewJob { id: test.client.new_id(), ..job.clone() });
    let start = Instant::now();
    let answers = futures_util::future::join_all(jobs.map(|job| test.client.enqueue(job))).await;
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    let overloaded = answers.iter().filter(|answer| matches!(answer, Err(Error::Overloaded))).count();
    assert!((50..=100).contains(&overloaded), "{overloaded}");
    assert!(answers.iter().all(Result::is_err));
    test.redis.resume();
    atode_testkit::eventually_async("there is room again", support::DEADLINE, async || {
        test.client.enqueue(with_payload(&test, 300 << 10)).await.ok()
    })
    .await;
    test.check_invariants();
}
