//! The tables, and the document that they make.

use std::process::Command;

use anyhow::Context;
use comfy_table::{Table, presets};
use peer_protocol::What;

use crate::compare::{Args, Lateness, Run};
use crate::contenders::Contender;
use crate::stand::median;

/// A peer's runs, and those of ours beside each; an error is the reason why a run has no figure.
pub(crate) struct Row {
    pub(crate) contender: Contender,
    theirs: Vec<Result<Run, String>>,
    ours: Vec<Result<Run, String>>,
}

impl Row {
    pub(crate) fn new(contender: Contender) -> Self {
        Row { contender, theirs: vec![], ours: vec![] }
    }

    pub(crate) fn add_theirs(&mut self, run: anyhow::Result<Run>) {
        self.theirs.push(run.map_err(|error| format!("{error:#}")));
    }

    pub(crate) fn add_ours(&mut self, run: anyhow::Result<Run>) {
        self.ours.push(run.map_err(|error| format!("{error:#}")));
    }

    fn ratio(&self) -> Option<f64> {
        let pairs = self.ours.iter().zip(&self.theirs).filter_map(|(ours, theirs)| {
            Some(ours.as_ref().ok()?.line.per_second / theirs.as_ref().ok()?.line.per_second)
        });
        of(pairs)
    }
}

pub(crate) fn table(what: What, rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(match what {
        What::Enqueue => {
            vec!["", "jobs/s", "ours beside it", "ours ÷ it", "Redis CPU µs/job", "B/waiting job"]
        }
        What::Drain => vec!["", "jobs/s", "ours beside it", "ours ÷ it", "Redis CPU µs/job, enqueue too"],
        What::Lateness => vec!["", "p50 ms", "p99 ms", "max ms", "earliest ms"],
    });
    let mut failures = Vec::new();
    for row in rows {
        table.add_row(cells(what, row.contender.name, &row.theirs, Some(row)));
        failures.extend(row.theirs.iter().filter_map(|run| run.as_ref().err()));
    }
    // Runs with as many jobs as most have; those beside a peer that takes fewer stand in its row.
    let full = |row: &&Row| rows.len() == 1 || row.contender.at_most.is_none();
    let ours: Vec<_> = rows.iter().filter(full).flat_map(|row| row.ours.iter().cloned()).collect();
    table.add_row(cells(what, "atode", &ours, None));
    failures.extend(ours.iter().filter_map(|run| run.as_ref().err()));
    let failures: String = failures
        .iter()
        .map(|failure| format!("\nA run without a figure: {}\n", failure.replace('\n', " ")))
        .collect();
    format!("### {}\n\n{table}\n{failures}", what.name())
}

fn cells(what: What, name: &str, runs: &[Result<Run, String>], pair: Option<&Row>) -> Vec<String> {
    let good: Vec<&Run> = runs.iter().filter_map(|run| run.as_ref().ok()).collect();
    let version = good.first().map(|run| run.line.version.clone()).unwrap_or_default();
    let name = format!("{name} {}", version.trim_start_matches('v'));
    let each = |figure: fn(&Run) -> f64| of(good.iter().map(|run| figure(run)));
    let late = |figure: fn(Lateness) -> f64| {
        shown(of(good.iter().filter_map(|run| run.line.lateness_ms).map(figure)), 1)
    };
    if what == What::Lateness {
        return vec![name, late(|l| l.p50), late(|l| l.p99), late(|l| l.max), late(|l| l.min)];
    }
    let beside = |row: &Row| of(row.ours.iter().flatten().map(|run| run.line.per_second));
    let mut cells = vec![
        name,
        shown(each(|run| run.line.per_second), 0),
        pair.map_or_else(String::new, |row| shown(beside(row), 0)),
        pair.map_or_else(String::new, |row| shown(row.ratio(), 2)),
        shown(each(|run| run.redis_cpu), 1),
    ];
    if what == What::Enqueue {
        cells.push(shown(each(|run| run.redis_memory), 0));
    }
    cells
}

/// The median, if there is one.
fn of(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    if figures.is_empty() { None } else { Some(median(&mut figures)) }
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.digits$}"))
}

pub(crate) fn write(args: &Args, tables: &[String], notes: &[String]) -> anyhow::Result<()> {
    let path = atode_testkit::workspace_root().join("docs/benchmarks.md");
    let Args { rounds, jobs, producers, concurrency, lateness_jobs, lateness_seconds, .. } = args;
    let machine = machine();
    let date = jiff::Zoned::now().date();
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `./dev bench --write` on {date}; what each run does, and when it has no figure, stands in\n\
         [bench/peers/README.md](../bench/peers/README.md). Figures differ from machine to machine and drift on one:\n\
         only ratios within one run count. Every figure is the median of {rounds} rounds; a ratio is that of the\n\
         two runs side by side, and the median of these.\n\n\
         - machine: {machine}\n\
         - Redis: {}, AOF `everysec`, on the same cores, started for each run\n\
         - toolchains: {}; {}; node {}\n\
         - {jobs} jobs of 53 bytes, {producers} producers, concurrency {concurrency}; lateness: {lateness_jobs} jobs\n  \
           over {lateness_seconds} s\n\
         - command: `atode-bench compare --rounds {rounds} --jobs {jobs} --producers {producers} \
           --concurrency {concurrency}\n  --lateness-jobs {lateness_jobs} --lateness-seconds {lateness_seconds} --write`\n",
        said(&std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned()), "--version"),
        said("rustc", "--version"),
        said("go", "version"),
        said("node", "--version"),
    );
    text.extend(notes.iter().map(|note| format!("- {note}\n")));
    text.extend(tables.iter().map(|table| format!("\n{}", table.replacen("###", "##", 1))));
    std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    println!("Written to docs/benchmarks.md.");
    Ok(())
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let gib = kib.and_then(|kib| kib.trim().parse::<f64>().ok()).unwrap_or_default() / f64::from(1 << 20);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    format!("{cores} cores, {model}, {gib:.0} GiB, {} {}", said("uname", "-s"), said("uname", "-r"))
}

/// The first line that a program says of itself.
fn said(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| "not installed".to_owned(), |line| line.trim().to_owned())
}
