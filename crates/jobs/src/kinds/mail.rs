//! `demo:mail`: pretends to send a mail, and ends as its payload says. It sends nothing. `atode demo` enqueues it.

use std::time::Duration;

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::job::{Job, JobContext, JobError};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The pretended address.
    pub to: String,
    /// The end of the run.
    #[serde(default)]
    pub ends: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    #[default]
    Sent,
    /// Each attempt fails, and a retry might help.
    Refused,
    /// The first attempt fails, the next one succeeds.
    SentLater,
    /// It fails for good.
    NoMailbox,
}

/// The pretended time that a mail server takes.
const TAKES: Duration = Duration::from_millis(250);

impl Job for Mail {
    const KIND: &'static str = "demo:mail";
    const DELAY: Duration = Duration::ZERO;
    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(20), ..Backoff::EXPONENTIAL };

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        tokio::time::sleep(TAKES).await;
        match self.ends {
            Ending::SentLater if ctx.attempt == 1 => Err(JobError::Retry(anyhow!("(demo) the mail server is busy"))),
            Ending::Sent | Ending::SentLater => Ok(()),
            Ending::Refused => {
                let attempt = ctx.attempt;
                Err(JobError::Retry(anyhow!("(demo) connection refused by the mail server, attempt {attempt}")))
            }
            Ending::NoMailbox => Err(JobError::Permanent(anyhow!("(demo) there is no mailbox {:?}", self.to))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_as_its_payload_says() {
        let run = |ends, attempt| {
            Mail { to: "a@example.com".to_owned(), ends }.run(JobContext { attempt, ..JobContext::for_test() })
        };
        let (sent, refused, busy, later, no_mailbox) = tokio::join!(
            run(Ending::Sent, 1),
            run(Ending::Refused, 5),
            run(Ending::SentLater, 1),
            run(Ending::SentLater, 2),
            run(Ending::NoMailbox, 1)
        );
        assert!(sent.is_ok() && later.is_ok());
        assert!(matches!(refused, Err(JobError::Retry(_))) && matches!(busy, Err(JobError::Retry(_))));
        assert!(matches!(no_mailbox, Err(JobError::Permanent(_))));
    }
}
