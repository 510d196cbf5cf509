//! The kinds of jobs: one file each, and one line below.
//!
//! A handler may run more than once for one job (at least once: a worker can die after the effect
//! and before the settle). [`JobContext::id`] stays the same in each run, and
//! [`JobContext::token`] is greater in each later one: make effects idempotent with them, for
//! example by writing the id under a unique constraint, or by refusing a smaller token.

mod backoff;
mod job;
mod limits;
mod print;
mod registry;

pub use backoff::Backoff;
pub use job::{
    DEFAULT_DELAY, DEFAULT_MAX_RETRIES, DEFAULT_RETENTION, DEFAULT_TIMEOUT, Execution, Job, JobContext,
    JobError,
};
pub use limits::{MAX_DELAY, MAX_RETRIES, parse_delay};
pub use registry::{DuplicateKind, InvalidPayload, Kind, Registry, Run, json_pointer, without_position};

/// Declares the module of each kind and enters it in the registry.
macro_rules! kinds {
    ($($module:ident::$job:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// All kinds of this build.
        pub fn registry() -> Result<Registry, DuplicateKind> {
            let mut registry = Registry::default();
            $(registry.register::<$module::$job>()?;)+
            Ok(registry)
        }
    };
}

kinds! {
    delay_print::DelayPrint,
}
