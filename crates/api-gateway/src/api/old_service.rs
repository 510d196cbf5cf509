//! `POST /api/dm-jobqueue/register`: the old service's call, for clients that still use it.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_jobs::kinds::delay_print::DelayPrint;
use atode_jobs::{Job, JobRequest, KeySource, MAX_DELAY, MAX_RETRIES};
use atode_queue::JobId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::enqueue::store;
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::json;
use crate::http::limits::limit_jobs;
use crate::http::problem::Problem;
use crate::http::replies::Reply;
use crate::http::traces::trace_of;

/// The body. Unknown fields are ignored, as the old service did.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Register {
    message: Option<String>,
    /// 0 or less: the default of the kind.
    delay_seconds: Option<i64>,
    /// 0 or less: the default of the kind.
    max_retry: Option<i64>,
}

/// A registered job.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Registered {
    job_id: JobId,
    /// Always `registered`.
    status: &'static str,
}

pub(crate) async fn register(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Reply {
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let register: Register = json::object(json::text(&body)?)?;
    let delay = in_range(register.delay_seconds, MAX_DELAY.as_secs() as i64, "delay_seconds")?;
    let max_retries = in_range(register.max_retry, MAX_RETRIES.into(), "max_retry")?;
    limit_jobs(&gateway, &request, 1).await?;

    let payload = serde_json::value::to_raw_value(&DelayPrint { message: register.message })
        .map_err(|error| Problem::malformed(error.to_string()))?;
    let mut job = JobRequest::new(DelayPrint::KIND, &payload);
    job.delay = delay.map(|seconds| format!("{seconds}s").into());
    job.max_retries = max_retries.map(Value::from);
    let prepared = gateway.rules.prepare(&job, "", KeySource::Header(None), gateway.client.now())?;
    let (_, job) = store(&gateway, prepared, trace_of(&request)).await?;
    Ok(HttpResponse::Created().json(Registered { job_id: job.id, status: "registered" }))
}

/// The value, or `None` for the default. Zero and negative values have always meant the default.
fn in_range(value: Option<i64>, max: i64, field: &str) -> Result<Option<i64>, Problem> {
    match value.filter(|value| *value > 0) {
        Some(value) if value > max => {
            Err(Problem::invalid_field(&format!("/{field}"), format!("expected {max} or less")))
        }
        value => Ok(value),
    }
}
