//! `demo:delay_print`: prints a message after its delay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobContext, JobError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayPrint {
    /// The text to print. Without it, `Job executed successfully` is printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Job for DelayPrint {
    const KIND: &'static str = "demo:delay_print";

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        let message = self.message.as_deref().unwrap_or("Job executed successfully");
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
        ctx.print_line(&format!("[{now}] {message}")).await
    }
}
