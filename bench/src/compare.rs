//! Ours and each peer in turns, each run a process of its own on a Redis of its own.

use std::time::{Duration, Instant};

use anyhow::Context;
use atode_testkit::RedisServer;
use clap::ValueEnum;
use peer_protocol::What;
use serde::Deserialize;

use crate::contenders::{self, Contender};
use crate::report::{self, Row};
use crate::stand;

/// The programs give up by themselves when nothing runs; this is for one that hangs elsewhere.
const LONGEST_RUN: Duration = Duration::from_secs(20 * 60);

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Of an enqueue or drain run.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) jobs: usize,
    #[arg(long, default_value_t = 64)]
    pub(crate) producers: usize,
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: usize,
    #[arg(long, default_value_t = 4_000)]
    pub(crate) lateness_jobs: usize,
    #[arg(long, default_value_t = 15)]
    pub(crate) lateness_seconds: u64,
    /// Only these of: asynq, bullmq, bullmq-official, apalis-redis.
    #[arg(long, value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// Only these of: enqueue, drain, lateness.
    #[arg(long, value_delimiter = ',')]
    pub(crate) what: Vec<What>,
    /// Writes the tables to docs/benchmarks.md as well.
    #[arg(long)]
    pub(crate) write: bool,
}

/// What a program printed, and what its Redis tells.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) line: Line,
    /// Of its main thread a job, µs.
    pub(crate) redis_cpu: f64,
    /// At the end of the run, B a job.
    pub(crate) redis_memory: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    pub(crate) version: String,
    what: String,
    jobs: usize,
    pub(crate) per_second: f64,
    ran: usize,
    lost: usize,
    twice: usize,
    pub(crate) lateness_ms: Option<Lateness>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Lateness {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds is at least 1");
    anyhow::ensure!(
        !args.write || (args.peers.is_empty() && args.what.is_empty()),
        "--write is for the whole: without --peers and --what"
    );
    if cfg!(debug_assertions) {
        anyhow::ensure!(!args.write, "--write is for the release build");
        println!("This is a debug build: what it prints of ours says nothing of its speed.");
    }
    let ours = contenders::ours()?;
    let mut peers = Vec::new();
    let mut skipped = Vec::new();
    for (name, peer) in contenders::peers() {
        match peer {
            _ if !args.peers.is_empty() && !args.peers.iter().any(|wanted| wanted == name) => {}
            Ok(peer) => peers.push(peer),
            Err(reason) => {
                let line = format!("{name} is skipped: {reason}.");
                println!("{line}");
                skipped.push(line);
            }
        }
    }
    let whats = if args.what.is_empty() { What::value_variants() } else { &args.what };
    let mut tables = Vec::new();
    let mut ours_failed = None;
    for what in whats {
        let mut rows: Vec<Row> = peers.iter().cloned().map(Row::new).collect();
        if rows.is_empty() {
            rows.push(Row::new(ours.clone()));
        }
        for round in 0..args.rounds {
            for row in &mut rows {
                let jobs = jobs_of(args, *what, &row.contender);
                // Who goes first changes each round: what drifts within a pair drifts both ways.
                let peer_first = round % 2 == 1;
                if peer_first {
                    row.add_theirs(one(args, *what, &row.contender, jobs));
                }
                let run = one(args, *what, &ours, jobs);
                if let Err(error) = &run {
                    ours_failed = Some(format!("{error:#}"));
                }
                row.add_ours(run);
                if !peer_first {
                    row.add_theirs(one(args, *what, &row.contender, jobs));
                }
            }
        }
        let table = report::table(*what, &rows);
        println!("\n{table}");
        tables.push(table);
    }
    if let Some(error) = ours_failed {
        anyhow::bail!("a run of ours was not in order, nothing is written: {error}");
    }
    if args.write {
        let notes = peers.iter().filter_map(|peer| peer.note.map(str::to_owned));
        report::write(args, &tables, &skipped.into_iter().chain(notes).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn jobs_of(args: &Args, what: What, peer: &Contender) -> usize {
    let most = if what == What::Enqueue { None } else { peer.at_most };
    let jobs = if what == What::Lateness { args.lateness_jobs } else { args.jobs };
    // Ours runs as many beside it: a pair has the same load.
    most.map_or(jobs, |most| jobs.min(most))
}

/// One run on a Redis of its own; an error is the reason why it has no figure.
fn one(args: &Args, what: What, contender: &Contender, jobs: usize) -> anyhow::Result<Run> {
    let redis = RedisServer::start();
    let (cpu, memory) = (stand::redis_cpu(&redis), stand::redis_memory(&redis));
    let process = contender
        .command()
        .args([what.name(), "--redis", &redis.addr()])
        .args(["--jobs", &jobs.to_string()])
        .args(["--producers", &args.producers.to_string()])
        .args(["--concurrency", &args.concurrency.to_string()])
        .args(["--seconds", &args.lateness_seconds.to_string()])
        .env("RUST_BACKTRACE", "0")
        .start();
    let start = Instant::now();
    let exit = loop {
        if let Some(exit) = process.try_exit() {
            break exit;
        }
        anyhow::ensure!(start.elapsed() < LONGEST_RUN, "{} runs for {LONGEST_RUN:?}", contender.name);
        std::thread::sleep(Duration::from_millis(20));
    };
    let each = jobs as f64;
    let redis_cpu = (stand::redis_cpu(&redis) - cpu) / each;
    let redis_memory = (stand::redis_memory(&redis) - memory) as f64 / each;
    // It may go into a document: short, and without the folder that all this lies in.
    let root = atode_testkit::workspace_root().display().to_string();
    let error: String = process.stderr().trim().replace(&root, ".").chars().take(300).collect();
    anyhow::ensure!(exit.success(), "{} ended with {exit}: {error}", contender.name);
    let line: Line = serde_json::from_str(&process.stdout())
        .with_context(|| format!("{} printed no result: {error}", contender.name))?;
    let ran = if what == What::Enqueue { 0 } else { jobs };
    anyhow::ensure!(
        line.what == what.name() && line.jobs == jobs && line.ran == ran && line.lost + line.twice == 0,
        "{}: not what was asked for: {line:?}",
        contender.name
    );
    Ok(Run { line, redis_cpu, redis_memory })
}
