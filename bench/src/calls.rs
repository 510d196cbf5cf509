//! Script calls per sparse job, by the number of idle workers that wait for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use atode_queue::Due;
use futures_util::future::try_join_all;
use peer_protocol::Lateness;

use crate::drain;
use crate::drainer::{self, Drainer};
use crate::fixture::Fixture;
use crate::goals::Goal;
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::table::{Table, shown};

/// Numbers of worker processes. The numbers of one row are measured at the same time, each with its own Redis, because
/// the workers are nearly always idle.
const HERDS: [&[usize]; 2] = [&[1, 8, 12], &[64]];
/// Time after which the work of the start (scripts, subscriptions, a first sweep) is over.
const SETTLED: Duration = Duration::from_secs(3);
/// Twice the longest interval at which an idle worker repeats something.
const IDLE: Duration = Duration::from_secs(10);
/// Time between two enqueues, long enough that the previous job has finished.
const GAP: Duration = Duration::from_millis(200);
/// Longest delay of a job, ms.
const LATER: f64 = 100.0;

struct Herd {
    workers: usize,
    /// Script calls per second without a job.
    idle: f64,
    /// Script calls per job, without the idle ones.
    calls: f64,
    late: Lateness,
}

pub(crate) async fn section(size: Size) -> anyhow::Result<Outcome> {
    let (jobs, idle) = (size.of(100, 10), size.of(IDLE, IDLE / 5));
    let mut herds = Vec::new();
    for together in size.of(&HERDS[..], &HERDS[..1]) {
        step(format_args!("calls: {together:?} workers, {idle:?} idle, then {jobs} jobs"));
        herds.extend(try_join_all(together.iter().map(|workers| measure(*workers, jobs, idle))).await?);
    }
    let mut outcome = Outcome::default();
    let title =
        format!("{jobs} jobs, one per {GAP:?}, each due up to {LATER} ms later; workers as processes");
    let header = ["workers", "script calls/job", "idle: script calls/s", "late: p50 ms", "p99 ms", "max ms"];
    let mut table = Table::new(title, &header);
    for herd in &herds {
        let late = [50, 99, 100].map(|percent| shown(Some(herd.late.percentile(percent)), 1));
        let cells = [herd.workers.to_string(), shown(Some(herd.calls), 2), shown(Some(herd.idle), 1)];
        table.row(cells.into_iter().chain(late));
        match herd.workers {
            1 => outcome.figure(Goal::CallsOfOne, Some(herd.calls)),
            12 => outcome.figure(Goal::CallsOfTwelve, Some(herd.calls)),
            64 => outcome.figure(Goal::CallsOfMany, Some(herd.calls)),
            _ => {}
        }
    }
    outcome.tables.push(table);
    outcome.note(
        "Calls are EVALSHA and EVAL: enqueue, claims, completion. The calls of idle workers are subtracted.",
    );
    Ok(outcome)
}

async fn measure(workers: usize, jobs: usize, idle: Duration) -> anyhow::Result<Herd> {
    let fixture = Fixture::start().await?;
    let drainers = drain::start(&fixture, workers, 64).await?;
    tokio::time::sleep(SETTLED).await;
    let (before, start) = (script_calls(&fixture), Instant::now());
    tokio::time::sleep(idle).await;
    let idle = (script_calls(&fixture) - before) as f64 / start.elapsed().as_secs_f64();

    let (before, start) = (script_calls(&fixture), Instant::now());
    let due = one_by_one(&fixture, jobs).await?;
    drain::wait_until_drained(&fixture).await?;
    // The completion of the last job, and the claims that follow it.
    tokio::time::sleep(GAP).await;
    let calls = (script_calls(&fixture) - before) as f64 - idle * start.elapsed().as_secs_f64();

    let ran = drainers.into_iter().map(Drainer::stop).collect::<anyhow::Result<Vec<_>>>()?;
    drainer::each_once(&ran, jobs)?;
    fixture.check_waiting(0).await?;
    let runs = ran.iter().flat_map(|worker| &worker.runs);
    let late: Option<Vec<f64>> = runs.map(|(id, started)| Some(started - due.get(id)?)).collect();
    let late = late.ok_or_else(|| anyhow::anyhow!("a job ran that nobody enqueued"))?;
    Ok(Herd { workers, idle, calls: calls / jobs as f64, late: Lateness::of(late) })
}

/// Enqueues the jobs and returns when each is due (Unix ms).
async fn one_by_one(fixture: &Fixture, jobs: usize) -> anyhow::Result<HashMap<String, f64>> {
    let kind = Retention::None.kind();
    let mut due = HashMap::with_capacity(jobs);
    let mut ticks = tokio::time::interval(GAP);
    for _ in 0..jobs {
        ticks.tick().await;
        let at = (drainer::now() + rand::random::<f64>() * LATER).round();
        let job = fixture.job(&kind, Due::At(at as i64))?;
        due.insert(job.id.to_string(), at);
        fixture.client.enqueue(job).await?;
    }
    Ok(due)
}

/// The number of script calls that Redis has run so far.
fn script_calls(fixture: &Fixture) -> u64 {
    let stats = fixture.redis.command(&["INFO", "commandstats"]).text();
    ["cmdstat_evalsha:calls=", "cmdstat_eval:calls="]
        .iter()
        .filter_map(|name| {
            let (calls, _) = stats.lines().find_map(|line| line.strip_prefix(name))?.split_once(',')?;
            calls.parse::<u64>().ok()
        })
        .sum()
}
