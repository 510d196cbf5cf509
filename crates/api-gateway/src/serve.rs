//! The HTTP server's life, from its port to its orderly end.

use std::future::ready;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::{AppConfig, Server};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use anyhow::Context;
use atode_config::Config;
use atode_jobs::Registry;
use atode_queue::Client;
use tokio_util::sync::CancellationToken;

use crate::envelope::envelope;
use crate::gateway::Gateway;
use crate::limit::{self, limit_requests};
use crate::metrics::Metrics;
use crate::routes::routes;
use crate::unparsed::Connection;

/// How long the start waits for Redis before it goes on without.
const FIRST_CONNECT: Duration = Duration::from_secs(1);

/// How long a connection may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `stop` is cancelled, then lets running requests end. Redis may be down at the
/// start and at any time.
pub async fn serve(
    config: &Config,
    registry: Registry,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (host, port) = (config.server.host.as_str(), config.server.port);
    let listener = TcpListener::bind((host, port)).with_context(|| {
        format!("cannot listen on {host}:{port}; is another gateway running? `--port` takes another one, 0 any free one")
    })?;
    let address = listener.local_addr().context("the address listened on")?;
    tracing::info!(build = env!("ATODE_BUILD"), redis = client.connection().address(), queues = ?config.queues.keys().collect::<Vec<_>>(), "gateway starts");
    let mut connects = client.connection().connects();
    let queue = client.clone();
    // Whoever is told that the gateway listens should not be refused when Redis is there.
    let _ = tokio::time::timeout(FIRST_CONNECT, connects.wait_for(|connects| *connects > 0)).await;
    tokio::spawn(async move {
        let _ = connects.wait_for(|connects| *connects > 0).await;
        if let Ok(facts) = queue.server_facts().await {
            facts.obstacle().iter().for_each(|obstacle| tracing::error!("{obstacle}"));
            facts.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        }
    });

    let metrics = Data::new(Metrics::install()?);
    let limit = limit::start(config).await?;
    let gateway = Data::new(Gateway::new(config, registry, client, limit, stop.clone()));
    let stopping = stop.clone();
    // What `actix_web::HttpServer` would build, around a `Connection`.
    let service = move || {
        let (client, stopping) = (gateway.client.clone(), stopping.clone());
        let app = App::new()
            .app_data(gateway.clone())
            .app_data(metrics.clone())
            .wrap(from_fn(limit_requests))
            .wrap(from_fn(envelope))
            .configure(routes);
        let http = HttpService::build()
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || stopping.clone().cancelled_owned())
            .local_addr(address)
            .finish(map_config(app.into_factory(), |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            ready(Ok((Connection::new(stream, client.clone()), Protocol::Http1, peer)))
        })
        .and_then(http)
    };
    let server = Server::build()
        .shutdown_timeout(config.server.shutdown_timeout.as_secs_f64().ceil() as u64)
        .disable_signals()
        .listen("http", listener, service)?
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
