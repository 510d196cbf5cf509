//! Metrics of the queue (docs/metrics.md): counters of jobs and of calls to Redis, gauges of the jobs in Redis.

pub(crate) mod calls;
pub(crate) mod jobs;
pub(crate) mod sampler;

/// The histograms of this crate with the bounds of their buckets, for the recorder.
pub const HISTOGRAMS: [(&str, &[f64]); 1] = [(calls::SECONDS, &calls::BUCKETS)];

/// Describes the metrics of this crate to the recorder, which has to be installed.
pub fn describe() {
    calls::describe();
    jobs::describe();
    sampler::describe();
}
