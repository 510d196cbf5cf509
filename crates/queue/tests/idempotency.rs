//! The same request twice makes one job.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use atode_queue::{Due, Enqueued, Idempotency, JobId, NewJob};
use support::{CREATED, TestQueue, ids, timeless};

const NOW: Due = Due::After(Duration::ZERO);

fn with_key(test: &TestQueue, key: &str, body: &str) -> NewJob {
    NewJob { idempotency: Some(Idempotency::new("a client", key, body.as_bytes())), ..test.new_job(NOW) }
}

async fn enqueue(test: &TestQueue, job: NewJob) -> Enqueued {
    test.client.enqueue(job).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_is_a_duplicate_and_another_body_a_conflict() {
    let test = TestQueue::start().await;
    let first = with_key(&test, "k", "body");
    let id = first.id;
    assert!(enqueue(&test, first).await.is_created());
    let before = test.snapshot();
    for _ in 0..2 {
        assert_eq!(enqueue(&test, with_key(&test, "k", "body")).await, Enqueued::Duplicate(id));
        assert_eq!(enqueue(&test, with_key(&test, "k", "another")).await, Enqueued::Conflict(id));
        assert_eq!(enqueue(&test, with_key(&test, "k", "")).await, Enqueued::Conflict(id));
    }
    test.check_unchanged(&before);
    assert!(enqueue(&test, with_key(&test, "another", "body")).await.is_created());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_an_earlier_version_stored_names_its_job() {
    let test = TestQueue::start().await;
    let first = with_key(&test, "k", "body");
    let id = first.id;
    assert!(enqueue(&test, first).await.is_created());
    let key = test.command(&["KEYS", "*:idem:*"]).texts().remove(0);
    let holder = test.command(&["GET", &key]).text();
    let earlier: JobId = "01a20ae0-e7a9-74d9-a81f-9cb53c56386d".parse().unwrap();
    let holder = holder.replace(&id.short(), &earlier.short());
    test.command(&["SET", &key, &holder, "KEEPTTL"]);
    assert_eq!(enqueue(&test, with_key(&test, "k", "body")).await, Enqueued::Duplicate(earlier));
    assert_eq!(enqueue(&test, with_key(&test, "k", "another")).await, Enqueued::Conflict(earlier));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_client_and_queue() {
    let test = TestQueue::start().await;
    let other = test.beside("other").await;
    assert!(enqueue(&test, with_key(&test, "k", "body")).await.is_created());
    let of_another =
        NewJob { idempotency: Some(Idempotency::new("another", "k", b"body")), ..test.new_job(NOW) };
    assert!(enqueue(&test, of_another).await.is_created());
    assert!(enqueue(&other, with_key(&other, "k", "body")).await.is_created());
    // The end of the scope and the start of the key are not to be confused.
    for (scope, key) in [("ab", "c"), ("a", "bc"), ("abc", "")] {
        let job = NewJob { idempotency: Some(Idempotency::new(scope, key, b"")), ..test.new_job(NOW) };
        assert!(enqueue(&test, job).await.is_created(), "{scope} {key}");
    }
    let strange = "\r\n\0 }{ * ~!\"".repeat(20);
    assert!(enqueue(&test, with_key(&test, &strange, "body")).await.is_created());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_with_one_key_in_one_call_make_one_job() {
    let test = TestQueue::start().await;
    let jobs = [
        with_key(&test, "a", "1"),
        with_key(&test, "b", "1"),
        with_key(&test, "a", "1"),
        test.new_job(NOW),
        with_key(&test, "b", "2"),
        with_key(&test, "a", "1"),
        with_key(&test, "c", "1"),
    ];
    let results: Vec<_> = test
        .client
        .enqueue_each(&test.queue, &jobs)
        .await
        .into_iter()
        .map(Result::unwrap)
        .map(timeless)
        .collect();
    let (a, b) = (jobs[0].id, jobs[1].id);
    let expected = [
        CREATED,
        CREATED,
        Enqueued::Duplicate(a),
        CREATED,
        Enqueued::Conflict(b),
        Enqueued::Duplicate(a),
        CREATED,
    ];
    assert_eq!(results, expected);
    assert_eq!(test.count("HLEN", &test.key("jobs")), 4);
    test.check_invariants();

    // The same batch again: nothing new.
    let again = [
        with_key(&test, "a", "1"),
        with_key(&test, "b", "1"),
        with_key(&test, "d", "1"),
        with_key(&test, "c", "2"),
    ];
    let results: Vec<_> = test
        .client
        .enqueue_each(&test.queue, &again)
        .await
        .into_iter()
        .map(Result::unwrap)
        .map(timeless)
        .collect();
    let c = jobs[6].id;
    let expected = [Enqueued::Duplicate(a), Enqueued::Duplicate(b), CREATED, Enqueued::Conflict(c)];
    assert_eq!(results, expected);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_simultaneous_requests_makes_the_job_and_all_learn_its_id() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    let requests = (0..600_usize).map(|n| {
        let test = if n % 2 == 0 { &test } else { &other };
        let key = format!("key {}", n % 40);
        async move {
            let job = with_key(test, &key, "body");
            let id = job.id;
            (key, id, enqueue(test, job).await)
        }
    });
    let mut created: BTreeMap<String, JobId> = BTreeMap::new();
    let mut duplicates: Vec<(String, JobId)> = Vec::new();
    for (key, id, result) in futures_util::future::join_all(requests).await {
        match result {
            Enqueued::Created { .. } => assert_eq!(created.insert(key, id), None, "made twice"),
            Enqueued::Duplicate(id) => duplicates.push((key, id)),
            Enqueued::Conflict(id) => panic!("a conflict with {id}"),
        }
    }
    assert_eq!((created.len(), duplicates.len()), (40, 560));
    for (key, id) in duplicates {
        assert_eq!(created[&key], id);
    }
    assert_eq!(test.count("HLEN", &test.key("jobs")), 40);
    let claimed: HashSet<_> = ids(&test.claim(100).await.jobs).into_iter().collect();
    assert_eq!(claimed, created.into_values().collect());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outlives_its_job_for_a_day() {
    let test = TestQueue::start().await;
    let first = with_key(&test, "k", "body");
    let id = first.id;
    enqueue(&test, first).await;
    let job = test.claim_one().await;
    test.done(job.lease.complete(Duration::from_millis(1), job.history)).await;
    atode_testkit::eventually_async("its retention is over", support::DEADLINE, async || {
        (test.client.trim(&test.queue).await.unwrap() == 1).then_some(())
    })
    .await;
    assert!(test.find(id).await.is_none());
    assert_eq!(enqueue(&test, with_key(&test, "k", "body")).await, Enqueued::Duplicate(id));
    assert_eq!(enqueue(&test, with_key(&test, "k", "another")).await, Enqueued::Conflict(id));
    let keys = test.command(&["KEYS", &test.key("idem:*")]).texts();
    assert_eq!(keys.len(), 1);
    let ttl = test.count("PTTL", &keys[0]);
    assert!((86_300_000..=86_400_000).contains(&ttl), "{ttl}");
    // A day later.
    test.command(&["DEL", &keys[0]]);
    assert!(enqueue(&test, with_key(&test, "k", "another")).await.is_created());
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_all_or_nothing_with_a_conflict_stores_nothing() {
    let test = TestQueue::start().await;
    let first = with_key(&test, "taken", "body");
    let id = first.id;
    enqueue(&test, first).await;
    let before = test.snapshot();
    let jobs = [
        test.new_job(NOW),
        with_key(&test, "new", "body"),
        with_key(&test, "taken", "another"),
        with_key(&test, "taken", "body"),
        test.new_job(NOW),
    ];
    let results = test.client.enqueue_all_or_nothing(&test.queue, &jobs).await.unwrap();
    assert_eq!(results[2], Enqueued::Conflict(id));
    test.check_unchanged(&before);

    // Two in the batch itself may contradict each other too.
    let jobs = [with_key(&test, "new", "1"), test.new_job(NOW), with_key(&test, "new", "2")];
    let results = test.client.enqueue_all_or_nothing(&test.queue, &jobs).await.unwrap();
    assert_eq!(results[2], Enqueued::Conflict(jobs[0].id));
    test.check_unchanged(&before);
    assert!(test.client.enqueue_all_or_nothing(&test.queue, &[]).await.unwrap().is_empty());
    test.check_unchanged(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_all_or_nothing_without_a_conflict_is_stored_with_its_duplicates_left_out() {
    let test = TestQueue::start().await;
    let first = with_key(&test, "k", "body");
    let id = first.id;
    enqueue(&test, first).await;
    let mut jobs: Vec<NewJob> = (0..998).map(|n| with_key(&test, &format!("key {n}"), "body")).collect();
    jobs.push(with_key(&test, "k", "body"));
    jobs.push(test.new_job_of("test:other", NOW));
    let results = test.client.enqueue_all_or_nothing(&test.queue, &jobs).await.unwrap();
    assert_eq!(results[998], Enqueued::Duplicate(id));
    assert_eq!(results.iter().filter(|result| result.is_created()).count(), 999);
    assert_eq!(test.count("HLEN", &test.key("jobs")), 1_000);
    assert_eq!(test.command(&["KEYS", &test.key("idem:*")]).array().len(), 999);
    test.check_invariants();
}
