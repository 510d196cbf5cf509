//! Bulk operations: one change of all jobs that a filter selects, as a resource in Redis (decision 40).
//!
//! `store.rs` creates, shows and aborts them. A runner, in any process, takes one by a lease (`hold.rs`) and goes
//! through its jobs: `find.rs` reads the next ones, `perform.rs` changes them one by one, `runner.rs` keeps the order
//! and the pace.

pub(crate) mod action;
mod find;
mod hold;
mod perform;
mod progress;
pub(crate) mod runner;
pub(crate) mod store;
mod target;
pub(crate) mod view;
