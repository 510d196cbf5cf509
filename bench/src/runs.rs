//! A run of a contender: one process on one new Redis.

use std::time::{Duration, Instant};

use anyhow::Context;
use atode_testkit::RedisServer;
use peer_protocol::What;
use serde::Deserialize;

use crate::contenders::{Contender, Whose};
use crate::fixture;
use crate::runtime::on_tokio;

/// Timeout of a run. The programs give up when no job runs, so this is for one that hangs elsewhere.
const LONGEST_RUN: Duration = Duration::from_secs(20 * 60);

/// The load of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) what: What,
    pub(crate) jobs: usize,
    pub(crate) producers: usize,
    pub(crate) concurrency: usize,
    /// Lateness only: seconds over which the enqueues are spread.
    pub(crate) seconds: usize,
}

/// The figures of a run: the line that the program printed, and the cost to its Redis.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) line: Line,
    /// CPU time of Redis' main thread per job, µs.
    pub(crate) redis_cpu: f64,
    /// Memory at the end of the run, bytes per job.
    pub(crate) redis_memory: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    pub(crate) version: String,
    what: String,
    jobs: usize,
    pub(crate) per_second: f64,
    ran: usize,
    lost: usize,
    twice: usize,
    /// Lateness only: the percentiles from 0 % to 100 %.
    #[serde(default)]
    pub(crate) lateness_percentiles_ms: Vec<f64>,
}

/// Fails with the reason why the run has no figure.
pub(crate) fn run(contender: &Contender, load: Load) -> anyhow::Result<Run> {
    let redis = RedisServer::start();
    let (cpu, memory) = (fixture::redis_cpu(&redis), fixture::redis_memory(&redis));
    let process = contender
        .command()
        .args([load.what.name(), "--redis", &redis.addr()])
        .args(["--jobs", &load.jobs.to_string()])
        .args(["--producers", &load.producers.to_string()])
        .args(["--concurrency", &load.concurrency.to_string()])
        .args(["--seconds", &load.seconds.to_string()])
        .env("RUST_BACKTRACE", "0")
        .start();
    let start = Instant::now();
    let exit = loop {
        if let Some(exit) = process.try_exit() {
            break exit;
        }
        anyhow::ensure!(start.elapsed() < LONGEST_RUN, "{} runs for {LONGEST_RUN:?}", contender.name);
        std::thread::sleep(Duration::from_millis(20));
    };
    let each = load.jobs as f64;
    let redis_cpu = (fixture::redis_cpu(&redis) - cpu) / each;
    let redis_memory = (fixture::redis_memory(&redis) - memory) as f64 / each;
    let error = last_words(&process.stderr());
    anyhow::ensure!(exit.success(), "{} ended with {exit}: {error}", contender.name);
    let line: Line = serde_json::from_str(&process.stdout())
        .with_context(|| format!("{} printed no result: {error}", contender.name))?;
    let (ran, percentiles) = match load.what {
        What::Enqueue => (0, 0),
        What::Drain => (load.jobs, 0),
        What::Lateness => (load.jobs, 101),
    };
    anyhow::ensure!(
        line.what == load.what.name()
            && line.jobs == load.jobs
            && line.ran == ran
            && line.lost + line.twice == 0
            && line.lateness_percentiles_ms.len() == percentiles,
        "{}: the result does not match the request: {line:?}",
        contender.name
    );
    if contender.whose == Whose::Atode {
        // The program itself does not audit, because the run would then include the cost of the audit.
        on_tokio(async { fixture::audit(&fixture::client_of(redis.port()).await?).await })?;
    }
    Ok(Run { line, redis_cpu, redis_memory })
}

/// The last line, cut to 300 characters and without the path of the workspace, because it may go into a document.
fn last_words(stderr: &str) -> String {
    let root = atode_testkit::workspace_root().display().to_string();
    let line = stderr.trim().lines().last().unwrap_or_default();
    line.replace(&root, ".").chars().take(300).collect()
}
