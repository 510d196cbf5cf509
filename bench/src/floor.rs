//! The limits of Redis: the data changes of a job's life as plain commands, and atode's scripts without a client's work.

use crate::outcome::{Outcome, Size, step};
use crate::pipeline::Costs;
use crate::table::{Table, shown};
use crate::{plain, replay};

pub(crate) fn section(size: Size) -> anyhow::Result<Outcome> {
    let jobs = size.of(200_000, 5_000);
    let title = "Pipelined on one connection, replies discarded";
    let header = ["", "jobs", "jobs/call", "enqueue jobs/s", "claim + complete jobs/s", "Redis CPU µs/job"];
    let mut table = Table::new(title, &header);
    for batch in [1, 64] {
        step(format_args!("floor: plain commands, {batch} jobs per command"));
        table.row(row("plain commands", batch, jobs, &plain::measure(jobs, batch)?));
    }
    // Recording is sequential, which takes long with single jobs.
    for (jobs, batch) in [(jobs / 40, 1), (jobs, 64)] {
        step(format_args!("floor: atode's scripts, {batch} jobs per call"));
        table.row(row("atode's scripts", batch, jobs, &replay::measure(jobs, batch)?));
    }
    let mut outcome = Outcome::default();
    outcome.tables.push(table);
    outcome.note(
        "Plain commands: the data changes that a job's life needs, without tokens, checks, counters and wake-ups. \
         atode's scripts: the exact calls that the library makes, recorded and sent again.",
    );
    Ok(outcome)
}

fn row(name: &str, batch: usize, jobs: usize, costs: &Costs) -> [String; 6] {
    let each = jobs as f64;
    [
        name.to_owned(),
        shown(Some(each), 0),
        batch.to_string(),
        shown(Some(each / costs.enqueue.seconds), 0),
        shown(Some(each / costs.drain.seconds), 0),
        shown(Some((costs.enqueue.cpu + costs.drain.cpu) / each), 1),
    ]
}
