//! The worker's own port: is it alive, can it work.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, anyhow};
use atode_config::{bare_host, listen_problem};
use serde_json::json;

use crate::settings::Settings;
use crate::worker::Worker;

pub(crate) fn bind(settings: &Settings) -> anyhow::Result<TcpListener> {
    let (host, port) = (bare_host(&settings.host), settings.port);
    let taken =
        "another worker or another program has this port; `--port 0` takes any free port for health checks";
    let listener = TcpListener::bind((host, port))
        .map_err(|error| anyhow!(listen_problem(host, port, &error, taken)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub(crate) fn serve(worker: Arc<Worker>, listener: TcpListener) -> anyhow::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(worker.clone()))
            .route("/health", web::get().to(|| async { "OK" }))
            .route("/healthz", web::get().to(|| async { HttpResponse::Ok().json(json!({"status": "ok"})) }))
            .route("/readyz", web::get().to(readyz))
    });
    Ok(server.workers(1).disable_signals().listen(listener).context("the health checks' port")?.run())
}

/// Ready: Redis answers and the worker is not stopping. What endangers jobs is named, too.
async fn readyz(worker: web::Data<Worker>) -> HttpResponse {
    if worker.stopping.is_cancelled() {
        return HttpResponse::ServiceUnavailable().json(json!({"status": "stopping"}));
    }
    let facts = worker.client.server_facts().await.map_err(|error| error.to_string());
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
