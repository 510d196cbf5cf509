//! The HTTP server's life, from its port to its orderly end.

use std::net::TcpListener;

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::Context;
use atode_config::Config;
use atode_jobs::Registry;
use atode_queue::Client;
use tokio_util::sync::CancellationToken;

use crate::envelope::envelope;
use crate::gateway::Gateway;
use crate::routes::routes;

/// Serves until `stop` is cancelled, then lets running requests end. Redis may be down at the
/// start and at any time.
pub async fn serve(config: &Config, registry: Registry, client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    let listener = TcpListener::bind((host, port)).with_context(|| {
        format!("cannot listen on {host}:{port}; is another gateway running? `--port` takes another one, 0 any free one")
    })?;
    let address = listener.local_addr().context("the address listened on")?;
    let connection = client.connection().clone();
    tracing::info!(build = env!("ATODE_BUILD"), redis = connection.address(), queues = ?config.queues.keys().collect::<Vec<_>>(), "gateway starts");
    tokio::spawn(async move {
        let mut connects = connection.connects();
        let _ = connects.wait_for(|connects| *connects > 0).await;
        if let Ok(facts) = connection.server_facts().await {
            facts.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        }
    });

    let gateway = Data::new(Gateway::new(config, registry, client, stop.clone()));
    let server = HttpServer::new(move || App::new().app_data(gateway.clone()).wrap(from_fn(envelope)).configure(routes))
        .shutdown_timeout(config.server.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    tracing::info!("listening on http://{address}");
    let handle = server.handle();
    tokio::spawn(async move {
        stop.cancelled().await;
        tracing::info!("stopping: no new requests, running ones may end");
        handle.stop(true).await;
    });
    server.await.context("the HTTP server")?;
    tracing::info!("stopped");
    Ok(())
}
