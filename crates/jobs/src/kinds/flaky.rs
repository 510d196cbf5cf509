//! `demo:flaky`: fails on purpose, then succeeds. It shows retries, and with fewer retries than failures a dead job.

use std::time::Duration;

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::job::{Job, JobContext, JobError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flaky {
    /// How many attempts fail before one succeeds.
    #[serde(default = "twice")]
    pub failures: u32,
}

fn twice() -> u32 {
    2
}

impl Job for Flaky {
    const KIND: &'static str = "demo:flaky";
    const DELAY: Duration = Duration::ZERO;
    /// Short, so that all retries can be watched.
    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), ..Backoff::EXPONENTIAL };

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        let (attempt, failures) = (ctx.attempt, self.failures);
        if attempt <= failures {
            return Err(JobError::Retry(anyhow!("failed on purpose, failure {attempt} of {failures}")));
        }
        ctx.print_line(&format!("succeeded in attempt {attempt}")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_fails_as_often_as_its_payload_says() {
        let attempt = |attempt| Flaky { failures: 2 }.run(JobContext { attempt, ..JobContext::for_test() });
        let Err(JobError::Retry(first)) = attempt(1).await else { panic!("the first attempt fails") };
        assert_eq!(first.to_string(), "failed on purpose, failure 1 of 2");
        assert!(matches!(attempt(2).await, Err(JobError::Retry(_))));
        assert!(attempt(3).await.is_ok());
    }
}
