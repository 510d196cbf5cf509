//! A soak test that shows that nothing is lost: real processes under load, faults that are injected meanwhile, and an
//! audit that compares promises with events.
//!
//! `load` enqueues over HTTP and records every 201 → the kind in `task` records each of its runs → `faults` disturbs the
//! `system` meanwhile → `watch` records which token settled each job → `audit` compares the three records. They are
//! kept outside Redis.

#![expect(clippy::must_use_candidate, reason = "callers that ignore a result want only the effect")]

mod audit;
mod faults;
mod ledger;
mod load;
mod recovery;
mod rolling;
mod scaling;
mod servers;
mod soak;
mod system;
mod task;
mod watch;

pub use audit::Report;
pub use faults::Fault;
pub use recovery::measure as measure_recovery;
pub use rolling::{RollingReport, measure as measure_rolling_restart};
pub use scaling::{ScalingReport, measure as measure_scaling};
pub use soak::{Injected, Plan, run};
pub use task::registry;
