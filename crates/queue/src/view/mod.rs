//! Jobs and queues as the API, the command line and the metrics show them.

pub(crate) mod job;
pub(crate) mod sampler;
