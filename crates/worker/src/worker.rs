//! The state that the parts of a worker share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use atode_config::Worker as Settings;
use atode_config::traces::Span;
use atode_jobs::{Catalogue, Registry, Services};
use atode_queue::{Client, Sampler, Settlement, WorkerRef};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::handed_back::HandedBack;
use crate::metrics::RunMetrics;
use crate::settle::Results;
use crate::slots::{Entry, Slots};

pub(crate) struct Worker {
    pub(crate) settings: Settings,
    /// The queues to serve, with their weights.
    pub(crate) queues: BTreeMap<Arc<str>, u32>,
    pub(crate) registry: Registry,
    pub(crate) kind_names: Vec<Arc<str>>,
    /// The entries of this worker's kinds, as all builds publish them.
    pub(crate) catalogue: Catalogue,
    /// Jobs that are for other builds.
    pub(crate) handed_back: HandedBack,
    pub(crate) client: Client,
    /// The application's state and the queue, for handlers.
    pub(crate) services: Arc<Services>,
    pub(crate) run_metrics: RunMetrics,
    pub(crate) sampler: Sampler,
    pub(crate) slots: Arc<Slots>,
    /// The runtime of the handlers. Nothing else runs there, but the dispatcher of async jobs.
    pub(crate) handlers: Handle,
    /// Jobs for the two dispatchers.
    pub(crate) async_jobs: mpsc::UnboundedSender<Entry>,
    pub(crate) blocking_jobs: mpsc::UnboundedSender<Entry>,
    pub(crate) me: Arc<WorkerRef>,
    /// `me` as JSON, sent with each claim.
    pub(crate) holder: String,
    /// Address of the health checks.
    pub(crate) http: String,
    pub(crate) started_at: Timestamp,
    /// Cancelled by a signal or a stop request: claim no more, then exit.
    pub(crate) stopping: CancellationToken,
    /// Cancelled by a quiet request, and with `stopping`: claim no more.
    pub(crate) quiet: CancellationToken,
    /// By queue.
    pub(crate) results: BTreeMap<Arc<str>, Arc<Results>>,
    /// Heartbeats that failed. Those of other workers may have failed as well.
    pub(crate) missed_beats: AtomicU64,
}

impl Worker {
    /// How often the registration and the leases are renewed.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.settings.lease / 6
    }

    /// Stores a result soon, in a batch with others of its queue.
    pub(crate) fn settle(&self, settlement: Settlement) {
        self.settle_run(settlement, None);
    }

    /// The same for a run. The span ends when its result is stored.
    pub(crate) fn settle_run(&self, settlement: Settlement, span: Option<Span>) {
        let results = self.results.get(settlement.lease().queue());
        results.expect("jobs come from this worker's queues").add(settlement, span);
    }

    /// Results that are not stored yet.
    pub(crate) fn pending_results(&self) -> usize {
        self.results.values().map(|results| results.pending()).sum()
    }
}
