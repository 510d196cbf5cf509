//! Lateness under a steady load on a queue with a large backlog.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::Due;
use futures_util::future::try_join_all;
use peer_protocol::Lateness;

use crate::drain;
use crate::drainer;
use crate::fixture::{Fixture, QUEUE};
use crate::goals::Goal;
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::producers;
use crate::table::{Table, shown};

const TICK: Duration = Duration::from_millis(10);

pub(crate) async fn section(size: Size) -> anyhow::Result<Outcome> {
    let depth = size.of(1_000_000, 20_000);
    let (rate, seconds) = (size.of(5_000, 1_000), size.of(60, 2));
    let fixture = Arc::new(Fixture::start().await?);
    step(format_args!("deep lateness: {depth} waiting jobs"));
    producers::wait_for_tomorrow(&fixture, &Retention::None.kind(), depth).await?;
    let workers = drain::start(&fixture, 1, 64).await?;
    step(format_args!("deep lateness: {rate} jobs/s for {seconds} s"));
    let due = steadily(&fixture, rate, seconds).await?;
    // By then the last jobs are due.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drain::wait_until_drained(&fixture).await?;
    let ran = workers.into_iter().map(drainer::Drainer::stop).collect::<anyhow::Result<Vec<_>>>()?;
    let jobs = due.len();
    drainer::each_once(&ran, jobs)?;
    step("deep lateness: audit");
    fixture.check_waiting(depth).await?;
    let late = |(id, started): &(String, f64)| Some(started - *due.get(id)? as f64);
    let late: Option<Vec<f64>> = ran[0].runs.iter().map(late).collect();
    let late = Lateness::of(late.ok_or_else(|| anyhow::anyhow!("a job ran that nobody enqueued"))?);
    let mut outcome = Outcome::default();
    let title = format!(
        "{} jobs/s for {seconds} s, each due 1–2 s later, with {} other waiting jobs",
        shown(Some(rate as f64), 0),
        shown(Some(depth as f64), 0)
    );
    let mut table = Table::new(title, &["jobs", "p50 ms", "p90 ms", "p99 ms", "max ms", "earliest ms"]);
    let cells = [50, 90, 99, 100, 0].map(|percent| shown(Some(late.percentile(percent)), 1));
    table.row(std::iter::once(shown(Some(jobs as f64), 0)).chain(cells));
    outcome.tables.push(table);
    outcome.figure(Goal::DeepLatenessP99, Some(late.percentile(99)));
    Ok(outcome)
}

/// Enqueues at this rate and returns when each job is due (Unix ms). Fails if this machine can't enqueue that fast.
async fn steadily(
    fixture: &Arc<Fixture>,
    rate: usize,
    seconds: usize,
) -> anyhow::Result<HashMap<String, i64>> {
    let kind = Retention::None.kind();
    let per_tick = rate / 100;
    let mut due = HashMap::with_capacity(rate * seconds);
    let mut ticks = tokio::time::interval(TICK);
    let start = Instant::now();
    for _ in 0..seconds * 100 {
        ticks.tick().await;
        let mut enqueues = Vec::with_capacity(per_tick);
        for _ in 0..per_tick {
            let at = drainer::now() as i64 + 1_000 + (rand::random::<f64>() * 1_000.0) as i64;
            let job = fixture.job(&kind, Due::At(at))?;
            due.insert(job.id.to_string(), at);
            enqueues.push(fixture.client.enqueue(job));
        }
        try_join_all(enqueues).await?;
    }
    let took = start.elapsed().as_secs_f64();
    anyhow::ensure!(
        took < 1.05 * seconds as f64,
        "{} jobs took {took:.1} s to enqueue in {QUEUE}",
        due.len()
    );
    Ok(due)
}
