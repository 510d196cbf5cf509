//! Gauges of the jobs in Redis.

pub(crate) mod sampler;
