//! The behavior of a limiter with each backend: memory, one Redis, and a Redis Cluster of three masters.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_config::RateLimit;
use atode_ratelimit::{Decision, RateLimiter};
use atode_testkit::{RedisCluster, RedisServer};
use support::{client, limits, redis_at};

enum Backend {
    Memory,
    Redis(RedisServer),
    Cluster(RedisCluster),
}

impl Backend {
    fn all() -> Vec<(&'static str, Backend)> {
        vec![
            ("memory", Backend::Memory),
            ("redis", Backend::Redis(RedisServer::builder().no_aof().start())),
            ("cluster", Backend::Cluster(RedisCluster::start())),
        ]
    }

    fn addrs(&self) -> Vec<String> {
        match self {
            Backend::Memory => Vec::new(),
            Backend::Redis(server) => vec![server.addr()],
            Backend::Cluster(cluster) => cluster.addrs(),
        }
    }

    /// A limiter as one gateway has it.
    async fn limiter(&self, limits: RateLimit) -> Arc<RateLimiter> {
        RateLimiter::start(&limits, &redis_at(&self.addrs())).await.expect("a limiter")
    }
}

/// Sends sequential requests and counts the allowed ones.
async fn allowed(limiter: &RateLimiter, requests: usize, subject: u8) -> usize {
    let mut allowed = 0;
    for _ in 0..requests {
        allowed += usize::from(matches!(limiter.check_request(&client(subject)).await, Decision::Allowed(_)));
    }
    allowed
}

