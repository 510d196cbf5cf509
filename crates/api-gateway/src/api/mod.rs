//! The HTTP API: one file per resource, and the steps that several of them share: `enqueue`, `lookup`, `wait`,
//! `live_workers`, `idempotency_key`, `looks`.

pub(crate) mod batch;
pub(crate) mod bulk;
pub(crate) mod bulk_runner;
pub(crate) mod edit;
pub(crate) mod enqueue;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod failures;
pub(crate) mod filter;
pub(crate) mod health;
mod idempotency_key;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod list;
pub(crate) mod live_workers;
pub(crate) mod looks;
pub(crate) mod lookup;
pub(crate) mod metrics;
pub(crate) mod old_service;
pub(crate) mod openapi;
pub(crate) mod operations;
pub(crate) mod queues;
pub(crate) mod recent_workers;
pub(crate) mod scale;
pub(crate) mod stats;
mod wait;
pub(crate) mod workers;
