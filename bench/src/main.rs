//! Benchmarks of the queue, on redis-servers that the program starts itself (AOF `everysec`).
//!
//! Every run is checked: each job ran once and nothing is left. A run that fails the check has no figure.
#![expect(clippy::print_stdout, reason = "printing figures is the purpose of this program")]

mod atode;
mod baseline;
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
mod fixture;
mod floor;
mod gateway;
mod goals;
mod http;
mod idle;
mod kinds;
mod machine;
mod memory;
mod outcome;
mod pipeline;
mod plain;
mod plots;
mod proc;
mod producers;
mod replay;
mod runs;
mod runtime;
mod suite;
mod table;
mod workers;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use atode_jobs::Job;
use clap::{Parser, Subcommand};

use crate::atode::Atode;
use crate::contenders::Wanted;
use crate::kinds::{KeptNoop, Noop};
use crate::outcome::Size;
use crate::runtime::on_tokio;
use crate::suite::Section;

/// Benchmarks of the queue, on redis-servers that this program starts itself.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

/// Options of the suite.
#[derive(clap::Args)]
struct Options {
    /// Run small and short, to check that everything works. The figures mean nothing.
    #[arg(long, global = true)]
    quick: bool,
    /// Compare only with these peers: asynq, bullmq, bullmq-official, apalis-redis, or none.
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
enum Command {
    /// Run all sections of the suite and compare the figures with the goals.
    All {
        /// Write docs/benchmarks.md and its plots.
        #[arg(long)]
        write: bool,
        /// Write the document and its plots into another folder. This works with --quick too.
        #[arg(long, conflicts_with = "write")]
        write_to: Option<PathBuf>,
    },
    #[command(flatten)]
    Section(Section),
    /// Run atode with the command line of the peers (bench/peers/README.md), on a running Redis.
    Peer(peer_protocol::Args),
    /// The same as peer, but finished jobs are kept for the default retention.
    PeerKept(peer_protocol::Args),
}

fn main() -> ExitCode {
    if drainer::is_wanted() {
        return drainer::main();
    }
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the reason why there is no figure")]
            {
                eprintln!("atode-bench: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let options = args.options;
    match args.command {
        Command::All { write, write_to } => {
            let whole = !options.quick && options.peers.is_empty() && !cfg!(debug_assertions);
            anyhow::ensure!(whole || !write, "--write needs the whole suite and a release build");
            let docs = if write { Some(atode_testkit::workspace_root().join("docs")) } else { write_to };
            suite::all(options.size(), &options.wanted(), docs.as_deref())
        }
        Command::Section(section) => suite::one(section, options.size(), &options.wanted()),
        _ if options.quick || !options.peers.is_empty() => {
            anyhow::bail!("--quick and --peers apply only to the sections of the suite")
        }
        Command::Peer(args) => peer::<Noop>(&args),
        Command::PeerKept(args) => peer::<KeptNoop>(&args),
    }
}

fn peer<K: Job>(args: &peer_protocol::Args) -> anyhow::Result<()> {
    let figures = on_tokio(peer_protocol::measure::<Atode<K>>(args))?;
    peer_protocol::print::<Atode<K>>(args, &figures);
    Ok(())
}
