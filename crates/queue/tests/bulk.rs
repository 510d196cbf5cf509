//! Bulk operations: the jobs that one changes and counts.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod bulk_operations;
mod support;

use std::time::Duration;

use atode_queue::{
    BulkAction, BulkOutcome, BulkState, Due, Error, FailureCause, ListQuery, Operation, State,
};
use atode_testkit::{RedisServer, eventually_async};
use bulk_operations::{LATER, NOW, OTHER, numbers, of_kind, query, runner};
use support::{DEADLINE, HOUR, KIND, TestQueue, failed, ids};

#[tokio::test(flavor = "multi_thread")]
async fn every_job_of_the_filter_is_redriven_once_and_no_other() {
    let test = TestQueue::start().await.with_kinds(&[KIND, OTHER]);
    let mut dead = test.bury(1_200).await;
    test.enqueue_of(OTHER, NOW).await;
    let other = test.bury_due(1).await[0];
    let waiting = test.enqueue(LATER).await;
    let id = test.create(BulkAction::Redrive, of_kind(KIND, &[State::Dead])).await;
    assert_eq!(test.bulk(id).await.state, BulkState::Waiting);
    let bulk = test.ended(id).await;
    assert_eq!(numbers(&bulk), (1_200, 1_200, 0, 0), "{bulk:?}");
    assert_eq!((bulk.matched, bulk.runner, bulk.error), (1_200, Some(runner()), None));
    assert!(bulk.created_at <= bulk.started_at && bulk.started_at <= bulk.ended_at);
    assert_eq!((test.state(other).await, test.state(waiting).await), (State::Dead, State::Scheduled));
    let mut redriven = Vec::new();
    while redriven.len() < 1_200 {
        redriven.extend(ids(&test.claim(1_000).await.jobs));
    }
    redriven.sort_unstable();
    dead.sort_unstable();
    assert_eq!(redriven, dead);
    assert!(!test.run_next().await, "it has ended");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_die_after_the_start_are_left_dead() {
    let test = TestQueue::start().await;
    let before = test.bury(3).await;
    tokio::time::sleep(Duration::from_millis(2)).await; // another millisecond
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let after = test.bury(2).await;
    assert_eq!(numbers(&test.ended(id).await), (3, 3, 0, 0));
    for id in before {
        assert_eq!(test.state(id).await, State::Ready);
    }
    for id in after {
        assert_eq!(test.state(id).await, State::Dead);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_job_that_dies_again_is_not_redriven_twice() {
    let test = TestQueue::start().await;
    test.bury(400).await;
    let id = test.create(BulkAction::Redrive, query(&[State::Dead])).await;
    let runner = test.runner_to_be_killed();
    let mut died_again = 0;
    eventually_async("all have died again", DEADLINE, async || {
        let due = test.claim(100).await.jobs;
        if !due.is_empty() {
            let run = test.run(&due[0], test.now());
            died_again += due.len();
            let bury = |job: atode_queue::Claimed| {
                job.lease.bury(failed(&job.history, FailureCause::Permanent, "again", run.clone()))
            };
            test.client.settle(due.into_iter().map(bury).collect()).await;
        }
        (died_again >= 400 && test.bulk(id).await.state == BulkState::Finished).then_some(())
    })
    .await;
    runner.await.unwrap();
    assert_eq!(numbers(&test.bulk(id).await), (400, 400, 0, 0));
    assert_eq!((died_again, test.count("ZCARD", &test.set("dead"))), (400, 400));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_changes_the_jobs_of_its_states() {
    let test = TestQueue::start().await.with_kinds(&[KIND, OTHER]);
    let scheduled = test.enqueue_many(3, LATER).await;
    let active = {
        test.enqueue_of(OTHER, NOW).await;
        test.claim_one().await
    };
    let ready = test.enqueue_now().await;

    let id = test.create(BulkAction::RunNow, query(&[State::Scheduled])).await;
    assert_eq!(numbers(&test.ended(id).await), (3, 3, 0, 0));
    for id in &scheduled {
        assert_eq!(test.state(*id).await, State::Ready);
    }
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    assert_eq!(numbers(&test.ended(id).await), (5, 5, 0, 0));
    assert_eq!(test.state(ready).await, State::Cancelled);
    assert!(test.job(active.lease.id()).await.cancel_requested);

    let dead = test.bury(2).await;
    let id = test.create(BulkAction::Delete, query(&[State::Dead, State::Cancelled])).await;
    assert_eq!(numbers(&test.ended(id).await), (6, 6, 0, 0));
    assert!(test.find(dead[0]).await.is_none() && test.find(ready).await.is_none());
    assert_eq!(test.state(active.lease.id()).await, State::Active);
    test.check_invariants();
}

/// Begins with the jobs that are due first, as a claim does.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_claimed_meanwhile_are_asked_to_end_only_if_active_ones_are_selected() {
    for states in [&[State::Scheduled, State::Ready][..], BulkAction::Cancel.states()] {
        let test = TestQueue::start().await;
        test.enqueue_many(250, NOW).await;
        let id = test.create(BulkAction::Cancel, query(states)).await;
        let runner = test.runner_to_be_killed();
        test.until_changed(id, 1).await;
        let claimed = test.claim(20).await.jobs;
        runner.await.unwrap();
        let bulk = test.bulk(id).await;
        let (all, active) = (250, claimed.len() as u64);
        assert!(active > 0);
        let takes_active = states.contains(&State::Active);
        let skipped = if takes_active { 0 } else { active };
        assert_eq!((bulk.state, numbers(&bulk)), (BulkState::Finished, (all, all - skipped, skipped, 0)));
        for job in claimed {
            assert_eq!(test.job(job.lease.id()).await.cancel_requested, takes_active);
        }
        let is_active = |reason: &str| reason == "it changed since it was found, and is active";
        assert!(bulk.examples.iter().all(|example| is_active(&example.reason)), "{bulk:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_attempt_ends_meanwhile_is_cancelled_before_the_next_one() {
    let test = TestQueue::start().await;
    let in_its_attempt = test.enqueue_now().await;
    let claimed = test.claim_one().await;
    test.enqueue_many(500, LATER).await;
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    let runner = test.runner_to_be_killed();
    // The place of a job that is due now is passed by then.
    test.until_changed(id, 1).await;
    test.done(claimed.lease.release(Duration::ZERO)).await;
    runner.await.unwrap();
    assert_eq!(test.state(in_its_attempt).await, State::Cancelled);
    assert_eq!(numbers(&test.bulk(id).await), (501, 501, 0, 0));
}

/// A worker that claimed more than it has slots for hands the rest back.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_handed_back_between_the_look_and_the_operation_is_cancelled_and_counted_once() {
    let test = TestQueue::start().await;
    test.enqueue_many(200, NOW).await;
    let mut claimed = test.claim(200).await.jobs;
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    let runner = test.runner_to_be_killed();
    test.until_changed(id, 1).await;
    let mut handed_back = Vec::new();
    while let Some(job) = claimed.pop() {
        handed_back.push(job.lease.id());
        // The runner has asked some of them to end before.
        let settled = test.client.settle(vec![job.lease.release(Duration::ZERO)]).await;
        assert_eq!(settled.answered.len(), 1);
    }
    runner.await.unwrap();
    for id in handed_back {
        assert_eq!(test.state(id).await, State::Cancelled);
    }
    assert_eq!(numbers(&test.bulk(id).await), (200, 200, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_completed_before_their_retention_became_shorter_are_deleted() {
    let test = TestQueue::start().await;
    test.enqueue_many(3, NOW).await;
    let mut jobs = test.claim(3).await.jobs;
    let last = jobs.remove(2);
    for (job, retention) in jobs.into_iter().zip([48 * HOUR, HOUR]) {
        test.done(job.lease.complete(retention, job.history)).await;
    }
    let id = test.create(BulkAction::Delete, query(&[State::Completed])).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let later = last.lease.id();
    test.done(last.lease.complete(HOUR, last.history)).await;
    let bulk = test.ended(id).await;
    assert_eq!((bulk.changed, bulk.skipped), (2, 0), "{bulk:?}");
    assert_eq!(test.state(later).await, State::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_enqueued_after_the_start_are_not_cancelled() {
    let test = TestQueue::start().await;
    let early = test.enqueue(LATER).await;
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let late = test.enqueue(LATER).await;
    let bulk = test.ended(id).await;
    assert_eq!((bulk.matched, bulk.changed), (1, 1));
    assert_eq!((test.state(early).await, test.state(late).await), (State::Cancelled, State::Scheduled));
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_causes_select_among_the_jobs_that_are_looked_at() {
    let test = TestQueue::start().await;
    test.bury(3).await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let (id, run) = (job.lease.id(), test.run(&job, test.now()));
    let history = failed(&job.history, FailureCause::Permanent, "Connection refused by 10.0.0.1:80", run);
    test.done(job.lease.bury(history)).await;
    let refused = ListQuery { error: Some("connection REFUSED".to_owned()), ..query(&[State::Dead]) };
    let bulk = test.create(BulkAction::Redrive, refused).await;
    let bulk = test.ended(bulk).await;
    assert_eq!((bulk.done, bulk.matched, bulk.changed), (4, 1, 1));
    assert_eq!(test.state(id).await, State::Ready);

    let groups = test.client.failures(std::slice::from_ref(&test.queue), None, 10).await.unwrap().items;
    let cause = ListQuery { fingerprint: Some(groups[0].fingerprint), ..query(&[State::Dead]) };
    let bulk = test.create(BulkAction::Delete, cause).await;
    assert_eq!(test.ended(bulk).await.changed, 3);
    assert_eq!(test.count("ZCARD", &test.set("dead")), 0);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_moves_between_the_look_and_the_operation_is_skipped_with_a_reason() {
    let test = TestQueue::start().await;
    let ids = test.enqueue_many(500, LATER).await;
    let id = test.create(BulkAction::RunNow, query(&[State::Scheduled])).await;
    let runner = test.runner_to_be_killed();
    // The last job of the first page, while the first ones are changed.
    test.until_changed(id, 1).await;
    let moved = ids[249];
    let later = Operation::Reschedule(Due::After(2 * HOUR));
    test.client.operate("default", KIND, moved, later).await.unwrap();
    runner.await.unwrap();
    let bulk = test.bulk(id).await;
    assert_eq!(bulk.state, BulkState::Finished);
    // Its own group may have come before the change. Otherwise it is skipped, and changed at its new place.
    for example in &bulk.examples {
        assert_eq!((example.id, example.outcome), (moved, BulkOutcome::Skipped));
        assert!(example.reason.contains("changed since it was found"), "{example:?}");
    }
    assert_eq!(bulk.skipped, bulk.examples.len() as u64);
    assert_eq!(bulk.changed, 500, "{bulk:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_keys_are_broken_is_counted_as_failed() {
    let test = TestQueue::start().await.with_kinds(&[KIND, OTHER]);
    test.enqueue_many(2, LATER).await;
    test.enqueue_of(OTHER, LATER).await;
    test.command(&["SET", &test.set_of(OTHER, "dead"), "by hand"]);
    let id = test.create(BulkAction::Cancel, query(BulkAction::Cancel.states())).await;
    let bulk = test.ended(id).await;
    assert_eq!(numbers(&bulk), (3, 2, 0, 1), "{bulk:?}");
    assert_eq!((bulk.examples[0].outcome, &*bulk.examples[0].kind), (BulkOutcome::Failed, OTHER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_takes_a_bulk_delete() {
    let test = TestQueue::on(RedisServer::start()).await;
    test.enqueue_many(10, LATER).await;
    test.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = test.client.enqueue(test.new_job(NOW)).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let id = test.create(BulkAction::Delete, query(&[State::Scheduled])).await;
    assert_eq!(numbers(&test.ended(id).await), (10, 10, 0, 0));
}
