//! Drain by concurrency: atode and each peer, one run each.

use peer_protocol::What;

use crate::contenders::{self, Contender, Wanted, Whose};
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::plots::{Axis, Chart, Lines, Plot, Scale, Series};
use crate::runs::{self, Load};
use crate::table::{Table, shown};

pub(crate) fn section(size: Size, wanted: &Wanted) -> anyhow::Result<Outcome> {
    let (peers, skipped) = contenders::ready(wanted);
    let concurrencies: &[usize] = size.of(&[1, 4, 16, 64, 256], &[4, 64]);
    let mut outcome = Outcome { notes: skipped, ..Outcome::default() };
    let header: Vec<String> = concurrencies.iter().map(usize::to_string).collect();
    let header: Vec<&str> = std::iter::once("jobs/s").chain(header.iter().map(String::as_str)).collect();
    let mut table = Table::new("Drain by concurrency, one run each", &header);
    let mut series = Vec::new();
    for contender in [contenders::atode(Retention::None)?].iter().chain(&peers) {
        let mut points = Vec::new();
        let mut cells = vec![contender.name.to_owned()];
        for &concurrency in concurrencies {
            let jobs = jobs_of(contender, concurrency, size);
            step(format_args!("concurrency {concurrency}: {}, {jobs} jobs", contender.name));
            let load = Load { what: What::Drain, jobs, producers: 64, concurrency, seconds: 1 };
            let rate = match runs::run(contender, load) {
                Ok(run) => Some(run.line.per_second),
                Err(error) if contender.whose == Whose::Atode => return Err(error),
                Err(error) => {
                    outcome.note(format!("A run without a figure: {error:#}"));
                    None
                }
            };
            points.extend(rate.map(|rate| (concurrency as f64, rate)));
            cells.push(shown(rate, 0));
        }
        table.row(cells);
        series.push(Series { name: contender.name.to_owned(), points });
    }
    outcome.tables.push(table);
    let title = "Drain by concurrency, one worker process".to_owned();
    let x = Axis { label: "concurrent jobs".to_owned(), scale: Scale::Log };
    let y = Axis { label: "jobs/s".to_owned(), scale: Scale::Log };
    outcome
        .plots
        .push(Plot { name: "concurrency", chart: Chart::Lines(vec![Lines { title, x, y, series }]) });
    Ok(outcome)
}

/// Enough jobs for a few seconds per run. Low concurrency is slow, and so are the peers.
fn jobs_of(contender: &Contender, concurrency: usize, size: Size) -> usize {
    let jobs = match (contender.whose, concurrency) {
        (Whose::Atode, 1) => 10_000,
        (Whose::Atode, 2..=4) => 40_000,
        (Whose::Atode, _) => 150_000,
        (Whose::Peer, 1) => 2_000,
        (Whose::Peer, 2..=4) => 6_000,
        (Whose::Peer, _) => 20_000,
    };
    size.of(jobs, jobs / 20).min(contender.at_most.unwrap_or(jobs))
}
