//! A job has one holder at a time, and only its token counts.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use atode_queue::{Claimed, Due, Expired, FailureCause, Lease, LeaseRef, Reaped, State, Verdict};
use support::{HOUR, INSTANT, LEASE, TestQueue, failed};

const NOW: Due = Due::After(Duration::ZERO);

fn token(lease: &Lease) -> i64 {
    i64::try_from(lease.token().get()).unwrap()
}

/// Reaps the one lease that runs out, due again at once.
async fn reap_one(test: &TestQueue) {
    let job = test.until_expired(1).await.remove(0);
    let reaped = Reaped { lease: job.lease, history: job.history, due_after: Some(Duration::ZERO) };
    assert_eq!(test.reap(reaped).await, Verdict::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_goes_to_exactly_one_of_many_claimers() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    let made: HashSet<_> = test.enqueue_many(2_000, NOW).await.into_iter().collect();
    let claimers = (0..8_usize).map(|n| {
        let test = if n % 2 == 0 { &test } else { &other };
        async move {
            let mut taken = Vec::new();
            loop {
                let jobs = test.claim(7 + 5 * n).await.jobs;
                if jobs.is_empty() {
                    return taken;
                }
                taken.extend(jobs.into_iter().map(|job| (job.lease.id(), token(&job.lease))));
            }
        }
    });
    let taken = futures_util::future::join_all(claimers).await;
    let all: Vec<_> = taken.iter().flatten().map(|(id, _)| *id).collect();
    assert_eq!(all.len(), 2_000);
    assert_eq!(all.into_iter().collect::<HashSet<_>>(), made);
    // One token a claim call, and no two calls have the same.
    let tokens: Vec<HashSet<i64>> =
        taken.iter().map(|jobs| jobs.iter().map(|(_, token)| *token).collect()).collect();
    assert_eq!(
        tokens.iter().map(HashSet::len).sum::<usize>(),
        tokens.iter().flatten().collect::<HashSet<_>>().len()
    );
    assert_eq!(test.count("HLEN", &test.key("active")), 2_000);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_increase_even_while_the_fence_is_ahead_of_the_clock() {
    let test = TestQueue::start().await;
    test.enqueue_many(6, NOW).await;
    let mut last = test.now() * 1_000;
    for _ in 0..3 {
        let token = token(&test.claim(1).await.jobs[0].lease);
        assert!(token > last, "{last} then {token}");
        last = token;
    }
    // As after a step of Redis' clock: an hour back.
    let fence = test.now() * 1_000 + 3_600_000_000;
    test.command(&["SET", &test.key("fence"), &fence.to_string()]);
    for n in 1..=3 {
        assert_eq!(token(&test.claim(1).await.jobs[0].lease), fence + n);
    }
    assert!(test.claim(1).await.jobs.is_empty());
    assert_eq!(test.command(&["GET", &test.key("fence")]).text(), (fence + 3).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_settles_nothing() {
    let test = TestQueue::start().await;
    let made = test.enqueue_many(6, NOW).await;
    let late = test.claim_for(6, INSTANT).await.jobs;
    let (leases, token) =
        (late.iter().map(|job| job.lease.reference()).collect::<Vec<_>>(), late[0].lease.token());
    let mut settlements: Vec<_> = late
        .into_iter()
        .enumerate()
        .map(|(way, Claimed { lease, history, .. })| match way {
            0 => lease.complete(HOUR, history),
            1 => lease.complete(Duration::ZERO, history),
            2 => lease.retry(HOUR, history),
            3 => lease.bury(history),
            4 => lease.release(Duration::ZERO),
            _ => lease.release(HOUR),
        })
        .collect();
    let mut refused = async || {
        let before = test.snapshot();
        let settled = test.client.settle(std::mem::take(&mut settlements)).await;
        assert_eq!(settled.answered.len(), 6);
        for (settlement, verdict) in settled.answered {
            assert_eq!(verdict, Verdict::Stale, "{settlement:?}");
            settlements.push(settlement);
        }
        assert_eq!(test.client.extend(&test.queue, &leases, LEASE).await.unwrap(), [Verdict::Stale; 6]);
        test.check_unchanged(&before);
    };
    // While they wait, while somebody else runs them, and when that has finished.
    let expired = test.until_expired(6).await.into_iter();
    let back =
        |job: Expired| Reaped { lease: job.lease, history: job.history, due_after: Some(Duration::ZERO) };
    let back: Vec<_> = expired.map(back).collect();
    assert_eq!(test.client.reap(&test.queue, &back).await.unwrap(), [Verdict::Done; 6]);
    refused().await;
    let next = test.claim(6).await.jobs;
    assert!(next[0].lease.token() > token);
    refused().await;
    assert_eq!(test.state(made[0]).await, State::Active);
    for job in next {
        test.done(job.lease.complete(HOUR, job.history)).await;
    }
    refused().await;
    assert_eq!(test.state(made[0]).await, State::Completed);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_that_is_repeated_was_already_written() {
    let test = TestQueue::start().await;
    for way in 0..6 {
        test.enqueue_now().await;
        let job = test.claim_one().await;
        let run = test.run(&job, 1);
        let history = failed(&job.history, FailureCause::Error, "no", run);
        let settlement = match way {
            0 => job.lease.complete(HOUR, history),
            1 => job.lease.complete(Duration::ZERO, history),
            2 => job.lease.retry(HOUR, history),
            3 => job.lease.bury(history),
            4 => job.lease.release(HOUR),
            _ => job.lease.release(Duration::ZERO),
        };
        let (settlement, verdict) = test.settle(settlement).await;
        assert_eq!(verdict, Verdict::Done, "{settlement:?}");
        let before = test.snapshot();
        let lease = settlement.lease().reference();
        let (settlement, verdict) = test.settle(settlement).await;
        assert_eq!(verdict, Verdict::Already, "{settlement:?}");
        assert_ne!(test.client.extend(&test.queue, &[lease], LEASE).await.unwrap(), [Verdict::Done]);
        test.check_unchanged(&before);
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_repeated_after_the_next_claim_does_not_touch_its_lease() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let (release, verdict) = test.settle(job.lease.release(Duration::ZERO)).await;
    assert_eq!(verdict, Verdict::Done);
    let next = test.claim_one().await;
    let before = test.snapshot();
    assert_eq!(test.settle(release).await.1, Verdict::Already);
    test.check_unchanged(&before);
    test.done(next.lease.complete(HOUR, next.history)).await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_call_the_last_lease_of_a_job_counts_and_a_lost_one_is_stale() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    let late = test.claim_one_for_an_instant().await;
    reap_one(&test).await;
    let job = test.claim_one().await;
    let settlements = [late.lease, job.lease].map(|lease| lease.complete(HOUR, job.history.clone()));
    let settled = test.client.settle(settlements.into()).await;
    let verdicts: Vec<_> = settled.answered.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, [Verdict::Stale, Verdict::Done]);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_still_its_holders_until_it_is_reaped() {
    let test = TestQueue::start().await;
    for settle in [true, false] {
        let id = test.enqueue_now().await;
        let job = test.claim_one_for_an_instant().await;
        test.until_expired(1).await;
        if settle {
            test.done(job.lease.complete(HOUR, job.history)).await;
            assert_eq!(test.state(id).await, State::Completed);
        } else {
            let leases = [job.lease.reference()];
            let before = test.now();
            assert_eq!(test.client.extend(&test.queue, &leases, LEASE).await.unwrap(), [Verdict::Done]);
            let deadline = test.score("lease", id).unwrap();
            assert!((before..=test.now()).contains(&(deadline - 30_000)));
            assert!(test.expired().await.is_empty());
            // Under the same token as before.
            test.done(job.lease.complete(HOUR, job.history)).await;
        }
        assert!(test.expired().await.is_empty());
        test.check_invariants();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_leases_than_a_call_takes_are_extended_and_settled_in_several() {
    let test = TestQueue::start().await.with_kinds(&["test:a", "test:b"]);
    test.enqueue_many(1_500, NOW).await;
    for _ in 0..1_000 {
        let job = test.new_job_of("test:b", NOW);
        test.client.enqueue(job).await.unwrap();
    }
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.extend(test.claim(1_000).await.jobs);
    }
    assert_eq!(jobs.len(), 2_500);
    let leases: Vec<LeaseRef> = jobs.iter().map(|job| job.lease.reference()).collect();
    let verdicts = test.client.extend(&test.queue, &leases, HOUR).await.unwrap();
    assert_eq!(verdicts, vec![Verdict::Done; 2_500]);

    let settlements = jobs.into_iter().enumerate().map(|(n, job)| match n % 4 {
        0 => job.lease.complete(HOUR, job.history),
        1 => job.lease.complete(Duration::ZERO, job.history),
        2 => job.lease.retry(HOUR, job.history),
        _ => job.lease.release(Duration::ZERO),
    });
    let settled = test.client.settle(settlements.collect()).await;
    assert!(settled.error.is_none() && settled.unanswered.is_empty());
    assert_eq!(settled.answered.len(), 2_500);
    assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done));
    let counts = test.client.queue(&test.queue).await.unwrap().counts;
    assert_eq!((counts.completed, counts.scheduled, counts.ready, counts.active), (625, 625, 625, 0));
    test.check_invariants();

    let completions: Vec<_> = {
        test.enqueue_many(2_100, NOW).await;
        let mut jobs = Vec::new();
        for _ in 0..3 {
            jobs.extend(test.claim(1_000).await.jobs);
        }
        jobs.into_iter().map(|job| job.lease.complete(HOUR, job.history)).collect()
    };
    assert_eq!(completions.len(), 2_725);
    let settled = test.client.settle(completions).await;
    assert_eq!(settled.answered.len(), 2_725);
    assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lease_in_a_batch_does_not_hold_up_the_others() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    let late = test.claim_one_for_an_instant().await;
    reap_one(&test).await;
    let again = test.claim_one().await;
    test.enqueue_many(3, NOW).await;
    let mut settlements: Vec<_> =
        test.claim(3).await.jobs.into_iter().map(|job| job.lease.bury(job.history)).collect();
    settlements.insert(1, late.lease.bury(late.history));
    let settled = test.client.settle(settlements).await;
    let verdicts: Vec<_> = settled.answered.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(verdicts, [Verdict::Done, Verdict::Stale, Verdict::Done, Verdict::Done]);
    assert_eq!(test.state(again.lease.id()).await, State::Active);
    test.check_invariants();
}
