//! What a kind of job is.

use std::time::{Duration, Instant};

use atode_queue::{FencingToken, JobId, WorkerId};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

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
    /// `area:verb`, of `a-z0-9_-`. It is stored with each job: never rename it after a deploy.
    const KIND: &'static str;
    /// The queue that jobs of this kind go to, unless the request names another.
    const QUEUE: &'static str = "default";
    const DELAY: Duration = DEFAULT_DELAY;
    const MAX_RETRIES: u32 = DEFAULT_MAX_RETRIES;
    const BACKOFF: Backoff = Backoff::EXPONENTIAL;
    const TIMEOUT: Duration = DEFAULT_TIMEOUT;
    const EXECUTION: Execution = Execution::Async;
    const RETENTION: Duration = DEFAULT_RETENTION;

    /// Does the work; may run more than once for one job.
    fn run(self, ctx: JobContext) -> impl Future<Output = Result<(), JobError>> + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// On the handlers' runtime: awaits wherever it waits.
    Async,
    /// On a thread of its own: may block it.
    Blocking,
}

/// What a run knows of itself.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The same in each run of the job.
    pub id: JobId,
    /// Counted from 1.
    pub attempt: u32,
    /// A number that is greater in each later run of the job: a store that keeps it beside what it
    /// stores can refuse a smaller one, and so a run that was overtaken. `token.get()` is a `u64` below
    /// 2^53.
    pub token: FencingToken,
    /// When the run times out.
    pub deadline: Instant,
    /// Cancelled at the timeout, when the lease is lost and at a shutdown that waits no longer.
    /// A handler that blocks has to look at it by itself.
    pub cancellation: CancellationToken,
    pub worker: WorkerId,
}

/// How a run ended, other than well. No `std::error::Error` itself: that is what lets `?` turn any
/// error into a `Retry`.
#[derive(Debug)]
pub enum JobError {
    /// Run it again after its backoff, while it has retries left. What `?` gives.
    Retry(anyhow::Error),
    /// No retry can help: bury it now.
    Permanent(anyhow::Error),
    /// Not now: run it again after this long. Spends no attempt.
    Snooze(Duration),
}

impl<E: Into<anyhow::Error>> From<E> for JobError {
    fn from(error: E) -> Self {
        JobError::Retry(error.into())
    }
}
