//! Several worker processes on one queue: their total throughput and the share of each.

use std::sync::Arc;

use crate::drain::{Drained, drain};
use crate::fixture::{Fixture, QUEUE};
use crate::goals::Goal;
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::producers;
use crate::table::{Table, median, rounds_of, shown};

const PROCESSES: [usize; 3] = [1, 2, 4];

pub(crate) async fn section(size: Size) -> anyhow::Result<Outcome> {
    let (rounds, jobs) = (size.of(3, 1), size.of(300_000, 8_000));
    let mut runs: [Vec<Drained>; 3] = Default::default();
    for round in 0..rounds {
        for (processes, runs) in PROCESSES.into_iter().zip(&mut runs) {
            step(format_args!("workers, round {}: {processes}, {jobs} jobs", round + 1));
            let fixture = Arc::new(Fixture::start().await?);
            fixture.client.pause(QUEUE).await?;
            producers::one_by_one(&fixture, Retention::None, jobs, 64).await?;
            runs.push(drain(&fixture, jobs, processes, 64).await?);
            fixture.check_waiting(0).await?;
        }
    }
    let mut outcome = Outcome::default();
    let title = format!("{jobs} jobs, concurrency 64 each, all on the same cores, {}", rounds_of(rounds));
    let header = ["worker processes", "jobs/s in total", "÷ one process", "smallest share", "largest share"];
    let mut table = Table::new(title, &header);
    let rate = |run: &Drained| jobs as f64 / run.seconds;
    for (processes, of_these) in PROCESSES.into_iter().zip(&runs) {
        let ratio = median(of_these.iter().zip(&runs[0]).map(|(these, one)| rate(these) / rate(one)));
        let (smallest, largest) = (extreme(of_these, f64::min), extreme(of_these, f64::max));
        table.row([
            processes.to_string(),
            shown(median(of_these.iter().map(rate)), 0),
            shown(ratio, 2),
            shown(smallest, 2),
            shown(largest, 2),
        ]);
        match processes {
            2 => outcome.figure(Goal::TwoWorkers, ratio),
            4 => outcome.figure(Goal::FourWorkers, ratio),
            _ => {}
        }
    }
    let off = |run: &Drained| shares(run).map(|share| 100.0 * (share - 1.0).abs()).fold(0.0, f64::max);
    // The worst deviation of each round; the figure is their median.
    let worst = median(runs[1].iter().zip(&runs[2]).map(|(two, four)| off(two).max(off(four))));
    outcome.figure(Goal::WorkersShares, worst);
    outcome.tables.push(table);
    outcome.note("A share of 1 is an equal share. Shares are medians of the extremes of each round.");
    Ok(outcome)
}

/// Each worker's share of the jobs. 1 is an equal share.
fn shares(run: &Drained) -> impl Iterator<Item = f64> {
    let jobs: usize = run.workers.iter().map(|worker| worker.runs.len()).sum();
    let equal = jobs as f64 / run.workers.len() as f64;
    run.workers.iter().map(move |worker| worker.runs.len() as f64 / equal)
}

fn extreme(runs: &[Drained], which: fn(f64, f64) -> f64) -> Option<f64> {
    median(runs.iter().filter_map(|run| shares(run).reduce(which)))
}
