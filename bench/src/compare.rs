//! atode and each peer in turns: enqueue, drain, lateness.

use peer_protocol::What;

use crate::contenders::{self, Contender, Wanted};
use crate::goals::Goal;
use crate::kinds::Retention;
use crate::outcome::{Outcome, Size, step};
use crate::plots::{Axis, Bars, Chart, Lines, Plot, Scale, Series};
use crate::runs::{self, Load, Run};
use crate::table::{Table, median, rounds_of, shown};

const CONCURRENCY: usize = 64;
const PRODUCERS: usize = 64;

/// A run, or the reason why there is no figure.
type Try = Result<Run, String>;

/// A peer's runs, and the run of atode beside each of them.
struct Pairs {
    peer: Contender,
    theirs: Vec<Try>,
    atode: Vec<Try>,
    /// Runs of atode with the default retention. Only a drain has them.
    kept: Vec<Try>,
}

pub(crate) fn section(size: Size, wanted: &Wanted) -> anyhow::Result<Outcome> {
    let (peers, skipped) = contenders::ready(wanted);
    let rounds = size.of(3, 1);
    let rounds_of = rounds_of(rounds);
    let mut outcome = Outcome { notes: skipped, ..Outcome::default() };
    outcome.notes.extend(peers.iter().filter_map(|peer| peer.note.map(str::to_owned)));
    let enqueue = Load {
        what: What::Enqueue,
        jobs: size.of(100_000, 5_000),
        producers: PRODUCERS,
        concurrency: CONCURRENCY,
        seconds: size.of(15, 1),
    };
    let pairs = in_turns(&peers, enqueue, rounds)?;
    let name = format!(
        "Enqueue: {} jobs one by one, {PRODUCERS} producers, {rounds_of}",
        shown(Some(enqueue.jobs as f64), 0)
    );
    rates(&mut outcome, Table::new(name, &HEADER_OF_ENQUEUE), What::Enqueue, &pairs);
    outcome.figure(Goal::EnqueueToAsynq, ratio_to(&pairs, "asynq", |pairs| &pairs.atode));
    outcome.figure(Goal::EnqueueToBullmqOfficial, ratio_to(&pairs, "bullmq-official", |pairs| &pairs.atode));
    outcome.plots.extend(memory_plot(&pairs));

    let drain = Load { what: What::Drain, ..enqueue };
    let pairs = in_turns(&peers, drain, rounds)?;
    let name = format!(
        "Drain: {} jobs, one worker, concurrency {CONCURRENCY}, {rounds_of}",
        shown(Some(drain.jobs as f64), 0)
    );
    rates(&mut outcome, Table::new(name, &HEADER_OF_DRAIN), What::Drain, &pairs);
    outcome.figure(Goal::DrainToAsynq, ratio_to(&pairs, "asynq", |pairs| &pairs.atode));
    outcome.figure(Goal::DrainToBullmqOfficial, ratio_to(&pairs, "bullmq-official", |pairs| &pairs.atode));
    outcome.figure(Goal::KeptDrainToAsynq, ratio_to(&pairs, "asynq", |pairs| &pairs.kept));

    lateness(
        &mut outcome,
        &peers,
        Load { what: What::Lateness, jobs: size.of(4_000, 300), ..drain },
        rounds,
    )?;
    Ok(outcome)
}

/// Runs atode directly before or after each run of a peer, or alone if there is no peer.
fn in_turns(peers: &[Contender], load: Load, rounds: usize) -> anyhow::Result<Vec<Pairs>> {
    let (atode, kept) = (contenders::atode(Retention::None)?, contenders::atode(Retention::Default)?);
    let none = |peer: &Contender| Pairs { peer: peer.clone(), theirs: vec![], atode: vec![], kept: vec![] };
    let alone = std::slice::from_ref(&atode);
    let mut all: Vec<Pairs> = if peers.is_empty() { alone } else { peers }.iter().map(none).collect();
    for round in 0..rounds {
        for pairs in &mut all {
            let most = pairs.peer.at_most.filter(|_| load.what == What::Drain).unwrap_or(load.jobs);
            // Both sides of a pair get the same load.
            let load = Load { jobs: load.jobs.min(most), ..load };
            // The order alternates, so that drift within a pair affects both sides.
            let theirs_first = round % 2 == 1;
            if theirs_first && !peers.is_empty() {
                pairs.theirs.push(attempt(&pairs.peer, load, round));
            }
            pairs.atode.push(attempt(&atode, load, round));
            if load.what == What::Drain {
                pairs.kept.push(attempt(&kept, load, round));
            }
            if !theirs_first && !peers.is_empty() {
                pairs.theirs.push(attempt(&pairs.peer, load, round));
            }
        }
    }
    for pairs in &all {
        all_good(pairs.atode.iter().chain(&pairs.kept))?;
    }
    Ok(all)
}

