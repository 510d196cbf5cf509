//! The time until work continues after a worker or Redis was killed.

use std::thread::sleep;
use std::time::Duration;

use atode_jobs::Job as _;
use atode_testkit::{Http, eventually};
use serde_json::json;

use crate::ledger::{self, Event};
use crate::system::{LEASE, System};
use crate::task::Task;

const JOBS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// Measures and prints the longest time of each round.
pub fn measure(rounds: usize, print: impl Fn(&str)) -> anyhow::Result<()> {
    let (mut workers, mut redis) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        workers.push(after_a_killed_worker()?);
        redis.push(after_a_killed_redis()?);
        print(&format!(
            "round {round}: jobs of a killed worker ran again after at most {} ms (lease {} ms); the first run was {} ms \
             after a killed Redis answered again",
            workers[round - 1],
            LEASE.as_millis(),
            redis[round - 1]
        ));
    }
    workers.sort_unstable();
    redis.sort_unstable();
    print(&format!(
        "median {} ms and {} ms, worst {} ms and {} ms",
        workers[rounds / 2],
        redis[rounds / 2],
        workers[rounds - 1],
        redis[rounds - 1]
    ));
    Ok(())
}

fn enqueue(system: &System, ms: u64, delay: &str) -> anyhow::Result<()> {
    let http = Http::new(system.gateways[0].url());
    let payload = Task::new(system.dir.path(), String::new(), ms);
    let job = json!({"kind": Task::KIND, "payload": payload, "delay": delay});
    let reply = http.post("/v1/jobs/batch", &json!({"jobs": vec![job; JOBS]}));
    anyhow::ensure!(reply.json()["created"] == JOBS, "{}", reply.text());
    Ok(())
}

fn starts(system: &System) -> Vec<ledger::Run> {
    ledger::runs(system.dir.path()).into_iter().filter(|run| run.event == Event::Start).collect()
}

/// Time from the kill until every job has started a second time, ms.
fn after_a_killed_worker() -> anyhow::Result<u64> {
    let system = System::start("always", 1, 1);
    enqueue(&system, 30_000, "0s")?;
    eventually("all jobs run", DEADLINE, || (starts(&system).len() == JOBS).then_some(()));
    let killed = ledger::now();
    system.workers[0].with(|worker| worker.kill());
    system.workers[0].ensure();
    let last = eventually("all jobs run again", DEADLINE, || {
        let starts = starts(&system);
        (starts.len() == 2 * JOBS).then(|| starts.iter().map(|run| run.at).max())
    });
    Ok(last.unwrap_or_default().saturating_sub(killed))
}

/// Time from Redis' first answer to the first run of a job that became due while Redis was down, ms.
fn after_a_killed_redis() -> anyhow::Result<u64> {
    let system = System::start("always", 1, 2);
    enqueue(&system, 0, "500ms")?;
    system.redis().kill();
    sleep(Duration::from_secs(3));
    anyhow::ensure!(starts(&system).is_empty(), "the jobs ran too early");
    system.redis().restart();
    let back = ledger::now();
    let first = eventually("a job runs", DEADLINE, || starts(&system).iter().map(|run| run.at).min());
    Ok(first.saturating_sub(back))
}
