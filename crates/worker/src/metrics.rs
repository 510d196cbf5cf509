//! Metrics of the worker for Prometheus (docs/metrics.md), and the times of runs for the history. They are resolved
//! once, so counting a run costs a few atomic operations.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use atode_jobs::Registry;
use atode_queue::{Client, KindHistory, Settlement};
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};

const ATTEMPTS: &str = "atode_attempts_total";
const LATENESS: &str = "atode_job_lateness_seconds";
const RUN: &str = "atode_job_run_seconds";

/// The histograms with the bounds of their buckets, for the recorder.
pub(crate) const HISTOGRAMS: [(&str, &[f64]); 2] = [
    (
        LATENESS,
        &[
            0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
            1_800.0,
        ],
    ),
    (RUN, &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0]),
];

/// Settlements, each with the outcome it is counted as. The last is a lost lease, which settles nothing.
const OUTCOMES: [(&str, &str); 5] = [
    ("complete", "completed"),
    ("retry", "retried"),
    ("bury", "buried"),
    ("release", "released"),
    ("", "lost"),
];

/// Counters of the claims of one queue.
pub(crate) struct ClaimCounters {
    pub(crate) answered: Counter,
    /// Claims that were refused or not answered.
    pub(crate) failed: Counter,
    pub(crate) jobs: Counter,
}

/// The metrics of runs, by queue and kind.
pub(crate) struct RunMetrics {
    client: Client,
    known: RwLock<HashMap<Arc<str>, ByKind>>,
}

type ByKind = HashMap<Arc<str>, Arc<KindMetrics>>;

/// The metrics of the runs of one kind from one queue.
pub(crate) struct KindMetrics {
    attempts: [Counter; OUTCOMES.len()],
    lateness: Histogram,
    run: Histogram,
    history: KindHistory,
}

pub(crate) fn describe() {
    describe_counter!("atode_claims_total", "Claims, by queue and by whether Redis answered.");
    describe_counter!("atode_claimed_jobs_total", "Claimed jobs, by queue.");
    describe_counter!(ATTEMPTS, "Ended runs, by outcome.");
    describe_histogram!(LATENESS, Unit::Seconds, "Time from the due time of a run to its start.");
    describe_histogram!(RUN, Unit::Seconds, "Time that a handler ran.");
    describe_gauge!("atode_worker_slots", "Slots, one per job that may run at the same time, by state.");
    describe_gauge!(
        "atode_worker_leases",
        "Jobs leased to this worker: in a slot, waiting for one, or finished and not yet settled."
    );
    describe_gauge!("atode_worker_unsettled_results", "Results waiting to be stored in Redis.");
}

impl ClaimCounters {
    pub(crate) fn of(queue: &str) -> Self {
        let claims = |result| counter!("atode_claims_total", "queue" => queue.to_owned(), "result" => result);
        ClaimCounters {
            answered: claims("answered"),
            failed: claims("failed"),
            jobs: counter!("atode_claimed_jobs_total", "queue" => queue.to_owned()),
        }
    }
}

impl RunMetrics {
    /// The metrics of each kind in its own queue exist from the start. Others appear with their first job.
    pub(crate) fn new(registry: &Registry, client: &Client) -> Self {
        let metrics = RunMetrics { client: client.clone(), known: RwLock::default() };
        for kind in registry.kinds() {
            metrics.of(&kind.queue, &kind.name);
        }
        metrics
    }

    pub(crate) fn of(&self, queue: &Arc<str>, kind: &Arc<str>) -> Arc<KindMetrics> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = known.get(queue).and_then(|kinds| kinds.get(kind)) {
            return metrics.clone();
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let kinds = known.entry(queue.clone()).or_default();
        let new = || Arc::new(KindMetrics::new(queue, kind, self.client.history_of(queue, kind)));
        kinds.entry(kind.clone()).or_insert_with(new).clone()
    }
}

impl KindMetrics {
    fn new(queue: &str, kind: &str, history: KindHistory) -> Self {
        let (queue, kind) = (queue.to_owned(), kind.to_owned());
        KindMetrics {
            attempts: OUTCOMES.map(|(_, outcome)| {
                counter!(ATTEMPTS, "queue" => queue.clone(), "kind" => kind.clone(), "outcome" => outcome)
            }),
            lateness: histogram!(LATENESS, "queue" => queue.clone(), "kind" => kind.clone()),
            run: histogram!(RUN, "queue" => queue, "kind" => kind),
            history,
        }
    }

    pub(crate) fn started(&self, lateness: Duration) {
        self.lateness.record(lateness);
        self.history.started(lateness);
    }

    /// Counts a run that ended with this settlement, or with `None` because its lease was lost.
    pub(crate) fn ended(&self, settlement: Option<&Settlement>, took: Duration) {
        let name = settlement.map_or("", Settlement::name);
        if let Some(place) = OUTCOMES.iter().position(|(transition, _)| *transition == name) {
            self.attempts[place].increment(1);
        }
        self.run.record(took);
        self.history.ended(took);
    }
}
