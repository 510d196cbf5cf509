//! The sections of the suite. They run one after the other.

use std::path::Path;
use std::time::Instant;

use clap::Subcommand;

use crate::contenders::Wanted;
use crate::outcome::{Measured, Outcome, Size, step};
use crate::runtime::on_tokio;
use crate::table::Table;
use crate::{
    calls, compare, concurrency, cost, deep_lateness, depth, document, floor, goals, http, idle, memory,
    workers,
};

#[derive(Subcommand, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// Enqueue, drain and lateness of atode and each peer in turns. `./dev bench` builds the peers.
    Compare,
    /// `POST /v1/jobs` beside a plain handler, with `appendfsync always`, with the limiter on Redis; batches. Needs
    /// wrk and a built api-gateway.
    Http,
    /// Limits of Redis: the data changes of a job as plain commands, and atode's scripts without a client's work.
    Floor,
    /// CPU and memory of Redis per job.
    Cost,
    /// Enqueue and drain with 10 k to 1 M waiting jobs.
    Depth,
    /// Drain by concurrency, atode and each peer.
    Concurrency,
    /// Lateness at 5,000 jobs/s with 1 M waiting jobs.
    DeepLateness,
    /// 1, 2 and 4 worker processes on one queue.
    Workers,
    /// Script calls per sparse job, and its lateness, with 1 to 64 worker processes.
    Calls,
    /// An idle worker with 1 M waiting jobs. Needs a built worker.
    Idle,
    /// Memory of gateway and worker at full load. Needs wrk and both binaries.
    Memory,
}

impl Section {
    const ALL: [Section; 11] = [
        Section::Compare,
        Section::Http,
        Section::Floor,
        Section::Cost,
        Section::Depth,
        Section::Concurrency,
        Section::DeepLateness,
        Section::Workers,
        Section::Calls,
        Section::Idle,
        Section::Memory,
    ];

    fn title(self) -> &'static str {
        match self {
            Section::Compare => "Side by side",
            Section::Http => "Over HTTP",
            Section::Floor => "The limits of Redis",
            Section::Cost => "Cost of a job to Redis",
            Section::Depth => "Cost by queue depth",
            Section::Concurrency => "Throughput by concurrency",
            Section::DeepLateness => "Lateness under load, with a large backlog",
            Section::Workers => "Several workers",
            Section::Calls => "Calls per sparse job",
            Section::Idle => "An idle worker",
            Section::Memory => "Memory of the processes",
        }
    }

    fn measure(self, size: Size, wanted: &Wanted) -> anyhow::Result<Outcome> {
        match self {
            Section::Compare => compare::section(size, wanted),
            Section::Http => http::section(size),
            Section::Floor => floor::section(size),
            Section::Cost => on_tokio(cost::section(size)),
            Section::Depth => on_tokio(depth::section(size)),
            Section::Concurrency => concurrency::section(size, wanted),
            Section::DeepLateness => on_tokio(deep_lateness::section(size)),
            Section::Workers => on_tokio(workers::section(size)),
            Section::Calls => on_tokio(calls::section(size)),
            Section::Idle => on_tokio(idle::section(size)),
            Section::Memory => memory::section(size),
        }
    }
}

pub(crate) fn one(section: Section, size: Size, wanted: &Wanted) -> anyhow::Result<()> {
    warn_of(size);
    let measured = measure(section, size, wanted);
    finish(size, &[measured], None)
}

/// Runs all sections. Writes the document and its plots into the folder `docs` if one is given.
pub(crate) fn all(size: Size, wanted: &Wanted, docs: Option<&Path>) -> anyhow::Result<()> {
    warn_of(size);
    let all: Vec<Measured> = Section::ALL.map(|section| measure(section, size, wanted)).into();
    finish(size, &all, docs)
}

fn measure(section: Section, size: Size, wanted: &Wanted) -> Measured {
    let start = Instant::now();
    println!("\n## {}", section.title());
    let outcome = section.measure(size, wanted).map_err(|error| format!("{error:#}"));
    match &outcome {
        Ok(outcome) => {
            outcome.tables.iter().for_each(show);
            outcome.notes.iter().for_each(|note| println!("\n{note}"));
        }
        Err(error) => println!("\nNo figure: {error}"),
    }
    step(format_args!("{} took {:.0} s", section.title(), start.elapsed().as_secs_f64()));
    Measured { title: section.title(), outcome }
}

fn finish(size: Size, all: &[Measured], docs: Option<&Path>) -> anyhow::Result<()> {
    let figures: Vec<_> = all
        .iter()
        .filter_map(|measured| measured.outcome.as_ref().ok())
        .flat_map(|outcome| outcome.figures.clone())
        .collect();
    let title = match size {
        Size::Full => "Goals",
        Size::Quick => "Goals (no measurement: --quick)",
    };
    let goals = goals::table(title, &figures);
    if !figures.is_empty() {
        show(&goals);
    }
    warn_of(size);
    if let Some(docs) = docs {
        document::write(docs, &goals, all)?;
        println!("\nWritten to {}.", docs.join("benchmarks.md").display());
    }
    let failed = all.iter().filter(|measured| measured.outcome.is_err()).count();
    anyhow::ensure!(failed == 0, "{failed} of {} sections have no figure", all.len());
    Ok(())
}

fn show(table: &Table) {
    println!("\n### {}\n\n{}", table.title, table.markdown());
}

fn warn_of(size: Size) {
    if size == Size::Quick {
        println!("\nThis is no measurement: --quick only checks that everything works.");
    } else if cfg!(debug_assertions) {
        println!("\nThis is a debug build: its figures for atode mean nothing.");
    }
}
