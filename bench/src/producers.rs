//! Producers: many that enqueue single jobs at the same time, or one that enqueues in batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::{Client, Due, NewJob};
use futures_util::future::join_all;

use crate::fixture::{Fixture, QUEUE};
use crate::kinds::Retention;

/// Longer than any measurement.
const TOMORROW: Duration = Duration::from_secs(24 * 3_600);

pub(crate) struct Enqueued {
    pub(crate) seconds: f64,
    /// CPU time of Redis' main thread, µs.
    pub(crate) redis_cpu: f64,
}

/// Enqueues single jobs, due now, from concurrent producers.
pub(crate) async fn one_by_one(
    fixture: &Arc<Fixture>,
    retention: Retention,
    jobs: usize,
    producers: usize,
) -> anyhow::Result<Enqueued> {
    let kind = retention.kind();
    let (cpu, start) = (fixture.redis_cpu(), Instant::now());
    let producers = (0..producers).map(|n| {
        let (fixture, kind) = (fixture.clone(), kind.clone());
        let share = jobs / producers + usize::from(n < jobs % producers);
        tokio::spawn(async move {
            for _ in 0..share {
                let stored = fixture.client.enqueue(fixture.job(&kind, Due::After(Duration::ZERO))?).await?;
                anyhow::ensure!(stored.is_created(), "a new job was taken for a duplicate");
            }
            anyhow::Ok(())
        })
    });
    for producer in join_all(producers).await {
        producer??;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Enqueued { seconds, redis_cpu: fixture.redis_cpu() - cpu })
}

/// Enqueues jobs that are due tomorrow, at random instants within an hour.
pub(crate) async fn wait_for_tomorrow(fixture: &Fixture, kind: &Arc<str>, jobs: usize) -> anyhow::Result<()> {
    let due = || Due::After(TOMORROW + Duration::from_secs_f64(rand::random::<f64>() * 3_600.0));
    in_batches(&fixture.client, jobs, || fixture.job(kind, due())).await?;
    // A rewrite of the AOF would disturb the next measurement.
    let rewrites =
        || fixture.redis.command(&["INFO", "persistence"]).text().contains("aof_rewrite_in_progress:1");
    while rewrites() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Enqueues as fast as the client can.
pub(crate) async fn in_batches(
    client: &Client,
    jobs: usize,
    job: impl Fn() -> anyhow::Result<NewJob>,
) -> anyhow::Result<()> {
    let mut left = jobs;
    while left > 0 {
        let batch = left.min(atode_queue::MAX_BATCH);
        let jobs: Vec<_> = (0..batch).map(|_| job()).collect::<anyhow::Result<_>>()?;
        for stored in client.enqueue_each(QUEUE, &jobs).await {
            anyhow::ensure!(stored?.is_created(), "a new job was taken for a duplicate");
        }
        left -= batch;
    }
    Ok(())
}
