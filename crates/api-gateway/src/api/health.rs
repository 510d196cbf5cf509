//! Is the gateway alive, and can it take jobs.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::gateway::Gateway;
use crate::http::problem::{Problem, Slug};

pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// The old service's health check.
pub(crate) async fn health() -> &'static str {
    "OK"
}

/// Ready: Redis answers, and nobody has asked the gateway to stop. What endangers jobs there (no AOF, eviction) does not stop the gateway
/// from taking them; it is named, and the status is `degraded`.
pub(crate) async fn readyz(gateway: Data<Gateway>) -> Result<HttpResponse, Problem> {
    if gateway.is_leaving() {
        return Err(Problem::new(Slug::Unavailable, "this gateway is stopping"));
    }
    let facts = gateway.client.server_facts().await?;
    if let Some(obstacle) = facts.obstacle() {
        return Err(Problem::new(Slug::Unavailable, obstacle));
    }
    let warnings = facts.warnings();
    let status = if warnings.is_empty() { "ready" } else { "degraded" };
    Ok(HttpResponse::Ok().json(json!({ "status": status, "redis": facts.version, "warnings": warnings })))
}
