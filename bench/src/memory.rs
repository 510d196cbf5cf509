//! Memory of the real gateway and worker binaries at full load.

use std::time::Duration;

use atode_queue::Due;
use atode_testkit::{RedisServer, Worker};

use crate::fixture::{Fixture, QUEUE, job_of};
use crate::goals::Goal;
use crate::outcome::{Outcome, Size, step};
use crate::runtime::on_tokio;
use crate::table::{Table, shown};
use crate::{drain, gateway, proc, producers, wrk};

/// A kind that the `worker` binary knows. It prints one line per job.
const KIND: &str = "demo:delay_print";
const PAYLOAD: &str = r#"{"message":"hello world 000000001"}"#;
const CONCURRENCY: usize = 64;
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn section(size: Size) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut table = Table::new("Peak physical memory of each process (VmHWM)", &["", "load", "MB"]);
    if wrk::is_installed() {
        step("memory: gateway");
        let seconds = size.of(10, 1);
        let load = gateway::measure(&RedisServer::start(), &[], wrk::Body::Job, seconds, 64)?;
        let gateway = load.peak_memory as f64 / 1e6;
        table.row([
            "api-gateway".to_owned(),
            format!("`POST /v1/jobs`, 64 connections, {seconds} s"),
            shown(Some(gateway), 1),
        ]);
        outcome.figure(Goal::GatewayMemory, Some(gateway));
    } else {
        outcome.note("The gateway is not measured: wrk is not installed.");
    }
    let jobs = size.of(300_000, 3_000);
    step("memory: worker");
    let worker = on_tokio(worker(jobs))? as f64 / 1e6;
    table.row([
        "worker".to_owned(),
        format!("{} jobs of {KIND}, concurrency {CONCURRENCY}", shown(Some(jobs as f64), 0)),
        shown(Some(worker), 1),
    ]);
    outcome.tables.push(table);
    outcome.figure(Goal::WorkerMemory, Some(worker));
    Ok(outcome)
}

/// The worker's peak memory in bytes.
async fn worker(jobs: usize) -> anyhow::Result<u64> {
    let fixture = Fixture::start().await?;
    let job = || job_of(&fixture.client, &QUEUE.into(), &KIND.into(), PAYLOAD, Due::After(Duration::ZERO));
    producers::in_batches(&fixture.client, jobs, job).await?;
    let worker =
        Worker::builder(&fixture.redis.addr()).args(["--concurrency", &CONCURRENCY.to_string()]).spawn();
    drain::wait_until_drained(&fixture).await?;
    let peak = proc::peak_memory(worker.pid())?;
    worker.terminate();
    let exit = worker.wait(DEADLINE);
    anyhow::ensure!(exit.success(), "the worker ended with {exit}: {}", worker.stderr());
    let ran = worker.stdout().lines().count();
    anyhow::ensure!(ran == jobs, "{ran} runs of {jobs} jobs");
    fixture.check_waiting(0).await?;
    Ok(peak)
}
