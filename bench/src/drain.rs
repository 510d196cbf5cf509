//! How fast worker processes empty a queue.

use std::time::{Duration, Instant};

use crate::drainer::{self, Drainer, Ran};
use crate::stand::{QUEUE, Stand};

/// Nothing has run for so long: the rest will never come.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub(crate) struct Drained {
    /// From the instant at which the queue was opened to the start of the last job.
    pub(crate) seconds: f64,
    /// Of Redis' main thread, µs.
    pub(crate) redis_cpu: f64,
    pub(crate) workers: Vec<Ran>,
}

/// Of a paused queue with so many jobs due; all workers begin at the same time. Paused again at the
/// end.
pub(crate) async fn drain(
    stand: &Stand,
    jobs: usize,
    workers: usize,
    concurrency: usize,
) -> anyhow::Result<Drained> {
    let drainers = start(stand, workers, concurrency).await?;
    let (cpu, start) = (stand.redis_cpu(), drainer::now());
    stand.client.resume(QUEUE).await?;
    wait_until_drained(stand).await?;
    let redis_cpu = stand.redis_cpu() - cpu;
    stand.client.pause(QUEUE).await?;
    let workers = drainers.into_iter().map(Drainer::stop).collect::<anyhow::Result<Vec<_>>>()?;
    drainer::each_once(&workers, jobs)?;
    let last = workers.iter().flat_map(|worker| &worker.runs).map(|(_, at)| *at).fold(start, f64::max);
    Ok(Drained { seconds: (last - start) / 1e3, redis_cpu, workers })
}

/// Workers that are all registered.
pub(crate) async fn start(stand: &Stand, workers: usize, concurrency: usize) -> anyhow::Result<Vec<Drainer>> {
    let before = stand.client.workers().await?.len();
    let drainers: Vec<_> = (0..workers).map(|_| Drainer::start(&stand.redis, concurrency)).collect();
    let start = Instant::now();
    while stand.client.workers().await?.len() < before + workers {
        anyhow::ensure!(start.elapsed() < PATIENCE, "workers don't register");
        tokio::time::sleep(POLL).await;
    }
    Ok(drainers)
}

/// Until no job is due or active: what is due later stays.
pub(crate) async fn wait_until_drained(stand: &Stand) -> anyhow::Result<()> {
    let (mut left, mut changed) = (u64::MAX, Instant::now());
    loop {
        let counts = stand.client.queue(QUEUE).await?.counts;
        let now = counts.ready + counts.active;
        if now == 0 {
            return Ok(());
        }
        if now != left {
            (left, changed) = (now, Instant::now());
        }
        anyhow::ensure!(changed.elapsed() < PATIENCE, "nothing runs any more: {counts:?}");
        tokio::time::sleep(POLL).await;
    }
}
