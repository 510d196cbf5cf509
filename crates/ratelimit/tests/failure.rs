//! A shared backend that is away, slow or misconfigured does not hurt clients.

mod support;

use std::time::{Duration, Instant};

use atode_config::{OnError, RateLimit, StorageType};
use atode_ratelimit::{Decision, MAX_CLIENTS, RateLimiter, Subject};
use atode_testkit::{RedisCluster, RedisServer, eventually_async};
use support::{client, limits, redis_at};

fn with_deadline(deadline: Duration) -> RateLimit {
    RateLimit { deadline, ..limits(1_000, 0, 0) }
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed(_))
}

/// Waits until decisions come from Redis again.
async fn back(limiter: &RateLimiter, within: Duration) {
    eventually_async("decisions come from Redis again", within, async || {
        let before = limiter.fallbacks();
        limiter.check_request(&client(200)).await;
        (limiter.fallbacks() == before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_down_at_the_start_is_used_once_it_is_up() {
    let redis = RedisServer::builder().no_aof().prepare();
    let start = Instant::now();
    let limiter = RateLimiter::start(&limits(2, 0, 0), &redis_at(&[redis.addr()])).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(is_allowed(&limiter.check_request(&client(1)).await));
    assert!(is_allowed(&limiter.check_request(&client(1)).await));
    assert!(!is_allowed(&limiter.check_request(&client(1)).await), "the local limiter has the same limit");
    assert_eq!(limiter.fallbacks(), 3);
    redis.restart();
    back(&limiter, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_of_redis_only_the_first_request_waits() {
    let redis = RedisServer::builder().no_aof().start();
    let limiter = RateLimiter::start(&with_deadline(Duration::from_millis(200)), &redis_at(&[redis.addr()]))
        .await
        .unwrap();
    assert!(is_allowed(&limiter.check_request(&client(1)).await));
    assert_eq!(limiter.fallbacks(), 0);
    redis.kill();
    limiter.check_request(&client(1)).await;
    assert_eq!(limiter.fallbacks(), 1);
    let start = Instant::now();
    for _ in 0..500 {
        assert!(is_allowed(&limiter.check_request(&client(1)).await));
    }
    println!("a decision while the breaker is open: {:?}", start.elapsed() / 500);
    redis.restart();
    back(&limiter, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_frozen_redis_wait_only_for_the_deadline() {
    let redis = RedisServer::builder().no_aof().start();
    let limiter = RateLimiter::start(&with_deadline(Duration::from_millis(200)), &redis_at(&[redis.addr()]))
        .await
        .unwrap();
    limiter.check_request(&client(1)).await;
    redis.pause();
    let start = Instant::now();
    let decisions = (0..50).map(|n| {
        let limiter = limiter.clone();
        tokio::spawn(async move { limiter.check_request(&client(n)).await })
    });
    for decision in futures_util::future::join_all(decisions).await {
        assert!(is_allowed(&decision.unwrap()));
    }
    println!("50 concurrent decisions with a frozen Redis: {:?}", start.elapsed());
    assert_eq!(limiter.fallbacks(), 50);
    redis.resume();
    back(&limiter, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_dead_master_of_a_cluster_no_request_is_refused() {
    let cluster = RedisCluster::start();
    let limiter = RateLimiter::start(&with_deadline(Duration::from_millis(200)), &redis_at(&cluster.addrs()))
        .await
        .unwrap();
    for n in 0..100 {
        assert!(is_allowed(&limiter.check_request(&client(n)).await));
    }
    assert_eq!(limiter.fallbacks(), 0, "all three masters answer");
    cluster.nodes()[1].kill();
    for n in 0..100 {
        assert!(is_allowed(&limiter.check_request(&client(n)).await));
    }
    assert!(limiter.fallbacks() > 0);
    cluster.nodes()[1].restart();
    back(&limiter, Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_decides_while_redis_is_away() {
    let down = RedisServer::builder().prepare();
    for (on_error, expected) in
        [(OnError::Allow, Decision::Allowed(Vec::new())), (OnError::Deny, Decision::Unavailable)]
    {
        let limits = RateLimit { on_error, ..limits(1, 0, 0) };
        let limiter = RateLimiter::start(&limits, &redis_at(&[down.addr()])).await.unwrap();
        for _ in 0..3 {
            assert_eq!(limiter.check_request(&client(1)).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_limiter_knows_earlier_requests_when_redis_goes_down() {
    let redis = RedisServer::builder().no_aof().start();
    let limiter = RateLimiter::start(&limits(5, 0, 0), &redis_at(&[redis.addr()])).await.unwrap();
    for _ in 0..4 {
        assert!(is_allowed(&limiter.check_request(&client(1)).await));
    }
    redis.kill();
    assert!(is_allowed(&limiter.check_request(&client(1)).await));
    assert!(!is_allowed(&limiter.check_request(&client(1)).await), "four of five were spent on Redis");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_does_not_reach_redis_until_the_refusal_ends() {
    let redis = RedisServer::builder().no_aof().start();
    let limiter = RateLimiter::start(&limits(1, 0, 0), &redis_at(&[redis.addr()])).await.unwrap();
    let calls = || {
        let stats = redis.command(&["INFO", "commandstats"]).text();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap_or("0,");
        line.split(',').next().unwrap().parse::<u32>().unwrap()
    };
    limiter.check_request(&client(1)).await;
    limiter.check_request(&client(1)).await;
    let before = calls();
    for _ in 0..100 {
        assert!(!is_allowed(&limiter.check_request(&client(1)).await));
    }
    assert_eq!(calls(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_fails_with_several_single_servers() {
    let (one, two) = (RedisServer::builder().no_aof().start(), RedisServer::builder().no_aof().start());
    let started = RateLimiter::start(&limits(1, 0, 0), &redis_at(&[one.addr(), two.addr()])).await;
    let error = started.err().expect("an error").to_string();
    assert!(error.contains("single server") && error.contains(&one.addr()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_of_a_cluster_is_enough() {
    let cluster = RedisCluster::start();
    let limits = RateLimit { storage_type: StorageType::Redis, ..limits(3, 0, 0) };
    let limiter = RateLimiter::start(&limits, &redis_at(&cluster.addrs()[..1])).await.unwrap();
    for n in 0..50 {
        for expected in [true, true, true, false] {
            assert_eq!(is_allowed(&limiter.check_request(&client(n)).await), expected);
        }
    }
    assert_eq!(limiter.fallbacks(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_limiter_stays_bounded_with_a_million_addresses() {
    let limiter = RateLimiter::start(&limits(60, 1_000, 0), &redis_at(&[])).await.unwrap();
    for n in 0..1_000_000_u32 {
        limiter.check_request(&Subject::Address(n.to_be_bytes().into())).await;
    }
    // Two windows, each with the shared buckets of further clients.
    let most = 2 * (MAX_CLIENTS + 1_024);
    let remembered = limiter.clients_remembered();
    println!("1,000,000 addresses: {remembered} entries remembered");
    assert!(remembered <= most, "{remembered}");
    assert!(matches!(limiter.check_request(&client(1)).await, Decision::Allowed(_) | Decision::Denied(_)));
}
