//! Breaks a running system at random and proves that nothing is lost.
#![expect(clippy::print_stdout, reason = "printing what happened is what this is for")]

use std::process::ExitCode;
use std::time::Duration;

use atode_soak::{Fault, Plan, Report};
use clap::{Parser, ValueEnum as _};

/// Two gateways, three workers and a Redis of their own, under load, while they are killed, frozen, cut
/// off and stopped at random. At the end every 201 has to be accounted for: exit code 1 if one is not.
#[derive(Parser)]
#[command(name = "atode-soak")]
struct Args {
    /// At least this long, and until there were as many jobs and kills as wanted.
    #[arg(default_value_t = 1.0)]
    minutes: f64,
    /// The same seed chooses the same faults and jobs again. Without one: a random one.
    #[arg(long)]
    seed: Option<u64>,
    /// Jobs that have to be answered 201 before it ends.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Processes that have to be killed before it ends.
    #[arg(long, default_value_t = 0)]
    kills: usize,
    /// The end in any case.
    #[arg(long, default_value_t = 15.0)]
    longest: f64,
    /// Only these (repeatable); without any: all.
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
    /// Milliseconds between two faults, at most.
    #[arg(long, default_value_t = 1_500)]
    gap: u64,
    /// Seconds that a frozen Redis stays so.
    #[arg(long, default_value_t = 2.0)]
    freeze: f64,
    #[arg(long, default_value_t = 24)]
    clients: u64,
    /// Milliseconds between two requests of a client.
    #[arg(long, default_value_t = 150)]
    pause: u64,
    /// `always` or `everysec`; what the latter loses is measured, not promised.
    #[arg(long, default_value = "always")]
    appendfsync: String,
    /// Each fault on its own for so many minutes, as a table in Markdown.
    #[arg(long)]
    table: bool,
    /// Only measures how soon work goes on after a kill, in so many rounds.
    #[arg(long)]
    recovery: Option<usize>,
}

fn main() -> ExitCode {
    match soak(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise was kept.
fn soak(args: &Args) -> anyhow::Result<bool> {
    let minutes = |minutes: f64| Duration::from_secs_f64(60.0 * minutes);
    let all = || Fault::value_variants().to_vec();
    let plan = Plan {
        seed: args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
        least: minutes(args.minutes),
        jobs: args.jobs,
        kills: args.kills,
        longest: minutes(args.longest.max(args.minutes)),
        faults: if args.fault.is_empty() { all() } else { args.fault.clone() },
        gap: Duration::from_millis(args.gap),
        freeze: Duration::from_secs_f64(args.freeze),
        clients: args.clients,
        pause: Duration::from_millis(args.pause),
        gateways: 2,
        workers: 3,
        appendfsync: args.appendfsync.clone(),
    };
    if let Some(rounds) = args.recovery {
        atode_soak::measure_recovery(rounds.max(1), |line| println!("{line}"))?;
        return Ok(true);
    }
    println!("seed {} (again: --seed {0}), appendfsync {}", plan.seed, plan.appendfsync);
    if args.table {
        return table(&plan);
    }
    let (report, injected) = atode_soak::run(&plan, |line| println!("{line}"))?;
    let faults: Vec<String> = injected.iter().map(|(fault, times)| format!("{fault} {times}")).collect();
    let kills: usize = injected.iter().filter(|(fault, _)| fault.is_kill()).map(|(_, times)| times).sum();
    println!("{} faults, {kills} kills: {}", injected.values().sum::<usize>(), faults.join(", "));
    println!("{report}");
    Ok(report.broken.is_empty())
}

fn table(plan: &Plan) -> anyhow::Result<bool> {
    println!(
        "| fault | times | jobs answered 201 | runs | lost | stale settlements | repeated runs, by cause |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut broken: Vec<Report> = Vec::new();
    for fault in &plan.faults {
        let (report, injected) = atode_soak::run(&Plan { faults: vec![*fault], ..plan.clone() }, |_| ())?;
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            fault.text(),
            injected.values().sum::<usize>(),
            report.stored,
            report.runs,
            report.lost(),
            report.stale(),
            report.repeats_in_words(),
        );
        if !report.broken.is_empty() {
            broken.push(report);
        }
    }
    for report in &broken {
        println!("{report}");
    }
    Ok(broken.is_empty())
}
