//! The transitions of jobs, each beside its script. `settle.rs` calls four: complete, retry, bury, release.
//! `operate.rs` calls those that operate on one job: cancel, reschedule, redrive, delete.

pub(crate) mod claim;
pub(crate) mod enqueue;
mod enqueue_batch;
pub(crate) mod expired;
pub(crate) mod extend;
pub(crate) mod operate;
pub(crate) mod pause;
pub(crate) mod purge;
pub(crate) mod put_back;
pub(crate) mod reap;
pub(crate) mod redrive_queue;
pub(crate) mod settle;
pub(crate) mod trim;
pub(crate) mod unanswered;
