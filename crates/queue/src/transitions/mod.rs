//! The transitions of jobs, each beside its script. Some files call several scripts: `settle.rs` complete, retry, bury and
//! release; `recover.rs` expired, reap and `put_back`; `operate.rs` those that operate on one job, cancel, reschedule,
//! redrive and delete; `operate_queue.rs` those that operate on a queue.

pub(crate) mod claim;
pub(crate) mod edit;
pub(crate) mod enqueue;
pub(crate) mod extend;
pub(crate) mod operate;
pub(crate) mod operate_queue;
pub(crate) mod recover;
pub(crate) mod redrive_failure;
pub(crate) mod settle;
pub(crate) mod trim;
pub(crate) mod unanswered;
