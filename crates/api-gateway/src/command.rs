//! The gateway's command line. A program with its own kinds is one line around [`main`].

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use atode_config::{Build, Config, ConfigArgs, process};
use atode_jobs::{DuplicateKind, Registry};
use atode_queue::Client;
use clap::{CommandFactory, FromArgMatches, Parser};
use tokio_util::sync::CancellationToken;

use crate::http::serve::serve;

/// Time to close connections, after the time in which running requests have to finish.
const MARGIN: Duration = Duration::from_secs(5);

/// Stores jobs over HTTP and shows their state. Any number of gateways can run side by side.
///
/// Logs go to stderr. SIGTERM, SIGINT, SIGHUP and SIGQUIT let running requests finish; a second signal exits at once.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on.
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on; 0 takes any free port.
    #[arg(long)]
    port: Option<u16>,
    /// Check the configuration and the kinds, report an error in one line, and exit with 0 or 1.
    #[arg(long)]
    check_config: bool,
}

/// The whole `main` of a gateway with these kinds.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    let command = Args::command().name(build.name).version(build.version);
    let args = Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    process::main(build.name, || start(build, args, registry))
}

fn start(build: Build, args: Args, registry: Result<Registry, DuplicateKind>) -> anyhow::Result<()> {
    let mut config = args.config.load()?;
    if let Some(host) = args.host {
        config.server.host = host;
    }
    if let Some(port) = args.port {
        config.server.port = port;
    }
    process::begin(&config.logging)?;
    let registry = registry?;
    warn_of_kinds_without_queue(&config, &args.config, &registry);
    if args.check_config {
        writeln!(io::stdout(), "{}: the configuration is valid", build.name)?;
        return Ok(());
    }
    let stop = CancellationToken::new();
    let unfinished = "requests without a reply may have been carried out";
    let patience = config.server.shutdown_delay + config.server.shutdown_timeout + MARGIN;
    process::stop_on_signals(&stop, patience, unfinished).context("cannot listen for signals")?;
    // One thread for all traffic with Redis, beside actix' threads for the requests. It has less work than Redis itself,
    // and more threads would only wake each other.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let ended = runtime.block_on(async {
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        serve(build, &config, registry, client, stop).await
    });
    runtime.shutdown_background();
    ended
}

/// Warns about kinds that look usable although every request for them is refused.
fn warn_of_kinds_without_queue(config: &Config, args: &ConfigArgs, registry: &Registry) {
    for kind in registry.without_queue(|queue| config.queues.contains_key(queue)) {
        tracing::warn!(kind = %kind.name, queue = %kind.queue, file = %args.file().display(), "the queue of this kind is not configured, so its jobs are refused unless the request names another queue; add the queue to `queues`");
    }
}
