//! Redis' memory is full: nothing new is stored, and what is stored is worked off.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use atode_queue::{
    Due, Error, FailureCause, Idempotency, NewJob, Reaped, RefusalCode, Registration, State, Verdict,
    WorkerState,
};
use support::{HOUR, INSTANT, LEASE, TestQueue, failed};

const NOW: Due = Due::After(Duration::ZERO);

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
