//! The worker's command line. A program with its own kinds needs only one line around it.

use std::process::ExitCode;

use anyhow::Context;
use atode_config::process::{self, ServerArgs};
use atode_config::{Build, traces};
use atode_jobs::{DuplicateKind, Registry, StateType};
use atode_queue::Client;
use clap::Parser;

use crate::shutdown::shutdown_limit;
use crate::{metrics, start};

/// Runs jobs. Start as many workers as you like: they share the work, and no job is lost when one dies.
///
/// A worker that received a quiet request (POST /v1/workers/{id}/quiet) stays quiet: start another one instead.
/// Logs go to stderr, output of jobs to stdout. SIGTERM, SIGINT, SIGHUP and SIGQUIT let running jobs finish;
/// a second signal exits at once.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Largest number of jobs that run at the same time.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    concurrency: Option<u16>,
    /// A queue to serve, with its weight (repeatable). Replaces the configured queues.
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = parse_queue)]
    queue: Vec<(String, u32)>,
}

fn parse_queue(text: &str) -> Result<(String, u32), String> {
    let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
    match weight.parse() {
        Ok(weight) if weight > 0 => Ok((name.to_owned(), weight)),
        _ => Err("expected NAME=WEIGHT with a whole weight of 1 or more, such as mail=3".to_owned()),
    }
}

/// The `main` of a worker with this name and these kinds.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    main_with_state(build, registry, &[], async |_| Ok(()))
}

/// [`main`] for kinds that need state which takes time to make, such as a connection pool. `provide` runs once, on the
/// worker's runtime and before the first claim, and gives the state to the registry
/// ([`Registry::provide`]). Its error ends the start. `--check-config` does not run it, and therefore takes the types
/// that it provides from `types`.
pub fn main_with_state(
    build: Build,
    registry: Result<Registry, DuplicateKind>,
    types: &[StateType],
    provide: impl AsyncFnOnce(&mut Registry) -> anyhow::Result<()>,
) -> ExitCode {
    process::main(build, |args: Args| configure_and_run(build, args, registry, types, provide))
}

fn configure_and_run(
    build: Build,
    args: Args,
    registry: Result<Registry, DuplicateKind>,
    types: &[StateType],
    provide: impl AsyncFnOnce(&mut Registry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut registry = registry?;
    registry.check_state(types)?;
    let mut config = args.server.config.load()?;
    args.server.override_address(&mut config.worker.host, &mut config.worker.port);
    if args.server.ends_after_health_check(&config.worker.host, config.worker.port)? {
        return Ok(());
    }
    if let Some(concurrency) = args.concurrency {
        config.worker.concurrency = concurrency.into();
    }
    if !args.queue.is_empty() {
        for (queue, _) in &args.queue {
            anyhow::ensure!(
                config.queues.contains_key(queue),
                "--queue {queue}: no such queue; config.yaml names {:?}",
                config.queues.keys().collect::<Vec<_>>()
            );
        }
        config.worker.queues = Some(args.queue.into_iter().collect());
    }
    process::begin(&config.logging)?;
    args.server.warn_of_missing_queues(&config, registry.kinds().map(|kind| (&*kind.name, &*kind.queue)));
    if args.server.ends_after_check(build)? {
        return Ok(());
    }
    let settings = config.worker;
    let histograms = [&atode_queue::metrics::HISTOGRAMS[..], &metrics::HISTOGRAMS].concat();
    atode_config::metrics::install(build.version, &histograms)?;
    atode_queue::metrics::describe();
    metrics::describe();
    traces::start(&config.traces, build)?;
    process::serve(shutdown_limit(settings.shutdown_timeout), None, async |stop| {
        tokio::select! {
            provided = provide(&mut registry) => provided.context("cannot make the application's state")?,
            () = stop.cancelled() => return Ok(()),
        }
        let client = Client::open(&config.cache_server.redis.jobqueue)?;
        start::run(settings, build.version, registry, client, stop).await
    })
}

#[cfg(test)]
mod tests {
    use atode_jobs::{Job, JobContext, JobError};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    struct Pool;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Import {}

    impl Job for Import {
        const KIND: &'static str = "test:import";
        const STATE: &'static [StateType] = &[StateType::of::<Pool>()];

        async fn run(self, _: JobContext) -> Result<(), JobError> {
            Ok(())
        }
    }

    fn check(types: &[StateType]) -> anyhow::Result<()> {
        let build = Build { name: "worker", version: "test" };
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
        let args = Args::parse_from(["worker", "--check-config", "--env", "test", "--config-dir", config]);
        let mut registry = Registry::default();
        registry.register::<Import>()?;
        configure_and_run(build, args, Ok(registry), types, async |_| panic!("a check makes no state"))
    }

    #[test]
    fn a_check_of_the_configuration_fails_if_a_kind_lacks_its_state() {
        let error = check(&[]).expect_err("nothing provides its state").to_string();
        assert!(error.contains("\"test:import\"") && error.contains("Pool"), "{error}");
        check(&[StateType::of::<Pool>()]).expect("the state will be provided");
    }
}
