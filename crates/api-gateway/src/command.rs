//! The gateway's command line: a program with kinds of its own is one line around it.

use std::process::ExitCode;

use anyhow::Context;
use atode_config::ConfigArgs;
use atode_jobs::{DuplicateKind, Registry};
use atode_queue::Client;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::serve::serve;

/// Takes jobs over HTTP and shows what becomes of them. Start as many as you like.
///
/// Logs go to stderr. SIGTERM and SIGINT let running requests end; a second signal exits at once.
#[derive(Parser)]
#[command(name = "api-gateway", version = env!("ATODE_BUILD"))]
struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address to listen on.
    #[arg(long)]
    host: Option<String>,
    /// Port to listen on; 0 takes any free one.
    #[arg(long)]
    port: Option<u16>,
}

/// A gateway's whole `main`, with the kinds whose jobs it takes.
pub fn main(registry: Result<Registry, DuplicateKind>) -> ExitCode {
    match start(Args::parse(), registry) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
            {
                eprintln!("api-gateway: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args, registry: Result<Registry, DuplicateKind>) -> anyhow::Result<()> {
    let mut config = args.config.load()?;
    if let Some(host) = args.host {
        config.server.host = host;
    }
    if let Some(port) = args.port {
        config.server.port = port;
    }
    tracing::subscriber::set_global_default(atode_config::logging::subscriber(&config.logging))?;
    let registry = registry?;
    // Beside actix' threads, which serve the requests, one for all traffic with Redis: that is less work
    // than Redis has with it, and more threads would only wake each other up.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("the runtime")?;
    runtime.block_on(async {
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        serve(&config, registry, client, stop).await
    })
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
