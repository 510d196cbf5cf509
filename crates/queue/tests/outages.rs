//! Redis forgets scripts, restarts, does not answer or is away: producers learn it at once, and everything continues
//! unaided when it is back.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atode_queue::{Client, Due, Error, KindSet, NewJob, State};
use atode_testkit::{Proxy, RedisServer, eventually_async};
use support::{DEADLINE, HOUR, TestQueue, ids};

const NOW: Due = Due::After(Duration::ZERO);

/// Repeats an enqueue until it succeeds.
async fn recovered(test: &TestQueue) -> Duration {
    let start = Instant::now();
    eventually_async("an enqueue works again", DEADLINE, async || {
        test.client.enqueue(test.new_job(NOW)).await.ok()
    })
    .await;
    start.elapsed()
}

/// The answer of an enqueue, which must be quick.
async fn refusal(test: &TestQueue) -> Error {
    let start = Instant::now();
    let error = test.client.enqueue(test.new_job(NOW)).await.expect_err("refused");
    assert!(start.elapsed() < Duration::from_millis(1_200), "{:?}: {error}", start.elapsed());
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_redis_has_forgotten_are_loaded_again_and_run_once() {
    let test = TestQueue::start().await;
    let flush = || test.command(&["SCRIPT", "FLUSH"]);
    let id = test.enqueue_now().await;
    flush();
    test.enqueue(Due::After(HOUR)).await;
    flush();
    let claim = test.claim(10).await;
    assert_eq!(ids(&claim.jobs), [id]);
    let job = claim.jobs.into_iter().next().unwrap();
    flush();
    let leases = [job.lease.reference()];
    assert!(test.client.extend(&test.queue, &leases, HOUR).await.is_ok());
    flush();
    test.done(job.lease.complete(HOUR, job.history)).await;
    flush();
    assert_eq!(test.state(id).await, State::Completed);
    flush();
    assert_eq!(test.client.trim(&test.queue).await.unwrap(), 0);
    flush();
    assert!(test.expired().await.is_empty());
    assert_eq!(test.count("HLEN", &test.key("jobs")), 2);

    // Many at the same time, each of which meets the loss.
    for _ in 0..5 {
        flush();
        let enqueues = (0..40).map(|_| test.client.enqueue(test.new_job(NOW)));
        let claims = (0..10).map(|_| test.claim(1));
        let (stored, _) =
            tokio::join!(futures_util::future::join_all(enqueues), futures_util::future::join_all(claims));
        assert!(stored.into_iter().all(|stored| stored.unwrap().is_created()));
    }
    assert_eq!(test.count("HLEN", &test.key("jobs")), 202);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_jobs_survive_a_kill_of_redis_and_the_client_continues_unaided() {
    let test = TestQueue::on(RedisServer::builder().appendfsync("always").start()).await;
    let stop = AtomicBool::new(false);
    let producers = (0..8).map(|_| async {
        let mut made = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let job = test.new_job(NOW);
            let id = job.id;
            let start = Instant::now();
            match test.client.enqueue(job).await {
                Ok(_) => made.push(id),
                Err(error) => {
                    let away = matches!(error, Error::NotSent(_) | Error::Unknown(_) | Error::Refused { .. });
                    assert!(away, "{error:?}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
        made
    });
    let fault = async {
        for _ in 0..2 {
            let stored = || test.count("HLEN", &test.key("jobs"));
            let before = stored();
            eventually_async("jobs are stored", DEADLINE, async || (stored() > before + 50).then_some(()))
                .await;
            test.redis.kill();
            eventually_async("the loss is seen", DEADLINE, async || {
                (!test.client.connection().is_up()).then_some(())
            })
            .await;
            test.redis.restart();
            let recovery = recovered(&test).await;
            assert!(recovery < Duration::from_secs(5), "{recovery:?}");
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (made, ()) = tokio::join!(futures_util::future::join_all(producers), fault);
    let made: Vec<_> = made.into_iter().flatten().collect();
    assert!(made.len() > 100);
    let stored: std::collections::HashSet<String> =
        test.command(&["HKEYS", &test.key("jobs")]).texts().into_iter().collect();
    for id in made {
        assert!(stored.contains(&id.short()), "{id} is lost");
    }
    test.check_invariants();
    // Claims and settles go on as well.
    let job = test.claim(1).await.jobs.remove(0);
    test.done(job.lease.complete(HOUR, job.history)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_down_at_the_start_is_reported_at_once_and_used_when_it_comes() {
    let redis = Arc::new(RedisServer::builder().prepare());
    let test = TestQueue::open(&redis, "default");
    for _ in 0..3 {
        let start = Instant::now();
        let error = refusal(&test).await;
        assert!(matches!(error, Error::NotSent(_)), "{error}");
        assert!(error.nothing_happened());
        assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    }
    assert!(!test.client.connection().is_up());
    assert!(test.client.claim(&test.options(1)).await.is_err());
    assert!(test.client.job(std::slice::from_ref(&test.queue), test.client.new_id()).await.is_err());
    let wakeups = test.client.wakeups(std::slice::from_ref(&test.queue), &KindSet::default());
    let connects = test.client.connection().connects();
    assert_eq!(*connects.borrow(), 0);
    redis.restart();
    assert!(recovered(&test).await < Duration::from_secs(5));
    eventually_async("the connect is counted", DEADLINE, async || (*connects.borrow() == 1).then_some(()))
        .await;
    // A subscription that was asked for before stands now.
    let mut due = 1_000_000;
    eventually_async("a wake-up", DEADLINE, async || {
        due -= 1; // or it would be no news
        test.enqueue(Due::At(due)).await;
        let woken = tokio::time::timeout(Duration::from_millis(200), wakeups.next()).await;
        woken.is_ok_and(|woken| woken.due == Some(due)).then_some(())
    })
    .await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_silent_every_enqueue_is_answered_within_a_second() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    test.redis.pause();
    let error = refusal(&test).await;
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    assert!(!error.nothing_happened());

    // A batch of several calls, of which only the first is sent.
    let payload = format!("\"{}\"", "x".repeat(600 << 10));
    let record = support::record(&payload);
    let jobs =
        [(); 5].map(|()| NewJob::new(test.client.new_id(), &test.queue, &support::KIND.into(), &record, NOW));
    let start = Instant::now();
    let results = test.client.enqueue_each(&test.queue, &jobs).await;
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    assert!(matches!(results[0], Err(Error::Unknown(_) | Error::NotSent(_))), "{:?}", results[0]);
    assert_eq!(results.len(), 5);
    assert!(results[1..].iter().all(|result| matches!(result, Err(Error::NotSent(_)))), "{results:?}");

    // Many at the same time, and more and more of them: nobody waits for two calls.
    let start = Instant::now();
    let asked = (0..3_000_u64).map(|n| {
        let test = &test;
        async move {
            tokio::time::sleep(Duration::from_millis(n / 2)).await;
            let start = Instant::now();
            let error = test.client.enqueue(test.new_job(NOW)).await.expect_err("nobody answers");
            (start.elapsed(), error)
        }
    });
    let answers = futures_util::future::join_all(asked).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let slowest = answers.iter().map(|(took, _)| *took).max().unwrap();
    assert!(slowest < Duration::from_millis(1_500), "{slowest:?}");
    for (_, error) in &answers {
        assert!(matches!(error, Error::Unknown(_) | Error::NotSent(_)), "{error}");
    }
    // Hardly any of these jobs can have been sent.
    let unknown = answers.iter().filter(|(_, error)| !error.nothing_happened()).count();
    assert!(unknown < 1_500, "{unknown}");

    test.redis.resume();
    recovered(&test).await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_leads_nowhere_is_left_though_it_is_used_all_the_time() {
    let mut test = TestQueue::start().await;
    let proxy = Proxy::start(test.redis.port());
    test.client = Client::open(&support::settings(proxy.port())).unwrap();
    test.connected_for_the(1).await;
    let wakeups = test.client.wakeups(std::slice::from_ref(&test.queue), &KindSet::default());
    test.enqueue_now().await;
    for _ in 0..2 {
        proxy.strand();
        // Tries again at once whenever it has failed.
        let recovery = recovered(&test).await;
        assert!(recovery < Duration::from_secs(8), "{recovery:?}");
        let mut due = 1_000_000;
        eventually_async("wake-ups come over a new connection too", DEADLINE, async || {
            due -= 1; // or it would be no news
            test.enqueue(Due::At(due)).await;
            let woken = tokio::time::timeout(Duration::from_millis(200), wakeups.next()).await;
            woken.is_ok_and(|woken| woken.due == Some(due)).then_some(())
        })
        .await;
        test.claim(1_000).await;
    }
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_answered_while_redis_is_silent() {
    let test = TestQueue::start().await;
    test.enqueue_many(3, NOW).await;
    let jobs = test.claim(2).await.jobs;
    let leases: Vec<_> = jobs.iter().map(|job| job.lease.reference()).collect();
    test.redis.pause();
    let start = Instant::now();
    let (settled, extended, claimed, expired, trimmed) = tokio::join!(
        test.client.settle(jobs.into_iter().map(|job| job.lease.complete(HOUR, job.history)).collect()),
        test.client.extend(&test.queue, &leases, HOUR),
        async { test.client.claim(&test.options(1)).await.map(drop) },
        test.client.expired(&test.queue, HOUR),
        test.client.trim(&test.queue),
    );
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
    assert!(settled.error.is_some() && settled.answered.is_empty());
    assert!(extended.is_err() && claimed.is_err() && expired.is_err() && trimmed.is_err());
    test.redis.resume();
    recovered(&test).await;
    // Whether or not they were written: the same settlements again make it so.
    let mut unanswered = settled.unanswered;
    assert_eq!(unanswered.len(), 2);
    eventually_async("all are settled", DEADLINE, async || {
        unanswered = test.client.settle(std::mem::take(&mut unanswered)).await.unanswered;
        unanswered.is_empty().then_some(())
    })
    .await;
    assert_eq!(test.client.queue(&test.queue).await.unwrap().counts.completed, 2);
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_loss_of_all_data_the_queue_is_in_the_catalogue_again() {
    let test = TestQueue::on(RedisServer::builder().no_aof().start()).await;
    test.enqueue_now().await;
    let queues = async || test.client.queue_names().await.unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(queues().await, ["default"]);
    test.redis.kill();
    test.redis.restart();
    recovered(&test).await;
    eventually_async("the queue is known again", DEADLINE, async || {
        test.client.enqueue(test.new_job(NOW)).await.unwrap();
        (queues().await == ["default"]).then_some(())
    })
    .await;
    test.check_invariants();
}

#[tokio::test(flavor = "multi_thread")]
async fn dangers_for_jobs_on_a_server_are_reported() {
    let test = TestQueue::start().await;
    let facts = test.client.server_facts().await.unwrap();
    assert!(facts.aof_enabled && facts.warnings().is_empty(), "{facts:?}");
    assert!(!facts.version.is_empty() && facts.run_id.len() == 40, "{facts:?}");
    test.command(&["CONFIG", "SET", "appendonly", "no"]);
    test.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let facts = test.client.server_facts().await.unwrap();
    assert_eq!(facts.warnings().len(), 2, "{facts:?}");
}
