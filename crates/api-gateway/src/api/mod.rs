//! The HTTP API: one file per resource, and what several of them share.

pub(crate) mod batch;
pub(crate) mod dm_jobqueue_handler;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod metrics;
pub(crate) mod new_job;
pub(crate) mod operations;
pub(crate) mod queues;
pub(crate) mod unserved;
pub(crate) mod workers;
