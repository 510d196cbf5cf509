//! The fred clients of a connection. Lost clients are replaced by new ones.

use std::time::{Duration, Instant};

use atode_config::redis::{Endpoint, JobqueueRedis};
use fred::clients::{Client as FredClient, Pool, SubscriberClient};
use fred::error::Error as FredError;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::Message;
use fred::types::config::Server;
use tokio::sync::broadcast::Receiver;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::error::Error;
use crate::redis::failover;

/// A first set of clients, and channels for the sets that replace it.
pub(crate) struct Clients {
    pub(crate) pool: watch::Receiver<Pool>,
    pub(crate) events: mpsc::UnboundedReceiver<Events>,
    pub(crate) listeners: mpsc::UnboundedReceiver<Listener>,
    /// While they run, the clients are connected or try to connect.
    pub(crate) tasks: Tasks,
}

/// Tasks that are aborted when this is dropped.
pub(crate) struct Tasks(pub(crate) Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Events of the pool, subscribed before its first connect.
pub(crate) struct Events {
    /// The first client of the pool; it represents all of them.
    pub(crate) client: FredClient,
    pub(crate) errors: Receiver<(FredError, Option<Server>)>,
    pub(crate) connects: Receiver<Server>,
}

/// A client for subscriptions, on a connection of its own. Its events are subscribed before its first connect.
pub(crate) struct Listener {
    pub(crate) client: SubscriberClient,
    pub(crate) messages: Receiver<Message>,
    pub(crate) connects: Receiver<Server>,
}

/// Starts to connect and returns at once.
pub(crate) fn open(redis: &JobqueueRedis) -> Result<Clients, Error> {
    let ((events_out, events), (listeners_out, listeners)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let mut source = Source { settings: redis.clone(), events: events_out, listeners: listeners_out };
    let set = source.open()?;
    let (current, pool) = watch::channel(set.pool.clone());
    let mut tasks = Tasks(Vec::new());
    if let Endpoint::Sentinel { addrs, .. } = &redis.endpoint {
        // Time for fred to ask each sentinel, and the master, twice.
        let patience = redis.connection.connect_timeout * 2 * (addrs.len() as u32 + 2);
        tasks.0.push(tokio::spawn(renew_lost(source, set, current, patience)).abort_handle());
    } else {
        tasks = set.tasks;
    }
    Ok(Clients { pool, events, listeners, tasks })
}

struct Source {
    settings: JobqueueRedis,
    events: mpsc::UnboundedSender<Events>,
    listeners: mpsc::UnboundedSender<Listener>,
}

struct Set {
    pool: Pool,
    subscriber: SubscriberClient,
    tasks: Tasks,
}

impl Source {
    fn open(&mut self) -> Result<Set, Error> {
        // Built for each set: the password may have been replaced.
        let builder = self.settings.builder().map_err(|error| Error::Corrupt(error.to_string()))?;
        let pool = builder.build_pool(self.settings.pool_size)?;
        let subscriber = builder.build_subscriber_client()?;
        // Sends fail only when the receiver is gone.
        let client = pool.clients()[0].clone();
        let (errors, connects) = (client.error_rx(), client.reconnect_rx());
        let _ = self.events.send(Events { client, errors, connects });
        let client = subscriber.clone();
        let (messages, connects) = (client.message_rx(), client.reconnect_rx());
        let _ = self.listeners.send(Listener { client, messages, connects });
        let limit = builder.get_connection_config().unresponsive.max_timeout;
        let mut tasks = limit.map_or(vec![], |limit| failover::watch(&pool, &subscriber, limit));
        tasks.extend(pool.connect_pool().iter().map(JoinHandle::abort_handle));
        tasks.push(subscriber.connect().abort_handle());
        Ok(Set { pool, subscriber, tasks: Tasks(tasks) })
    }
}

impl Set {
    fn is_connected(&self) -> bool {
        self.pool.clients().iter().all(ClientLike::is_connected) && self.subscriber.is_connected()
    }
}

/// fred replaces the configured sentinels with those that the last sentinel reported. When these are gone or have
/// moved, it keeps asking them forever. A new client begins with the settings.
async fn renew_lost(mut source: Source, mut set: Set, current: watch::Sender<Pool>, patience: Duration) {
    let mut lost = None;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if set.is_connected() {
            lost = None;
        } else if lost.get_or_insert_with(Instant::now).elapsed() > patience {
            lost = None;
            match source.open() {
                Ok(new) => {
                    current.send_replace(new.pool.clone());
                    set = new; // and the tasks of the old one end
                }
                Err(error) => tracing::error!(%error, "cannot create new Redis clients"),
            }
        }
    }
}
