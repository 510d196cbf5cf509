//! The jobs that a claim takes, their order, and the next due time.

mod support;

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{ClaimOptions, Due, NewJob, PutBack, State};
use atode_testkit::eventually_async;
use support::{DEADLINE, HOUR, KIND, LEASE, TestQueue, ids};

const NOW: Due = Due::After(Duration::ZERO);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_claimed_at_its_due_time_and_not_before() {
    let test = TestQueue::start().await;
    let id = test.enqueue(Due::After(Duration::from_millis(500))).await;
    let due = test.score("due", id).unwrap();
    let mut early = 0;
    let claimed = eventually_async("the job is due", DEADLINE, async || {
        let mut claim = test.claim(10).await;
        if claim.jobs.is_empty() {
            assert!(claim.now < due, "due at {due} and not claimed at {}", claim.now);
            assert_eq!(claim.next_due, Some(due));
            early += 1;
            return None;
        }
        assert!(claim.now >= due, "due at {due} and claimed at {}", claim.now);
        assert_eq!(claim.next_due, None);
        Some(claim.jobs.remove(0))
    })
    .await;
    assert!(early > 0, "never asked before its due time");
    assert_eq!((claimed.lease.id(), claimed.due), (id, due));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_due_time_is_the_earliest_that_is_left_of_the_kinds_asked_for() {
    let test = TestQueue::start().await.with_kinds(&["test:a", "test:b"]);
    let base = test.now() + 1_000_000;
    assert_eq!(test.claim(10).await.next_due, None);
    test.enqueue_of("test:a", Due::At(base + 7)).await;
    test.enqueue_of("test:b", Due::At(base + 3)).await;
    test.enqueue_of("test:unknown", Due::At(base)).await;
    test.enqueue_of("test:a", Due::At(base + 5)).await;
    let claim = test.claim(10).await;
    assert_eq!((claim.jobs.len(), claim.next_due), (0, Some(base + 3)));

    // A claimed job no longer counts; one that did not fit in still does.
    test.enqueue_of("test:a", Due::At(1)).await;
    test.enqueue_of("test:b", Due::At(2)).await;
    let claim = test.claim(1).await;
    assert_eq!((claim.jobs.len(), claim.next_due), (1, Some(2)));
    let claim = test.claim(0).await;
    assert_eq!((claim.jobs.len(), claim.next_due), (0, Some(2)));
    let claim = test.claim(1).await;
    assert_eq!((claim.jobs.len(), claim.next_due), (1, Some(base + 3)));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_kind_are_claimed_in_order_of_their_due_times() {
    let test = TestQueue::start().await;
    let past = test.now() - 100_000;
    let mut expected = Vec::new();
    // 7 and 101 share no divisor: each offset once, far from in order.
    for n in 0..101 {
        let due = past + (n * 7) % 101;
        expected.push((due, test.enqueue(Due::At(due)).await));
    }
    expected.sort_unstable();
    let mut claimed = Vec::new();
    for _ in 0..5 {
        claimed.extend(test.claim(25).await.jobs);
    }
    let claimed: Vec<_> = claimed.iter().map(|job| (job.due, job.lease.id())).collect();
    assert_eq!(claimed, expected);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_due_in_the_same_millisecond_are_claimed_in_the_order_of_their_ids() {
    let test = TestQueue::start().await;
    let due = Due::At(test.now() - 1_000);
    let mut jobs: Vec<NewJob> = (0..50).map(|_| test.new_job(due)).collect();
    let made: Vec<_> = jobs.iter().map(|job| job.id).collect();
    jobs.reverse();
    for stored in test.client.enqueue_each(&test.queue, &jobs).await {
        assert!(stored.unwrap().is_created());
    }
    assert_eq!(ids(&test.claim(50).await.jobs), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_not_named_is_not_taken() {
    let test = TestQueue::start().await;
    let unknown = test.enqueue_of("test:unknown", NOW).await;
    let known = test.enqueue_now().await;
    assert_eq!(ids(&test.claim(10).await.jobs), [known]);
    assert_eq!(test.state(unknown).await, State::Ready);
    let nothing = ClaimOptions { kinds: &[], ..test.options(10) };
    let claim = test.client.claim(&nothing).await.unwrap();
    assert_eq!((claim.jobs.len(), claim.next_due), (0, None));
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_as_many_as_it_may_from_the_kinds_in_their_order() {
    let test = TestQueue::start().await;
    for kind in ["test:a", "test:b", "test:c"] {
        for _ in 0..4 {
            test.enqueue_of(kind, NOW).await;
        }
    }
    let kinds: Vec<Arc<str>> = ["test:c", "test:a", "test:b"].map(Arc::from).into();
    let options = ClaimOptions { kinds: &kinds, ..test.options(6) };
    let claim = test.client.claim(&options).await.unwrap();
    let taken: Vec<&str> = claim.jobs.iter().map(|job| &**job.lease.kind()).collect();
    assert_eq!(taken, [["test:c"; 4].as_slice(), &["test:a"; 2]].concat());
    let claim = test.client.claim(&options).await.unwrap();
    let taken: Vec<&str> = claim.jobs.iter().map(|job| &**job.lease.kind()).collect();
    assert_eq!(taken, [["test:a"; 2].as_slice(), &["test:b"; 4]].concat());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_a_thousand_jobs_at_most_whatever_it_asks_for() {
    let test = TestQueue::start().await;
    test.enqueue_many(1_200, NOW).await;
    assert_eq!(test.claim(usize::MAX).await.jobs.len(), 1_000);
    assert_eq!(test.claim(usize::MAX).await.jobs.len(), 200);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_gives_nothing_and_has_no_next_due_time() {
    let test = TestQueue::start().await;
    let other = test.beside("other").await;
    let (id, elsewhere) = (test.enqueue_now().await, other.enqueue_now().await);
    test.enqueue(Due::After(HOUR)).await;
    test.command(&["SET", &test.key("paused"), "1"]);
    let claim = test.claim(10).await;
    assert_eq!((claim.jobs.len(), claim.next_due, claim.without_record), (0, None, 0));
    assert!(test.client.queue(&test.queue).await.unwrap().paused);
    assert_eq!(ids(&other.claim(10).await.jobs), [elsewhere]);
    test.command(&["DEL", &test.key("paused")]);
    assert_eq!(ids(&test.claim(10).await.jobs), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_without_a_record_is_removed_by_a_claim_and_counted() {
    let test = TestQueue::start().await;
    let before = test.enqueue(Due::At(5)).await;
    let lost: Vec<String> = (0..3).map(|_| test.client.new_id().short()).collect();
    for id in &lost {
        test.command(&["ZADD", &test.set("due"), "10", id]);
    }
    let after = test.enqueue(Due::At(15)).await;
    let claim = test.claim(3).await;
    assert_eq!((ids(&claim.jobs), claim.without_record), (vec![before, after], 3));
    assert_eq!(test.count("ZCARD", &test.set_of(KIND, "due")), 0);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_id_does_not_block_the_other_jobs_of_its_claim() {
    let test = TestQueue::start().await;
    let made = test.enqueue_many(2, Due::At(5)).await;
    test.command(&["ZADD", &test.set("due"), "0", "no id and no record"]);
    for no_id in ["no id", "!!!!!!!!!!!!!!!!!!!!!!"] {
        test.command(&["ZADD", &test.set("due"), "0", no_id]);
        test.command(&["HSET", &test.key("jobs"), no_id, r#"{"kind":"test:print","payload":{}}"#]);
    }
    let claim = test.claim_for(10, support::INSTANT).await;
    assert_eq!((ids(&claim.jobs), claim.without_record, claim.without_id), (made, 1, 2));
    for job in claim.jobs {
        test.done(job.lease.complete(HOUR, job.history)).await;
    }
    // They were leased like jobs, so a sweeper finds and removes them.
    let found = eventually_async("leases run out", DEADLINE, async || {
        let found = test.client.expired(&test.queue, LEASE).await.unwrap();
        Some(found.unreadable).filter(|found| found.len() == 2)
    });
    let removed = test.client.put_back(&test.queue, &found.await).await.unwrap();
    assert_eq!(removed, PutBack { recovered: 0, removed: 2 });
    for key in [test.set("due"), test.set("lease")] {
        assert_eq!(test.count("ZCARD", &key), 0, "{key}");
    }
    assert_eq!(test.count("HLEN", &test.key("active")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_last_token_does_not_block_a_claim() {
    let test = TestQueue::start().await;
    for fence in ["1e300", "9007199254740992", "nan", "by hand"] {
        let id = test.enqueue_now().await;
        test.command(&["SET", &test.key("fence"), fence]);
        let job = test.claim_one().await;
        assert_eq!(job.lease.id(), id, "{fence}");
        assert!(job.lease.token().get() < 1 << 53, "{fence}");
        test.done(job.lease.complete(HOUR, job.history)).await;
    }
    test.check_invariants();
}
