//! Very many jobs that are due at the same instant: how long a worker takes, how much memory, and
//! whether any script holds Redis up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use atode_queue::Due;
use atode_testkit::RedisServer;

use crate::noted::{self, Retention};
use crate::proc;
use crate::stand::{self, Stand};

/// A script that takes longer holds up everybody.
const SLOW: Duration = Duration::from_millis(50);
const A_CALL: usize = 1_000;

static RUNS: AtomicUsize = AtomicUsize::new(0);

pub(crate) async fn measure(jobs: usize, concurrency: usize) -> anyhow::Result<()> {
    let stand = Stand::on(RedisServer::builder().with_clock().start()).await?;
    let slow = SLOW.as_micros().to_string();
    stand.redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", &slow]);
    let instant = stand.client.now() + 24 * 3_600_000;
    let kind = Retention::None.kind();
    for _ in 0..jobs.div_ceil(A_CALL) {
        let batch: Vec<_> =
            (0..A_CALL).map(|_| stand.job(&kind, Due::At(instant))).collect::<anyhow::Result<_>>()?;
        for stored in stand.client.enqueue_each(&stand.queue, &batch).await {
            anyhow::ensure!(stored?.is_created());
        }
    }
    let jobs = jobs.div_ceil(A_CALL) * A_CALL;
    let stored = stand.redis_memory();
    // Nothing but their due time changes: all are due at once.
    stand.redis.clock().step_forward(Duration::from_secs(25 * 3_600));
    let this = std::process::id();
    let before = proc::memory(this)?;
    let start = Instant::now();
    noted::tell(|_| {
        RUNS.fetch_add(1, Ordering::Relaxed);
    })?;
    let runs = || RUNS.load(Ordering::Relaxed);
    let (stop, worker) = stand::worker(stand.redis.port(), concurrency).await?;
    let mut most = before;
    while runs() < jobs {
        anyhow::ensure!(start.elapsed() < Duration::from_secs(600), "{} of {jobs} ran", runs());
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(proc::memory(this)?);
    }
    let took = start.elapsed();
    stop.cancel();
    worker.await??;
    anyhow::ensure!(runs() == jobs, "{} runs of {jobs} jobs", runs());
    stand.check_waiting(0).await?;
    let slow = stand.redis.command(&["SLOWLOG", "LEN"]).int();
    println!(
        "{jobs} jobs due at one instant: drained in {:.1} s ({:.0}/s), {} MiB in Redis, worker {} MiB + {} MiB, \
         {slow} commands of {SLOW:?} or more",
        took.as_secs_f64(),
        jobs as f64 / took.as_secs_f64(),
        stored >> 20,
        before >> 20,
        most.saturating_sub(before) >> 20,
    );
    Ok(())
}
