//! The cost of a job to Redis: CPU from its enqueue to its end, memory while it waits and after it, bytes of AOF.

use std::sync::Arc;

use crate::drain::drain;
use crate::fixture::{self, Fixture, QUEUE};
use crate::goals::Goal;
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::producers;
use crate::table::{Table, median, rounds_of, shown};

const CONCURRENCY: usize = 64;
const PRODUCERS: usize = 64;

struct Cost {
    enqueue_rate: f64,
    drain_rate: f64,
    /// CPU time of Redis' main thread, µs.
    enqueue_cpu: f64,
    drain_cpu: f64,
}

pub(crate) async fn section(size: Size) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let (rounds, jobs) = (size.of(3, 1), size.of(200_000, 5_000));
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for (retention, costs) in [(Retention::None, &mut removed), (Retention::Default, &mut kept)] {
            step(format_args!("cost, round {}: retention {retention:?}", round + 1));
            costs.push(one(retention, jobs).await?);
        }
    }
    let title = format!(
        "Redis CPU: {jobs} jobs, {PRODUCERS} producers one by one, then one worker, concurrency {CONCURRENCY}, {}",
        rounds_of(rounds)
    );
    let header =
        ["retention", "enqueue jobs/s", "drain jobs/s", "enqueue µs", "claim + complete µs", "total µs"];
    let mut table = Table::new(title, &header);
    for (name, costs, goal) in
        [("0", &removed, Goal::RedisCpuRemoved), ("default", &kept, Goal::RedisCpuKept)]
    {
        let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure));
        let all = of(|cost| cost.enqueue_cpu + cost.drain_cpu);
        table.row([
            name.to_owned(),
            shown(of(|cost| cost.enqueue_rate), 0),
            shown(of(|cost| cost.drain_rate), 0),
            shown(of(|cost| cost.enqueue_cpu), 1),
            shown(of(|cost| cost.drain_cpu), 1),
            shown(all, 1),
        ]);
        outcome.figure(goal, all);
    }
    outcome.tables.push(table);

    waiting_job(size, &mut outcome).await?;
    finished_job(&mut outcome).await?;
    Ok(outcome)
}

async fn waiting_job(size: Size, outcome: &mut Outcome) -> anyhow::Result<()> {
    let jobs = size.of(100_000, 10_000);
    step(format_args!("memory of {jobs} waiting jobs"));
    let fixture = Fixture::start().await?;
    let before = fixture.redis_memory();
    producers::wait_for_tomorrow(&fixture, &Retention::None.kind(), jobs).await?;
    let memory = (fixture.redis_memory() - before) as f64 / jobs as f64;
    fixture.check_waiting(jobs).await?;
    let title = "Redis memory of a waiting job: 53-byte payload, no optional fields";
    let mut table = Table::new(title, &["jobs", "B/job", "allocator"]);
    table.row([shown(Some(jobs as f64), 0), shown(Some(memory), 0), fixture::allocator(&fixture.redis)]);
    outcome.tables.push(table);
    outcome.figure(Goal::WaitingJobMemory, Some(memory));
    Ok(())
}

/// Memory of jobs that are kept after they ran, and what their whole life adds to the AOF.
async fn finished_job(outcome: &mut Outcome) -> anyhow::Result<()> {
    // All of them are kept, and their AOF is too small for a rewrite.
    let jobs = 10_000;
    step(format_args!("memory and AOF of {jobs} finished jobs"));
    let fixture = Arc::new(Fixture::start().await?);
    fixture.client.pause(QUEUE).await?;
    let (memory, aof) = (fixture.redis_memory(), fixture.aof_size());
    producers::one_by_one(&fixture, Retention::Default, jobs, PRODUCERS).await?;
    let enqueued = fixture.aof_size();
    drain(&fixture, jobs, 1, CONCURRENCY).await?;
    let each = |bytes: i64| shown(Some(bytes as f64 / jobs as f64), 0);
    let title = "A job that ran and is kept: Redis memory, and growth of the AOF, 53-byte payload";
    let mut table = Table::new(title, &["jobs", "memory B/job", "AOF of enqueue B/job", "AOF of run B/job"]);
    table.row([
        shown(Some(jobs as f64), 0),
        each(fixture.redis_memory() - memory),
        each(enqueued - aof),
        each(fixture.aof_size() - enqueued),
    ]);
    outcome.tables.push(table);
    Ok(())
}

async fn one(retention: Retention, jobs: usize) -> anyhow::Result<Cost> {
    let fixture = Arc::new(Fixture::start().await?);
    fixture.client.pause(QUEUE).await?;
    let enqueued = producers::one_by_one(&fixture, retention, jobs, PRODUCERS).await?;
    let drained = drain(&fixture, jobs, 1, CONCURRENCY).await?;
    fixture.check_waiting(0).await?;
    let each = jobs as f64;
    Ok(Cost {
        enqueue_rate: each / enqueued.seconds,
        drain_rate: each / drained.seconds,
        enqueue_cpu: enqueued.redis_cpu / each,
        drain_cpu: drained.redis_cpu / each,
    })
}
