//! The first commands of a connection: they read Redis' time and the user's permissions. Logs why a connection is
//! lost, each reason once, and when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::clients::{Client as FredClient, WithOptions};
use fred::error::Error as FredError;
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::error::{Error, trouble};
use crate::metrics::calls;
use crate::redis::permissions::{self, Findings};
use crate::redis::pool::Events;
use crate::redis::server::Server;

/// Distinct reasons logged per outage.
const MOST_REASONS: usize = 16;
/// Time between two attempts with a Redis that does not answer.
const RETRY: Duration = Duration::from_millis(100);

/// Runs until the clients end. A connect counts once its handshake is done.
pub(crate) async fn run(
    mut clients: UnboundedReceiver<Events>,
    connects: watch::Sender<u64>,
    server: Arc<Server>,
) {
    let Some(mut events) = clients.recv().await else { return };
    let mut logged: Vec<String> = Vec::new();
    let reconnects = calls::reconnects();
    loop {
        tokio::select! {
            biased; // old clients end when new ones exist
            Some(later) = clients.recv() => events = later,
            event = events.connects.recv() => match event {
                Err(RecvError::Closed) => return,
                event => {
                    // Errors of earlier attempts.
                    while let Ok((error, _)) = events.errors.try_recv() {
                        failed(&server, &error, &mut logged);
                    }
                    if !handshake(&server, &events.client).await {
                        continue;
                    }
                    logged.clear();
                    server.seen_mut().trouble = None;
                    if *connects.borrow() > 0 {
                        reconnects.increment(1);
                    }
                    connects.send_modify(|n| *n += 1);
                    // The address may lead to several servers.
                    let node = event.map_or(String::new(), |node| node.to_string());
                    tracing::info!(redis = server.address, server = node, "connected to Redis");
                }
            },
            event = events.errors.recv() => match event {
                Ok((error, _)) => failed(&server, &error, &mut logged),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn failed(server: &Server, error: &FredError, logged: &mut Vec<String>) {
    let why = trouble(error);
    if logged.len() < MOST_REASONS && !logged.contains(&why) {
        tracing::error!(
            redis = server.address,
            error = why,
            "cannot connect to Redis; retrying until it can be reached"
        );
        logged.push(why.clone());
    }
    server.seen_mut().trouble = Some(why);
}

/// False where the connection was lost meanwhile.
async fn handshake(server: &Server, client: &FredClient) -> bool {
    wait_until_usable(client).await;
    let asker = client.with_options(&server.once_and_fast);
    while client.is_connected() {
        match ask(server, &asker).await {
            Err(error) if error.is_silence() => tokio::time::sleep(RETRY).await,
            answer => {
                // After an error: it may be loading. It refuses every call, so nothing has to be held back.
                server.set_findings(answer.unwrap_or_default());
                return true;
            }
        }
    }
    false
}

async fn ask(server: &Server, client: &WithOptions<FredClient>) -> Result<Findings, Error> {
    let time = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
    let time: Result<(i64, i64), _> = client.custom(time, Vec::<Value>::new()).await;
    match time.map_err(Error::from) {
        Ok((seconds, micros)) => server.clock.observe(seconds * 1_000 + micros / 1_000),
        Err(error) if error.is_silence() => return Err(error),
        Err(_) => {} // the look at the permissions reports it
    }
    permissions::look(client, &server.subject).await
}

/// fred announces a connect a moment before the client is connected and takes commands.
async fn wait_until_usable(client: &FredClient) {
    let start = Instant::now();
    while !client.is_connected() && start.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
