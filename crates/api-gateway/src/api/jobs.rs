//! `POST /v1/jobs`, `GET /v1/jobs/{id}`.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::web::{Data, Path, Payload, Query};
use atode_jobs::KeySource;
use serde::Deserialize;

use crate::api::edit;
use crate::api::enqueue::store;
use crate::api::idempotency_key::idempotency_key;
use crate::api::lookup::{job, parse_id};
use crate::api::wait::{parse_wait, until_finished};
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::json;
use crate::http::limits::limit_jobs;
use crate::http::replies::{self, Reply};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub(crate) async fn enqueue(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Reply {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let text = json::text(&body)?;
    let key = KeySource::Header(key.as_deref());
    let prepared = gateway.rules.prepare(&json::object(text)?, text, key, gateway.client.now())?;
    limit_jobs(&gateway, &request, 1).await?;
    let (status, job) = store(&gateway, prepared).await?;
    let mut response = replies::json(status, &job)?;
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    if status == StatusCode::OK {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowQuery {
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
