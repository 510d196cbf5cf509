//! Enqueues over HTTP, in turns: the gateway beside a bare handler, and beside itself on a Redis that
//! syncs each write. wrk makes the load.

use atode_testkit::RedisServer;

use crate::goals::Goal;
use crate::outcome::{Outcome, Size, Table, median, rounds_of, shown, step};
use crate::{bare, gateway, wrk};

const CONNECTIONS: u64 = 64;
/// Of batches: each carries 1,000 jobs.
const BATCH_CONNECTIONS: u64 = 8;

/// Figures of two sides, run by run.
#[derive(Default)]
struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    fn row(&self, name: &str, beside: &str) -> [String; 5] {
        let of = |figure: fn(&(f64, f64)) -> f64| shown(median(self.0.iter().map(figure)), 0);
        let ratio = shown(self.ratio(), 2);
        [name.to_owned(), of(|pair| pair.0), beside.to_owned(), of(|pair| pair.1), ratio]
    }

    fn ratio(&self) -> Option<f64> {
        median(self.0.iter().map(|(ours, beside)| ours / beside))
    }
}

pub(crate) fn section(size: Size) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    if !wrk::is_installed() {
        outcome.note("Nothing is measured over HTTP: wrk is not installed.");
        return Ok(outcome);
    }
    let (rounds, seconds) = (size.of(7, 1), size.of(2, 1));
    let (everysec, always) = (RedisServer::start(), RedisServer::builder().appendfsync("always").start());
    let post = |redis: &RedisServer| gateway::measure(redis, wrk::Body::Job, seconds, CONNECTIONS);
    let (mut bare, mut synced, mut batches) = (Pairs::default(), Pairs::default(), Vec::new());
    let mut peak = 0;
    for round in 0..rounds {
        step(format_args!("http, round {}: a bare handler, the gateway", round + 1));
        let before = if round % 2 == 1 { Some(bare::measure(seconds, CONNECTIONS)?) } else { None };
        let ours = post(&everysec)?;
        let beside = before.map_or_else(|| bare::measure(seconds, CONNECTIONS), Ok)?;
        bare.0.push((ours.requests.per_second, beside));
        step(format_args!("http, round {}: appendfsync always, everysec", round + 1));
        let before = if round % 2 == 1 { Some(post(&everysec)?) } else { None };
        let ours = post(&always)?;
        let beside = before.map_or_else(|| post(&everysec), Ok)?;
        synced.0.push((ours.requests.per_second, beside.requests.per_second));
        step(format_args!("http, round {}: batches", round + 1));
        let batch = gateway::measure(&everysec, wrk::Body::Batch, seconds, BATCH_CONNECTIONS)?;
        batches.push(batch.requests.per_second * wrk::Body::Batch.jobs() as f64);
        peak = peak.max(ours.peak_memory).max(beside.peak_memory);
    }
    let title = format!(
        "`POST /v1/jobs`, {CONNECTIONS} connections, limiter off, {} of {seconds} s",
        rounds_of(rounds)
    );
    let mut table = Table::new(title, &["", "requests/s", "beside it", "requests/s", "÷ it"]);
    table.row(bare.row("api-gateway", "a bare handler"));
    table.row(synced.row("api-gateway, `appendfsync always`", "`everysec`"));
    outcome.tables.push(table);
    let title = format!("`POST /v1/jobs/batch` of 1,000, {BATCH_CONNECTIONS} connections");
    let mut table = Table::new(title, &["", "jobs/s"]);
    table.row(["api-gateway".to_owned(), shown(median(batches.iter().copied()), 0)]);
    outcome.tables.push(table);
    outcome.note(format!(
        "The gateway had {} MB of memory at most in the runs of single jobs.",
        shown(Some(peak as f64 / 1e6), 1)
    ));
    outcome.figure(Goal::PostToBareHandler, bare.ratio());
    outcome.figure(Goal::AlwaysToEverysec, synced.ratio());
    outcome.figure(Goal::BatchJobs, median(batches));
    Ok(outcome)
}
