//! Proof that nothing is lost: real processes under load, faults injected while they work, and an
//! audit of what was promised against what happened.
//!
//! `load` enqueues over HTTP and writes down what was answered 201 → the kind in `task` writes down
//! each of its runs → `faults` breaks things on the `stand` meanwhile → `watch` notes which token
//! settled each job → `audit` compares the three. None of the three ledgers lies in Redis.

#![expect(clippy::must_use_candidate, reason = "whoever ignores an answer wanted the effect")]

mod audit;
mod faults;
mod ledger;
mod load;
mod recovery;
mod servers;
mod soak;
mod stand;
mod task;
mod watch;

pub use audit::{Lost, Report};
pub use faults::Fault;
pub use recovery::measure as measure_recovery;
pub use soak::{Injected, Plan, run};
pub use task::registry;
