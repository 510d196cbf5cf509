//! A reply that is lost after its script ran: nothing is sent again unasked, and a repeated request is stored
//! once.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::time::Duration;

use atode_queue::{Client, Due, Enqueued, Error, Idempotency, NewJob, Reaped, State, Verdict};
use atode_testkit::Proxy;
use support::{HOUR, INSTANT, TestQueue, settings};

/// A queue whose client connects through a proxy; the test itself connects directly.
async fn behind_a_proxy() -> (TestQueue, Proxy) {
    let mut test = TestQueue::start().await;
    let proxy = Proxy::start(test.redis.port());
    test.client = Client::open(&settings(proxy.port())).unwrap();
    test.connected_for_the(1).await;
    // From here on nothing but the calls of the test is sent: the queue is in the catalogue.
    test.enqueue_now().await;
    let job = test.claim_one().await;
    test.done(job.lease.complete(Duration::ZERO, job.history)).await;
    (test, proxy)
}

/// The check of permissions at each connect.
const A_LOOK: i64 = 1;

fn scripts_run(test: &TestQueue) -> i64 {
    let stats = test.command(&["INFO", "commandstats"]).text();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_whose_reply_is_lost_is_stored_once_when_its_key_is_repeated() {
    let (test, proxy) = behind_a_proxy().await;
    for n in 0..5_u64 {
        let request = || NewJob {
            idempotency: Some(Idempotency::new("a client", &format!("key {n}"), b"body")),
            ..test.new_job(Due::At(1))
        };
        let before = scripts_run(&test);
        let first = request();
        let id = first.id;
        proxy.drop_reply_to("EVALSHA");
        let error = test.client.enqueue(first).await.unwrap_err();
        assert!(matches!(error, Error::Unknown(_)), "{error}");
        assert!(proxy.has_dropped());
        test.connected_for_the(n + 2).await;
        assert_eq!(scripts_run(&test), before + 1 + A_LOOK, "sent again");
        assert_eq!(test.client.enqueue(request()).await.unwrap(), Enqueued::Duplicate(id));
    }
    assert_eq!(test.count("HLEN", &test.key("jobs")), 5);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_reply_is_lost_is_written_once() {
    let (test, proxy) = behind_a_proxy().await;
    for n in 0..10_u64 {
        let id = test.enqueue_now().await;
        let job = test.claim_one().await;
        let (settlement, state) = match n % 5 {
            0 => (job.lease.complete(HOUR, job.history), Some(State::Completed)),
            1 => (job.lease.complete(Duration::ZERO, job.history), None),
            2 => (job.lease.retry(HOUR, job.history), Some(State::Scheduled)),
            3 => (job.lease.bury(job.history), Some(State::Dead)),
            _ => (job.lease.release(HOUR), Some(State::Scheduled)),
        };
        if n < 5 {
            test.done(settlement).await; // so that Redis knows the script
            continue;
        }
        let before = scripts_run(&test);
        proxy.drop_reply_to("EVALSHA");
        let settled = test.client.settle(vec![settlement]).await;
        assert!(matches!(settled.error, Some(Error::Unknown(_))), "{:?}", settled.error);
        assert!(proxy.has_dropped() && settled.answered.is_empty());
        test.connected_for_the(n - 5 + 2).await;
        assert_eq!(scripts_run(&test), before + 1 + A_LOOK, "sent again");
        let before = test.snapshot();
        let again = test.client.settle(settled.unanswered).await;
        assert_eq!(again.answered[0].1, Verdict::Already);
        test.check_unchanged(&before);
        assert_eq!(test.find(id).await.and_then(|view| view.state), state);
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_claim_whose_reply_is_lost_come_back_by_their_lease() {
    let (test, proxy) = behind_a_proxy().await;
    let mut made = test.enqueue_many(10, Due::At(1)).await;
    proxy.drop_reply_to("EVALSHA");
    let options = atode_queue::ClaimOptions { lease: INSTANT, ..test.options(10) };
    let error = test.client.claim(&options).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    test.connected_for_the(2).await;
    assert_eq!(test.count("HLEN", &test.key("active")), 10);
    test.check_invariants();
    let expired = test.until_expired(10).await;
    let token = expired[0].lease.token();
    let back = |job: atode_queue::Expired| Reaped {
        lease: job.lease,
        history: job.history,
        due_after: Some(Duration::ZERO),
    };
    let reaped: Vec<_> = expired.into_iter().map(back).collect();
    test.client.reap(&test.queue, &reaped).await.unwrap();
    let jobs = test.claim(10).await.jobs;
    let mut claimed = support::ids(&jobs);
    claimed.sort_unstable();
    made.sort_unstable();
    assert_eq!(claimed, made);
    assert!(jobs.iter().all(|job| job.lease.token() > token));
    assert!(jobs.iter().all(|job| job.history.next_attempt() == 1));
    test.check_invariants();
}
