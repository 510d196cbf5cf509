//! How soon work goes on after a worker or Redis was killed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_testkit::Http;
use serde_json::json;

use crate::ledger::{self, Event};
use crate::stand::{LEASE, Stand};
use crate::task::{End, Task};

const JOBS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// Prints the worst of each round.
pub fn measure(rounds: usize, print: impl Fn(&str)) -> anyhow::Result<()> {
    let (mut workers, mut redis) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        workers.push(after_a_killed_worker()?);
        redis.push(after_a_killed_redis()?);
        print(&format!(
            "round {round}: jobs of a killed worker ran again after {} ms at most (lease {} ms); first run {} ms after \
             a killed Redis answered again",
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

fn enqueue(stand: &Stand, ms: u64, delay: &str) -> anyhow::Result<()> {
    let http = Http::new(stand.gateways[0].url());
    let payload = Task {
        dir: stand.dir.path().display().to_string(),
        key: String::new(),
        ms,
        end: End::Well,
        padding: String::new(),
    };
    let job = json!({"kind": Task::KIND, "payload": payload, "delay": delay});
    let reply = http.post("/v1/jobs/batch", &json!({"jobs": vec![job; JOBS]}));
    anyhow::ensure!(reply.json()["created"] == JOBS, "{}", reply.text());
    Ok(())
}

fn starts(stand: &Stand) -> Vec<ledger::Run> {
    ledger::runs(stand.dir.path()).into_iter().filter(|run| run.event == Event::Start).collect()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        anyhow::ensure!(since.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        sleep(Duration::from_millis(2));
    }
}

/// ms from the kill to the last second run.
fn after_a_killed_worker() -> anyhow::Result<u64> {
    let stand = Stand::start("always", 1, 1);
    enqueue(&stand, 30_000, "0s")?;
    until("all run", || (starts(&stand).len() == JOBS).then_some(()))?;
    let killed = ledger::now();
    stand.workers[0].kill();
    stand.workers[0].ensure();
    let last = until("all run again", || {
        let starts = starts(&stand);
        (starts.len() == 2 * JOBS).then(|| starts.iter().map(|run| run.at).max())
    })?;
    Ok(last.unwrap_or_default().saturating_sub(killed))
}

/// ms from Redis' first answer to the first run of a job that fell due while it was away.
fn after_a_killed_redis() -> anyhow::Result<u64> {
    let stand = Stand::start("always", 1, 2);
    enqueue(&stand, 0, "500ms")?;
    stand.redis().kill();
    sleep(Duration::from_secs(3));
    anyhow::ensure!(starts(&stand).is_empty(), "the jobs ran too early");
    stand.redis().restart();
    let back = ledger::now();
    let first = until("one runs", || starts(&stand).iter().map(|run| run.at).min())?;
    Ok(first.saturating_sub(back))
}
