//! Round trips to Redis.

use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};

pub(crate) const SECONDS: &str = "atode_redis_call_seconds";
pub(crate) const BUCKETS: [f64; 11] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
const FAILURES: &str = "atode_redis_call_failures_total";
const RECONNECTS: &str = "atode_redis_reconnects_total";

/// The calls of one script.
pub(crate) struct Calls {
    seconds: Histogram,
    failures: Counter,
}

pub(crate) fn describe() {
    describe_histogram!(SECONDS, Unit::Seconds, "Time from sending a script to its reply.");
    describe_counter!(FAILURES, "Calls that Redis refused or did not answer in time.");
    describe_counter!(RECONNECTS, "Times that the connection to Redis was lost and came back.");
    describe_gauge!("atode_redis_up", "Whether there is a connection to the job queue's Redis.");
}

impl Calls {
    pub(crate) fn of(script: &'static str) -> Self {
        Calls {
            seconds: histogram!(SECONDS, "script" => script),
            failures: counter!(FAILURES, "script" => script),
        }
    }

    pub(crate) fn count(&self, took: Duration, was_answered: bool) {
        if was_answered {
            self.seconds.record(took);
        } else {
            self.failures.increment(1);
        }
    }
}

/// The counter of reconnects, which starts at 0.
pub(crate) fn reconnects() -> Counter {
    counter!(RECONNECTS)
}
