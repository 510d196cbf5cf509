//! What the rate limiter promises, over HTTP: exact across processes, and hurting nobody when its
//! Redis goes. Breaks off where a promise about results is broken; latencies are printed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use atode_ratelimit::{Limits, MAX_CLIENTS, Subject};
use atode_testkit::{Gateway, GatewayBinary, RedisCluster, RedisServer, ServiceBuilder, eventually};

use crate::limiter::limiter;
use crate::load::{Caller, Reply, during, percentile};

const GATEWAYS: usize = 4;
const CALLERS: usize = 32;
const REQUESTS: usize = 20_000;
const LIMIT: u32 = 1_000;
const PLENTY: u32 = 1_000_000_000;
/// How long each phase of a fault lasts.
const PHASE: Duration = Duration::from_secs(3);
/// After a fault, for requests that may meet it before the breaker is open.
const FIRST: Duration = Duration::from_millis(200);
const BACK_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn all() -> anyhow::Result<()> {
    // First: memory that the others have freed would hide what this takes.
    tokio::runtime::Runtime::new()?.block_on(a_million_addresses())?;
    let jobs = RedisServer::start();
    exact(&jobs, "one Redis", &[RedisServer::builder().no_aof().start()].each_ref().map(RedisServer::addr))?;
    exact(&jobs, "a cluster of 3 masters", &RedisCluster::start().addrs())?;
    away(&jobs, "killed (-9)", RedisServer::kill, RedisServer::restart)?;
    away(&jobs, "frozen (SIGSTOP)", RedisServer::pause, RedisServer::resume)?;
    dead_master(&jobs)
}

fn gateway(jobs: &RedisServer, per_minute: u32, addrs: &[String]) -> ServiceBuilder<GatewayBinary> {
    Gateway::builder(&jobs.addr())
        .env("APP__API__RATE_LIMIT__ENABLED", "true")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", per_minute.to_string())
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", "0")
        .env("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", serde_json::json!(addrs).to_string())
}

/// All requests at once, to all gateways, from one client.
fn exact(jobs: &RedisServer, name: &str, addrs: &[String]) -> anyhow::Result<()> {
    // What is counted here are decisions of Redis: a busy machine must not make others.
    let start = || gateway(jobs, LIMIT, addrs).env("APP__API__RATE_LIMIT__DEADLINE", "5s").start();
    let gateways: Vec<Gateway> = (0..GATEWAYS).map(|_| start()).collect();
    let together = Barrier::new(CALLERS);
    let replies = thread::scope(|scope| {
        let callers = (0..CALLERS).map(|n| {
            let (port, together) = (gateways[n % GATEWAYS].port(), &together);
            scope.spawn(move || -> anyhow::Result<Vec<Reply>> {
                let caller = Caller::open(port);
                together.wait();
                let mut caller = caller?;
                (0..REQUESTS / CALLERS).map(|_| caller.call(None)).collect()
            })
        });
        let callers: Vec<_> = callers.collect();
        let replies = callers.into_iter().map(|caller| caller.join().expect("a caller returns its errors"));
        replies.collect::<Result<Vec<_>, _>>()
    })?;
    let replies: Vec<Reply> = replies.into_iter().flatten().collect();
    let statuses = statuses(&replies);
    let admitted = statuses.get(&200).copied().unwrap_or_default();
    let sent = || replies.iter().map(|reply| reply.sent);
    let ended = || replies.iter().map(Reply::ended);
    let (Some(start), Some(first_answer), Some(last_question), Some(end)) =
        (sent().min(), ended().min(), sent().max(), ended().max())
    else {
        anyhow::bail!("no replies")
    };
    // The first decision fell between `start` and `first_answer`, the last between `last_question` and
    // `end`. What comes back just before the end may find nobody who asks.
    let emission = Duration::from_secs(60) / LIMIT;
    let emitted = |time: Duration| (time.as_micros() / emission.as_micros()) as usize;
    let most = LIMIT as usize + emitted(end - start);
    let surely = emitted(last_question.saturating_duration_since(first_answer)).saturating_sub(1);
    let least = LIMIT as usize + surely;
    let fallbacks: u64 = gateways.iter().map(|gateway| gateway.metric(FALLBACKS)).sum();
    let per_gateway: Vec<u64> = gateways.iter().map(|gateway| gateway.metric(ALLOWED)).collect();
    println!(
        "{name}: {GATEWAYS} gateways, {REQUESTS} requests in {:.2?}, limit {LIMIT} a minute: admitted \
         {admitted}, GCRA allows {least} to {most}; statuses {statuses:?}; by gateway {per_gateway:?}; \
         {fallbacks} decisions without Redis",
        end - start
    );
    anyhow::ensure!((least..=most).contains(&admitted) && fallbacks == 0, "{name}: not exact");
    Ok(())
}

const ALLOWED: &str = r#"atode_ratelimit_decisions_total{by="redis",result="allowed"}"#;
const FALLBACKS: &str = "atode_ratelimit_fallbacks_total";
const BREAKER_OPEN: &str = "atode_ratelimit_breaker_open";

