//! A queue as operators see it.

mod support;

use std::time::Duration;

use atode_queue::{Counts, Due};
use support::{HOUR, KIND, TestQueue};

const NOW: Due = Due::After(Duration::ZERO);

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_counted_by_state_and_kind() {
    let test = TestQueue::start().await;
    let empty = test.client.queue("default").await.unwrap();
    assert_eq!((empty.counts, empty.kinds.len(), empty.paused), (Counts::default(), 0, false));
    assert!(empty.oldest_ready_age.is_none());

    test.enqueue_many(9, NOW).await;
    let mut jobs = test.claim(6).await.jobs.into_iter();
    let mut next = || jobs.next().unwrap();
    let job = next();
    test.done(job.lease.complete(HOUR, job.history)).await;
    for _ in 0..2 {
        let job = next();
        test.done(job.lease.bury(job.history)).await;
    }
    let cancelled = next();
    test.done(cancelled.lease.complete(Duration::ZERO, cancelled.history)).await;
    for _ in 0..3 {
        test.enqueue(Due::After(HOUR)).await;
    }
    test.enqueue_of("test:other", Due::At(test.now() - 5_000)).await;
    let view = test.client.queue("default").await.unwrap();
    let expected = Counts { scheduled: 3, ready: 4, active: 2, completed: 1, dead: 2, cancelled: 0 };
    assert_eq!(view.counts, expected);
    let age = view.oldest_ready_age.unwrap();
    assert!(age.0 >= Duration::from_secs(5), "{age}");
    let kinds: Vec<_> = view.kinds.iter().map(|kind| (&*kind.kind, kind.counts)).collect();
    let other = Counts { ready: 1, ..Counts::default() };
    assert_eq!(kinds, [("test:other", other), (KIND, Counts { ready: 3, ..expected })]);
    assert_eq!(view.name, "default");
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_those_of_the_last_full_minute() {
    let test = TestQueue::start().await;
    let stats = test.key("stats");
    // Around the minute that the next look falls into, whichever that is.
    let minute = test.now() / 60_000;
    for (minute, n) in [(minute - 2, 1), (minute - 1, 2), (minute, 2), (minute + 1, 3)] {
        for (name, times) in [("enqueued", 1), ("completed", 10), ("failed", 100), ("reaped", 1_000)] {
            test.command(&["HSET", &stats, &format!("{minute} {name}"), &(n * times).to_string()]);
        }
    }
    let rates = test.client.queue("default").await.unwrap().rates;
    let rates = (rates.enqueued, rates.completed, rates.failed, rates.reaped, rates.buried);
    assert_eq!(rates, (2, 20, 200, 2_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_counted_once() {
    let test = TestQueue::start().await;
    test.enqueue_many(8, NOW).await;
    let settled = test.end_eight().await;
    // A repeat counts nothing.
    test.client.settle(settled.answered.into_iter().map(|(settlement, _)| settlement).collect()).await;
    let stats = test.command(&["HGETALL", &test.key("stats")]).texts();
    let total = |name: &str| -> u64 {
        let of_name = stats.chunks_exact(2).filter(|pair| pair[0].ends_with(&format!(" {name}")));
        of_name.map(|pair| pair[1].parse::<u64>().unwrap()).sum()
    };
    let totals = ["enqueued", "completed", "failed", "buried", "reaped"].map(total);
    assert_eq!(totals, [8, 3, 2, 2, 2]);
    test.check_invariants();
}
