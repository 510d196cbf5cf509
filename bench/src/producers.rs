//! Enqueues: one by one by many at the same time, or many at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::{Due, NewJob};
use futures_util::future::join_all;

use crate::noted::Retention;
use crate::stand::{QUEUE, Stand};

/// A day: beyond every measurement.
const TOMORROW: Duration = Duration::from_secs(24 * 3_600);

pub(crate) struct Enqueued {
    pub(crate) seconds: f64,
    /// Of Redis' main thread, µs.
    pub(crate) redis_cpu: f64,
}

/// Single enqueues by concurrent producers, due now.
pub(crate) async fn one_by_one(
    stand: &Arc<Stand>,
    retention: Retention,
    jobs: usize,
    producers: usize,
) -> anyhow::Result<Enqueued> {
    let kind = retention.kind();
    let (cpu, start) = (stand.redis_cpu(), Instant::now());
    let producers = (0..producers).map(|n| {
        let (stand, kind) = (stand.clone(), kind.clone());
        let share = jobs / producers + usize::from(n < jobs % producers);
        tokio::spawn(async move {
            for _ in 0..share {
                let stored = stand.client.enqueue(stand.job(&kind, Due::After(Duration::ZERO))?).await?;
                anyhow::ensure!(stored.is_created(), "a new job was taken for a duplicate");
            }
            anyhow::Ok(())
        })
    });
    for producer in join_all(producers).await {
        producer??;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Enqueued { seconds, redis_cpu: stand.redis_cpu() - cpu })
}

/// Jobs that wait for tomorrow, at random instants of an hour.
pub(crate) async fn wait_for_tomorrow(stand: &Stand, kind: &Arc<str>, jobs: usize) -> anyhow::Result<()> {
    let due = || Due::After(TOMORROW + Duration::from_secs_f64(rand::random::<f64>() * 3_600.0));
    in_batches(stand, jobs, || stand.job(kind, due())).await?;
    // A rewrite of the AOF would stand in the way of what is measured next.
    let rewrites =
        || stand.redis.command(&["INFO", "persistence"]).text().contains("aof_rewrite_in_progress:1");
    while rewrites() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// As fast as the client can.
pub(crate) async fn in_batches(
    stand: &Stand,
    jobs: usize,
    job: impl Fn() -> anyhow::Result<NewJob>,
) -> anyhow::Result<()> {
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(atode_queue::MAX_BATCH);
        let jobs: Vec<_> = (0..batch).map(|_| job()).collect::<anyhow::Result<_>>()?;
        for stored in stand.client.enqueue_each(QUEUE, &jobs).await {
            anyhow::ensure!(stored?.is_created(), "a new job was taken for a duplicate");
        }
        left -= batch;
    }
    Ok(())
}
