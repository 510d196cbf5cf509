//! How much later than due jobs start: started − due, both on Redis' clock.

use std::time::Duration;

use atode_queue::{Due, JobId};

use crate::stand::{Retention, Stand};

pub(crate) async fn measure(jobs: usize, seconds: u64) -> anyhow::Result<()> {
    anyhow::ensure!(
        jobs <= atode_queue::MAX_FINISHED,
        "at most {} jobs stay visible",
        atode_queue::MAX_FINISHED
    );
    let stand = Stand::start().await?;
    let (stop, worker) = stand.worker(64)?;
    let start = stand.client.now() + 1_000;
    let mut ids: Vec<JobId> = Vec::with_capacity(jobs);
    for _ in 0..jobs {
        let due = start + (rand::random::<f64>() * seconds as f64 * 1e3) as i64;
        let job = stand.job(Retention::Default, Due::At(due))?;
        ids.push(job.id);
        stand.client.enqueue(job).await?;
    }
    while Stand::runs() < jobs {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    worker.await??;
    stand.check(jobs).await?;
    let mut late = Vec::with_capacity(jobs);
    for id in ids {
        let job = stand.client.job(std::slice::from_ref(&stand.queue), id).await?;
        let times = job.and_then(|job| Some((job.due_at?, job.started_at?)));
        let (due, started) = times.ok_or_else(|| anyhow::anyhow!("job {id} has no times"))?;
        late.push(started.as_millisecond() - due.as_millisecond());
    }
    late.sort_unstable();
    println!(
        "lateness of {jobs} jobs over {seconds} s, ms: min {} p50 {} p99 {} max {}",
        late[0],
        late[jobs / 2],
        late[jobs * 99 / 100],
        late[jobs - 1]
    );
    Ok(())
}
