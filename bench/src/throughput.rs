//! Enqueue by many producers, one job a call; then drain by one worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::Due;

use crate::stand::{Retention, Stand};

pub(crate) async fn measure(jobs: usize, producers: usize, concurrency: usize) -> anyhow::Result<()> {
    for retention in [Retention::None, Retention::Default] {
        let stand = Arc::new(Stand::start().await?);
        let (cpu, memory, start) = (stand.redis_cpu(), stand.redis_memory(), Instant::now());
        let tasks = (0..producers).map(|n| {
            let stand = stand.clone();
            let share = jobs / producers + usize::from(n < jobs % producers);
            tokio::spawn(async move {
                for _ in 0..share {
                    stand.client.enqueue(stand.job(retention, Due::After(Duration::ZERO))?).await?;
                }
                anyhow::Ok(())
            })
        });
        for task in futures_util::future::join_all(tasks).await {
            task??;
        }
        let enqueued = start.elapsed();
        let enqueue_cpu = stand.redis_cpu() - cpu;
        let memory = (stand.redis_memory() - memory) / jobs as i64;

        let (cpu, start) = (stand.redis_cpu(), Instant::now());
        let (stop, worker) = stand.worker(concurrency)?;
        while Stand::runs() < jobs {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let drained = start.elapsed();
        stop.cancel();
        worker.await??;
        let drain_cpu = stand.redis_cpu() - cpu;
        stand.check(jobs).await?;
        let each = jobs as f64;
        println!(
            "retention {retention:?}: enqueue {:.0}/s, drain {:.0}/s; Redis CPU a job {:.1} + {:.1} = {:.1} µs; {memory} B a waiting job",
            each / enqueued.as_secs_f64(),
            each / drained.as_secs_f64(),
            enqueue_cpu / each,
            drain_cpu / each,
            (enqueue_cpu + drain_cpu) / each,
        );
    }
    Ok(())
}
