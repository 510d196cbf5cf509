//! The soak's kind of job. It behaves as its payload says and records each run.

use std::path::Path;
use std::time::Duration;

use atode_jobs::{Backoff, DuplicateKind, Job, JobContext, JobError, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ledger::{self, Event};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Task {
    /// The folder of the ledger.
    pub(crate) dir: String,
    /// The key of its enqueue, which reveals a job that was stored twice.
    pub(crate) key: String,
    /// Duration of a run.
    pub(crate) ms: u64,
    pub(crate) end: End,
    /// Padding that makes a job large.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) padding: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Well,
    /// Fails in the first attempt.
    AfterARetry,
    /// Panics in the first attempt.
    AfterAPanic,
    /// Fails permanently.
    Dead,
}

impl Task {
    /// A small task that ends well after `ms`.
    pub(crate) fn new(dir: &Path, key: String, ms: u64) -> Self {
        Task { dir: dir.display().to_string(), key, ms, end: End::Well, padding: String::new() }
    }
}

impl Job for Task {
    const KIND: &'static str = "soak:task";
    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        factor: 2.0,
        ceiling: Duration::from_secs(1),
        jitter: 0.2,
    };

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        ledger::write_run(&self.dir, Event::Start, &self.key, &ctx);
        tokio::time::sleep(Duration::from_millis(self.ms)).await;
        match self.end {
            End::AfterAPanic if ctx.attempt == 1 => panic!("on purpose"),
            End::AfterARetry if ctx.attempt == 1 => Err(anyhow::anyhow!("on purpose").into()),
            End::Dead => Err(JobError::Permanent(anyhow::anyhow!("on purpose"))),
            _ => {
                ledger::write_run(&self.dir, Event::Success, &self.key, &ctx);
                Ok(())
            }
        }
    }
}

/// The kinds of the product, and the soak's kind.
pub fn registry() -> Result<Registry, DuplicateKind> {
    let mut registry = atode_jobs::registry()?;
    registry.register::<Task>()?;
    Ok(registry)
}
