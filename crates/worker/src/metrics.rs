//! What the worker counts, for Prometheus (docs/decisions/0016-metrics.md). Counters are resolved once: a run costs
//! a look into a map and an atomic addition.

use std::collections::HashMap;
use std::sync::Arc;

use atode_jobs::Registry;
use atode_queue::Settlement;
use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};

use crate::settings::Settings;
use crate::worker::Worker;

/// How runs end, by what they settle with; the last one has lost its lease and settles nothing.
const OUTCOMES: [(&str, &str); 5] = [
    ("complete", "completed"),
    ("retry", "retried"),
    ("bury", "buried"),
    ("release", "released"),
    ("", "lost"),
];

pub(crate) struct Metrics {
    queues: HashMap<Arc<str>, Claims>,
    kinds: HashMap<Arc<str>, [Counter; OUTCOMES.len()]>,
}

/// Of one queue.
struct Claims {
    answered: Counter,
    failed: Counter,
    jobs: Counter,
}

impl Metrics {
    pub(crate) fn new(settings: &Settings, registry: &Registry) -> Self {
        describe_counter!("atode_claims_total", "Claims, by queue and by whether Redis carried them out.");
        describe_counter!("atode_claimed_jobs_total", "Jobs that claims brought, by queue.");
        describe_counter!(
            "atode_runs_total",
            "Runs that have ended, by kind and by what became of their job."
        );
        describe_gauge!("atode_slots", "Slots for jobs that run at the same time, by state.");
        describe_gauge!(
            "atode_leases_held",
            "Jobs that this worker holds: in a slot, waiting for one, or ended and not yet settled."
        );
        describe_gauge!("atode_settle_backlog", "Results that wait to be stored in Redis.");
        let claims = |queue: &Arc<str>| {
            let queue = queue.to_string();
            Claims {
                answered: counter!("atode_claims_total", "queue" => queue.clone(), "result" => "answered"),
                failed: counter!("atode_claims_total", "queue" => queue.clone(), "result" => "failed"),
                jobs: counter!("atode_claimed_jobs_total", "queue" => queue),
            }
        };
        let runs = |kind: &Arc<str>| {
            OUTCOMES.map(
                |(_, outcome)| counter!("atode_runs_total", "kind" => kind.to_string(), "outcome" => outcome),
            )
        };
        Metrics {
            queues: settings.queues.keys().map(|queue| (queue.clone(), claims(queue))).collect(),
            kinds: registry.kinds().map(|kind| (kind.name.clone(), runs(&kind.name))).collect(),
        }
    }

    /// A claim was answered with this many jobs.
    pub(crate) fn claimed(&self, queue: &str, jobs: usize) {
        if let Some(claims) = self.queues.get(queue) {
            claims.answered.increment(1);
            claims.jobs.increment(jobs as u64);
        }
    }

    /// A claim was refused, or had no answer.
    pub(crate) fn claim_failed(&self, queue: &str) {
        if let Some(claims) = self.queues.get(queue) {
            claims.failed.increment(1);
        }
    }

    /// A run has ended with this; none where its lease is lost.
    pub(crate) fn ended(&self, kind: &str, settlement: Option<&Settlement>) {
        let name = settlement.map_or("", Settlement::name);
        let place = OUTCOMES.iter().position(|(transition, _)| *transition == name);
        if let (Some(place), Some(outcomes)) = (place, self.kinds.get(kind)) {
            outcomes[place].increment(1);
        }
    }
}

/// `GET /metrics`: what is a state, and not a count of events, is set when it is asked for.
pub(crate) fn scrape(worker: &Worker) -> String {
    let (size, taken) = (worker.slots.size(), worker.slots.taken());
    gauge!("atode_slots", "state" => "taken").set(taken as f64);
    gauge!("atode_slots", "state" => "free").set(size.saturating_sub(taken) as f64);
    let held = worker.slots.all().iter().filter(|job| job.lease().is_some()).count() + worker.unsettled();
    gauge!("atode_leases_held").set(held as f64);
    gauge!("atode_settle_backlog").set(worker.unsettled() as f64);
    gauge!("atode_redis_up").set(f64::from(u8::from(worker.client.connection().is_up())));
    worker.sampler.look();
    atode_config::metrics::render()
}
