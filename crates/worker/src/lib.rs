//! The worker: claims what is due, runs it, settles it.
//!
//! One job's way: the `claim_loop` of its queue takes it and gives it a slot → `run` runs it on the
//! handlers' runtime → `settle` writes what became of it. Beside them, `leases` keeps the
//! registration and the leases alive, `timeouts` ends what runs too long, `sweep` recovers what
//! other workers left behind, `probe` answers health checks. Handlers have a runtime of their own,
//! so that none of these can be starved by one.

mod claim_loop;
mod command;
mod leases;
mod metrics;
mod probe;
mod run;
mod served;
mod settings;
mod settle;
mod shares;
mod shutdown;
mod slots;
mod sweep;
mod timeouts;
mod worker;

pub use atode_config::Build;
pub use command::{main, main_with_state};
pub use settings::Settings;
pub use shutdown::stop_on_signals;
pub use worker::{Worker, run};
