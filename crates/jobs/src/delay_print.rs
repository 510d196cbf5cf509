//! `demo:delay_print`: prints a message after its delay.

use std::io::{Write, stdout};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{Job, JobContext, JobError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayPrint {
    /// What is printed; without it `Job executed successfully`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Job for DelayPrint {
    const KIND: &'static str = "demo:delay_print";

    async fn run(self, _: JobContext) -> Result<(), JobError> {
        let message = self.message.as_deref().unwrap_or("Job executed successfully");
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
        // Flushed by the line, also into a file: a line that waits in a buffer looks like a lost job.
        let mut out = stdout().lock();
        writeln!(out, "[{now}] {message}")?;
        Ok(out.flush()?)
    }
}
