//! An idle worker on a queue with a large backlog of jobs that are due tomorrow.

use std::time::{Duration, Instant};

use atode_testkit::Worker;

use crate::fixture::Fixture;
use crate::goals::Goal;
use crate::outcome::{Outcome, Size, step};
use crate::table::{Table, shown};
use crate::{proc, producers};

/// A kind that the `worker` binary knows.
const KIND: &str = "demo:delay_print";
/// Time after which the work of the start (scripts, subscriptions, a first sweep) is over.
const SETTLED: Duration = Duration::from_secs(3);
const END: &str = "the bench has seen enough";

pub(crate) async fn section(size: Size) -> anyhow::Result<Outcome> {
    let (depth, window) =
        (size.of(1_000_000, 10_000), size.of(Duration::from_secs(30), Duration::from_secs(2)));
    let fixture = Fixture::start().await?;
    step(format_args!("idle: {depth} waiting jobs"));
    producers::wait_for_tomorrow(&fixture, &KIND.into(), depth).await?;
    let worker = Worker::builder(&fixture.redis.addr()).spawn();
    tokio::time::sleep(SETTLED).await;
    step(format_args!("idle: {window:?}"));
    let mut monitor = fixture.redis.connect(Duration::from_secs(10))?;
    monitor.command(&["MONITOR"])?;
    let (cpu, start) = (proc::cpu(worker.pid())?, Instant::now());
    tokio::time::sleep(window).await;
    let (cpu, seconds) = (proc::cpu(worker.pid())?.saturating_sub(cpu), start.elapsed().as_secs_f64());
    let memory = proc::memory(worker.pid())? as f64 / 1e6;
    fixture.redis.command(&["ECHO", END]);
    let (mut requests, mut within_scripts) = (0_u32, 0_u32);
    loop {
        let line = monitor.read()?.text();
        if line.contains(END) {
            break;
        }
        // A command that a script runs: `1339518083.107412 [0 lua] "zrange" …`
        if line.split(']').next().is_some_and(|head| head.ends_with(" lua")) {
            within_scripts += 1;
        } else {
            requests += 1;
        }
    }
    anyhow::ensure!(worker.try_exit().is_none(), "the worker has ended: {}", worker.stderr());
    drop(worker);
    step("idle: audit");
    fixture.check_waiting(depth).await?;
    let cpu = 100.0 * cpu.as_secs_f64() / seconds;
    let requests = f64::from(requests) / seconds;
    let all = requests + f64::from(within_scripts) / seconds;
    let mut outcome = Outcome::default();
    let title = format!("The worker binary, {} jobs due tomorrow, {window:?}", shown(Some(depth as f64), 0));
    let header = ["CPU %", "requests to Redis/s", "commands/s including those within scripts", "memory MB"];
    let mut table = Table::new(title, &header);
    table.row([shown(Some(cpu), 2), shown(Some(requests), 1), shown(Some(all), 1), shown(Some(memory), 1)]);
    outcome.tables.push(table);
    outcome.figure(Goal::IdleCpu, Some(cpu));
    outcome.figure(Goal::IdleRequests, Some(requests));
    outcome.figure(Goal::IdleMemory, Some(memory));
    Ok(outcome)
}
