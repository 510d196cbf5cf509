//! The worker: claims due jobs, runs them, and settles them.
//!
//! A job passes through these files: `claim_loop` takes it from its queue, `slots` gives it a slot, `run` calls its
//! handler, `outcome` decides what follows, and `settle` writes that to Redis. Beside them `leases` keeps leases and
//! the registration alive, `timeouts` stops jobs that run too long, `sweep` recovers jobs that other workers left
//! behind, and `probe` answers health checks. Handlers have a runtime of their own and cannot delay any of these.

mod attempt;
mod claim_loop;
mod claimed_job;
mod command;
mod handed_back;
mod leases;
mod metrics;
mod other_builds;
mod outage;
mod outcome;
mod probe;
mod publishing;
mod registration;
mod run;
mod settle;
mod shares;
mod shutdown;
mod slots;
mod start;
mod sweep;
mod timeouts;
mod worker;

pub use atode_config::{Build, Worker as Settings};
pub use atode_jobs::StateType;
pub use command::{main, main_with_state};
pub use shutdown::shutdown_limit;
pub use start::run;
