//! Measures the queue on a redis-server of its own (AOF `everysec`), and checks each run: every
//! job ran once and nothing is left. A run that fails the check prints no figure.
#![expect(clippy::print_stdout, reason = "printing figures is what this is for")]

mod burst;
mod compare;
mod contenders;
mod floor;
mod lateness;
mod limiter;
mod limiter_faults;
mod limits;
mod load;
mod ours;
mod report;
mod stand;
mod throughput;
mod wrk;

use clap::{Parser, Subcommand};

/// Measures the queue on a redis-server of its own.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// How much later than due jobs start, with an idle worker.
    Lateness {
        #[arg(long, default_value_t = 2_000)]
        jobs: usize,
        /// The jobs are due at random instants within this many seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Single enqueues by concurrent producers, then how fast one worker drains them.
    Throughput {
        #[arg(long, default_value_t = 200_000)]
        jobs: usize,
        #[arg(long, default_value_t = 64)]
        producers: usize,
        #[arg(long, default_value_t = 64)]
        concurrency: usize,
    },
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
    /// Ours with the command line of the peers (bench/peers/README.md), on a Redis that runs.
    Peer(peer_protocol::Args),
    /// Ours and each peer in turns, and the table of it. `./dev bench` builds the peers.
    Compare(compare::Args),
    /// What this machine could do at best.
    Limits {
        #[command(subcommand)]
        of: Limit,
    },
    /// Four gateways against one limit, the limiter's Redis killed and frozen under load, a million
    /// clients. Needs a built api-gateway.
    LimiterFaults,
}

#[derive(Subcommand)]
enum Limit {
    /// A handler that reads the same body and answers 201, beside the gateway without a limiter. Needs
    /// wrk and a built api-gateway.
    Http {
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        #[arg(long, default_value_t = 64)]
        connections: u64,
    },
    /// A job's data changes as plain commands, pipelined, with no client work.
    Redis {
        #[arg(long, default_value_t = 200_000)]
        jobs: usize,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.what {
        What::Limiter { rounds, seconds, connections } => limiter::gateway(rounds, seconds, connections),
        What::LimiterFaults => limiter_faults::all(),
        What::Compare(args) => compare::run(&args),
        What::Limits { of: Limit::Http { rounds, seconds, connections } } => {
            limits::http(rounds, seconds, connections)
        }
        What::Limits { of: Limit::Redis { jobs } } => floor::measure(jobs),
        What::Burst { jobs, concurrency } => on_tokio(burst::measure(jobs, concurrency)),
        What::Lateness { jobs, seconds } => on_tokio(lateness::measure(jobs, seconds)),
        What::Throughput { jobs, producers, concurrency } => {
            on_tokio(throughput::measure(jobs, producers, concurrency))
        }
        What::Decisions => on_tokio(limiter::decisions()),
        What::Peer(args) => {
            let figures = on_tokio(peer_protocol::measure::<ours::Ours>(&args))?;
            peer_protocol::print::<ours::Ours>(&args, &figures);
            Ok(())
        }
    }
}

fn on_tokio<T>(measure: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure);
    runtime.shutdown_background();
    measured
}
