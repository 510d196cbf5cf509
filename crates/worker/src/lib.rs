//! The worker: claims what is due, runs it, settles it.
//!
//! One job's way: the `claimer` of its queue takes it and gives it a slot → `execute` runs it on the
//! handlers' runtime → `settler` writes what became of it. Beside them, `heartbeat` keeps the
//! registration and the leases alive, `monitor` ends what runs too long, `sweeper` recovers what
//! other workers left behind, `probe` answers health checks. Handlers have a runtime of their own,
//! so that none of these can be starved by one.

mod claimer;
mod command;
mod execute;
mod heartbeat;
mod lost_claims;
mod metrics;
mod monitor;
mod probe;
mod running;
mod served;
mod settings;
mod settler;
mod shares;
mod shutdown;
mod sweeper;
mod turns;
mod worker;

pub use atode_config::Build;
pub use command::{main, main_with_state};
pub use settings::Settings;
pub use shutdown::stop_on_signals;
pub use worker::{Worker, run};
