//! The gateway's command line. A program with its own kinds is one line around [`main`].

use std::process::ExitCode;
use std::time::Duration;

use atode_config::Build;
use atode_config::process::{self, ServerArgs, Shutdown};
use atode_config::traces;
use atode_jobs::{DuplicateKind, Registry};
use atode_queue::Client;
use clap::Parser;

use crate::api::metrics;
use crate::http::serve::serve;

/// Time to close connections, after the time in which running requests have to finish.
const MARGIN: Duration = Duration::from_secs(5);

/// Threads for all traffic with Redis, in addition to actix' threads for the requests. The traffic is less work for the
/// gateway than for Redis, and more threads would only wake each other.
const REDIS_THREADS: usize = 1;

/// Stores jobs over HTTP and shows their state. Any number of gateways can run side by side.
///
/// Logs go to stderr. SIGTERM, SIGINT, SIGHUP and SIGQUIT let running requests finish; a second signal exits at once.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

/// The whole `main` of a gateway with these kinds.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    process::main(build, |args: Args| start(build, &args.server, registry))
}

fn start(build: Build, args: &ServerArgs, registry: Result<Registry, DuplicateKind>) -> anyhow::Result<()> {
    let mut config = args.config.load()?;
    args.override_address(&mut config.server.host, &mut config.server.port);
    if args.ends_after_health_check(&config.server.host, config.server.port)? {
        return Ok(());
    }
    process::begin(&config.logging)?;
    let registry = registry?;
    args.warn_of_missing_queues(&config, registry.kinds().map(|kind| (&*kind.name, &*kind.queue)));
    if args.ends_after_check(build)? {
        return Ok(());
    }
    let flush_until = config.server.shutdown_delay + config.server.shutdown_timeout;
    let shutdown = Shutdown {
        timeout: flush_until + MARGIN,
        flush_until,
        unfinished: "requests without a reply may have been carried out",
    };
    metrics::install(build)?;
    traces::start(&config.traces, build)?;
    process::serve(shutdown, Some(REDIS_THREADS), async |stop| {
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        serve(build, &config, registry, client, stop).await
    })
}