/// The limiter's Redis goes under load, and comes back.
fn away(
    jobs: &RedisServer,
    name: &str,
    break_it: fn(&RedisServer),
    mend: fn(&RedisServer),
) -> anyhow::Result<()> {
    let limits = RedisServer::builder().no_aof().start();
    let gateway = gateway(jobs, PLENTY, &[limits.addr()]).start();
    let fault = || {
        let start = Instant::now();
        thread::sleep(PHASE);
        let early = healthy(&gateway);
        let broken = Instant::now();
        break_it(&limits);
        wait_for_breaker(&gateway, 1);
        let opened = broken.elapsed();
        thread::sleep(PHASE);
        let mended = Instant::now();
        mend(&limits);
        wait_for_breaker(&gateway, 0);
        let back = mended.elapsed();
        let before = gateway.metric(ALLOWED);
        eventually("Redis decides again", BACK_WITHIN, || (gateway.metric(ALLOWED) > before).then_some(()));
        Ok((early, start..broken, opened, mended, back))
    };
    let ((early, before, opened, mended, back), replies) = during(gateway.port(), |_| None, fault)?;
    let (count, p50, p99) = figures(&replies, &before);
    let broken = before.end;
    println!(
        "Redis {name}: before: {count} requests, p50 {p50:.2?}, p99 {p99:.2?}, {early} decisions without Redis"
    );
    for (phase, time, goal) in [
        ("the first 200 ms", broken..broken + FIRST, "50 ms"),
        ("breaker open", broken + FIRST..mended, "1 ms"),
    ] {
        let (count, open_p50, open_p99) = figures(&replies, &time);
        let within = ended(&replies, &time);
        let slowest = percentile(within, 1.0);
        let added = 1e3 * (open_p99.as_secs_f64() - p99.as_secs_f64());
        println!(
            "Redis {name}: {phase}: {count} requests, p50 {open_p50:.2?}, p99 {open_p99:.2?}, slowest {slowest:.2?}: \
             added at p99 {added:.2} ms (goal: {goal})"
        );
    }
    let fallbacks = gateway.metric(FALLBACKS) - early;
    println!(
        "Redis {name}: the breaker opened after {opened:.0?}, back on Redis {back:.0?} after its return; \
         {fallbacks} decisions without Redis; statuses {:?}",
        statuses(&replies)
    );
    anyhow::ensure!(back <= BACK_WITHIN, "back too late");
    all_answered(&replies)
}

/// One of three masters dies under load of clients that lie on all of them.
fn dead_master(jobs: &RedisServer) -> anyhow::Result<()> {
    let cluster = RedisCluster::start();
    let gateway =
        gateway(jobs, PLENTY, &cluster.addrs()).env("APP__API__RATE_LIMIT__TRUSTED_PROXIES", "1").start();
    let fault = || {
        thread::sleep(PHASE);
        let early = healthy(&gateway);
        cluster.nodes()[1].kill();
        wait_for_breaker(&gateway, 1);
        thread::sleep(PHASE);
        let mended = Instant::now();
        cluster.nodes()[1].restart();
        wait_for_breaker(&gateway, 0);
        Ok((early, mended.elapsed()))
    };
    let client = |n: u32| Some(Ipv4Addr::from(0x0a00_0000 + n % 1_000));
    let ((early, back), replies) = during(gateway.port(), client, fault)?;
    println!(
        "one of three masters killed: statuses {:?}, {} decisions without Redis, back {back:.1?} after its return",
        statuses(&replies),
        gateway.metric(FALLBACKS) - early
    );
    all_answered(&replies)
}

async fn a_million_addresses() -> anyhow::Result<()> {
    let limits = Limits { requests_per_minute: 60, requests_per_hour: 1_000, jobs_per_minute: 0 };
    let limiter = limiter(limits, &[]).await?;
    let before = resident_bytes()?;
    for n in 0..1_000_000_u32 {
        limiter.check_request(&Subject::Address(n.to_be_bytes().into())).await;
    }
    let grown = resident_bytes()?.saturating_sub(before);
    let entries = limiter.clients_remembered();
    println!(
        "memory limiter, 1,000,000 addresses, two windows: {entries} entries (at most {MAX_CLIENTS} clients a window, \
         and 1,024 shared buckets), resident memory +{:.1} MiB, {} bytes an entry",
        grown as f64 / f64::from(1 << 20),
        grown / entries.max(1)
    );
    anyhow::ensure!(entries <= 2 * (MAX_CLIENTS + 1_024), "not bounded");
    Ok(())
}

/// Decisions that a busy machine has made without Redis before its fault.
fn healthy(gateway: &Gateway) -> u64 {
    wait_for_breaker(gateway, 0);
    gateway.metric(FALLBACKS)
}

fn wait_for_breaker(gateway: &Gateway, value: u64) {
    let what = format!("{BREAKER_OPEN} is {value}");
    eventually(&what, BACK_WITHIN, || (gateway.metric(BREAKER_OPEN) == value).then_some(()));
}

fn figures(replies: &[Reply], time: &Range<Instant>) -> (usize, Duration, Duration) {
    let within = || ended(replies, time);
    (within().count(), percentile(within(), 0.5), percentile(within(), 0.99))
}

/// By their ends: one that is under way when Redis goes belongs to what comes then.
fn ended<'a>(replies: &'a [Reply], time: &'a Range<Instant>) -> impl Iterator<Item = &'a Reply> {
    replies.iter().filter(|reply| time.contains(&reply.ended()))
}

fn statuses(replies: &[Reply]) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for reply in replies {
        *statuses.entry(reply.status).or_default() += 1;
    }
    statuses
}

fn all_answered(replies: &[Reply]) -> anyhow::Result<()> {
    anyhow::ensure!(replies.iter().all(|reply| reply.status == 200), "not every request was answered 200");
    Ok(())
}

/// Linux only; elsewhere an error says so.
fn resident_bytes() -> anyhow::Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).unwrap_or_default();
    Ok(kib.trim().parse::<usize>()? * 1_024)
}
