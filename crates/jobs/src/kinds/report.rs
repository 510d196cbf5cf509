//! `demo:report`: pretends to make a report, which takes its time. It makes nothing. `atode demo` enqueues it.

use std::time::Duration;

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobContext, JobError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// How long a run takes, at most 120.
    #[serde(default = "ten")]
    pub seconds: u32,
    /// The row at which a run fails. Without it, the run succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_row: Option<u32>,
}

/// So that a demo comes to an end.
const MAX_SECONDS: u32 = 120;

fn ten() -> u32 {
    10
}

impl Job for Report {
    const KIND: &'static str = "demo:report";
    const DELAY: Duration = Duration::ZERO;

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        let takes = Duration::from_secs(self.seconds.min(MAX_SECONDS).into());
        tokio::select! {
            () = tokio::time::sleep(takes) => {}
            () = ctx.cancellation.cancelled() => return Err(JobError::Retry(anyhow!("(demo) cancelled before its end"))),
        }
        match self.broken_row {
            None => Ok(()),
            Some(row) => Err(JobError::Retry(anyhow!("(demo) row {row} of the report cannot be read"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_fails_at_a_broken_row() {
        let run = |broken_row| Report { seconds: 0, broken_row }.run(JobContext::for_test());
        assert!(run(None).await.is_ok());
        assert!(matches!(run(Some(7)).await, Err(JobError::Retry(_))));
    }

    #[tokio::test]
    async fn it_ends_when_it_is_cancelled() {
        let ctx = JobContext::for_test();
        ctx.cancellation.cancel();
        assert!(matches!(Report { seconds: 120, broken_row: None }.run(ctx).await, Err(JobError::Retry(_))));
    }
}
