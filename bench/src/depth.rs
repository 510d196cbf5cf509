//! Throughput by queue depth: how much jobs that are due tomorrow slow down the jobs that run now.

use std::sync::Arc;

use crate::drain::drain;
use crate::fixture::{Fixture, QUEUE};
use crate::goals::Goal;
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::plots::{Axis, Chart, Lines, Plot, Scale, Series};
use crate::producers;
use crate::table::{Table, median, rounds_of, shown};

/// Rounds that do not count. After a hash has doubled, Redis moves its entries in small steps during the following
/// commands. This section compares depths, not growth.
const WARM_UP: usize = 3;

/// A queue with this many waiting jobs, and its measurements.
struct Deep {
    depth: usize,
    fixture: Arc<Fixture>,
    rounds: Vec<Round>,
}

struct Round {
    enqueue: f64,
    drain: f64,
    /// CPU time of Redis' main thread per job, from enqueue to end, µs.
    redis_cpu: f64,
}

pub(crate) async fn section(size: Size) -> anyhow::Result<Outcome> {
    let depths: &[usize] = size.of(&[10_000, 100_000, 300_000, 1_000_000], &[1_000, 20_000]);
    let (rounds, jobs) = (size.of(5, 1), size.of(100_000, 4_000));
    let mut queues = Vec::new();
    for &depth in depths {
        step(format_args!("depth: {depth} waiting jobs"));
        let fixture = Arc::new(Fixture::start().await?);
        fixture.client.pause(QUEUE).await?;
        producers::wait_for_tomorrow(&fixture, &Retention::None.kind(), depth).await?;
        // Each round writes the same bytes, so a rewrite of the AOF would disturb the same phase of many rounds.
        fixture.redis.command(&["CONFIG", "SET", "auto-aof-rewrite-percentage", "0"]);
        queues.push(Deep { depth, fixture, rounds: vec![] });
    }
    for round in 0..WARM_UP + rounds {
        for queue in &mut queues {
            step(format_args!("depth, round {}: {jobs} jobs before {}", round + 1, queue.depth));
            let figures = one(&queue.fixture, jobs).await?;
            if round >= WARM_UP {
                queue.rounds.push(figures);
            }
        }
        // The order alternates, so that drift within a round affects all depths.
        queues.reverse();
    }
    queues.sort_by_key(|queue| queue.depth);
    for queue in &queues {
        step(format_args!("depth: audit of {}", queue.depth));
        queue.fixture.check_waiting(queue.depth).await?;
    }
    let mut outcome = Outcome::default();
    let title = format!(
        "{jobs} single enqueues by 64 producers, then one worker, concurrency 64, no rewrite of the AOF; {} after \
         {WARM_UP} warm-up rounds",
        rounds_of(rounds)
    );
    let header = [
        "jobs waiting",
        "enqueue jobs/s",
        "÷ the shallowest",
        "drain jobs/s",
        "÷ the shallowest",
        "Redis CPU µs/job",
    ];
    let mut table = Table::new(title, &header);
    for queue in &queues {
        table.row([
            shown(Some(queue.depth as f64), 0),
            shown(queue.median(|round| round.enqueue), 0),
            shown(queue.ratio(&queues[0], |round| round.enqueue), 2),
            shown(queue.median(|round| round.drain), 0),
            shown(queue.ratio(&queues[0], |round| round.drain), 2),
            shown(queue.median(|round| round.redis_cpu), 1),
        ]);
    }
    outcome.tables.push(table);
    if let [shallow, .., deep] = &queues[..] {
        outcome.figure(Goal::DeepEnqueue, deep.ratio(shallow, |round| round.enqueue));
        outcome.figure(Goal::DeepDrain, deep.ratio(shallow, |round| round.drain));
    }
    outcome.plots.push(plot(&queues));
    Ok(outcome)
}

async fn one(fixture: &Arc<Fixture>, jobs: usize) -> anyhow::Result<Round> {
    let enqueued = producers::one_by_one(fixture, Retention::None, jobs, 64).await?;
    let drained = drain(fixture, jobs, 1, 64).await?;
    let each = jobs as f64;
    Ok(Round {
        enqueue: each / enqueued.seconds,
        drain: each / drained.seconds,
        redis_cpu: (enqueued.redis_cpu + drained.redis_cpu) / each,
    })
}

impl Deep {
    fn median(&self, figure: fn(&Round) -> f64) -> Option<f64> {
        median(self.rounds.iter().map(figure))
    }

    /// The median of the ratios of each round.
    fn ratio(&self, to: &Deep, figure: fn(&Round) -> f64) -> Option<f64> {
        median(self.rounds.iter().zip(&to.rounds).map(|(deep, shallow)| figure(deep) / figure(shallow)))
    }
}

fn plot(queues: &[Deep]) -> Plot {
    let series = |name: &str, figure: fn(&Round) -> f64| {
        let point = |queue: &Deep| Some((queue.depth as f64, queue.median(figure)?));
        Series { name: name.to_owned(), points: queues.iter().filter_map(point).collect() }
    };
    let x = || Axis { label: "jobs due tomorrow".to_owned(), scale: Scale::Log };
    let y = |label: &str| Axis { label: label.to_owned(), scale: Scale::FromZero };
    let rates = Lines {
        title: "Rate by queue depth".to_owned(),
        x: x(),
        y: y("jobs/s"),
        series: vec![series("enqueue", |round| round.enqueue), series("drain", |round| round.drain)],
    };
    let cost = Lines {
        title: "Redis CPU by queue depth".to_owned(),
        x: x(),
        y: y("µs per job, enqueue to end"),
        series: vec![series("atode", |round| round.redis_cpu)],
    };
    Plot { name: "depth", chart: Chart::Lines(vec![rates, cost]) }
}
