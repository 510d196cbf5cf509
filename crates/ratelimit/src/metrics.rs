//! The limiter's metrics. They are looked up once, so a decision costs only an atomic addition.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::decision::Decision;

const DECISIONS: &str = "atode_ratelimit_decisions_total";
const FALLBACKS: &str = "atode_ratelimit_fallbacks_total";
const BREAKER_OPEN: &str = "atode_ratelimit_breaker_open";

/// The source of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Redis,
    Memory,
    /// An earlier refusal by Redis that still applies.
    Remembered,
    /// The configuration, without counting: Redis is away, or the cost can never be allowed.
    Configuration,
}

pub(crate) struct Metrics {
    /// Counters by source, then by result.
    decisions: [[Counter; RESULTS.len()]; 4],
    fallback_metric: Counter,
    fallbacks: AtomicU64,
    pub(crate) breaker_open: Gauge,
}

const RESULTS: [&str; 4] = ["allowed", "denied", "too_large", "unavailable"];

impl Metrics {
    pub(crate) fn new() -> Self {
        describe_counter!(DECISIONS, "Rate limit decisions, by result and by who decided.");
        describe_counter!(FALLBACKS, "Decisions made without the shared Redis because it was away.");
        describe_gauge!(BREAKER_OPEN, "1 while decisions are made without the shared Redis.");
        let row = |by: &'static str, possible: &[&str]| {
            RESULTS.map(|result| {
                if possible.contains(&result) {
                    counter!(DECISIONS, "by" => by, "result" => result)
                } else {
                    Counter::noop()
                }
            })
        };
        Metrics {
            decisions: [
                row("redis", &["allowed", "denied"]),
                row("memory", &["allowed", "denied"]),
                row("remembered", &["denied"]),
                row("configuration", &["allowed", "too_large", "unavailable"]),
            ],
            fallback_metric: counter!(FALLBACKS),
            fallbacks: AtomicU64::new(0),
            breaker_open: gauge!(BREAKER_OPEN),
        }
    }

    pub(crate) fn decision(&self, by: By, decision: &Decision) {
        let result = match decision {
            Decision::Allowed(_) => 0,
            Decision::Denied(_) => 1,
            Decision::TooLarge { .. } => 2,
            Decision::Unavailable => 3,
        };
        self.decisions[by as usize][result].increment(1);
    }

    pub(crate) fn fallback(&self) {
        self.fallback_metric.increment(1);
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }
}
