//! The connection to Redis: fails fast, never resends, heals by itself, says once when it is lost
//! and once when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_config::Address;
use atode_config::redis::{Endpoint, JobqueueRedis};
use fred::clients::{Client as FredClient, Pool};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::config::Options;
use fred::types::{Key, Value};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::clients::{self, Clients, Events, Listener};
use crate::error::{Error, is_noscript};
use crate::scripts::Script;

#[derive(Clone)]
pub struct Connection {
    pool: watch::Receiver<Pool>,
    /// Counts connects: whoever has to start over after one waits for a change.
    connects: watch::Receiver<u64>,
    once_and_fast: Options,
    address: Arc<str>,
}

impl Connection {
    /// Starts to connect and returns at once: Redis may be down now and come later.
    pub(crate) fn open(redis: &JobqueueRedis) -> Result<(Self, UnboundedReceiver<Listener>), Error> {
        let Clients { pool, events, listeners } = clients::open(redis)?;
        let (counter, connects) = watch::channel(0);
        let address: Arc<str> = address(&redis.endpoint).into();
        tokio::spawn(report(events, counter, address.clone()));
        let once_and_fast = Options {
            max_attempts: Some(1),
            fail_fast: true,
            timeout: Some(redis.connection.command_timeout),
            ..Options::default()
        };
        Ok((Connection { pool, connects, once_and_fast, address }, listeners))
    }

    /// Runs a script once. Redis having forgotten it is the only case in which it is sent again:
    /// it did not run then.
    pub(crate) async fn call(
        &self,
        script: &Script,
        keys: Vec<Key>,
        args: Vec<Value>,
    ) -> Result<Value, Error> {
        let client = self.ready()?.with_options(&self.once_and_fast);
        match client.evalsha(script.sha1.as_str(), keys.clone(), args.clone()).await {
            Err(error) if is_noscript(&error) => {
                // Not SCRIPT LOAD: behind that it could be forgotten again before it runs.
                Ok(client.eval(script.source.as_str(), keys, args).await?)
            }
            other => Ok(other?),
        }
    }

    /// A client for a plain read. Errors at once while there is no connection.
    pub(crate) fn reader(&self) -> Result<fred::clients::WithOptions<FredClient>, Error> {
        Ok(self.ready()?.with_options(&self.once_and_fast))
    }

    /// Changes with each connect; 0 before the first.
    pub fn connects(&self) -> watch::Receiver<u64> {
        self.connects.clone()
    }

    pub fn is_up(&self) -> bool {
        self.next().is_connected()
    }

    /// Host and port, for people.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn command_timeout(&self) -> Duration {
        self.once_and_fast.timeout.unwrap_or_default()
    }

    fn next(&self) -> FredClient {
        self.pool.borrow().next_connected().clone()
    }

    pub(crate) fn ready(&self) -> Result<FredClient, Error> {
        let client = self.next();
        if client.is_connected() {
            Ok(client)
        } else {
            Err(Error::NotSent(format!("no connection to {}", self.address)))
        }
    }
}

fn address(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Server { host, port } => format!("{host}:{port}"),
        Endpoint::Sentinel { master, addrs } => format!("{master} of the sentinels {}", list(addrs)),
        Endpoint::Cluster { addrs } => format!("the cluster {}", list(addrs)),
    }
}

fn list(addrs: &[Address]) -> String {
    addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Says when the connection is lost and when it is back, once each.
async fn report(mut of_clients: UnboundedReceiver<Events>, connects: watch::Sender<u64>, address: Arc<str>) {
    let Some(mut events) = of_clients.recv().await else { return };
    let mut lost = false;
    loop {
        tokio::select! {
            biased; // old clients end when there are others
            Some(later) = of_clients.recv() => events = later,
            event = events.connects.recv() => match event {
                Err(RecvError::Closed) => return,
                event => {
                    lost = false;
                    until_usable(&events.client).await;
                    connects.send_modify(|n| *n += 1);
                    // Which of several it is now, the address does not say.
                    let server = event.map_or(String::new(), |server| server.to_string());
                    tracing::info!(redis = %address, server, "connected to Redis");
                }
            },
            event = events.errors.recv() => match event {
                Ok((error, _)) if !lost => {
                    lost = true;
                    tracing::error!(redis = %address, %error, "no connection to Redis; trying again until it is there");
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// fred tells of a connect a moment before it says that it is connected, and takes commands.
async fn until_usable(client: &FredClient) {
    let start = Instant::now();
    while !client.is_connected() && start.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
