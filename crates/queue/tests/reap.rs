//! Recovering jobs whose lease ran out, and only those.

mod support;

use std::collections::HashSet;
use std::time::Duration;

use atode_queue::{Claimed, Due, Expired, FailureCause, PutBack, Reaped, State, Verdict, WorkerRef};
use atode_testkit::eventually_async;
use support::{DEADLINE, HOUR, INSTANT, KIND, LEASE, TestQueue, failed};

const NOW: Due = Due::After(Duration::ZERO);

fn back(job: Expired, due_after: Duration) -> Reaped {
    Reaped { lease: job.lease, history: job.history, due_after: Some(due_after) }
}

/// A job whose lease has run out.
async fn one_expired(test: &TestQueue) -> Expired {
    one_late(test).await.1
}

/// A job whose lease has run out, for its holder and for a sweeper.
async fn one_late(test: &TestQueue) -> (Claimed, Expired) {
    test.enqueue_now().await;
    let job = test.claim_one_for_an_instant().await;
    (job, test.until_expired(1).await.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_leases_that_ran_out_are_listed_with_their_runs() {
    let test = TestQueue::start().await;
    assert!(test.expired().await.is_empty());
    let active = test.enqueue_now().await;
    test.claim_one().await;
    let id = test.enqueue_now().await;
    let claim = test.claim_for(10, INSTANT).await;
    let waiting = test.enqueue_now().await;

    let expired = test.until_expired(1).await.remove(0);
    assert_eq!((expired.lease.id(), expired.lease.token()), (id, claim.jobs[0].lease.token()));
    assert_eq!(expired.run, test.run(&claim.jobs[0], claim.now));
    assert!(expired.now > claim.now);
    assert_eq!(test.state(active).await, State::Active);
    assert_eq!(test.state(waiting).await, State::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_kinds_that_nobody_here_knows_are_listed_too() {
    let test = TestQueue::start().await.with_kinds(&["test:a", "test:b", "test:c"]);
    for kind in ["test:a", "test:b", "test:c"] {
        test.enqueue_of(kind, NOW).await;
    }
    test.claim_for(10, INSTANT).await;
    let other = test.beside("default").await.with_kinds(&["test:a"]);
    let kinds: HashSet<_> = other.until_expired(3).await.iter().map(|job| job.lease.kind().clone()).collect();
    assert_eq!(kinds, test.kinds.iter().cloned().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaped_job_is_due_again_after_its_delay_with_its_history() {
    let test = TestQueue::start().await;
    let expired = one_expired(&test).await;
    let id = expired.lease.id();
    let history = failed(&expired.history, FailureCause::Crash, "gone", expired.run);
    let before = test.now();
    let reaped = Reaped { lease: expired.lease, history: history.clone(), due_after: Some(HOUR) };
    assert_eq!(test.reap(reaped).await, Verdict::Done);
    let view = test.job(id).await;
    assert_eq!((view.state, view.attempt), (Some(State::Scheduled), 1));
    assert_eq!((view.attempts[0].cause, view.last_error.as_deref()), (FailureCause::Crash, Some("gone")));
    let due = test.score("due", id).unwrap();
    assert!((before..=test.now()).contains(&(due - 3_600_000)));
    assert!(test.expired().await.is_empty());

    test.command(&["ZADD", &test.set("due"), "1", &id.short()]);
    let job = test.claim_one().await;
    // A crash spends no attempt.
    assert_eq!((&job.history, job.history.next_attempt()), (&history, 1));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_to_come_back_is_buried() {
    let test = TestQueue::start().await;
    let expired = one_expired(&test).await;
    let id = expired.lease.id();
    let history =
        failed(&expired.history, FailureCause::Crash, "gone", expired.run.clone()).finished_with(expired.run);
    let before = test.now();
    assert_eq!(test.reap(Reaped { lease: expired.lease, history, due_after: None }).await, Verdict::Done);
    let view = test.job(id).await;
    assert_eq!((view.state, view.last_error.as_deref()), (Some(State::Dead), Some("gone")));
    assert!((before..=test.now()).contains(&view.finished_at.unwrap().as_millisecond()));
    assert!(test.claim(10).await.jobs.is_empty());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_extended_in_the_meantime_is_not_reaped() {
    let test = TestQueue::start().await;
    let (job, expired) = one_late(&test).await;
    let lease = [job.lease.reference()];
    assert_eq!(test.client.extend(&test.queue, &lease, LEASE).await.unwrap(), [Verdict::Done]);
    let before = test.snapshot();
    assert_ne!(test.reap(back(expired, Duration::ZERO)).await, Verdict::Done);
    test.check_unchanged(&before);
    test.done(job.lease.bury(job.history)).await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_settled_in_the_meantime_is_not_reaped() {
    let test = TestQueue::start().await;
    for way in 0..5 {
        let (Claimed { lease, history, .. }, expired) = one_late(&test).await;
        test.done(match way {
            0 => lease.complete(HOUR, history),
            1 => lease.complete(Duration::ZERO, history),
            2 => lease.retry(HOUR, history),
            3 => lease.bury(history),
            _ => lease.release(HOUR),
        })
        .await;
        let before = test.snapshot();
        let reaped = Reaped {
            lease: expired.lease,
            history: expired.history,
            due_after: (way % 2 == 0).then_some(Duration::ZERO),
        };
        assert_ne!(test.reap(reaped).await, Verdict::Done);
        test.check_unchanged(&before);
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_claimed_again_in_the_meantime_is_not_reaped() {
    let test = TestQueue::start().await;
    let first = one_expired(&test).await;
    let second = test.until_expired(1).await.remove(0);
    // Twice in one call, it goes back once.
    let twice = [back(first.clone(), Duration::ZERO), back(first, Duration::ZERO)];
    let verdicts = test.client.reap(&test.queue, &twice).await.unwrap();
    assert_eq!(verdicts, [Verdict::Done, Verdict::Already]);
    test.claim_one_for_an_instant().await;
    test.until_expired(1).await;
    let before = test.snapshot();
    assert_eq!(test.reap(back(second, Duration::ZERO)).await, Verdict::Stale);
    test.check_unchanged(&before);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_moved_by_one_of_several_concurrent_sweepers() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    test.enqueue_many(300, NOW).await;
    test.claim_for(300, INSTANT).await;
    let sweep = async |test: &TestQueue| {
        let jobs: Vec<Reaped> =
            test.until_expired(300).await.into_iter().map(|job| back(job, Duration::ZERO)).collect();
        jobs
    };
    let (a, b) = (sweep(&test).await, sweep(&other).await);
    let (a, b) = tokio::join!(test.client.reap(&test.queue, &a), other.client.reap(&other.queue, &b));
    let moved = [a.unwrap(), b.unwrap()].concat().iter().filter(|verdict| **verdict == Verdict::Done).count();
    assert_eq!(moved, 300);
    assert_eq!(test.count("ZCARD", &test.set("due")), 300);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_expired_leases_are_recovered_in_steps() {
    let test = TestQueue::start().await;
    test.enqueue_many(1_200, NOW).await;
    for _ in 0..2 {
        test.claim_for(1_000, INSTANT).await;
    }
    let mut recovered = 0;
    for step in [500, 500, 200] {
        let jobs: Vec<Reaped> = test
            .until_expired(step)
            .await
            .into_iter()
            .map(|job| {
                recovered += 1;
                let due_after = (recovered % 3 != 0).then_some(Duration::ZERO);
                Reaped { lease: job.lease, history: job.history, due_after }
            })
            .collect();
        let verdicts = test.client.reap(&test.queue, &jobs).await.unwrap();
        assert_eq!(verdicts, vec![Verdict::Done; step]);
    }
    let counts = test.client.queue(&test.queue).await.unwrap().counts;
    assert_eq!((counts.ready, counts.dead, counts.active), (800, 400, 0));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_further_away_than_its_lease_is_long_is_cut_back() {
    let test = TestQueue::start().await;
    let (near, far) = (test.enqueue_now().await, test.enqueue_now().await);
    test.claim_for(1, HOUR).await;
    test.claim(1).await;
    // As if Redis' clock had been set back by two hours since these claims.
    let ahead = test.now() + 7_200_000;
    test.command(&["ZADD", &test.set("lease"), &ahead.to_string(), &far.short()]);
    test.command(&["ZADD", &test.set("lease"), &ahead.to_string(), &near.short()]);
    let before = test.now();
    assert!(test.expired().await.is_empty());
    let after = test.now();
    // Each to the length of its own lease: 30 s, and an hour.
    assert!((before..=after).contains(&(test.score("lease", far).unwrap() - 30_000)));
    assert!((before..=after).contains(&(test.score("lease", near).unwrap() - 3_600_000)));
    // And what is within its length stays.
    let snapshot = test.snapshot();
    test.expired().await;
    test.check_unchanged(&snapshot);
    assert_eq!(test.count("ZCARD", &test.set_of(KIND, "lease")), 2);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_nobody_can_read_hide_no_expired_job_and_go_back() {
    let test = TestQueue::start().await;
    let made = test.enqueue_many(530, NOW).await;
    test.claim_for(1_000, INSTANT).await;
    let (broken, readable) = made.split_at(520);
    for (n, id) in broken.iter().enumerate() {
        match n % 3 {
            0 => test.command(&["HDEL", &test.key("active"), &id.short()]),
            1 => test.command(&["HSET", &test.key("active"), &id.short(), "by hand"]),
            _ => test.command(&["HSET", &test.key("active"), &id.short(), "! ! ! !"]),
        };
    }
    let nobody = test.client.new_id().short();
    for no_job in ["no id", &nobody] {
        test.command(&["ZADD", &test.set("lease"), "1", no_job]);
    }

    let (mut jobs, mut put_back) = (Vec::new(), PutBack::default());
    eventually_async("all are out of the way", DEADLINE, async || {
        let found = test.client.expired(&test.queue, LEASE).await.unwrap();
        put_back += test.client.put_back(&test.queue, &found.unreadable).await.unwrap();
        let reaped: Vec<Reaped> = found.jobs.into_iter().map(|job| back(job, HOUR)).collect();
        jobs.extend(reaped.iter().map(|job| job.lease.id()));
        test.client.reap(&test.queue, &reaped).await.unwrap();
        (test.count("ZCARD", &test.set("lease")) == 0).then_some(())
    })
    .await;
    assert_eq!(put_back, PutBack { recovered: 520, removed: 2 });
    assert_eq!(jobs.len(), readable.len());
    assert!(readable.iter().all(|id| jobs.contains(id)));

    for id in &broken[..3] {
        let view = test.job(*id).await;
        assert_eq!((view.state, view.attempt), (Some(State::Ready), 1));
        let lost = &view.attempts[0];
        assert_eq!((lost.cause, &*lost.worker.host), (FailureCause::LeaseLost, "unknown"));
    }
    let again = test.claim(1_000).await.jobs;
    assert_eq!(again.len(), broken.len());
    assert!(again.iter().all(|job| job.history.next_attempt() == 1), "no attempt is spent");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_changes_after_it_was_read_is_not_put_back() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    test.claim_one_for_an_instant().await;
    test.until_expired(1).await;
    test.command(&["HSET", &test.key("active"), &id.short(), "by hand"]);
    let found = test.client.expired(&test.queue, LEASE).await.unwrap().unreadable;
    test.command(&["HSET", &test.key("active"), &id.short(), "by another hand"]);
    let before = test.snapshot();
    assert_eq!(test.client.put_back(&test.queue, &found).await.unwrap(), PutBack::default());
    test.check_unchanged(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_version_is_read_as_far_as_it_is_known() {
    let test = TestQueue::start().await;
    for entry in ["5 1 2 3 {}", "5 1 2", "5 soon now long {\"id\":7,\"zone\":\"b\"}", "5! x"] {
        let id = test.enqueue_now().await;
        test.claim_one_for_an_instant().await;
        test.command(&["HSET", &test.key("active"), &id.short(), entry]);
        let expired = test.until_expired(1).await.remove(0);
        assert_eq!((expired.lease.id(), expired.lease.token().get()), (id, 5), "{entry}");
        assert_eq!(*expired.run.worker, WorkerRef::default(), "{entry}");
        assert_ne!(test.reap(back(expired, HOUR)).await, Verdict::Stale, "{entry}");
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_deadline_without_a_readable_entry_is_cut_back_too() {
    let test = TestQueue::start().await;
    let id = test.enqueue_now().await;
    test.claim_one().await;
    test.command(&["HSET", &test.key("active"), &id.short(), "by hand"]);
    let ahead = test.now() + 7_200_000;
    test.command(&["ZADD", &test.set("lease"), &ahead.to_string(), &id.short()]);
    test.expired().await;
    let deadline = test.score("lease", id).unwrap();
    assert!(deadline <= test.now() + LEASE.as_millis() as i64, "{deadline}");
}