fn attempt(contender: &Contender, load: Load, round: usize) -> Try {
    step(format_args!("{}, round {}: {}, {} jobs", load.what.name(), round + 1, contender.name, load.jobs));
    runs::run(contender, load).map_err(|error| format!("{error:#}").replace('\n', " "))
}

/// A peer's failure is reported in the document, a failure of atode ends the section.
fn all_good<'a>(mut atode: impl Iterator<Item = &'a Try>) -> anyhow::Result<()> {
    atode.find_map(|run| run.as_ref().err()).map_or(Ok(()), |error| anyhow::bail!("{error}"))
}

const HEADER_OF_ENQUEUE: [&str; 6] =
    ["", "jobs/s", "atode beside it", "atode ÷ it", "Redis CPU µs/job", "B/waiting job"];
const HEADER_OF_DRAIN: [&str; 7] = [
    "",
    "jobs/s",
    "atode beside it, retention 0",
    "atode ÷ it",
    "atode, default retention",
    "atode ÷ it",
    "Redis CPU µs/job, enqueue in batches too",
];

fn rates(outcome: &mut Outcome, mut table: Table, what: What, all: &[Pairs]) {
    let row = |name: &str, runs: &[&Run], beside: [String; 4]| {
        let [atode, ratio, kept, kept_ratio] = beside;
        let mut cells = vec![named(name, runs), rate(runs.iter().copied()), atode, ratio];
        if what == What::Drain {
            cells.extend([kept, kept_ratio]);
        }
        cells.push(shown(median(runs.iter().map(|run| run.redis_cpu)), 1));
        if what == What::Enqueue {
            cells.push(shown(median(runs.iter().map(|run| run.redis_memory)), 0));
        }
        cells
    };
    for pairs in all.iter().filter(|pairs| !pairs.theirs.is_empty()) {
        let theirs: Vec<&Run> = pairs.theirs.iter().flatten().collect();
        let beside = [
            rate(pairs.atode.iter().flatten()),
            shown(pairs.ratio(&pairs.atode), 2),
            rate(pairs.kept.iter().flatten()),
            shown(pairs.ratio(&pairs.kept), 2),
        ];
        table.row(row(pairs.peer.name, &theirs, beside));
    }
    let none = || std::array::from_fn(|_| String::new());
    let (atode, kept) = (of_atode(all, |pairs| &pairs.atode), of_atode(all, |pairs| &pairs.kept));
    table.row(row("atode", &atode, none()));
    if what == What::Drain {
        table.row(row("atode, default retention", &kept, none()));
    }
    outcome.tables.push(table);
    outcome.notes.extend(
        all.iter()
            .flat_map(|pairs| &pairs.theirs)
            .filter_map(|run| Some(format!("A run without a figure: {}", run.as_ref().err()?))),
    );
}

/// The runs of atode with the full number of jobs. Runs beside a peer that takes fewer appear in the peer's row.
fn of_atode(all: &[Pairs], which: fn(&Pairs) -> &[Try]) -> Vec<&Run> {
    let full = |pairs: &&Pairs| all.len() == 1 || pairs.peer.at_most.is_none();
    all.iter().filter(full).flat_map(|pairs| which(pairs).iter().flatten()).collect()
}

fn named(name: &str, runs: &[&Run]) -> String {
    let version = runs.first().map_or("", |run| run.line.version.trim_start_matches('v'));
    // `atode 0.1.0, default retention`
    let (name, rest) = name.split_at(name.find(',').unwrap_or(name.len()));
    format!("{name} {version}{rest}")
}

