//! Measures the queue on a redis-server of its own (AOF `everysec`), and checks each run: every
//! job ran once and nothing is left. A run that fails the check prints no figure.
#![expect(clippy::print_stdout, reason = "printing figures is what this is for")]

mod burst;
mod lateness;
mod limiter;
mod limiter_faults;
mod load;
mod ours;
mod stand;
mod throughput;

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
    /// Four gateways against one limit, the limiter's Redis killed and frozen under load, a million
    /// clients. Needs a built api-gateway.
    LimiterFaults,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let What::Limiter { rounds, seconds, connections } = args.what {
        return limiter::gateway(rounds, seconds, connections);
    }
    if let What::LimiterFaults = args.what {
        return limiter_faults::all();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        match args.what {
            What::Burst { jobs, concurrency } => burst::measure(jobs, concurrency).await,
            What::Lateness { jobs, seconds } => lateness::measure(jobs, seconds).await,
            What::Throughput { jobs, producers, concurrency } => {
                throughput::measure(jobs, producers, concurrency).await
            }
            What::Peer(args) => {
                let figures = peer_protocol::measure::<ours::Ours>(&args).await?;
                peer_protocol::print::<ours::Ours>(&args, &figures);
                Ok(())
            }
            What::Decisions | What::Limiter { .. } | What::LimiterFaults => limiter::decisions().await,
        }
    });
    runtime.shutdown_background();
    measured
}
