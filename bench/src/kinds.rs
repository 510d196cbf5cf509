//! The kinds of job that the benchmarks run. Their handler only reports the job's id.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use atode_jobs::{DuplicateKind, Job, JobContext, JobError, Registry};
use atode_queue::JobId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The callback of all runs. It is a static because a handler has only its job and its context.
static ON_RUN: OnceLock<Box<dyn Fn(JobId) + Send + Sync>> = OnceLock::new();

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Payload {
    message: String,
    t: u64,
}

macro_rules! noop {
    ($kind:ident, $name:literal, $retention:expr) => {
        #[derive(Serialize, Deserialize, JsonSchema)]
        pub(crate) struct $kind(Payload);

        impl Job for $kind {
            const KIND: &'static str = $name;
            const RETENTION: Duration = $retention;

            async fn run(self, ctx: JobContext) -> Result<(), JobError> {
                ON_RUN.get().context("no callback is set")?(ctx.id);
                Ok(())
            }
        }
    };
}

// The length of a name is part of what a stored job costs.
noop!(Noop, "bench:no_op", Duration::ZERO);
noop!(KeptNoop, "bench:no_op_kept", atode_jobs::DEFAULT_RETENTION);

/// How long finished jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    None,
    Default,
}

impl Retention {
    /// The kind whose jobs have this retention.
    pub(crate) fn kind(self) -> Arc<str> {
        match self {
            Retention::None => Noop::KIND.into(),
            Retention::Default => KeptNoop::KIND.into(),
        }
    }
}

pub(crate) fn registry() -> Result<Registry, DuplicateKind> {
    let mut registry = Registry::default();
    registry.register::<Noop>()?;
    registry.register::<KeptNoop>()?;
    Ok(registry)
}

/// Sets the callback of all runs. Call it once per process, before the worker starts.
pub(crate) fn on_run(callback: impl Fn(JobId) + Send + Sync + 'static) -> anyhow::Result<()> {
    anyhow::ensure!(ON_RUN.set(Box::new(callback)).is_ok(), "only one worker can run per process");
    Ok(())
}
