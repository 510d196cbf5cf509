//! `shop:receipt`: prints a receipt.

use std::time::Duration;

use atode_jobs::{Job, JobContext, JobError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub order: String,
}

impl Job for Receipt {
    const KIND: &'static str = "shop:receipt";
    const DELAY: Duration = Duration::ZERO;

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        ctx.print_line(&format!("receipt for order {}", self.order)).await
    }
}
