//! Operations on a job: `POST /v1/jobs/{id}/cancel`, `/run-now`, `/reschedule`, `/redrive`, and `DELETE /v1/jobs/{id}`.
//! They answer 200 with the job, 202 if its worker has to end it first, 204 if it is gone, and 409 if its state forbids
//! the operation.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_jobs::parse_due;
use atode_queue::{JobId, Operated, Operation, absent};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::api::lookup::{job, parse_id};
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::deadline::in_time;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::queue_errors;
use crate::http::replies::{self, Reply};
use crate::http::unread::{NoQuery, NoVersion, PathOnly};

pub(crate) async fn cancel(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    operate(&gateway, &id, Operation::Cancel).await
}

pub(crate) async fn run_now(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    operate(&gateway, &id, Operation::RunNow).await
}

/// The body of a request to reschedule. It has exactly one of the two fields.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DueRequest {
    /// The wait from now until the next run.
    #[schemars(with = "Option<String>")]
    delay: Option<Value>,
    /// The due time.
    #[schemars(with = "Option<Timestamp>")]
    run_at: Option<Value>,
}

pub(crate) async fn reschedule(
    gateway: Data<Gateway>,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
    _: NoQuery,
    _: NoVersion,
) -> Reply {
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let due: DueRequest = json::object(json::text(&body)?)?;
    let text = |value| Value::as_str(value).unwrap_or_default();
    let due = parse_due(due.delay.as_ref().map(text), due.run_at.as_ref().map(text), gateway.client.now());
    let due = due.map_err(|(field, detail)| Problem::invalid_field(&format!("/{field}"), detail))?;
    let due = due.ok_or_else(|| Problem::invalid_field("", "delay or run_at is missing"))?;
    operate(&gateway, &id, Operation::Reschedule(due)).await
}

pub(crate) async fn redrive(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    operate(&gateway, &id, Operation::Redrive).await
}

pub(crate) async fn delete(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    operate(&gateway, &id, Operation::Delete).await
}

async fn operate(gateway: &Gateway, id: &str, operation: Operation) -> Reply {
    let id = parse_id(id)?;
    in_time(operate_on(gateway, id, operation), queue_errors::of_change).await
}

async fn operate_on(gateway: &Gateway, id: JobId, operation: Operation) -> Reply {
    let job = job(gateway, id).await?;
    let operated = gateway.client.operate(&job.queue, &job.kind, id, operation).await;
    match operated.map_err(queue_errors::of_change)? {
        Operated::Done if operation == Operation::Delete => Ok(HttpResponse::NoContent().finish()),
        operated @ (Operated::Done | Operated::Requested) => {
            let job = gateway.client.after(job, operated).await.map_err(queue_errors::of_change)?;
            let is_done = operated == Operated::Done;
            replies::json(if is_done { StatusCode::OK } else { StatusCode::ACCEPTED }, &job)
        }
        Operated::Refused(state) => {
            let detail = format!("job {id} is {state}: {}", operation.rule());
            Err(Problem::new(Slug::WrongState, detail))
        }
        Operated::Gone => Err(Problem::not_found(absent::removed_job(id))),
    }
}
