//! Injects random faults into a running system and checks that nothing is lost.
#![expect(clippy::print_stdout, reason = "printing the report is the purpose of this program")]

use std::process::ExitCode;
use std::time::Duration;

use atode_soak::{Fault, Plan, Report};
use clap::{Parser, ValueEnum as _};

/// Injects random faults into a running system and checks that nothing is lost.
///
/// Starts two gateways, three workers and a Redis under load, and kills, freezes, disconnects and stops them at random.
/// At the end every job that was answered with 201 must be accounted for; otherwise the exit code is 1.
#[derive(Parser)]
#[command(name = "atode-soak")]
struct Args {
    /// Shortest duration. The soak also runs until --jobs and --kills are reached.
    #[arg(default_value_t = 1.0)]
    minutes: f64,
    /// Seed of the random choices. The same seed chooses the same faults and jobs. Random by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of jobs that must be answered with 201 before the end.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Number of processes that must be killed before the end.
    #[arg(long, default_value_t = 0)]
    kills: usize,
    /// Longest duration in minutes.
    #[arg(long, default_value_t = 15.0)]
    longest: f64,
    /// Inject only this fault. Repeatable; all faults by default.
    #[arg(long, value_enum)]
    fault: Vec<Fault>,
    /// Longest time between two faults, milliseconds.
    #[arg(long, default_value_t = 1_500)]
    gap: u64,
    /// Duration of a freeze of Redis, seconds.
    #[arg(long, default_value_t = 2.0)]
    freeze: f64,
    #[arg(long, default_value_t = 24)]
    clients: u64,
    /// Time between two requests of a client, milliseconds.
    #[arg(long, default_value_t = 150)]
    pause: u64,
    /// appendfsync of Redis: `always` or `everysec`. With `everysec` jobs may be lost.
    #[arg(long, default_value = "always")]
    appendfsync: String,
    /// Run each fault separately for the given minutes, and print a Markdown table.
    #[arg(long)]
    table: bool,
    /// Only measure how soon work continues after a kill, in this many rounds.
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

/// Runs the soak. True if every promise was kept.
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
    println!("seed {} (repeat with --seed {0}), appendfsync {}", plan.seed, plan.appendfsync);
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
        "| fault | times | jobs answered with 201 | runs | lost | stale settlements | repeated runs by cause |"
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
