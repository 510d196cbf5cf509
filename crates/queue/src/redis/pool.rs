//! The clients of fred that a connection consists of, and others in their place where they are lost.

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
use crate::redis::silence;

/// What begins with a first set of clients, and goes on with each that takes its place.
pub(crate) struct Clients {
    pub(crate) pool: watch::Receiver<Pool>,
    pub(crate) events: mpsc::UnboundedReceiver<Events>,
    pub(crate) listeners: mpsc::UnboundedReceiver<Listener>,
    /// As long as they run, the clients are connected, or try to be.
    pub(crate) tasks: Tasks,
}

/// Tasks that end when this is dropped.
pub(crate) struct Tasks(Vec<AbortHandle>);

impl Tasks {
    pub(crate) fn push(&mut self, task: AbortHandle) {
        self.0.push(task);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// What happens to the pool, heard from before its first connect on.
pub(crate) struct Events {
    /// The first of the pool, for all of it.
    pub(crate) client: FredClient,
    pub(crate) errors: Receiver<(FredError, Option<Server>)>,
    pub(crate) connects: Receiver<Server>,
}

/// A client to subscribe with, which takes a connection of its own, heard from before its first connect on.
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
        // In which fred asks each of them, and the master, twice.
        let patience = redis.connection.connect_timeout * 2 * (addrs.len() as u32 + 2);
        tasks.push(tokio::spawn(renew_lost(source, set, current, patience)).abort_handle());
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
        // Each time: its password may have been replaced.
        let builder = self.settings.builder().map_err(|error| Error::Corrupt(error.to_string()))?;
        let pool = builder.build_pool(self.settings.pool_size)?;
        let subscriber = builder.build_subscriber_client()?;
        // Both fail only where nobody is interested.
        let client = pool.clients()[0].clone();
        let (errors, connects) = (client.error_rx(), client.reconnect_rx());
        let _ = self.events.send(Events { client, errors, connects });
        let client = subscriber.clone();
        let (messages, connects) = (client.message_rx(), client.reconnect_rx());
        let _ = self.listeners.send(Listener { client, messages, connects });
        let limit = builder.get_connection_config().unresponsive.max_timeout;
        let mut tasks = limit.map_or(vec![], |limit| silence::watch(&pool, &subscriber, limit));
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

/// fred forgets the sentinels of its settings for those that the last one told it of. When these are gone or
/// have moved, it asks them for ever; a new client begins with the settings.
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
                Err(error) => tracing::error!(%error, "no new clients for Redis"),
            }
        }
    }
}
