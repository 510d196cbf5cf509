//! The HTTP API: one file per resource (`jobs`, `edit`, `batch`, `operations`, `queues`, `kinds`, `workers`, `stats`, `health`, `metrics` and the old
//! service's call), and the steps that several of them share.

pub(crate) mod batch;
pub(crate) mod edit;
pub(crate) mod enqueue;
pub(crate) mod explain;
pub(crate) mod health;
mod idempotency_key;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod list;
pub(crate) mod live_workers;
pub(crate) mod lookup;
pub(crate) mod metrics;
pub(crate) mod old_service;
pub(crate) mod operations;
pub(crate) mod queues;
pub(crate) mod scale;
pub(crate) mod stats;
mod wait;
pub(crate) mod workers;
