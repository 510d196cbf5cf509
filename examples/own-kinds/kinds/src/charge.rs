//! `shop:charge`: charges an order, then enqueues its receipt.

use std::time::Duration;

use anyhow::anyhow;
use atode_jobs::{Job, JobContext, JobError, StateType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bank::{Answer, Bank};
use crate::receipt::Receipt;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    pub order: String,
    pub cents: u32,
}

impl Job for Charge {
    const KIND: &'static str = "shop:charge";
    /// Jobs that were stored before the kind was renamed still run.
    const ALIASES: &'static [&'static str] = &["books:charge"];
    const DELAY: Duration = Duration::ZERO;
    const MAX_RETRIES: u32 = 5;
    const STATE: &'static [StateType] = &[StateType::of::<Bank>()];

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        // The id is the same in each run, so the bank can tell a repetition from a second order.
        match ctx.state::<Bank>().charge(ctx.id, self.cents).await? {
            Answer::Charged => {}
            Answer::Declined => return Err(JobError::Permanent(anyhow!("the card was declined"))),
            Answer::ClosedFor(time) => return Err(JobError::Snooze(time)),
        }
        // The key keeps a second run from enqueueing a second receipt.
        let key = format!("receipt-{}", self.order);
        ctx.enqueue(Receipt { order: self.order }).key(key).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(answer: fn() -> anyhow::Result<Answer>) -> (Result<(), JobError>, JobContext) {
        let ctx = JobContext::for_test().with_state(Bank::fake(answer));
        let charge = Charge { order: "42".to_owned(), cents: 1_999 };
        (charge.run(ctx.clone()).await, ctx)
    }

    #[tokio::test]
    async fn a_charged_order_gets_a_receipt() {
        let (result, ctx) = run(|| Ok(Answer::Charged)).await;
        assert!(result.is_ok());
        assert_eq!(ctx.enqueued()[0].payload, serde_json::json!({"order": "42"}));
    }

    #[tokio::test]
    async fn a_bank_that_does_not_answer_is_asked_again() {
        let (result, ctx) = run(|| Err(anyhow!("connection refused"))).await;
        assert!(matches!(result, Err(JobError::Retry(_))));
        assert!(ctx.enqueued().is_empty());
    }

    #[tokio::test]
    async fn a_declined_card_buries_the_job() {
        let (result, _) = run(|| Ok(Answer::Declined)).await;
        assert!(matches!(result, Err(JobError::Permanent(_))));
    }

    #[tokio::test]
    async fn a_closed_bank_puts_the_job_off() {
        let (result, _) = run(|| Ok(Answer::ClosedFor(Duration::from_secs(60)))).await;
        assert!(matches!(result, Err(JobError::Snooze(time)) if time == Duration::from_secs(60)));
    }
}