fn rate<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    shown(median(runs.map(|run| run.line.per_second)), 0)
}

impl Pairs {
    fn ratio(&self, of: &[Try]) -> Option<f64> {
        median(of.iter().zip(&self.theirs).filter_map(|(atode, theirs)| {
            Some(atode.as_ref().ok()?.line.per_second / theirs.as_ref().ok()?.line.per_second)
        }))
    }
}

fn ratio_to(all: &[Pairs], peer: &str, which: fn(&Pairs) -> &[Try]) -> Option<f64> {
    all.iter().find(|pairs| pairs.peer.name == peer).and_then(|pairs| pairs.ratio(which(pairs)))
}

fn memory_plot(all: &[Pairs]) -> Option<Plot> {
    let memory = |runs: &[&Run]| median(runs.iter().map(|run| run.redis_memory));
    let mut figures = vec![("atode".to_owned(), memory(&of_atode(all, |pairs| &pairs.atode))?)];
    for pairs in all.iter().filter(|pairs| !pairs.theirs.is_empty()) {
        let theirs: Vec<&Run> = pairs.theirs.iter().flatten().collect();
        figures.extend(memory(&theirs).map(|bytes| (pairs.peer.name.to_owned(), bytes)));
    }
    let title = "Redis memory of a waiting job that is due, 53-byte payload".to_owned();
    Some(Plot { name: "memory", chart: Chart::Bars(Bars { title, unit: "bytes per job", figures }) })
}

/// Runs the contenders one after the other, not in pairs: a lateness has no ratio.
fn lateness(outcome: &mut Outcome, peers: &[Contender], load: Load, rounds: usize) -> anyhow::Result<()> {
    let atode = contenders::atode(Retention::None)?;
    let mut all: Vec<(&Contender, Vec<Try>)> =
        [&atode].into_iter().chain(peers).map(|contender| (contender, vec![])).collect();
    for round in 0..rounds {
        for (contender, runs) in &mut all {
            let jobs = load.jobs.min(contender.at_most.unwrap_or(load.jobs));
            runs.push(attempt(contender, Load { jobs, ..load }, round));
        }
    }
    let title = format!(
        "Lateness: {} jobs over {} s, each 3.0–4.0 s later, {}",
        shown(Some(load.jobs as f64), 0),
        load.seconds,
        rounds_of(rounds)
    );
    let mut table = Table::new(title, &["", "p50 ms", "p75 ms", "p95 ms", "p99 ms", "max ms", "earliest ms"]);
    let mut series = Vec::new();
    for (contender, runs) in &all {
        let good: Vec<&Run> = runs.iter().flatten().collect();
        let at = |percent: usize| median(good.iter().map(|run| run.line.lateness_percentiles_ms[percent]));
        let cells = [50, 75, 95, 99, 100, 0].map(|percent| shown(at(percent), 1));
        table.row(std::iter::once(named(contender.name, &good)).chain(cells));
        // A logarithmic axis cannot show zero or less.
        let point = |percent: usize| Some((at(percent)?.max(EARLIEST_SHOWN), percent as f64));
        let points: Vec<_> = (0..=100).filter_map(point).collect();
        if !points.is_empty() {
            series.push(Series { name: contender.name.to_owned(), points });
        }
        outcome.notes.extend(
            runs.iter().filter_map(|run| Some(format!("A run without a figure: {}", run.as_ref().err()?))),
        );
        if contender.name == atode.name {
            all_good(runs.iter())?;
            outcome.figure(Goal::LatenessP99, at(99));
            outcome.figure(Goal::LatenessMax, at(100));
        }
    }
    outcome.tables.push(table);
    let x = Axis {
        label: format!("ms after the due time ({EARLIEST_SHOWN} or less: at it, or before)"),
        scale: Scale::Log,
    };
    let y = Axis { label: "% of the jobs have started".to_owned(), scale: Scale::FromZero };
    let title = "Lateness".to_owned();
    outcome.plots.push(Plot { name: "lateness", chart: Chart::Lines(vec![Lines { title, x, y, series }]) });
    Ok(())
}

/// ms
const EARLIEST_SHOWN: f64 = 0.1;
