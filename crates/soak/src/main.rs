//! Injects random faults into a running system and checks that nothing is lost.
#![expect(clippy::print_stdout, reason = "printing the report is the purpose of this program")]

use std::process::ExitCode;

use atode_soak::{Plan, Report};
use clap::Parser;

/// Injects random faults into a running system and checks that nothing is lost.
///
/// Starts two gateways, three workers and a Redis under load, and kills, freezes, disconnects and stops them at random.
/// At the end every job that got 201 must be accounted for; otherwise the exit code is 1.
#[derive(Parser)]
#[command(name = "atode-soak")]
struct Args {
    #[command(flatten)]
    plan: Plan,
    /// Run each fault separately for the given minutes, and print a Markdown table.
    #[arg(long)]
    table: bool,
    /// Only measure how soon work continues after a kill, in this many rounds.
    #[arg(long)]
    recovery: Option<usize>,
    /// Only restart all workers and gateways one by one, while clients store this many jobs per second.
    #[arg(long, value_name = "JOBS_PER_SECOND", num_args = 0..=1, default_missing_value = "2000")]
    rolling: Option<u64>,
    /// Only let an autoscaler handle a backlog of this many jobs.
    #[arg(long, value_name = "JOBS", num_args = 0..=1, default_missing_value = "100000")]
    scaling: Option<usize>,
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
    let plan = &args.plan;
    if let Some(rounds) = args.recovery {
        atode_soak::measure_recovery(rounds.max(1), |line| println!("{line}"))?;
        return Ok(true);
    }
    if let Some(rate) = args.rolling {
        let report = atode_soak::measure_rolling_restart(rate)?;
        println!("{report}");
        return Ok(report.is_kept());
    }
    if let Some(jobs) = args.scaling {
        let report = atode_soak::measure_scaling(jobs, |line| println!("{line}"))?;
        println!("{report}");
        return Ok(report.is_kept());
    }
    println!("seed {} (repeat with --seed {0}), appendfsync {}", plan.seed, plan.appendfsync);
    if args.table {
        return table(plan);
    }
    let (report, injected) = atode_soak::run(plan, |line| println!("{line}"))?;
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
