//! The gateway's command line: a program with kinds of its own is one line around it.

use std::process::ExitCode;

use anyhow::Context;
use atode_config::{Build, Config, ConfigArgs};
use atode_jobs::{DuplicateKind, Registry};
use atode_queue::Client;
use clap::{CommandFactory, FromArgMatches, Parser};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::serve::serve;

/// Takes jobs over HTTP and shows what becomes of them. Start as many as you like.
///
/// Logs go to stderr. SIGTERM and SIGINT let running requests end; a second signal exits at once.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on.
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on; 0 takes any free one.
    #[arg(long)]
    port: Option<u16>,
    /// Check the configuration and the kinds, say in one line what is wrong, and exit with 0 or 1.
    #[arg(long)]
    check_config: bool,
}

/// A gateway's whole `main`: what it is called, and the kinds whose jobs it takes.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    let command = Args::command().name(build.name).version(build.version);
    let args = Args::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    match start(build, args, registry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
            {
                eprintln!("{}: {error:#}", build.name);
            }
            ExitCode::FAILURE
        }
    }
}

fn start(build: Build, args: Args, registry: Result<Registry, DuplicateKind>) -> anyhow::Result<()> {
    let mut config = args.config.load()?;
    if let Some(host) = args.host {
        config.server.host = host;
    }
    if let Some(port) = args.port {
        config.server.port = port;
    }
    tracing::subscriber::set_global_default(atode_config::logging::subscriber(&config.logging))?;
    let registry = registry?;
    warn_of_kinds_without_queue(&config, &args.config, &registry);
    if args.check_config {
        #[expect(clippy::print_stdout, reason = "it is what was asked for")]
        {
            println!("{}: the configuration is valid", build.name);
        }
        return Ok(());
    }
    // Beside actix' threads, which serve the requests, one for all traffic with Redis: that is less work
    // than Redis has with it, and more threads would only wake each other up.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("the runtime")?;
    runtime.block_on(async {
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        serve(build, &config, registry, client, stop).await
    })
}

/// Such a kind looks as if it could be enqueued, and then every request for it is refused.
fn warn_of_kinds_without_queue(config: &Config, args: &ConfigArgs, registry: &Registry) {
    for kind in registry.without_queue(|queue| config.queues.contains_key(queue)) {
        tracing::warn!(kind = %kind.name, queue = %kind.queue, file = %args.file().display(), "the queue of this kind is not configured, so jobs of this kind are refused unless their request names another queue; add the queue to `queues`");
    }
}

async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen to signals");
        return;
    };
    let mut next = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
    next().await;
    stop.cancel();
    next().await;
    tracing::error!("second signal: exiting at once");
    std::process::exit(1);
}
