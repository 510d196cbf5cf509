//! A run of a contender: a process of its own on a Redis of its own.

use std::time::{Duration, Instant};

use anyhow::Context;
use atode_testkit::RedisServer;
use peer_protocol::What;
use serde::Deserialize;

use crate::contenders::{Contender, Whose};
use crate::stand;

/// The programs give up by themselves when nothing runs; this is for one that hangs elsewhere.
const LONGEST_RUN: Duration = Duration::from_secs(20 * 60);

/// What a contender is told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) what: What,
    pub(crate) jobs: usize,
    pub(crate) producers: usize,
    pub(crate) concurrency: usize,
    /// Of lateness: the enqueues are spread over so many.
    pub(crate) seconds: usize,
}

/// What a program printed, and what its Redis tells.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) line: Line,
    /// Of its main thread a job, µs.
    pub(crate) redis_cpu: f64,
    /// At the end of the run, B a job.
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
    /// 0 % to 100 %; of lateness only.
    #[serde(default)]
    pub(crate) lateness_percentiles_ms: Vec<f64>,
}

/// An error is the reason why the run has no figure.
pub(crate) fn run(contender: &Contender, load: Load) -> anyhow::Result<Run> {
    let redis = RedisServer::start();
    let (cpu, memory) = (stand::redis_cpu(&redis), stand::redis_memory(&redis));
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
    let redis_cpu = (stand::redis_cpu(&redis) - cpu) / each;
    let redis_memory = (stand::redis_memory(&redis) - memory) as f64 / each;
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
        "{}: not what was asked for: {line:?}",
        contender.name
    );
    if contender.whose == Whose::Ours {
        // Not by the program itself: what it costs Redis is not the run's.
        crate::on_tokio(async { stand::audit(&stand::client_of(redis.port()).await?).await })?;
    }
    Ok(Run { line, redis_cpu, redis_memory })
}

/// Short, and without the folder that all this lies in: it may go into a document.
fn last_words(stderr: &str) -> String {
    let root = atode_testkit::workspace_root().display().to_string();
    let line = stderr.trim().lines().last().unwrap_or_default();
    line.replace(&root, ".").chars().take(300).collect()
}
