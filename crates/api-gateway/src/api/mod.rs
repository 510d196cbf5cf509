//! The HTTP API: one file per resource (`jobs`, `batch`, `operations`, `queues`, `kinds`, `workers`, `health`, `metrics` and the old
//! service's call), and the steps that several of them share.

pub(crate) mod batch;
pub(crate) mod dm_jobqueue_handler;
pub(crate) mod health;
mod idempotency_key;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod lookup;
pub(crate) mod metrics;
pub(crate) mod operations;
pub(crate) mod queues;
pub(crate) mod store;
pub(crate) mod unserved;
mod wait;
pub(crate) mod workers;
