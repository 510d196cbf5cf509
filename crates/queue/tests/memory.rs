//! Redis' memory is full: no new job is stored, and stored jobs are processed.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use atode_queue::{
    Due, Error, FailureCause, Idempotency, NewJob, Operated, Operation, Reaped, RefusalCode, Registration,
    State, Verdict, WorkerState,
};
use support::{HOUR, INSTANT, KIND, LEASE, TestQueue, failed};

const NOW: Due = Due::After(Duration::ZERO);

fn large_job(test: &TestQueue, bytes: usize) -> NewJob {
    let payload = format!(r#"{{"padding":"{}"}}"#, "x".repeat(bytes));
    let record = support::record(&payload);
    NewJob::new(test.client.new_id(), &test.queue, &KIND.into(), &record, NOW)
}

async fn assert_refused(test: &TestQueue, job: NewJob) {
    let queue = job.queue.clone();
    let batch = [job.clone()];
    let errors = [
        test.client.enqueue(job).await.unwrap_err(),
        test.client.enqueue_all_or_nothing(&queue, &batch).await.unwrap_err(),
        test.client.enqueue_each(&queue, &batch).await.remove(0).unwrap_err(),
    ];
    for error in errors {
        let full = matches!(error, Error::Refused { code: RefusalCode::OutOfMemory, .. });
        assert!(full, "{error:?}");
        assert!(error.nothing_happened());
    }
}

/// Finished jobs make room: they are no reason to refuse new ones.
#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_make_room_before_their_time_when_redis_is_nearly_full() {
    let test = TestQueue::start().await;
    test.command(&["CONFIG", "SET", "maxmemory", "64mb"]);
    for n in 0..200 {
        let job = large_job(&test, 200_000);
        let id = job.id;
        test.client.enqueue(job).await.unwrap();
        if n % 10 == 0 {
            let cancelled = test.client.operate(&test.queue, KIND, id, Operation::Cancel).await;
            assert_eq!(cancelled.unwrap(), Operated::Done);
        } else {
            let job = test.claim(1).await.jobs.remove(0);
            test.done(job.lease.complete(HOUR, job.history)).await;
        }
    }
    let waiting = test.enqueue(Due::After(HOUR)).await;
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 0, "there is room");
    test.command(&["CONFIG", "SET", "maxmemory", "44mb"]);
    let removed = test.client.trim(&test.queue).await.unwrap();
    assert!((10..150).contains(&removed), "no more than it takes: {removed}");
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 0);
    test.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 200 - removed);
    assert_eq!(test.state(waiting).await, State::Scheduled);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_large_jobs_are_kept_as_completed() {
    let test = TestQueue::start().await;
    for _ in 0..300 {
        test.client.enqueue(large_job(&test, 1 << 20)).await.unwrap();
        let job = test.claim(1).await.jobs.remove(0);
        test.done(job.lease.complete(HOUR, job.history)).await;
    }
    let kept = test.count("ZCARD", &test.set("done")) as usize;
    assert!((60..70).contains(&kept), "some 64 MiB: {kept}");
    assert_eq!(test.count("HLEN", &test.key("jobs")), kept as i64);

    test.command(&["CONFIG", "SET", "maxmemory", "160mb"]);
    test.client.trim(&test.queue).await.unwrap();
    test.client.enqueue(large_job(&test, 1 << 20)).await.unwrap();
    let job = test.claim(1).await.jobs.remove(0);
    test.done(job.lease.complete(HOUR, job.history)).await;
    let kept = test.count("ZCARD", &test.set("done"));
    assert!((37..43).contains(&kept), "a quarter of 160 MiB: {kept}");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_memory_full_redis_refuses_new_jobs_and_the_others_are_worked_off() {
    let test = TestQueue::start().await;
    let made = test.enqueue_many(7, NOW).await;
    test.enqueue(Due::After(HOUR)).await;
    test.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = test.snapshot();
    assert_refused(&test, test.new_job(NOW)).await;
    assert_refused(&test, test.new_job_of("test:other", NOW)).await;
    let idempotency = Some(Idempotency::new("a client", "k", b"body"));
    assert_refused(&test, NewJob { idempotency, ..test.new_job(NOW) }).await;
    // A queue that was never used before is refused where it would be catalogued.
    assert_refused(&test, NewJob { queue: "other".into(), ..test.new_job(NOW) }).await;
    test.check_unchanged(&before);

    let mut jobs = test.claim(5).await.jobs;
    assert_eq!(support::ids(&jobs), made[..5]);
    let leases: Vec<_> = jobs.iter().map(|job| job.lease.reference()).collect();
    assert_eq!(test.client.extend(&test.queue, &leases, HOUR).await.unwrap(), [Verdict::Done; 5]);
    let mut next = || jobs.remove(0);
    let job = next();
    test.done(job.lease.complete(Duration::from_millis(1), job.history)).await;
    let job = next();
    let run = test.run(&job, 1);
    test.done(job.lease.retry(HOUR, failed(&job.history, FailureCause::Error, &"long ".repeat(300), run)))
        .await;
    let job = next();
    test.done(job.lease.bury(job.history)).await;
    let job = next();
    test.done(job.lease.release(HOUR)).await;
    let job = next();
    test.done(job.lease.complete(Duration::ZERO, job.history)).await;

    test.claim_for(2, INSTANT).await;
    let reaped: Vec<_> = test
        .until_expired(2)
        .await
        .into_iter()
        .map(|job| Reaped { lease: job.lease, history: job.history, due_after: Some(HOUR) })
        .collect();
    assert_eq!(test.client.reap(&test.queue, &reaped).await.unwrap(), [Verdict::Done; 2]);
    let now = jiff::Timestamp::from_millisecond(test.now()).unwrap();
    let registration = Registration {
        worker: test.worker.clone(),
        kinds: vec![],
        queues: BTreeMap::new(),
        slots: 1,
        active: 0,
        state: WorkerState::Running,
        started_at: now,
        seen_at: now,
        http: String::new(),
    };
    test.client.heartbeat(&registration, LEASE).await.unwrap();
    assert_eq!(test.client.workers().await.unwrap(), [registration]);
    atode_testkit::eventually_async("the completed job is trimmed", support::DEADLINE, async || {
        (test.client.trim(&test.queue).await.unwrap() == 1).then_some(())
    })
    .await;
    assert_eq!(test.state(made[2]).await, State::Dead);
    let counts = test.client.queue(&test.queue).await.unwrap().counts;
    assert_eq!((counts.scheduled, counts.dead, counts.active, counts.completed), (5, 1, 0, 0));
    test.check_invariants();

    test.command(&["CONFIG", "SET", "maxmemory", "0"]);
    test.enqueue_now().await;
    test.check_invariants();
}
