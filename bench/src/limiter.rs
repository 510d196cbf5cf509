//! What a rate limit decision costs: in memory, on Redis, and for the gateway as a whole.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, StorageType};
use atode_ratelimit::{Limits, RateLimiter, Settings, Subject};
use atode_testkit::{Gateway, RedisServer};

use crate::wrk;

const PLENTY: u32 = 1_000_000_000;

pub(crate) async fn decisions() -> anyhow::Result<()> {
    let redis = RedisServer::builder().no_aof().start();
    let limits = Limits { requests_per_minute: PLENTY, requests_per_hour: PLENTY, jobs_per_minute: 0 };
    let memory = limiter(limits, &[]).await?;
    let shared = limiter(limits, &[redis.addr()]).await?;
    for clients in [1_u32, 1_000, 50_000] {
        let subjects: Vec<Subject> = (0..clients).map(|n| Subject::Address(n.to_be_bytes().into())).collect();
        for subject in &subjects {
            memory.check_request(subject).await;
        }
        let rounds = 500_000;
        let start = Instant::now();
        for n in 0..rounds {
            memory.check_request(&subjects[n % subjects.len()]).await;
        }
        println!("memory, {clients} clients: {:?} a decision", start.elapsed() / rounds as u32);
    }

    let subject = Subject::Address([127, 0, 0, 1].into());
    let (mut decision, mut ping) = (Vec::new(), Vec::new());
    let mut connection = redis.connect(Duration::from_secs(1))?;
    for _ in 0..5_000 {
        let start = Instant::now();
        shared.check_request(&subject).await;
        decision.push(start.elapsed());
        let start = Instant::now();
        connection.command(&["PING"])?;
        ping.push(start.elapsed());
    }
    anyhow::ensure!(shared.fallbacks() == 0, "{} decisions were made without Redis", shared.fallbacks());
    let calls = redis.command(&["INFO", "commandstats"]).text();
    let calls =
        calls.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default().to_owned();
    decision.sort_unstable();
    ping.sort_unstable();
    println!(
        "Redis: {:?} a decision (median), a bare PING beside it {:?}; {calls}",
        decision[2_500], ping[2_500]
    );
    Ok(())
}

/// `POST /v1/jobs` with and without the limiter, in turns; wrk makes the load.
pub(crate) fn gateway(rounds: usize, seconds: u64, connections: u64) -> anyhow::Result<()> {
    let (jobs, limits) = (RedisServer::start(), RedisServer::builder().no_aof().start());
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let off = throughput(&jobs, None, seconds, connections)?;
        let memory = throughput(&jobs, Some("[]"), seconds, connections)?;
        let shared = throughput(&jobs, Some(&format!("[\"{}\"]", limits.addr())), seconds, connections)?;
        println!(
            "requests/s: off {off:.0}, memory {memory:.0} ({:.2}), Redis {shared:.0} ({:.2})",
            memory / off,
            shared / off
        );
        ratios.push(shared / off);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio with the Redis limiter: {:.2}", ratios[ratios.len() / 2]);
    Ok(())
}

pub(crate) async fn limiter(limits: Limits, addrs: &[String]) -> anyhow::Result<RateLimiter> {
    let settings = Settings {
        limits,
        limits_of_keys: HashMap::new(),
        storage: StorageType::Auto,
        on_error: OnError::Memory,
        deadline: Duration::from_millis(50),
    };
    let addrs = addrs.iter().map(|addr| addr.parse()).collect::<Result<_, _>>()?;
    Ok(RateLimiter::start(&settings, &DefaultRedis { addrs, ..DefaultRedis::default() }).await?)
}

/// Requests a second; each stores a job, which is removed before the next run.
fn throughput(
    jobs: &RedisServer,
    limiter_addrs: Option<&str>,
    seconds: u64,
    connections: u64,
) -> anyhow::Result<f64> {
    jobs.command(&["FLUSHALL"]);
    let mut gateway = Gateway::builder(&jobs.addr());
    if let Some(addrs) = limiter_addrs {
        gateway = gateway
            .env("APP__API__RATE_LIMIT__ENABLED", "true")
            .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", PLENTY.to_string())
            .env("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", PLENTY.to_string())
            .env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", addrs);
    }
    let gateway = gateway.start();
    Ok(wrk::posts(gateway.base_url(), wrk::Body::Job, seconds, connections)?.per_second)
}
