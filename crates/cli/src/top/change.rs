//! The changes that a key makes, each after a confirmation.

use atode_queue::{JobId, WorkerId, WorkerRequest};

use crate::backend::Backend;
use crate::operate::{self, JobOperation};
use crate::queue::{self, Paused};
use crate::worker;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Pause(String),
    Resume(String),
    Quiet { id: WorkerId, name: String },
    RunNow { id: JobId, kind: String },
}

impl Change {
    pub(crate) fn question(&self) -> String {
        match self {
            Change::Pause(queue) => format!("Pause queue {queue}?"),
            Change::Resume(queue) => format!("Resume queue {queue}?"),
            Change::Quiet { name, .. } => format!("Quiet worker {name}?"),
            Change::RunNow { kind, .. } => format!("Run this {kind} now?"),
        }
    }

    pub(crate) fn effect(&self) -> String {
        match self {
            Change::Pause(_) => "No more jobs are handed out. Running jobs are not affected.".to_owned(),
            Change::Resume(_) => "Jobs are handed out again; those that are due start at once.".to_owned(),
            Change::Quiet { id, .. } => {
                format!("{id} finishes its jobs and claims no more. This cannot be undone.")
            }
            Change::RunNow { id, .. } => format!("{id} becomes due now."),
        }
    }

    /// Makes the change. Returns its outcome in the words of the other commands.
    pub(crate) async fn make(self, backend: &Backend) -> anyhow::Result<String> {
        match self {
            Change::Pause(name) => {
                Ok(queue::paused_outcome(&queue::set_paused(backend, &name, Paused::Yes).await?.read()?))
            }
            Change::Resume(name) => {
                Ok(queue::paused_outcome(&queue::set_paused(backend, &name, Paused::No).await?.read()?))
            }
            Change::Quiet { id, .. } => {
                Ok(worker::outcome(&worker::send(backend, id, WorkerRequest::Quiet).await?.read()?))
            }
            Change::RunNow { id, .. } => match operate::send(backend, id, JobOperation::RunNow).await? {
                Some(job) => Ok(operate::outcome(&job.read()?)),
                None => Ok(format!("job {id} is due now")),
            },
        }
    }
}
