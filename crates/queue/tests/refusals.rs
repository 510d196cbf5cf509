//! Redis answers, but refuses: producers learn that nothing happened, a refused claim never looks like an empty
//! queue, and everything continues unaided. (For full memory see `memory.rs`.)

mod support;

use std::time::{Duration, Instant};

use atode_queue::{Due, Error, JobId, RefusalCode, State};
use atode_testkit::{RedisServer, Reply, eventually_async};
use support::{DEADLINE, HOUR, LEASE, TestQueue, ids};

const NOW: Due = Due::After(Duration::ZERO);

/// Repeats an enqueue until it succeeds.
async fn recovered(test: &TestQueue) -> JobId {
    eventually_async("an enqueue works again", DEADLINE, async || {
        let job = test.new_job(NOW);
        let id = job.id;
        test.client.enqueue(job).await.ok().map(|_| id)
    })
    .await
}

/// The answer of an enqueue, which must be quick.
async fn refusal(test: &TestQueue) -> Error {
    let start = Instant::now();
    let error = test.client.enqueue(test.new_job(NOW)).await.expect_err("refused");
    assert!(start.elapsed() < Duration::from_millis(1_200), "{:?}: {error}", start.elapsed());
    assert!(error.nothing_happened(), "{error:?}");
    error
}

/// The answer of a claim once it is refused, never that of an empty queue. A connection that was closed because of
/// a refusal also returns errors until it is back.
async fn refused_claim(test: &TestQueue) -> Error {
    eventually_async("a refused claim", DEADLINE, async || {
        let error = test.client.claim(&test.options(1)).await.expect_err("refused");
        matches!(error, Error::Refused { .. }).then_some(error)
    })
    .await
}

fn code(error: &Error) -> Option<RefusalCode> {
    if let Error::Refused { code, .. } = error { Some(*code) } else { None }
}

/// Runs a queue with a leased job and a waiting one through a refusal of all writes.
async fn refused_and_recovered(
    expected: RefusalCode,
    refuse: impl Fn(&RedisServer),
    accept: impl Fn(&RedisServer),
) {
    let test = TestQueue::start().await;
    let leased = test.enqueue_now().await;
    let job = test.claim_one().await;
    let waiting = test.enqueue_now().await;
    refuse(&test.redis);
    let before = test.snapshot();
    let error = refusal(&test).await;
    assert_eq!(code(&error), Some(expected), "{error:?}");
    let error = refused_claim(&test).await;
    assert_eq!(code(&error), Some(expected), "{error:?}");
    assert!(test.client.extend(&test.queue, &[job.lease.reference()], LEASE).await.is_err());
    let settled = test.client.settle(vec![job.lease.complete(HOUR, job.history)]).await;
    assert!(settled.error.is_some() && settled.answered.is_empty(), "{settled:?}");
    test.check_unchanged(&before);

    accept(&test.redis);
    let after = recovered(&test).await;
    let settled = test.client.settle(settled.unanswered).await;
    assert_eq!(settled.answered.len(), 1, "{settled:?}");
    assert_eq!(test.state(leased).await, State::Completed);
    assert_eq!(ids(&test.claim(10).await.jobs), [waiting, after]);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_the_replicas_that_it_wants_refuses() {
    let want = |replicas| {
        move |redis: &RedisServer| drop(redis.command(&["CONFIG", "SET", "min-replicas-to-write", replicas]))
    };
    refused_and_recovered(RefusalCode::NoReplicas, want("1"), want("0")).await;
}

/// After a failover the old master is a replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_a_master_that_is_gone_refuses() {
    let follow = |host, port| move |redis: &RedisServer| drop(redis.command(&["REPLICAOF", host, port]));
    refused_and_recovered(RefusalCode::ReadOnly, follow("127.0.0.1", "1"), follow("NO", "ONE")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_save_its_data_refuses() {
    let (refuse, accept) = (RedisServer::break_saves, RedisServer::restore_saves);
    refused_and_recovered(RefusalCode::Misconfigured, refuse, accept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_loads_its_data_refuses() {
    let test = TestQueue::on(RedisServer::builder().slow_to_load().start()).await;
    let made = test.enqueue_many(10, NOW).await;
    test.redis.launch_slowly();
    let mut refusals = Vec::new();
    let mut claimed = loop {
        let start = Instant::now();
        let stored = test.client.enqueue(test.new_job(NOW)).await;
        assert!(start.elapsed() < Duration::from_millis(1_200), "{:?}: {stored:?}", start.elapsed());
        let claimed = test.client.claim(&test.options(20)).await.map(|claim| ids(&claim.jobs));
        // Whether it was loading is known only if it still is after the calls.
        if !test.redis.is_loading() {
            break claimed.unwrap_or_default();
        }
        assert!(claimed.is_err(), "{claimed:?}");
        refusals.push(stored.expect_err("refused"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(refusals.len() > 10 && refusals.iter().all(Error::nothing_happened), "{refusals:?}");
    recovered(&test).await;
    claimed.extend(ids(&test.claim(20).await.jobs));
    assert!(claimed.starts_with(&made), "{claimed:?}");
    test.check_invariants();
}

/// Only an existing connection is refused so; a new one is refused before its use.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_busy_with_a_script_of_somebody_else_refuses() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    test.command(&["CONFIG", "SET", "busy-reply-threshold", "1"]);
    let redis = test.redis.clone();
    let script = std::thread::spawn(move || redis.try_command(&["EVAL", "while true do end", "0"]));
    eventually_async("Redis is busy", DEADLINE, async || {
        let pong = test.redis.try_command(&["PING"]).unwrap();
        matches!(pong, Reply::Error(error) if error.starts_with("BUSY")).then_some(())
    })
    .await;
    let error = refusal(&test).await;
    assert_eq!(code(&error), Some(RefusalCode::Busy), "{error:?}");
    assert_eq!(code(&refused_claim(&test).await), Some(RefusalCode::Busy));
    test.command(&["SCRIPT", "KILL"]);
    script.join().unwrap().unwrap();
    recovered(&test).await;
    assert_eq!(test.count("HLEN", &test.key("jobs")), 2);
    test.check_invariants();
}
