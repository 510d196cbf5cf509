//! The trait of a job kind, and the constants that a kind may override.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::app_state::StateType;
use crate::backoff::Backoff;
pub use crate::context::JobContext;

/// Wait before the first run, unless a kind or a request says otherwise.
pub const DEFAULT_DELAY: Duration = Duration::from_secs(3 * 60);
/// Retries after the first attempt, unless a kind or a request says otherwise.
pub const DEFAULT_MAX_RETRIES: u32 = 10;
/// How long a run may take.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// How long a completed job stays visible.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(60 * 60);

/// A kind of job: its payload is the type itself, a JSON object.
pub trait Job: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// `area:verb`, from `a-z0-9_-`. It is stored with each job: to rename it, keep the old name in
    /// [`ALIASES`](Self::ALIASES).
    const KIND: &'static str;
    /// Former names of this kind. Workers still take jobs that were stored under them, and a request may still
    /// name them. Remove a name once no job has it.
    const ALIASES: &'static [&'static str] = &[];
    /// The queue that jobs of this kind go to, unless the request names another.
    const QUEUE: &'static str = "default";
    const DELAY: Duration = DEFAULT_DELAY;
    const MAX_RETRIES: u32 = DEFAULT_MAX_RETRIES;
    const BACKOFF: Backoff = Backoff::EXPONENTIAL;
    const TIMEOUT: Duration = DEFAULT_TIMEOUT;
    const EXECUTION: Execution = Execution::Async;
    const RETENTION: Duration = DEFAULT_RETENTION;
    /// The types that [`run`](Self::run) gets with [`JobContext::state`]. A worker that lacks one of them does not
    /// start.
    const STATE: &'static [StateType] = &[];

    /// Does the work. It may run more than once for one job.
    fn run(self, ctx: JobContext) -> impl Future<Output = Result<(), JobError>> + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// On the handlers' runtime. The handler never blocks its thread.
    Async,
    /// On a thread of its own, which the handler may block.
    Blocking,
}

/// Why a run did not complete its job. It does not implement `std::error::Error`: that is what lets `?` turn any
/// error into a `Retry`.
#[derive(Debug)]
pub enum JobError {
    /// Run the job again after its backoff, while it has retries left. `?` gives this one.
    Retry(anyhow::Error),
    /// No retry can help: bury it now.
    Permanent(anyhow::Error),
    /// Run it again after this long. This spends no attempt.
    Snooze(Duration),
}

impl<E: Into<anyhow::Error>> From<E> for JobError {
    fn from(error: E) -> Self {
        JobError::Retry(error.into())
    }
}
