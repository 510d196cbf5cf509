//! `demo:greet`: greets somebody by name.

use std::io::{Write, stdout};

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

    async fn run(self, _: JobContext) -> Result<(), JobError> {
        Ok(writeln!(stdout(), "Hello {}", self.name)?)
    }
}