/// The limits refill slowly compared with the duration of a case, so the counts are exact.
#[tokio::test(flavor = "multi_thread")]
async fn all_backends_make_the_same_decisions() {
    for (name, backend) in Backend::all() {
        // case, (per minute, per hour), requests, allowed, name of the violated policy
        let cases = [
            ("below the limit", (5, 100), 5, 5, None),
            ("above the minute's", (5, 100), 8, 5, Some("minute")),
            ("above the hour's", (10, 4), 6, 4, Some("hour")),
            ("no limit at all", (0, 0), 50, 50, None),
            ("the minute alone", (3, 0), 4, 3, Some("minute")),
            ("the hour alone", (0, 3), 4, 3, Some("hour")),
        ];
        for (n, (case, (minute, hour), requests, expected, violated)) in cases.into_iter().enumerate() {
            let subject = n as u8;
            let limiter = backend.limiter(limits(minute, hour, 0)).await;
            assert_eq!(allowed(&limiter, requests, subject).await, expected, "{name}: {case}");
            match (limiter.check_request(&client(subject)).await, violated) {
                (Decision::Denied(denial), Some(violated)) => {
                    assert_eq!(denial.violated.name, violated, "{name}: {case}");
                    assert!(!denial.retry_after.is_zero(), "{name}: {case}");
                    let windows = usize::from(minute > 0) + usize::from(hour > 0);
                    assert_eq!(denial.quotas.len(), windows, "{name}: {case}");
                }
                (Decision::Allowed(_), None) if minute == 0 && hour == 0 => {}
                (Decision::Denied(denial), None) => {
                    assert_eq!(denial.violated.name, "minute", "{name}: {case}");
                }
                (other, _) => panic!("{name}: {case}: {other:?}"),
            }
            println!("{name:8} {case:20} {requests} requests, {expected} allowed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_reports_the_remaining_quota_and_a_refusal_spends_nothing() {
    for (name, backend) in Backend::all() {
        let limiter = backend.limiter(limits(10, 4, 0)).await;
        let remaining = |decision| match decision {
            Decision::Allowed(quotas) => quotas.iter().map(|quota| quota.remaining).collect::<Vec<_>>(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(remaining(limiter.check_request(&client(1)).await), [9, 3], "{name}");
        assert_eq!(remaining(limiter.check_request(&client(1)).await), [8, 2], "{name}");
        allowed(&limiter, 2, 1).await;
        for _ in 0..3 {
            let Decision::Denied(denial) = limiter.check_request(&client(1)).await else { panic!("{name}") };
            let left: Vec<u32> = denial.quotas.iter().map(|quota| quota.remaining).collect();
            assert_eq!((denial.violated.name, left), ("hour", vec![6, 0]), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_do_not_share_their_quota() {
    for (name, backend) in Backend::all() {
        let limiter = backend.limiter(limits(2, 0, 0)).await;
        for subject in 1..=20 {
            assert_eq!(allowed(&limiter, 3, subject).await, 2, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_comes_back_one_at_a_time() {
    for (name, backend) in Backend::all() {
        // One request per 100 ms.
        let limiter = backend.limiter(limits(600, 0, 0)).await;
        let start = Instant::now();
        let mut got = 0;
        let denial = loop {
            match limiter.check_request(&client(1)).await {
                Decision::Allowed(_) => got += 1,
                Decision::Denied(denial) => break denial,
                other => panic!("{name}: {other:?}"),
            }
        };
        let emitted = (start.elapsed().as_millis() / 100) as u32 + 1;
        assert!((600..=600 + emitted).contains(&got), "{name}: {got}");
        assert!(denial.retry_after <= Duration::from_millis(100), "{name}: {denial:?}");
        tokio::time::sleep(denial.retry_after + Duration::from_millis(5)).await;
        assert!(matches!(limiter.check_request(&client(1)).await, Decision::Allowed(_)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_counted_individually_and_separately_from_requests() {
    let jobs = |n| NonZeroU32::new(n).expect("not zero");
    for (name, backend) in Backend::all() {
        let limiter = backend.limiter(limits(1, 0, 100)).await;
        assert_eq!(allowed(&limiter, 2, 1).await, 1, "{name}");
        assert!(matches!(limiter.check_jobs(&client(1), jobs(60)).await, Decision::Allowed(_)), "{name}");
        let Decision::Denied(denial) = limiter.check_jobs(&client(1), jobs(60)).await else {
            panic!("{name}")
        };
        assert_eq!(denial.violated.name, "jobs-per-minute");
        assert!(denial.retry_after > Duration::from_secs(10), "{name}: {denial:?}");
        // A refusal is remembered only for this cost and greater ones.
        assert!(matches!(limiter.check_jobs(&client(1), jobs(40)).await, Decision::Allowed(_)), "{name}");
        assert!(matches!(limiter.check_jobs(&client(1), jobs(60)).await, Decision::Denied(_)), "{name}");
        let most = limiter.check_jobs(&client(1), jobs(101)).await;
        assert_eq!(most, Decision::TooLarge { most: jobs(100) }, "{name}");
    }
}

/// Four gateways and 20,000 concurrent requests. Together they allow exactly as many as GCRA does.
#[tokio::test(flavor = "multi_thread")]
async fn four_limiters_on_one_redis_are_exact_together() {
    for (name, backend) in Backend::all().into_iter().skip(1) {
        let mut limiters = Vec::new();
        for _ in 0..4 {
            limiters.push(backend.limiter(limits(1_000, 0, 0)).await);
        }
        let start = Instant::now();
        let requests = (0..64).map(|n| {
            let limiter = limiters[n % 4].clone();
            tokio::spawn(async move {
                let share = 20_000 / 64 + usize::from(n < 20_000 % 64);
                (allowed(&limiter, share, 1).await, limiter.fallbacks())
            })
        });
        let results = futures_util::future::join_all(requests).await;
        let got: usize = results.iter().map(|result| result.as_ref().expect("a task").0).sum();
        let emission = Duration::from_secs(60) / 1_000;
        let most = 1_000 + (start.elapsed().as_micros() / emission.as_micros()) as usize;
        assert!(limiters.iter().all(|limiter| limiter.fallbacks() == 0), "{name}: decided without Redis");
        // At least the burst, and at most what GCRA allows in that time.
        assert!((1_000..=most).contains(&got), "{name}: {got} of 20,000 allowed, {most} at most");
        println!("{name}: {got} of 20,000 allowed within {:?}; GCRA allows 1,000 to {most}", start.elapsed());
    }
}
