//! The HTTP server's life, from its port to its orderly end.

use std::any::Any;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::{Context, anyhow};
use atode_config::{Build, Config, bare_host, listen_problem};
use atode_jobs::Registry;
use atode_queue::Client;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::api::metrics::Metrics;
use crate::gateway::Gateway;
use crate::http::cross_site::CrossSite;
use crate::http::envelope::envelope;
use crate::http::limits;
use crate::routes::routes;

/// How long the start waits for Redis before it goes on without.
const FIRST_CONNECT: Duration = Duration::from_secs(1);

/// Connections that may wait to be accepted; a burst beyond it has to wait for a retry of TCP's.
const BACKLOG: u32 = 2_048;

/// How long a client may leave its replies unread before its connection ends.
const UNREAD: Duration = Duration::from_secs(20);

/// Serves until `stop` is cancelled, and `server.shutdown_delay` beyond that; then lets running requests end. Redis may
/// be down at the start and at any time.
pub async fn serve(
    build: Build,
    config: &Config,
    registry: Registry,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (host, port) = (bare_host(&config.server.host), config.server.port);
    let taken =
        "another gateway or another program has this port; `--port` takes another one, 0 any free one";
    let listener = listen(host, port).map_err(|error| anyhow!(listen_problem(host, port, &error, taken)))?;
    let address = listener.local_addr().context("the address listened on")?;
    tracing::info!(build = build.version, redis = client.connection().address(), queues = ?config.queues.keys().collect::<Vec<_>>(), "gateway starts");
    let mut connects = client.connection().connects();
    // Whoever is told that the gateway listens should not be refused when Redis is there.
    let _ = tokio::time::timeout(FIRST_CONNECT, connects.wait_for(|connects| *connects > 0)).await;

    let metrics = Data::new(Metrics::install(build)?);
    let limit = limits::start(config).await?;
    let cross_site = CrossSite::new(config, address);
    // Cancelled when the delay after the signal is over.
    let stopping = CancellationToken::new();
    let gateway = Data::new(Gateway::new(config, registry, client, limit, cross_site, stopping.clone()));
    let leaving = gateway.clone();
    let app = move || {
        App::new()
            .app_data(gateway.clone())
            .app_data(metrics.clone())
            .wrap(from_fn(envelope))
            .configure(routes)
    };
    let server = HttpServer::new(app)
        // The end of a connection ends what its requests wait for, as in nginx: a client that is gone costs nothing.
        .h1_allow_half_closed(false)
        .on_connect(|connection, _| end_if_unread(connection))
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
        leaving.leave();
        if !delay.is_zero() {
            tracing::info!("asked to stop: /readyz answers 503, requests go on for {delay:?}");
            tokio::time::sleep(delay).await;
        }
        stopping.cancel();
        tracing::info!("stopping: no new requests, running ones may end");
        handle.stop(true).await;
    });
    server.await.context("the HTTP server")?;
    tracing::info!("stopped");
    Ok(())
}

/// The kernel counts from the last byte that the client took, which nothing in the process can see. Elsewhere than on
/// Linux such a connection takes its bounded memory until the client ends it.
fn end_if_unread(connection: &dyn Any) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = connection.downcast_ref::<tokio::net::TcpStream>()
        && let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD))
    {
        tracing::debug!(%error, "no timeout for unread replies");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (connection, UNREAD);
}

/// One socket: the first address that the name has and that can be listened on. Needs a tokio runtime.
fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        };
        match listen() {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
