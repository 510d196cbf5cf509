//! `GET /healthz`, `/readyz`, `/health`: whether the gateway is alive, and whether it can store jobs.

use actix_web::HttpResponse;
use actix_web::web::Data;
use schemars::JsonSchema;
use serde::Serialize;

use crate::gateway::Gateway;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::replies::Reply;

#[derive(Serialize, JsonSchema)]
pub(crate) struct Alive {
    /// Always `ok`.
    status: &'static str,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Ready {
    /// `ready`, or `degraded`: jobs can be stored, but something endangers them.
    status: &'static str,
    /// The version of Redis.
    redis: String,
    /// The dangers to stored jobs.
    warnings: Vec<String>,
}

pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok" })
}

/// The old service's health check.
pub(crate) async fn health() -> &'static str {
    "OK"
}

/// Ready means that Redis answers and that the gateway is not stopping. A danger to stored jobs (no AOF, eviction) does
/// not keep the gateway from storing more: the status is `degraded`, with the reasons.
pub(crate) async fn readyz(gateway: Data<Gateway>) -> Reply {
    if gateway.stop.is_cancelled() {
        return Err(Problem::new(Slug::Unavailable, "this gateway is stopping"));
    }
    let facts = gateway.client.server_facts().await?;
    if let Some(obstacle) = facts.obstacle() {
        return Err(Problem::new(Slug::Unavailable, obstacle));
    }
    let warnings = facts.warnings();
    let status = if warnings.is_empty() { "ready" } else { "degraded" };
    Ok(HttpResponse::Ok().json(Ready { status, redis: facts.version, warnings }))
}
