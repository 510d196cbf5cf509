//! A kind as plain data and functions, so that code that handles all kinds is not generic.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::app_state::StateType;
use crate::backoff::Backoff;
use crate::context::JobContext;
use crate::job::{Execution, Job, JobError};
use crate::payload::{InvalidPayload, parse};

/// A handler's run, boxed so that all kinds have one type.
pub type Run = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;

/// A kind of job with its type erased.
#[derive(Clone)]
pub struct Kind {
    pub name: Arc<str>,
    pub aliases: &'static [&'static str],
    pub queue: Arc<str>,
    pub delay: Duration,
    pub max_retries: u32,
    pub backoff: Backoff,
    pub timeout: Duration,
    pub execution: Execution,
    pub retention: Duration,
    /// JSON Schema of the payload.
    pub schema: serde_json::Value,
    pub(crate) state: &'static [StateType],
    check: fn(&str) -> Result<(), InvalidPayload>,
    start: fn(&str, JobContext) -> Result<Run, InvalidPayload>,
}

impl Kind {
    pub(crate) fn of<J: Job>() -> Self {
        Kind {
            name: J::KIND.into(),
            aliases: J::ALIASES,
            queue: J::QUEUE.into(),
            delay: J::DELAY,
            max_retries: J::MAX_RETRIES,
            backoff: J::BACKOFF,
            timeout: J::TIMEOUT,
            execution: J::EXECUTION,
            retention: J::RETENTION,
            schema: schemars::schema_for!(J).to_value(),
            state: J::STATE,
            check: |payload| parse::<J>(payload).map(drop),
            start: |payload, ctx| Ok(Box::pin(parse::<J>(payload)?.run(ctx))),
        }
    }

    /// Whether a payload (JSON) fits this kind.
    pub fn check(&self, payload: &str) -> Result<(), InvalidPayload> {
        (self.check)(payload)
    }

    /// The run of a payload, not yet polled.
    pub fn start(&self, payload: &str, ctx: JobContext) -> Result<Run, InvalidPayload> {
        (self.start)(payload, ctx)
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Mail {
        to: Vec<u32>,
    }

    impl Job for Mail {
        const KIND: &'static str = "mail:send";

        async fn run(self, _: JobContext) -> Result<(), JobError> {
            Ok(())
        }
    }

    #[test]
    fn a_wrong_payload_says_where() {
        let kind = Kind::of::<Mail>();
        assert_eq!(kind.check(r#"{"to":[1]}"#), Ok(()));
        assert_eq!(kind.check(r#"{"to":[1,"x"]}"#).unwrap_err().pointer, "/to/1");
        let invalid = kind.check("{\n\"to\": [\"x\"]}").unwrap_err();
        assert_eq!(invalid.detail, "invalid type: string \"x\", expected u32");
        for no_object in ["null", "[[1]]", "7", "\"to\""] {
            assert_eq!(kind.check(no_object).unwrap_err().detail, "a payload is a JSON object");
        }
    }
}
