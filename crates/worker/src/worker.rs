//! The parts of a worker and what they share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, anyhow};
use atode_jobs::{Registry, Services};
use atode_queue::{Client, Departure, Sampler, Settlement, WorkerId, WorkerRef};
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::run::{self, Order};
use crate::served::Served;
use crate::settings::Settings;
use crate::slots::Slots;
use crate::{claim_loop, leases, probe, settle, shutdown, sweep, timeouts};

/// Waits between looks for other workers that fail.
const INTRODUCTION_RETRY: Duration = Duration::from_secs(2);

pub struct Worker {
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) kind_names: Vec<Arc<str>>,
    pub(crate) client: Client,
    /// The application's state and the queue, for handlers.
    pub(crate) services: Arc<Services>,
    pub(crate) metrics: Metrics,
    pub(crate) sampler: Sampler,
    pub(crate) slots: Arc<Slots>,
    /// Handlers run here, and what starts them.
    pub(crate) handlers: Handle,
    pub(crate) async_jobs: mpsc::UnboundedSender<Order>,
    pub(crate) blocking_jobs: mpsc::UnboundedSender<Order>,
    pub(crate) me: Arc<WorkerRef>,
    /// `me` as JSON, which goes with each claim.
    pub(crate) holder: String,
    pub(crate) http: String,
    pub(crate) started_at: Timestamp,
    /// Cancelled: claim no more.
    pub(crate) stopping: CancellationToken,
    /// Cancelled: claim no more, but live on.
    pub(crate) quiet: CancellationToken,
    /// By queue.
    pub(crate) served: BTreeMap<Arc<str>, Arc<Served>>,
    /// Heartbeats that failed: those of other workers may have failed, too.
    pub(crate) missed_beats: AtomicU64,
}

/// Runs a worker until `stop` is cancelled and its jobs have ended. Redis may be down at the start
/// and at any time: it waits.
pub async fn run(
    settings: Settings,
    registry: Registry,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    registry.check_state()?;
    let listener = probe::bind(&settings)?;
    let address = listener.local_addr().context("the probe's address")?;
    let handlers = tokio::runtime::Builder::new_multi_thread()
        .thread_name("handler")
        .enable_all()
        .build()
        .context("the handlers' runtime")?;
    let me = Arc::new(WorkerRef {
        id: WorkerId::new(Timestamp::now().as_millisecond()),
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        pid: std::process::id(),
        build: settings.build.clone(),
    });
    let queues = settings.queues.keys().enumerate().map(|(place, queue)| Served::new(queue.clone(), place));
    let (all_served, all_results): (Vec<_>, Vec<_>) =
        queues.map(|(served, results)| (Arc::new(served), results)).unzip();
    let (async_jobs, async_line) = mpsc::unbounded_channel();
    let (blocking_jobs, blocking_line) = mpsc::unbounded_channel();
    let kind_names: Vec<Arc<str>> = registry.names().cloned().collect();
    let worker = Arc::new(Worker {
        metrics: Metrics::new(&settings, &registry),
        sampler: Sampler::start(&client, settings.queues.keys().cloned(), &kind_names),
        kind_names,
        slots: Slots::new(settings.concurrency, settings.queues.values().copied()),
        handlers: handlers.handle().clone(),
        async_jobs,
        blocking_jobs,
        holder: serde_json::to_string(&*me)?,
        http: format!("http://{address}"),
        started_at: Timestamp::now(),
        stopping: stop,
        quiet: CancellationToken::new(),
        served: all_served.iter().map(|served| (served.queue.clone(), served.clone())).collect(),
        missed_beats: AtomicU64::new(0),
        services: Arc::new(Services::new(registry.state().clone(), client.clone())),
        me,
        settings,
        registry,
        client,
    });
    tracing::info!(
        worker = %worker.me.id, pid = worker.me.pid, build = %worker.me.build, redis = worker.client.connection().address(),
        queues = ?worker.settings.queues, kinds = ?worker.kind_names, slots = worker.slots.size(),
        "worker starts"
    );
    tracing::info!("listening on {}", worker.http);

    let server = probe::serve(worker.clone(), listener)?;
    let probe = server.handle();
    let introduction = tokio::spawn(introduce(worker.clone()));
    let mut parts = JoinSet::new();
    parts.spawn(server.map(|_| "the health checks"));
    parts.spawn(handlers.spawn(run::line(worker.clone(), async_line)).map(|_| "the line of async jobs"));
    parts.spawn(run::line(worker.clone(), blocking_line).map(|()| "the line of blocking jobs"));
    parts.spawn(leases::run(worker.clone()).map(|()| "the heartbeat"));
    parts.spawn(timeouts::run(worker.clone()).map(|()| "the monitor"));
    let mut claims = JoinSet::new();
    for (served, results) in all_served.into_iter().zip(all_results) {
        parts.spawn(settle::run(worker.clone(), served.clone(), results).map(|()| "a settler"));
        parts.spawn(sweep::run(worker.clone(), served.queue.clone()).map(|()| "a sweeper"));
        claims.spawn(claim_loop::run(worker.clone(), served));
    }
    let ended = tokio::select! {
        ended = all(&mut claims) => match ended {
            Ok(()) => {
                shutdown::drain(&worker).await;
                Ok(())
            }
            Err(panic) => Err(anyhow!("a claim loop ended: {panic}")),
        },
        // None of them does but by a panic. Without one of them jobs would be stuck or run twice.
        Some(part) = parts.join_next() => Err(anyhow!("a part of the worker ended: {part:?}")),
    };
    introduction.abort();
    probe.stop(false).await;
    parts.shutdown().await;
    let departure = if ended.is_ok() { Departure::Orderly } else { Departure::Failure };
    shutdown::unregister(&worker, departure).await;
    handlers.shutdown_background();
    ended
}

async fn all(tasks: &mut JoinSet<()>) -> Result<(), JoinError> {
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// Says, once Redis is there, which other workers are at these queues and what endangers jobs.
async fn introduce(worker: Arc<Worker>) {
    let mut connects = worker.client.connection().connects();
    if *connects.borrow_and_update() == 0 {
        let _ = connects.changed().await;
    }
    let others = loop {
        match worker.client.workers().await {
            Ok(others) => break others,
            Err(error) => tracing::warn!(%error, "cannot tell yet which other workers live"),
        }
        tokio::time::sleep(INTRODUCTION_RETRY).await;
    };
    for other in others.iter().filter(|other| other.worker.id != worker.me.id) {
        if !other.queues.keys().any(|queue| worker.settings.queues.contains_key(queue.as_str())) {
            continue;
        }
        let (id, host, pid, build) =
            (&other.worker.id, &other.worker.host, other.worker.pid, &other.worker.build);
        if *build == worker.me.build {
            tracing::info!(target: "fleet", %id, %host, pid, %build, "another worker is at these queues");
        } else {
            tracing::warn!(target: "fleet", %id, %host, pid, %build, ours = %worker.me.build, "another worker of a different build takes jobs of these queues; if it should be gone, stop that process");
        }
    }
}

impl Worker {
    /// The result will be stored, in a batch with others of its queue.
    pub(crate) fn settle(&self, settlement: Settlement) {
        let served = self.served.get(settlement.lease().queue());
        served.expect("jobs come from the queues that are served").settle(settlement);
    }

    /// Results that are not stored yet.
    pub(crate) fn unsettled(&self) -> usize {
        self.served.values().map(|served| served.unsettled()).sum()
    }
}
