//! `demo:slow`: takes its time, and ends early when it is cancelled. It shows running jobs, cancellation, timeouts and
//! a worker's shutdown.

use std::time::Duration;

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobContext, JobError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// How long a run takes. More than 300 exceed the kind's timeout.
    #[serde(default = "half_a_minute")]
    pub seconds: u32,
}

fn half_a_minute() -> u32 {
    30
}

impl Job for Slow {
    const KIND: &'static str = "demo:slow";
    const DELAY: Duration = Duration::ZERO;

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(self.seconds.into())) => {}
            () = ctx.cancellation.cancelled() => return Err(JobError::Retry(anyhow!("cancelled before its end"))),
        }
        ctx.print_line(&format!("done after {} s", self.seconds)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_when_it_is_cancelled() {
        let ctx = JobContext::for_test();
        ctx.cancellation.cancel();
        assert!(matches!(Slow { seconds: 3_600 }.run(ctx).await, Err(JobError::Retry(_))));
    }
}
