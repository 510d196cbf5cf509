//! The HTTP server from listening to graceful shutdown.

use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::{Context, anyhow};
use atode_config::{Build, Config, bare_host, listen_problem};
use atode_jobs::{Catalogue, Registry};
use atode_queue::{Client, HistoryWriter};
use tokio_util::sync::CancellationToken;

use crate::api::{bulk_runner, events};
use crate::gateway::Gateway;
use crate::http::cross_site::CrossSite;
use crate::http::envelope::envelope;
use crate::http::limits;
use crate::http::listener::{close_if_unread, listen, serve_last_connections};
use crate::routes::routes;

/// How long the start waits for Redis before it continues without.
const FIRST_CONNECT: Duration = Duration::from_secs(1);

/// The time in which the bulk operations that run here are given back at the end.
const LAST_NOTE: Duration = Duration::from_secs(2);

/// Serves until `stop` is cancelled and `server.shutdown_delay` has passed, then lets running requests finish. Redis
/// may be down at the start and at any time.
pub(crate) async fn serve(
    build: Build,
    config: &Config,
    registry: Registry,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (host, port) = (bare_host(&config.server.host), config.server.port);
    let taken =
        "another gateway or another program uses this port; `--port` takes another one, 0 any free one";
    let listener = listen(host, port).map_err(|error| anyhow!(listen_problem(host, port, &error, taken)))?;
    let address = listener.local_addr().context("cannot read the address of the listener")?;
    tracing::info!(build = build.version, redis = client.connection().address(), queues = ?config.queues.keys().collect::<Vec<_>>(), "the gateway starts");
    let mut connects = client.connection().connects();
    // A client that waits for the gateway to listen should not be refused while Redis is available.
    let _ = tokio::time::timeout(FIRST_CONNECT, connects.wait_for(|connects| *connects > 0)).await;
    // It should not be told that a published kind is unknown either.
    let catalogue = Catalogue::default();
    let _ = tokio::time::timeout(FIRST_CONNECT, catalogue.look(&client)).await;
    tokio::spawn(catalogue.clone().follow(client.clone()));

    let limiter = limits::start(config).await?;
    let cross_site = CrossSite::new(config, address);
    let history = HistoryWriter::start(&client, "api-gateway", build.version);
    let gateway = Data::new(Gateway::new(
        config,
        registry,
        catalogue,
        client.clone(),
        limiter,
        cross_site,
        stop.clone(),
    ));
    tokio::spawn(events::watch(gateway.clone()));
    let bulk_runner = tokio::spawn(bulk_runner::run(gateway.clone(), build));
    let stopping = gateway.stopping.clone();
    let closing = listener.try_clone().context("cannot share the listener")?;
    let app = move || App::new().app_data(gateway.clone()).wrap(from_fn(envelope)).configure(routes);
    let server = HttpServer::new(app)
        // Closing a connection cancels its requests, as in nginx: a client that is gone costs nothing.
        .h1_allow_half_closed(false)
        .on_connect(|connection, _| close_if_unread(connection))
        .keep_alive(config.server.keep_alive)
        .shutdown_timeout(config.server.shutdown_timeout.as_secs_f64().ceil() as u64)
        .disable_signals()
        .listen(listener)?
        .run();
    tracing::info!("listening on http://{address}");
    let handle = server.handle();
    let delay = config.server.shutdown_delay;
    tokio::spawn(async move {
        stop.cancelled().await;
        if !delay.is_zero() {
            tracing::info!("asked to stop: /readyz answers 503, requests are served for another {delay:?}");
            tokio::time::sleep(delay).await;
        }
        serve_last_connections(closing).await;
        stopping.cancel();
        tracing::info!("stopping: no new requests, running requests will finish");
        handle.stop(true).await;
    });
    server.await.context("the HTTP server failed")?;
    // Another gateway goes on at once if this one says how far it came.
    let _ = tokio::time::timeout(LAST_NOTE, bulk_runner).await;
    drop(history);
    if let Err(error) = client.flush_history().await {
        tracing::warn!(%error, "cannot write the history of the last seconds");
    }
    tracing::info!("stopped");
    Ok(())
}
