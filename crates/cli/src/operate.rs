//! `atode job cancel`, `run-now`, `reschedule`, `redrive` and `rm`

use anyhow::bail;
use atode_jobs::parse_due;
use atode_queue::{JobId, JobView, Operated, Operation, State, absent};
use serde_json::json;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::due::DueArgs;
use crate::print::{self, Form};
use crate::session::Session;

/// An operation as the command line names it.
pub(crate) enum JobOperation {
    Cancel,
    RunNow,
    Reschedule(DueArgs),
    Redrive,
    Delete,
}

pub(crate) async fn run(
    backend: &Backend,
    form: Form,
    id: JobId,
    operation: JobOperation,
) -> anyhow::Result<()> {
    match (send(backend, id, operation).await?, form) {
        (Some(job), form) => print::answer(form, &job, |job| print::line(&outcome(job))),
        (None, Form::Text) => print::line(&format!("job {id} is deleted")),
        // The API answers without a body.
        (None, Form::Json) => Ok(()),
    }
}

/// The job after the operation, or `None` if it was deleted.
pub(crate) async fn send(
    backend: &Backend,
    id: JobId,
    operation: JobOperation,
) -> anyhow::Result<Option<Answer<JobView>>> {
    Ok(match backend {
        Backend::Http(gateway) => {
            let at = |action| Endpoint::v1(["jobs", &id.to_string(), action]);
            match operation {
                JobOperation::Cancel => Some(gateway.post(at("cancel")).await?),
                JobOperation::RunNow => Some(gateway.post(at("run-now")).await?),
                JobOperation::Reschedule(due) => {
                    let due = match (due.delay, due.run_at) {
                        (Some(delay), _) => json!({ "delay": delay }),
                        (None, run_at) => json!({ "run_at": run_at }),
                    };
                    Some(gateway.post_json(at("reschedule"), due.to_string()).await?)
                }
                JobOperation::Redrive => Some(gateway.post(at("redrive")).await?),
                JobOperation::Delete => {
                    gateway.delete(Endpoint::v1(["jobs", &id.to_string()])).await?;
                    None
                }
            }
        }
        Backend::Direct(session) => {
            operate(session, id, operation).await?.map(|job| Answer::of(&job)).transpose()?
        }
    })
}

async fn operate(session: &Session, id: JobId, operation: JobOperation) -> anyhow::Result<Option<JobView>> {
    let operation = match operation {
        JobOperation::Cancel => Operation::Cancel,
        JobOperation::RunNow => Operation::RunNow,
        JobOperation::Reschedule(due) => {
            match parse_due(due.delay.as_deref(), due.run_at.as_deref(), session.client.now()) {
                Ok(Some(due)) => Operation::Reschedule(due),
                Ok(None) => bail!("delay or run_at is missing"),
                Err((field, detail)) => bail!("/{field}: {detail}"),
            }
        }
        JobOperation::Redrive => Operation::Redrive,
        JobOperation::Delete => Operation::Delete,
    };
    let job = session.existing_job(id).await?;
    match session.client.operate(&job.queue, &job.kind, id, operation).await? {
        Operated::Done if operation == Operation::Delete => Ok(None),
        operated @ (Operated::Done | Operated::Requested) => {
            Ok(Some(session.client.after(job, operated).await?))
        }
        Operated::Refused(state) => bail!("job {id} is {state}: {}", operation.rule()),
        Operated::Gone => bail!(absent::removed_job(id)),
    }
}

pub(crate) fn outcome(job: &JobView) -> String {
    let id = job.id;
    match job.state {
        _ if job.cancel_requested => format!("job {id} is active; its worker was asked to cancel it"),
        Some(State::Scheduled) => {
            let due = job.due_at.map_or_else(String::new, |due| format!(", due {due:.3}"));
            format!("job {id} is scheduled{due}")
        }
        Some(state) => format!("job {id} is {state}"),
        None => format!("job {id} has finished and is not kept"),
    }
}
