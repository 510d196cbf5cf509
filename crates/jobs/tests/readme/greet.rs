//! `demo:greet`: greets somebody by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobContext, JobError};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Greet {
    name: String,
}

impl Job for Greet {
    const KIND: &'static str = "demo:greet";

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        ctx.print_line(&format!("Hello {}", self.name)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_greets_without_redis() {
        assert!(Greet { name: "Mei".to_owned() }.run(JobContext::for_test()).await.is_ok());
    }
}
