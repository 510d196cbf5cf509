//! The worker's HTTP port: health checks and metrics.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, Route, guard, web};
use anyhow::{Context, anyhow};
use atode_config::{Worker as Settings, bare_host, listen_problem};
use metrics::gauge;
use serde_json::json;

use crate::worker::Worker;

pub(crate) fn bind(settings: &Settings) -> anyhow::Result<TcpListener> {
    let (host, port) = (bare_host(&settings.host), settings.port);
    let taken = "another worker or program uses this port; `--port 0` takes any free port for health checks";
    let listener = TcpListener::bind((host, port))
        .map_err(|error| anyhow!(listen_problem(host, port, &error, taken)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub(crate) fn serve(worker: Arc<Worker>, listener: TcpListener) -> anyhow::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(worker.clone()))
            .route("/health", reads().to(|| async { "OK" }))
            .route("/healthz", reads().to(|| async { HttpResponse::Ok().json(json!({"status": "ok"})) }))
            .route("/readyz", reads().to(readyz))
            .route("/metrics", reads().to(scrape))
    });
    Ok(server.workers(1).disable_signals().listen(listener).context("the port of the health checks")?.run())
}

/// A route for GET and HEAD: probes use either.
fn reads() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Gauges are set here, on request.
async fn scrape(worker: web::Data<Worker>) -> HttpResponse {
    worker.sampler.look();
    let (slots, pending) = (&worker.slots, worker.pending_results());
    let taken = slots.taken();
    gauge!("atode_worker_slots", "state" => "taken").set(taken as f64);
    gauge!("atode_worker_slots", "state" => "free").set(slots.size.saturating_sub(taken) as f64);
    let held = slots.jobs().iter().filter(|job| job.lease().is_some()).count() + pending;
    gauge!("atode_worker_leases").set(held as f64);
    gauge!("atode_worker_unsettled_results").set(pending as f64);
    gauge!("atode_redis_up").set(f64::from(u8::from(worker.client.connection().is_up())));
    let text = atode_config::metrics::render();
    HttpResponse::Ok().content_type(atode_config::metrics::CONTENT_TYPE).body(text)
}

/// Ready means that Redis answers and the worker is not stopping. Dangers to jobs are listed as warnings.
async fn readyz(worker: web::Data<Worker>) -> HttpResponse {
    if worker.stopping.is_cancelled() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "stopping"}));
    }
    let facts = worker.client.server_facts().await.map_err(|error| {
        tracing::warn!(%error, "not ready: Redis does not answer correctly");
        error.outline().into_owned()
    });
    match facts.and_then(|facts| facts.obstacle().map_or(Ok(facts), Err)) {
        Ok(facts) => {
            let warnings = facts.warnings();
            let status = if warnings.is_empty() { "ready" } else { "degraded" };
            HttpResponse::Ok().json(json!({"status": status, "redis": facts.version, "warnings": warnings}))
        }
        Err(detail) => HttpResponse::ServiceUnavailable()
            .insert_header(("retry-after", "1"))
            .json(json!({"status": "unavailable", "detail": detail})),
    }
}
