//! Prometheus metrics of the worker (docs/decisions/0016-metrics.md). Counters are resolved once: counting a run
//! costs a map look-up and an atomic addition.

use std::collections::HashMap;
use std::sync::Arc;

use atode_jobs::{Kind, Registry};
use atode_queue::Settlement;
use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};

use crate::slots::Slots;

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

/// Counters of finished runs, by kind.
pub(crate) struct RunCounters(HashMap<Arc<str>, [Counter; OUTCOMES.len()]>);

pub(crate) fn describe() {
    describe_counter!("atode_claims_total", "Claims, by queue and by whether Redis answered.");
    describe_counter!("atode_claimed_jobs_total", "Claimed jobs, by queue.");
    describe_counter!("atode_runs_total", "Finished runs, by kind and outcome.");
    describe_gauge!("atode_slots", "Slots, one per job that may run at the same time, by state.");
    describe_gauge!(
        "atode_leases_held",
        "Jobs leased to this worker: in a slot, waiting for one, or finished and not yet settled."
    );
    describe_gauge!("atode_settle_backlog", "Results waiting to be stored in Redis.");
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

impl RunCounters {
    pub(crate) fn of(registry: &Registry) -> Self {
        let counters = |kind: &Kind| {
            let counter =
                |outcome| counter!("atode_runs_total", "kind" => kind.name.to_string(), "outcome" => outcome);
            OUTCOMES.map(|(_, outcome)| counter(outcome))
        };
        RunCounters(registry.kinds().map(|kind| (kind.name.clone(), counters(kind))).collect())
    }

    /// Counts a run that ended with this settlement, or with `None` because its lease was lost.
    pub(crate) fn ended(&self, kind: &str, settlement: Option<&Settlement>) {
        let name = settlement.map_or("", Settlement::name);
        let place = OUTCOMES.iter().position(|(transition, _)| *transition == name);
        if let (Some(place), Some(counters)) = (place, self.0.get(kind)) {
            counters[place].increment(1);
        }
    }
}

/// The body of `GET /metrics`. Gauges are set here, on request.
pub(crate) fn render(slots: &Slots, pending_results: usize, redis_up: bool) -> String {
    let (size, taken) = (slots.size, slots.taken());
    gauge!("atode_slots", "state" => "taken").set(taken as f64);
    gauge!("atode_slots", "state" => "free").set(size.saturating_sub(taken) as f64);
    let held = slots.jobs().iter().filter(|job| job.lease().is_some()).count() + pending_results;
    gauge!("atode_leases_held").set(held as f64);
    gauge!("atode_settle_backlog").set(pending_results as f64);
    gauge!("atode_redis_up").set(f64::from(u8::from(redis_up)));
    atode_config::metrics::render()
}
