//! The connection to Redis. It fails fast, never resends a command, and reconnects unaided.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use atode_config::Address;
use atode_config::redis::{Endpoint, JobqueueRedis};
use fred::clients::{Client as FredClient, Pool, WithOptions};
use fred::interfaces::ClientLike;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::error::Error;
use crate::keys::Keys;
use crate::redis::clock::RedisClock;
use crate::redis::handshake;
use crate::redis::permissions::{self, Subject};
use crate::redis::pool::{self, Clients, Listener, Tasks};
use crate::redis::server::{self, Server};

#[derive(Clone)]
pub struct Connection {
    pool: watch::Receiver<Pool>,
    /// Number of connects. A task that must start over after a connect waits for a change.
    connects: watch::Receiver<u64>,
    pub(crate) server: Arc<Server>,
}

impl Connection {
    /// Starts to connect and returns at once: Redis may be down now and come later. The connection ends when its
    /// tasks are dropped.
    pub(crate) fn open(
        redis: &JobqueueRedis,
        clock: Arc<RedisClock>,
    ) -> Result<(Self, UnboundedReceiver<Listener>, Tasks), Error> {
        let Clients { pool, events, listeners, mut tasks } = pool::open(redis)?;
        let (counter, connects) = watch::channel(0);
        let user = redis.connection.username.clone().unwrap_or_else(|| "default".to_owned());
        let server = Arc::new(Server {
            address: address(redis),
            once_and_fast: server::once_and_fast(redis.connection.command_timeout),
            subject: Subject { user, keys: Keys::new(&redis.key_prefix) },
            clock,
            seen: RwLock::default(),
        });
        tasks.0.push(tokio::spawn(handshake::run(events, counter, server.clone())).abort_handle());
        Ok((Connection { pool, connects, server }, listeners, tasks))
    }

    /// A client that sends each command once. Errors at once while there is no connection.
    pub(crate) fn client(&self) -> Result<WithOptions<FredClient>, Error> {
        Ok(self.ready()?.with_options(&self.server.once_and_fast))
    }

    /// [`client`](Self::client) that also works on a Redis that cannot hold jobs.
    pub(crate) fn asker(&self) -> Result<WithOptions<FredClient>, Error> {
        Ok(self.connected()?.with_options(&self.server.once_and_fast))
    }

    /// The number of connects so far.
    pub fn connects(&self) -> watch::Receiver<u64> {
        self.connects.clone()
    }

    pub fn is_up(&self) -> bool {
        self.server.seen().look.is_some() && self.next().is_connected()
    }

    /// The reason why there is no connection, in the words of Redis or of the system. Unset while there is a
    /// connection, and before the first attempt has failed.
    pub fn trouble(&self) -> Option<String> {
        self.server.seen().trouble.clone()
    }

    /// Host and port, to be shown to people.
    pub fn address(&self) -> &str {
        &self.server.address
    }

    pub fn command_timeout(&self) -> Duration {
        self.server.once_and_fast.timeout.unwrap_or_default()
    }

    /// Checks the permissions again: they may change during a connection.
    pub(crate) async fn look_at_access(&self) -> Result<(), Error> {
        let findings = permissions::look(&self.asker()?, &self.server.subject).await?;
        self.server.set_findings(findings);
        Ok(())
    }

    pub(crate) fn ready(&self) -> Result<FredClient, Error> {
        let client = self.connected()?;
        self.server.check()?;
        Ok(client)
    }

    fn next(&self) -> FredClient {
        self.pool.borrow().next_connected().clone()
    }

    fn connected(&self) -> Result<FredClient, Error> {
        let client = self.next();
        if client.is_connected() {
            return Ok(client);
        }
        let why = self.trouble().map_or_else(String::new, |why| format!(": {why}"));
        Err(Error::NotSent(format!("no connection to {}{why}", self.address())))
    }
}

fn address(redis: &JobqueueRedis) -> String {
    let address = match &redis.endpoint {
        Endpoint::Server { host, port } => format!("{host}:{port}"),
        Endpoint::Sentinel { master, addrs } => format!("{master} of the sentinels {}", list(addrs)),
        Endpoint::Cluster { addrs } => format!("the cluster {}", list(addrs)),
    };
    // Shows why a port without TLS does not answer.
    if redis.connection.tls { format!("{address} (TLS)") } else { address }
}

fn list(addrs: &[Address]) -> String {
    addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
