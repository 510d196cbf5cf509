//! The services that a worker gives all of its handlers: the application's state, and a queue to enqueue to.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use atode_config::traces::Trace;
use atode_queue::{Client, Due, Enqueued, Error, NewJob, Record};
use serde_json::Value;

use crate::app_state::AppState;

/// The application's state and the queue, shared by all handlers of a process.
#[derive(Clone)]
pub struct Services {
    pub(crate) state: AppState,
    pub(crate) destination: Destination,
}

/// Where enqueued jobs go.
#[derive(Clone)]
pub(crate) enum Destination {
    Redis(Client),
    /// A list, for unit tests.
    Memory(Arc<Mutex<Vec<RecordedJob>>>),
}

/// A job that a handler enqueued in a unit test.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedJob {
    pub kind: String,
    pub queue: String,
    pub payload: Value,
    pub due: Due,
    /// The trace that the job carries.
    pub trace: Option<Trace>,
}

impl Services {
    pub(crate) fn for_test() -> Self {
        Services { state: AppState::default(), destination: Destination::Memory(Arc::default()) }
    }
}

impl Destination {
    /// The queue's clock, Unix ms.
    pub(crate) fn now(&self) -> i64 {
        match self {
            Destination::Redis(client) => client.now(),
            Destination::Memory(_) => jiff::Timestamp::now().as_millisecond(),
        }
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        match self {
            Destination::Redis(client) => client.enqueue(job).await,
            Destination::Memory(jobs) => {
                let payload =
                    serde_json::from_str(Record::decode(&job.record)?.payload.get()).unwrap_or_default();
                let (kind, queue) = (job.kind.to_string(), job.queue.to_string());
                let recorded = RecordedJob { kind, queue, payload, due: job.due, trace: job.trace };
                jobs.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
                Ok(Enqueued::Created { at: self.now() })
            }
        }
    }

    pub(crate) fn recorded(&self) -> Vec<RecordedJob> {
        match self {
            Destination::Redis(_) => Vec::new(),
            Destination::Memory(jobs) => jobs.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
