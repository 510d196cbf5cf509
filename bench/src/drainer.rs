//! A worker process for the measured kinds. It is the `worker` binary with other kinds. When it ends, it prints the
//! start time of each job.

use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use atode_queue::JobId;
use atode_testkit::{Binary, Process, RedisServer, Service};

use crate::kinds;

/// The environment variable that makes this program a worker. Its arguments are then those of the `worker` binary.
const ROLE: &str = "ATODE_BENCH_DRAINER";
const DEADLINE: Duration = Duration::from_secs(30);

/// The start time of each job (Unix ms). Printed at the end, because a handler that printed would be no no-op.
static RUNS: LazyLock<Mutex<Vec<(JobId, f64)>>> = LazyLock::new(Mutex::default);

pub(crate) fn is_wanted() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// The `main` of such a process.
pub(crate) fn main() -> ExitCode {
    let note = |id| RUNS.lock().unwrap_or_else(PoisonError::into_inner).push((id, now()));
    if kinds::on_run(note).is_err() {
        return ExitCode::FAILURE;
    }
    let build = worker::Build { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
    let exit = worker::main(build, kinds::registry());
    let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: String = runs.iter().map(|(id, at)| format!("{id} {at}\n")).collect();
    // If this fails, the reader notices the missing runs.
    let _ = std::io::stdout().write_all(lines.as_bytes());
    exit
}

enum Itself {}
impl Binary for Itself {
    const NAME: &'static str = env!("CARGO_PKG_NAME");
}

pub(crate) struct Drainer(Process);

/// The runs of a worker that has ended.
pub(crate) struct Ran {
    /// Job ids and start times (this machine's clock, Unix ms).
    pub(crate) runs: Vec<(String, f64)>,
}

impl Drainer {
    pub(crate) fn start(redis: &RedisServer, concurrency: usize) -> Self {
        let service = Service::<Itself>::builder(&redis.addr())
            .env(ROLE, "yes")
            .args(["--concurrency", &concurrency.to_string()]);
        Drainer(service.spawn())
    }

    /// Stops the worker and reads its runs.
    pub(crate) fn stop(self) -> anyhow::Result<Ran> {
        self.0.terminate();
        let exit = self.0.wait(DEADLINE);
        anyhow::ensure!(exit.success(), "a worker ended with {exit}: {}", self.0.stderr());
        let run =
            |line: &str| Some((line.split_once(' ')?.0.to_owned(), line.split_once(' ')?.1.parse().ok()?));
        let output = self.0.stdout();
        let runs = output.lines().map(run).collect::<Option<Vec<_>>>();
        Ok(Ran { runs: runs.context("a worker printed something other than its runs")? })
    }
}

/// Fails unless this many jobs ran, each of them once.
pub(crate) fn each_once(workers: &[Ran], jobs: usize) -> anyhow::Result<()> {
    let runs: usize = workers.iter().map(|worker| worker.runs.len()).sum();
    let ids: HashSet<&str> =
        workers.iter().flat_map(|worker| &worker.runs).map(|(id, _)| id.as_str()).collect();
    anyhow::ensure!(
        runs == jobs && ids.len() == jobs,
        "{runs} runs of {} different jobs, of {jobs}",
        ids.len()
    );
    Ok(())
}

/// This machine's wall clock, Unix ms.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}
