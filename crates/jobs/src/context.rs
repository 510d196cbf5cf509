//! The view that a handler has of its run.

use std::any::type_name;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_config::traces::{Trace, TraceContext};
use atode_queue::{FencingToken, JobId, WorkerId};
use tokio_util::sync::CancellationToken;

use crate::services::{RecordedJob, Services};

/// One run of a job, as its handler sees it.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The same in each run of the job.
    pub id: JobId,
    /// Counted from 1.
    pub attempt: u32,
    /// A number that is greater in each later run of the job. A store that keeps it beside what a run wrote can
    /// refuse a smaller one, and with it a run that was overtaken. `token.get()` is a `u64` below 2^53.
    pub token: FencingToken,
    /// When the run times out.
    pub deadline: Instant,
    /// Cancelled when the run times out, loses its lease, is cancelled by request, or when the worker's shutdown
    /// timeout is over. A handler that blocks its thread has to check it.
    pub cancellation: CancellationToken,
    pub worker: WorkerId,
    /// The trace that this run belongs to, if any. Jobs that [`enqueue`](Self::enqueue) stores carry it on.
    pub trace: Option<Trace>,
    pub services: Arc<Services>,
}

impl JobContext {
    /// The application's value of this type.
    ///
    /// # Panics
    ///
    /// When the worker was given no such value. A worker checks [`Job::STATE`](crate::Job::STATE) before it starts,
    /// so a type that is listed there is present here.
    #[track_caller]
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        let Some(value) = self.services.state.get() else {
            let name = type_name::<T>();
            panic!("no state {name}: list it in the kind's STATE, and give it to the worker");
        };
        value
    }

    /// The header `traceparent` for calls to other services, so that their spans belong to this run.
    pub fn traceparent(&self) -> Option<String> {
        self.trace.as_ref().and_then(Trace::context).map(TraceContext::traceparent)
    }

    /// A context for a unit test, without Redis: first attempt, not cancelled, 5 minutes left. Set other fields
    /// with `JobContext { attempt: 3, ..JobContext::for_test() }`.
    pub fn for_test() -> Self {
        let now = jiff::Timestamp::now();
        JobContext {
            id: JobId::new(now.as_millisecond()),
            attempt: 1,
            token: FencingToken::new(now.as_microsecond() as u64),
            deadline: Instant::now() + Duration::from_secs(5 * 60),
            cancellation: CancellationToken::new(),
            worker: WorkerId::new(now.as_millisecond()),
            trace: None,
            services: Arc::new(Services::for_test()),
        }
    }

    /// This context with one more value of the application's state, for unit tests.
    #[must_use]
    pub fn with_state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.services).state.insert(value);
        self
    }

    /// The jobs that were enqueued with a context made by [`for_test`](Self::for_test), or with a clone of it.
    pub fn enqueued(&self) -> Vec<RecordedJob> {
        self.services.destination.recorded()
    }
}
