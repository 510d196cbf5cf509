//! The transitions of a job, each beside its script.

pub(crate) mod claim;
pub(crate) mod enqueue;
pub(crate) mod operate;
pub(crate) mod put_back;
pub(crate) mod reap;
pub(crate) mod settle;
pub(crate) mod trim;
pub(crate) mod unanswered;
