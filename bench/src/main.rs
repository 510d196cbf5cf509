//! Measures the queue on redis-servers of its own (AOF `everysec`), and checks each run: every job ran
//! once and nothing is left. A run that fails the check has no figure.
#![expect(clippy::print_stdout, reason = "printing figures is what this is for")]

mod bare;
mod burst;
mod calls;
mod compare;
mod concurrency;
mod contenders;
mod cost;
mod deep_lateness;
mod depth;
mod document;
mod drain;
mod drainer;
mod floor;
mod gateway;
mod goals;
mod http;
mod idle;
mod limiter;
mod limiter_faults;
mod load;
mod machine;
mod memory;
mod noted;
mod ours;
mod outcome;
mod plots;
mod proc;
mod producers;
mod replay;
mod runs;
mod stand;
mod suite;
mod workers;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use atode_jobs::Job;
use clap::{Parser, Subcommand};

use crate::contenders::Wanted;
use crate::noted::{Noted, NotedKept};
use crate::ours::Ours;
use crate::outcome::Size;
use crate::suite::Section;

/// Measures the queue on redis-servers of its own.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    options: Options,
}

/// Of the suite.
#[derive(clap::Args)]
struct Options {
    /// Small and short, to see that all works: the figures say nothing.
    #[arg(long, global = true)]
    quick: bool,
    /// Only these of: asynq, bullmq, bullmq-official, apalis-redis; or none.
    #[arg(long, global = true, value_delimiter = ',', value_parser = PEERS)]
    peers: Vec<String>,
}

const PEERS: [&str; 5] = ["asynq", "bullmq", "bullmq-official", "apalis-redis", "none"];

impl Options {
    fn size(&self) -> Size {
        if self.quick { Size::Quick } else { Size::Full }
    }

    fn wanted(&self) -> Wanted {
        if self.peers.is_empty() { Wanted::All } else { Wanted::Only(self.peers.clone()) }
    }
}

#[derive(Subcommand)]
enum What {
    /// All sections of the suite, and how far they are from the goals.
    All {
        /// Writes docs/benchmarks.md and its plots.
        #[arg(long)]
        write: bool,
        /// The same in another folder; a quick run can be written there too.
        #[arg(long, conflicts_with = "write")]
        write_to: Option<PathBuf>,
    },
    #[command(flatten)]
    Section(Section),
    /// Jobs that are all due at one instant.
    Burst {
        #[arg(long, default_value_t = 1_000_000)]
        jobs: usize,
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
    },
    /// What a rate limit decision costs, in memory and on Redis.
    Decisions,
    /// `POST /v1/jobs` with and without the limiter, in turns. Needs wrk and a built api-gateway.
    Limiter {
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Too few, and it is the latency of two round trips that is measured.
        #[arg(long, default_value_t = 128)]
        connections: u64,
    },
    /// Four gateways against one limit, the limiter's Redis killed and frozen under load, a million
    /// clients. Needs a built api-gateway.
    LimiterFaults,
    /// Ours with the command line of the peers (bench/peers/README.md), on a Redis that runs.
    Peer(peer_protocol::Args),
    /// The same, finished jobs being kept for the default retention.
    PeerKept(peer_protocol::Args),
}

fn main() -> ExitCode {
    if drainer::is_wanted() {
        return drainer::main();
    }
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "why there is no figure")]
            {
                eprintln!("atode-bench: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let options = args.options;
    match args.what {
        What::All { write, write_to } => {
            let whole = !options.quick && options.peers.is_empty() && !cfg!(debug_assertions);
            anyhow::ensure!(whole || !write, "--write is for the whole suite of the release build");
            let docs = if write { Some(atode_testkit::workspace_root().join("docs")) } else { write_to };
            suite::all(options.size(), &options.wanted(), docs.as_deref())
        }
        What::Section(section) => suite::one(section, options.size(), &options.wanted()),
        _ if options.quick || !options.peers.is_empty() => {
            anyhow::bail!("--quick and --peers are for the sections of the suite")
        }
        What::Limiter { rounds, seconds, connections } => limiter::gateway(rounds, seconds, connections),
        What::LimiterFaults => limiter_faults::all(),
        What::Burst { jobs, concurrency } => on_tokio(burst::measure(jobs, concurrency)),
        What::Decisions => on_tokio(limiter::decisions()),
        What::Peer(args) => peer::<Noted>(&args),
        What::PeerKept(args) => peer::<NotedKept>(&args),
    }
}

fn peer<K: Job>(args: &peer_protocol::Args) -> anyhow::Result<()> {
    let figures = on_tokio(peer_protocol::measure::<Ours<K>>(args))?;
    peer_protocol::print::<Ours<K>>(args, &figures);
    Ok(())
}

fn on_tokio<T>(measure: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure);
    runtime.shutdown_background();
    measured
}
