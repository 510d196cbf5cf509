//! What may be asked of a job: `POST /v1/jobs/{id}/cancel`, `/run-now`, `/reschedule`, `/redrive`, and
//! `DELETE /v1/jobs/{id}`.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_queue::{JobId, JobView, Operated, Operation};

use crate::api::new_job::DueRequest;
use crate::gateway::{Gateway, in_time};
use crate::http::body;
use crate::http::problem::{Problem, Slug};
use crate::http::replies;

pub(crate) async fn cancel(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    gateway.operate(&id, Operation::Cancel).await
}

pub(crate) async fn run_now(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    gateway.operate(&id, Operation::RunNow).await
}

pub(crate) async fn reschedule(
    gateway: Data<Gateway>,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let due: DueRequest = body::object(body::text(&body)?)?;
    gateway.operate(&id, Operation::Reschedule(due.due(gateway.client.now())?)).await
}

pub(crate) async fn redrive(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    gateway.operate(&id, Operation::Redrive).await
}

pub(crate) async fn delete(gateway: Data<Gateway>, id: Path<String>) -> Result<HttpResponse, Problem> {
    gateway.operate(&id, Operation::Delete).await
}

impl Gateway {
    /// 200 with the job, 202 where its worker has to end it first, 204 where it is gone, 409 where
    /// its state forbids it.
    async fn operate(&self, id: &str, operation: Operation) -> Result<HttpResponse, Problem> {
        let id: JobId = id.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
        in_time(self.operate_on(id, operation), Problem::of_change).await
    }

    async fn operate_on(&self, id: JobId, operation: Operation) -> Result<HttpResponse, Problem> {
        let job = self.job(id).await?;
        let operated = self.client.operate(&job.queue, &job.kind, id, operation).await;
        match operated.map_err(Problem::of_change)? {
            Operated::Done if operation == Operation::Delete => Ok(HttpResponse::NoContent().finish()),
            Operated::Done => replies::json(StatusCode::OK, &self.look_again(job).await?),
            Operated::Requested => {
                let job = JobView { cancel_requested: true, ..self.look_again(job).await? };
                replies::json(StatusCode::ACCEPTED, &job)
            }
            Operated::Refused(state) => {
                let what = match operation {
                    Operation::Cancel => "only a job that waits or is active can be cancelled",
                    Operation::RunNow => "only a job that waits can be run now",
                    Operation::Reschedule(_) => "only a job that waits can be rescheduled",
                    Operation::Redrive => "only a dead job can be redriven",
                    Operation::Delete => "an active job cannot be deleted; cancel it first",
                };
                Err(Problem::new(Slug::WrongState, format!("job {id} is {state}: {what}")))
            }
            Operated::Gone => Err(Problem::not_found(format!("there is no job {id} any more"))),
        }
    }

    /// What was asked is done by now, so no answer may say that it is not. The job may have run since, and be gone.
    async fn look_again(&self, before: JobView) -> Result<JobView, Problem> {
        let now =
            self.client.job(&[before.queue.as_str().into()], before.id).await.map_err(Problem::of_change)?;
        Ok(now.map_or(JobView { state: None, ..before }, |job| self.with_defaults(job)))
    }
}
