//! The kinds that are measured: their handler does nothing but tell the job's id.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use atode_jobs::{DuplicateKind, Job, JobContext, JobError, Registry};
use atode_queue::JobId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A handler has nothing but its job and its context, so who hears of runs lies here.
static NOTE: OnceLock<Box<dyn Fn(JobId) + Send + Sync>> = OnceLock::new();

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Payload {
    message: String,
    t: u64,
}

macro_rules! noted {
    ($kind:ident, $name:literal, $retention:expr) => {
        #[derive(Serialize, Deserialize, JsonSchema)]
        pub(crate) struct $kind(Payload);

        impl Job for $kind {
            const KIND: &'static str = $name;
            const RETENTION: Duration = $retention;

            async fn run(self, ctx: JobContext) -> Result<(), JobError> {
                NOTE.get().context("nobody hears of the run")?(ctx.id);
                Ok(())
            }
        }
    };
}

noted!(Noted, "bench:noted", Duration::ZERO);
noted!(NotedKept, "bench:noted_kept", atode_jobs::DEFAULT_RETENTION);

/// How long finished jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    None,
    Default,
}

impl Retention {
    /// The kind whose jobs are kept so long.
    pub(crate) fn kind(self) -> Arc<str> {
        match self {
            Retention::None => Noted::KIND.into(),
            Retention::Default => NotedKept::KIND.into(),
        }
    }
}

pub(crate) fn registry() -> Result<Registry, DuplicateKind> {
    let mut registry = Registry::default();
    registry.register::<Noted>()?;
    registry.register::<NotedKept>()?;
    Ok(registry)
}

/// To be called once a process, before its worker starts.
pub(crate) fn tell(note: impl Fn(JobId) + Send + Sync + 'static) -> anyhow::Result<()> {
    anyhow::ensure!(NOTE.set(Box::new(note)).is_ok(), "one worker a process");
    Ok(())
}
