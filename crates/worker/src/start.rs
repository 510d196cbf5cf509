//! Starts the parts of a worker, and ends them when it stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, anyhow};
use atode_config::Worker as Settings;
use atode_jobs::{Catalogue, Registry};
use atode_queue::{Client, Departure, HistoryWriter, Sampled, Sampler, WorkerId, WorkerRef};
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::claim_loop::ClaimLoop;
use crate::handed_back::HandedBack;
use crate::metrics::RunMetrics;
use crate::run::dispatch;
use crate::settle::Results;
use crate::slots::Slots;
use crate::worker::Worker;
use crate::{leases, probe, publishing, registration, settle, shutdown, sweep, timeouts};

/// Runs a worker until `stop` is cancelled and its jobs have ended. Redis may be down at the start and at any
/// time: the worker waits for it. `build` is the version of the running program, for comparison with other workers.
pub async fn run(
    settings: Settings,
    build: &str,
    registry: Registry,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    registry.check_state(&[])?;
    let listener = probe::bind(&settings)?;
    let address = listener.local_addr().context("the address of the health checks")?;
    let handlers = tokio::runtime::Builder::new_multi_thread()
        .thread_name("handler")
        .enable_all()
        .build()
        .context("the handlers' runtime")?;
    let me = Arc::new(WorkerRef {
        id: WorkerId::new(Timestamp::now().as_millisecond()),
        host: nix::unistd::gethostname().context("the host name")?.to_string_lossy().into_owned(),
        pid: std::process::id(),
        build: build.to_owned(),
    });
    let queues = queues(&settings, &registry);
    let channels = queues.keys().map(|queue| {
        let (results, unsettled) = Results::new();
        ((queue.clone(), Arc::new(results)), unsettled)
    });
    let (results, unsettled): (BTreeMap<_, _>, Vec<_>) = channels.unzip();
    let (async_jobs, async_dispatch) = mpsc::unbounded_channel();
    let (blocking_jobs, blocking_dispatch) = mpsc::unbounded_channel();
    let kind_names: Vec<Arc<str>> = registry.names().cloned().collect();
    let worker = Arc::new(Worker {
        run_metrics: RunMetrics::new(&registry, &client),
        sampler: Sampler::start(&client, queues.keys().cloned(), Sampled::QueuesOnly),
        kind_names,
        catalogue: Catalogue::default(),
        handed_back: HandedBack::default(),
        slots: Slots::new(settings.concurrency, queues.values().copied()),
        handlers: handlers.handle().clone(),
        async_jobs,
        blocking_jobs,
        holder: serde_json::to_string(&*me)?,
        http: format!("http://{address}"),
        started_at: Timestamp::now(),
        quiet: stop.child_token(),
        stopping: stop,
        results,
        missed_beats: AtomicU64::new(0),
        services: Arc::new(registry.services(client.clone())),
        me,
        queues,
        settings,
        registry,
        client,
    });
    tracing::info!(
        worker = %worker.me.id, pid = worker.me.pid, build = %worker.me.build, redis = worker.client.connection().address(),
        queues = ?worker.queues, kinds = ?worker.kind_names, slots = worker.slots.size,
        "worker starting"
    );
    tracing::info!("listening on {}", worker.http);

    let history = HistoryWriter::start(&worker.client, "worker", build);
    let server = probe::serve(worker.clone(), listener)?;
    let probe = server.handle();
    let other_workers = tokio::spawn(registration::report_other_workers(worker.clone()));
    let mut parts = JoinSet::new();
    parts.spawn(server.map(|_| "health checks"));
    parts.spawn(handlers.spawn(dispatch(worker.clone(), async_dispatch)).map(|_| "dispatcher of async jobs"));
    parts.spawn(dispatch(worker.clone(), blocking_dispatch).map(|()| "dispatcher of blocking jobs"));
    parts.spawn(leases::run(worker.clone()).map(|()| "heartbeat"));
    parts.spawn(timeouts::run(worker.clone()).map(|()| "timeouts"));
    parts.spawn(publishing::run(worker.clone()).map(|()| "publishing of kinds"));
    let mut claims = Vec::new();
    for (place, ((queue, results), unsettled)) in worker.results.iter().zip(unsettled).enumerate() {
        let settling = settle::run(worker.client.clone(), queue.clone(), results.clone(), unsettled);
        parts.spawn(settling.map(|()| "settling of a queue"));
        parts.spawn(sweep::run(worker.clone(), queue.clone()).map(|()| "sweep of a queue"));
        let claiming = ClaimLoop::new(worker.clone(), queue.clone(), place, results.clone()).run();
        claims.push(AbortOnDropHandle::new(tokio::spawn(claiming)));
    }
    let ended = tokio::select! {
        ended = try_join_all(claims) => match ended {
            Ok(_) => {
                shutdown::drain(&worker).await;
                Ok(())
            }
            Err(panic) => Err(anyhow!("a claim loop ended: {panic}")),
        },
        // Only a panic ends a part. Without it, jobs would hang or run twice.
        Some(part) = parts.join_next() => Err(anyhow!("a part of the worker ended: {part:?}")),
    };
    other_workers.abort();
    probe.stop(false).await;
    parts.shutdown().await;
    drop(history);
    if let Err(error) = worker.client.flush_history().await {
        tracing::warn!(%error, "cannot write the history of the last seconds");
    }
    let departure = if ended.is_ok() { Departure::Orderly } else { Departure::Failure };
    registration::remove(&worker, departure).await;
    handlers.shutdown_background();
    ended
}

/// The queues to serve, with their weights. Without `worker.queues`, these are all queues that a kind names.
fn queues(settings: &Settings, registry: &Registry) -> BTreeMap<Arc<str>, u32> {
    match &settings.queues {
        Some(weights) => weights.iter().map(|(queue, weight)| (queue.as_str().into(), *weight)).collect(),
        None => registry.kinds().map(|kind| (kind.queue.clone(), 1)).collect(),
    }
}
