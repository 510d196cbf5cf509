//! Enqueues over HTTP: the gateway beside a handler that does nothing, beside itself on a Redis that syncs every write,
//! and beside itself with the limiter on Redis. The two sides of a pair run in turns; wrk sends the requests.

use atode_testkit::RedisServer;

use crate::goals::Goal;
use crate::outcome::{Outcome, Size, step};
use crate::table::{Table, median, rounds_of, shown};
use crate::{baseline, gateway, wrk};

const CONNECTIONS: u64 = 64;
/// Connections that send batches of 1,000 jobs.
const BATCH_CONNECTIONS: u64 = 8;
/// A limit that no run reaches.
const UNREACHED: u32 = 1_000_000_000;

pub(crate) fn section(size: Size) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    if !wrk::is_installed() {
        outcome.note("Nothing is measured over HTTP: wrk is not installed.");
        return Ok(outcome);
    }
    let (rounds, seconds) = (size.of(7, 1), size.of(2, 1));
    let (everysec, always) = (RedisServer::start(), RedisServer::builder().appendfsync("always").start());
    let limits = RedisServer::builder().no_aof().start();
    let limiting = limiter_settings(&limits);
    let mut peak = 0;
    let mut post = |redis: &RedisServer, settings: &[(&str, String)]| -> anyhow::Result<f64> {
        let load = gateway::measure(redis, settings, wrk::Body::Job, seconds, CONNECTIONS)?;
        peak = peak.max(load.peak_memory);
        Ok(load.requests.per_second)
    };
    let (mut plain, mut synced, mut with_limiter) = (Pairs::default(), Pairs::default(), Pairs::default());
    let mut batches = Vec::new();
    for round in 0..rounds {
        step(format_args!("http, round {}: the gateway, a plain handler", round + 1));
        plain.measure(round, |side| match side {
            Side::Measured => post(&everysec, &[]),
            Side::Beside => baseline::measure(seconds, CONNECTIONS),
        })?;
        step(format_args!("http, round {}: appendfsync always, everysec", round + 1));
        synced.measure(round, |side| match side {
            Side::Measured => post(&always, &[]),
            Side::Beside => post(&everysec, &[]),
        })?;
        step(format_args!("http, round {}: limiter on Redis, no limiter", round + 1));
        with_limiter.measure(round, |side| match side {
            Side::Measured => post(&everysec, &limiting),
            Side::Beside => post(&everysec, &[]),
        })?;
        step(format_args!("http, round {}: batches", round + 1));
        let batch = gateway::measure(&everysec, &[], wrk::Body::Batch, seconds, BATCH_CONNECTIONS)?;
        batches.push(batch.requests.per_second * wrk::Body::Batch.jobs() as f64);
    }
    let title = format!("`POST /v1/jobs`, {CONNECTIONS} connections, {} of {seconds} s", rounds_of(rounds));
    let mut table = Table::new(title, &["", "requests/s", "beside it", "requests/s", "÷ it"]);
    table.row(plain.row("api-gateway", "a plain handler"));
    table.row(synced.row("api-gateway, `appendfsync always`", "`everysec`"));
    table.row(with_limiter.row("api-gateway, limiter on Redis", "no limiter"));
    outcome.tables.push(table);
    let title = format!("`POST /v1/jobs/batch` of 1,000, {BATCH_CONNECTIONS} connections");
    let mut table = Table::new(title, &["", "jobs/s"]);
    table.row(["api-gateway".to_owned(), shown(median(batches.iter().copied()), 0)]);
    outcome.tables.push(table);
    outcome.note(format!(
        "The gateway's peak memory in the runs of single jobs was {} MB.",
        shown(Some(peak as f64 / 1e6), 1)
    ));
    outcome.figure(Goal::PostToBareHandler, plain.ratio());
    outcome.figure(Goal::AlwaysToEverysec, synced.ratio());
    outcome.figure(Goal::RedisLimiterToNone, with_limiter.ratio());
    outcome.figure(Goal::BatchJobs, median(batches));
    Ok(outcome)
}

/// Environment variables of a gateway whose limiter counts on this Redis and refuses nothing.
fn limiter_settings(redis: &RedisServer) -> [(&'static str, String); 4] {
    [
        ("APP__API__RATE_LIMIT__ENABLED", "true".to_owned()),
        ("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", UNREACHED.to_string()),
        ("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", UNREACHED.to_string()),
        ("APP__CACHE_SERVER__REDIS__DEFAULT__CLUSTER__ADDRS", format!("[\"{}\"]", redis.addr())),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Measured,
    Beside,
}

/// Requests per second of both sides, one pair per round.
#[derive(Default)]
struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    /// Measures both sides. The order alternates, so that drift within a pair affects both.
    fn measure(
        &mut self,
        round: usize,
        mut measure: impl FnMut(Side) -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        let pair = if round.is_multiple_of(2) {
            let measured = measure(Side::Measured)?;
            (measured, measure(Side::Beside)?)
        } else {
            let beside = measure(Side::Beside)?;
            (measure(Side::Measured)?, beside)
        };
        self.0.push(pair);
        Ok(())
    }

    fn row(&self, name: &str, beside: &str) -> [String; 5] {
        let of = |figure: fn(&(f64, f64)) -> f64| shown(median(self.0.iter().map(figure)), 0);
        let ratio = shown(self.ratio(), 2);
        [name.to_owned(), of(|pair| pair.0), beside.to_owned(), of(|pair| pair.1), ratio]
    }

    fn ratio(&self) -> Option<f64> {
        median(self.0.iter().map(|(measured, beside)| measured / beside))
    }
}
