//! Measures how fast worker processes drain a queue.

use std::time::{Duration, Instant};

use crate::drainer::{self, Drainer, Ran};
use crate::fixture::{Fixture, QUEUE};

/// If nothing has run for this long, the remaining jobs will never run.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Drained {
    /// Time from the resume of the queue to the start of the last job.
    pub(crate) seconds: f64,
    /// CPU time of Redis' main thread, µs.
    pub(crate) redis_cpu: f64,
    pub(crate) workers: Vec<Ran>,
}

/// Drains a paused queue in which this many jobs are due. All workers begin at the same time. The queue is paused
/// again at the end.
pub(crate) async fn drain(
    fixture: &Fixture,
    jobs: usize,
    workers: usize,
    concurrency: usize,
) -> anyhow::Result<Drained> {
    let drainers = start(fixture, workers, concurrency).await?;
    let (cpu, start) = (fixture.redis_cpu(), drainer::now());
    fixture.client.resume(QUEUE).await?;
    wait_until_drained(fixture).await?;
    let redis_cpu = fixture.redis_cpu() - cpu;
    fixture.client.pause(QUEUE).await?;
    let workers = drainers.into_iter().map(Drainer::stop).collect::<anyhow::Result<Vec<_>>>()?;
    drainer::each_once(&workers, jobs)?;
    let last = workers.iter().flat_map(|worker| &worker.runs).map(|(_, at)| *at).fold(start, f64::max);
    Ok(Drained { seconds: (last - start) / 1e3, redis_cpu, workers })
}

/// Starts workers and waits until all are registered.
pub(crate) async fn start(
    fixture: &Fixture,
    workers: usize,
    concurrency: usize,
) -> anyhow::Result<Vec<Drainer>> {
    let before = fixture.client.workers().await?.len();
    let drainers: Vec<_> = (0..workers).map(|_| Drainer::start(&fixture.redis, concurrency)).collect();
    let start = Instant::now();
    while fixture.client.workers().await?.len() < before + workers {
        anyhow::ensure!(start.elapsed() < PATIENCE, "workers don't register");
        tokio::time::sleep(POLL).await;
    }
    Ok(drainers)
}

/// Waits until no job is due or active. Jobs that are due later stay.
pub(crate) async fn wait_until_drained(fixture: &Fixture) -> anyhow::Result<()> {
    let (mut left, mut changed) = (u64::MAX, Instant::now());
    loop {
        let counts = fixture.client.queue(QUEUE).await?.counts;
        let now = counts.ready + counts.active;
        if now == 0 {
            return Ok(());
        }
        if now != left {
            (left, changed) = (now, Instant::now());
        }
        anyhow::ensure!(changed.elapsed() < PATIENCE, "nothing runs anymore: {counts:?}");
        tokio::time::sleep(POLL).await;
    }
}
