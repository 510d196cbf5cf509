//! The data that settling stores, and its view by the next attempt.

mod support;

use std::time::Duration;

use atode_queue::{FailureCause, History, Operation, State, Verdict};
use atode_testkit::eventually_async;
use support::{DEADLINE, HOUR, TestQueue, failed};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_is_due_again_after_its_backoff_and_not_before() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let job = test.claim_one().await;
    let before = test.now();
    test.done(job.lease.retry(Duration::from_millis(250), job.history)).await;
    let due = test.score("due", id).unwrap();
    assert!((before..=test.now()).contains(&(due - 250)));
    eventually_async("the backoff is over", DEADLINE, async || {
        let claim = test.claim(10).await;
        if claim.jobs.is_empty() {
            assert!(claim.now < due && claim.next_due == Some(due));
            return None;
        }
        assert!(claim.now >= due);
        Some(())
    })
    .await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failed_attempt_is_kept_and_counted() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let mut started = Vec::new();
    for attempt in 1..=3 {
        let mut claim = test.claim(10).await;
        let job = claim.jobs.remove(0);
        assert_eq!(job.history.next_attempt(), attempt);
        assert_eq!(job.history.failures.len(), attempt as usize - 1);
        assert_eq!(test.job(id).await.attempt, attempt);
        started.push(claim.now);
        let run = test.run(&job, claim.now);
        let error = format!("error {attempt}: \"quoted\" ünd\nmore");
        let history = failed(&job.history, FailureCause::Error, &error, run);
        test.done(job.lease.retry(Duration::ZERO, history)).await;

        let view = test.job(id).await;
        assert_eq!((view.state, view.attempt), (Some(State::Ready), attempt));
        assert_eq!(view.last_error.as_deref(), Some(&*error));
        assert_eq!(view.worker.as_deref(), Some(&test.worker));
        assert_eq!(view.finished_at, None);
    }
    let attempts = test.job(id).await.attempts;
    assert_eq!(attempts.len(), 3);
    for (n, attempt) in attempts.iter().enumerate() {
        assert_eq!((attempt.attempt, attempt.cause), (n as u32 + 1, FailureCause::Error));
        assert_eq!(attempt.started_at.unwrap().as_millisecond(), started[n]);
        assert_eq!(attempt.finished_at.unwrap().as_millisecond(), started[n] + 5);
        assert_eq!(*attempt.worker, test.worker);
    }
    // A success after that keeps what went before.
    let mut claim = test.claim(10).await;
    let job = claim.jobs.remove(0);
    let run = test.run(&job, claim.now);
    test.done(job.lease.complete(HOUR, job.history.finished_with(run))).await;
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt, view.attempts.len()), (Some(State::Completed), 4, 3));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buried_job_is_dead_and_says_why() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let mut claim = test.claim(10).await;
    let job = claim.jobs.remove(0);
    let run = test.run(&job, claim.now);
    let history = failed(&job.history, FailureCause::Permanent, "no such address", run.clone());
    let before = test.now();
    test.done(job.lease.bury(history.finished_with(run))).await;
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt), (Some(State::Dead), 1));
    assert_eq!(view.last_error.as_deref(), Some("no such address"));
    assert_eq!(view.attempts[0].cause, FailureCause::Permanent);
    let finished = view.finished_at.unwrap().as_millisecond();
    assert!((before..=test.now()).contains(&finished));
    assert_eq!(test.score("dead", id), Some(finished));
    assert_eq!(view.started_at.unwrap().as_millisecond(), claim.now);
    let claim = test.claim(10).await;
    assert_eq!((claim.jobs.len(), claim.next_due), (0, None));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_job_is_ready_again_with_no_attempt_spent() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let job = test.claim_one().await;
    test.done(job.lease.release(Duration::ZERO)).await;
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt, view.attempts.len()), (Some(State::Ready), 0, 0));
    assert_eq!((view.finished_at, view.last_error), (None, None));
    let job = test.claim_one().await;
    assert_eq!(job.history, History::default());

    // A release keeps earlier failures too.
    let run = test.run(&job, 1);
    let history = failed(&job.history, FailureCause::Crash, "gone", run.clone());
    let history = failed(&history, FailureCause::Error, "no", run);
    test.done(job.lease.retry(Duration::ZERO, history.clone())).await;
    let job = test.claim_one().await;
    test.done(job.lease.release(Duration::ZERO)).await;
    let job = test.claim_one().await;
    assert_eq!((&job.history, job.history.next_attempt()), (&history, 2));
    test.done(job.lease.complete(HOUR, job.history)).await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_handed_back_is_due_when_it_was_also_after_somebody_asked_to_cancel_another() {
    let test = TestQueue::start().await;
    let ids = [test.enqueue_now().await, test.enqueue_now().await];
    let due = ids.map(|id| test.score("due", id).unwrap());
    let jobs = test.claim(10).await.jobs;
    eventually_async("later than due", DEADLINE, async || (test.now() > due[1] + 2).then_some(())).await;
    let kind = jobs[1].lease.kind().clone();
    test.client.operate(&test.queue, &kind, ids[1], Operation::Cancel).await.unwrap();
    for (job, verdict) in jobs.into_iter().zip([Verdict::Done, Verdict::CancelRequested]) {
        assert_eq!(test.settle(job.lease.hand_back()).await.1, verdict);
    }
    assert_eq!(test.score("due", ids[0]), Some(due[0]));
    assert_eq!(test.job(ids[1]).await.state, Some(State::Cancelled));
    let job = test.claim_one().await;
    assert_eq!((job.due, job.history.next_attempt()), (due[0], 1));
    test.done(job.lease.complete(HOUR, job.history)).await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snoozed_job_is_scheduled_and_unspent() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    let job = test.claim_one().await;
    let before = test.now();
    test.done(job.lease.release(HOUR)).await;
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt), (Some(State::Scheduled), 0));
    let due = view.due_at.unwrap().as_millisecond();
    assert!((before..=test.now()).contains(&(due - 3_600_000)));
    assert_eq!(test.claim(10).await.next_due, Some(due));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn settlements_of_all_sorts_queues_and_kinds_go_in_one_call_of_the_client() {
    let test = TestQueue::start().await.with_kinds(&["test:a", "test:b"]);
    let other = test.beside("other").await.with_kinds(&["test:a", "test:b"]);
    let mut settlements = Vec::new();
    let mut expected = Vec::new();
    for queue in [&test, &other] {
        for kind in ["test:a", "test:b"] {
            for _ in 0..4 {
                queue.enqueue_of(kind, atode_queue::Due::At(1)).await;
            }
        }
        for (n, job) in queue.claim(8).await.jobs.into_iter().enumerate() {
            let (queue, id) = (queue.queue.clone(), job.lease.id());
            let (settlement, state) = match n % 4 {
                0 => (job.lease.complete(HOUR, job.history), State::Completed),
                1 => (job.lease.retry(HOUR, job.history), State::Scheduled),
                2 => (job.lease.bury(job.history), State::Dead),
                _ => (job.lease.release(Duration::ZERO), State::Ready),
            };
            settlements.push(settlement);
            expected.push((queue, id, state));
        }
    }
    let settled = test.client.settle(settlements).await;
    assert_eq!((settled.answered.len(), settled.unanswered.len()), (16, 0));
    for (queue, id, state) in expected {
        let view = test.client.job(&[queue], id).await.unwrap().unwrap();
        assert_eq!(view.state, Some(state));
    }
    let settled = test.client.settle(Vec::new()).await;
    assert!(settled.answered.is_empty() && settled.error.is_none());
    test.check_invariants();
    other.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_history_starts_over() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    test.command(&["HSET", &test.key("state"), &id.short(), "from a later version"]);
    let job = test.claim_one_for_an_instant().await;
    assert_eq!(job.history, History::default());
    // Nor does it keep the job from being recovered.
    assert_eq!(test.until_expired(1).await[0].history, History::default());
}
