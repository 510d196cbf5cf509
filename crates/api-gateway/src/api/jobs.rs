//! `POST /v1/jobs`, `GET /v1/jobs/{id}`.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::web::{Data, Path, Payload, Query};
use atode_jobs::KeySource;
use atode_queue::JobView;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::edit;
use crate::api::enqueue::store;
use crate::api::idempotency_key::{IDEMPOTENT_REPLAYED, idempotency_key};
use crate::api::lookup::{job, parse_id};
use crate::api::wait::{parse_wait, preferred_wait, until_finished};
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::json;
use crate::http::limits::limit_jobs;
use crate::http::replies::{self, Reply};
use crate::http::traces::trace_of;
use crate::http::unread::NoQuery;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

pub(crate) async fn enqueue(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
    _: NoQuery,
) -> Reply {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let text = json::text(&body)?;
    let key = KeySource::Header(key.as_deref());
    let prepared = gateway.rules.prepare(&json::object(text)?, text, key, gateway.client.now())?;
    limit_jobs(&gateway, &request, 1).await?;
    let (stored, job) = store(&gateway, prepared, trace_of(&request)).await?;
    drop(body); // a wait would hold its share of the budget
    let (job, waited) = match preferred_wait(request.headers()) {
        // On the heap, because it is rare and ten times as large as all the rest.
        Some(wait) => Box::pin(after_wait(&gateway, job, wait)).await,
        None => (job, None),
    };
    let status = if waited.is_some() && !job.is_finished() { StatusCode::ACCEPTED } else { stored };
    let mut response = replies::json(status, &job)?;
    if let Some(applied) = waited {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    if stored == StatusCode::OK {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The job when it has finished or the wait is over, and the preference that was applied. The job is stored, so a wait
/// that fails is not an error: the reply has the job as it was.
async fn after_wait(gateway: &Gateway, job: JobView, wait: Duration) -> (JobView, Option<HeaderValue>) {
    let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok();
    if job.is_finished() {
        return (job, applied);
    }
    match until_finished(gateway, job.clone(), wait).await {
        Ok(job) => (job, applied),
        Err(_) => (job, None),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowQuery {
    /// Wait this long for the job to finish, at most 55 s: `30s`, `1m` or ISO 8601.
    wait: Option<String>,
}

pub(crate) async fn show(gateway: Data<Gateway>, id: Path<String>, query: Query<ShowQuery>) -> Reply {
    let id = parse_id(&id)?;
    let wait = match &query.wait {
        Some(text) => parse_wait(text)?,
        None => Duration::ZERO,
    };
    let job = job(&gateway, id).await?;
    let job =
        if job.is_finished() || wait.is_zero() { job } else { until_finished(&gateway, job, wait).await? };
    edit::reply(&job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Each request is moved with all that it may wait for. A call of Redis, which only some of them make, takes 8 kB.
    #[test]
    fn the_future_of_an_enqueue_is_small() {
        let size = size_of_future(enqueue);
        assert!(size <= 1_536, "{size} bytes");
    }
}
