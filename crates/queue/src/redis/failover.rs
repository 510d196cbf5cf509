//! Leaving a server that does not answer or has become a replica, for the one that has replaced it.
//!
//! fred notices a silent server only while nothing is sent, because each command restarts its timeout. And the
//! subscriber only listens, so it does not notice a server that is gone or demoted.

use std::time::{Duration, Instant};

use fred::clients::{Client as FredClient, Pool, SubscriberClient};
use fred::error::ErrorKind;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::config::Server;
use fred::types::{ClusterHash, CustomCommand, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, JoinHandle};

use crate::redis::server::once_and_fast;

/// Time between two checks of a server's role. A ROLE takes Redis a microsecond.
const INTERVAL: Duration = Duration::from_secs(2);
/// Back-off between attempts to leave a replica, doubled from the first value to the second.
const REPLICA_PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Timeout of a reconnection, after which the checks go on.
const PATIENCE: Duration = Duration::from_secs(10);

/// Must be called before the first connect, which it must not miss.
pub(crate) fn watch(pool: &Pool, subscriber: &SubscriberClient, limit: Duration) -> Vec<AbortHandle> {
    let leave =
        |client: &FredClient| tokio::spawn(leave_when_silent(client.clone(), subscriber.clone(), limit));
    let mut tasks: Vec<_> = pool.clients().iter().map(leave).collect();
    let commands = pool.clients()[0].reconnect_rx();
    tasks.push(tokio::spawn(follow(commands, subscriber.reconnect_rx(), subscriber.clone())));
    tasks.iter().map(JoinHandle::abort_handle).collect()
}

async fn leave_when_silent(client: FredClient, subscriber: SubscriberClient, limit: Duration) {
    let patient = once_and_fast(limit);
    let [shortest, longest] = REPLICA_PATIENCE;
    let (mut left, mut patience) = (None::<Instant>, shortest);
    loop {
        tokio::time::sleep(INTERVAL).await;
        if !client.is_connected() {
            continue;
        }
        let role = CustomCommand::new_static("ROLE", ClusterHash::FirstKey, false);
        let role: Result<Value, _> = client.with_options(&patient).custom(role, Vec::<Value>::new()).await;
        match role {
            Err(error) if *error.kind() == ErrorKind::Timeout && client.is_connected() => {
                tracing::warn!("Redis has been silent for {limit:?}; connecting again");
                // Both return once there is a connection, and continue in the background after the timeout.
                let both =
                    async { tokio::join!(client.force_reconnection(), subscriber.force_reconnection()) };
                let _ = tokio::time::timeout(PATIENCE, both).await;
            }
            // A replica takes no jobs. The name may lead to the new primary by now.
            Ok(Value::Array(role)) if role.first().and_then(Value::as_str) == Some("slave".into()) => {
                if left.is_some_and(|left| left.elapsed() < patience) {
                    continue;
                }
                if left.is_none() {
                    tracing::warn!("Redis is a replica now; looking for the primary under the same name");
                } else {
                    patience = (patience * 2).min(longest);
                }
                left = Some(Instant::now());
                let _ = tokio::time::timeout(PATIENCE, client.force_reconnection()).await;
            }
            // An error is a sign of life, too: the user may lack the permission.
            _ => (left, patience) = (None, shortest),
        }
    }
}

/// Keeps the subscriber at the server that commands go to.
async fn follow(mut commands: Receiver<Server>, mut listens: Receiver<Server>, subscriber: SubscriberClient) {
    let (mut commanded, mut listened) = (None, None);
    loop {
        let closed = tokio::select! {
            server = commands.recv() => keep(server, &mut commanded),
            server = listens.recv() => keep(server, &mut listened),
        };
        if closed {
            return;
        }
        if commanded.is_some() && listened.is_some() && commanded != listened {
            tracing::info!(
                "the subscriber is connected to a different Redis server than the command connection; reconnecting the subscriber"
            );
            listened = None;
            let _ = subscriber.force_reconnection().await;
        }
    }
}

/// True once the channel is closed.
fn keep(event: Result<Server, RecvError>, last: &mut Option<Server>) -> bool {
    match event {
        Ok(server) => *last = Some(server),
        Err(RecvError::Lagged(_)) => {}
        Err(RecvError::Closed) => return true,
    }
    false
}
